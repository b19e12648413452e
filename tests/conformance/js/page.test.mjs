// The page of the chat example, as people use it: two windows, two people, in Chromium.
// `SYNCLINE_SCREENSHOTS` names a folder for pictures of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { picture, withBrowser } from "./browser.mjs";
import { composer, messages, settled, signIn, users, write } from "./chat.mjs";
import { isSomethingMissing, server } from "./chat-server.mjs";
import { eventually } from "./support.mjs";

// spec: A73, A74
test("two windows sign in as two people, and see each other and what they write at once", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [ada, grace] = [await open(server.url), await open(server.url, { colorScheme: "dark" })];
    await ada.getByRole("heading", { name: "Who are you?" }).waitFor();
    await picture(ada, "1-signed-out");
    await signIn(ada, "Ada Lovelace");
    await signIn(grace, "Grace Hopper");
    for (const page of [ada, grace]) {
      for (const name of ["Ada Lovelace", "Grace Hopper"]) await users(page).getByText(name).waitFor();
      await page.getByTestId("connection").getByText("Live").waitFor();
      await page.getByTestId("auth").getByText("Signed in").waitFor();
    }
    await users(ada).locator("tr", { hasText: "Ada Lovelace" }).getByText("you").waitFor();

    await write(ada, "Good morning, Grace. Does your window show this?");
    await settled(grace, "Does your window show this?").waitFor();
    await write(grace, "It does, at once. And yours this?");
    await settled(ada, "It does, at once.").waitFor();
    await write(ada, "It does. Watch the people on the right when somebody else joins.");
    await settled(ada, "Watch the people").waitFor();
    await settled(grace, "Watch the people").waitFor();
    await picture(ada, "2-ada");
    await picture(grace, "3-grace-dark");

    const said = ada.said.map(({ text }) => text).join("\n");
    assert.match(said, new RegExp(`✅ Convex URL configured: ${server.url}`));
    assert.match(said, /🔄 UserSync: Attempting to sync user \{userId: user_ada, email: ada@example\.test, name: Ada Lovelace\}/);
    assert.match(said, /✅ User synced successfully: [0-9a-z]{20,}/);
    for (const page of [ada, grace]) {
      assert.deepEqual(page.broke, []);
      assert.deepEqual(
        page.said.filter(({ level }) => level === "error"),
        [],
      );
    }

    await ada.reload();
    await composer(ada).waitFor();
    await users(ada).locator("tr", { hasText: "Ada Lovelace" }).getByText("you").waitFor();
    assert.equal(await users(ada).locator("tbody tr").count(), 2, "a reload stays who it was, and adds nobody");

    await ada.getByRole("button", { name: "Sign out" }).click();
    await ada.getByRole("heading", { name: "Who are you?" }).waitFor();
    await ada.getByTestId("auth").getByText("Signed out").waitFor();
    await settled(ada, "It does, at once.").waitFor();
  });
});

test("who wrote a message deletes it, and nobody else is offered to", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [ada, grace] = [await open(server.url), await open(server.url)];
    await signIn(ada, "Ada Lovelace");
    await signIn(grace, "Grace Hopper");
    await write(ada, "This was a mistake.");
    await settled(grace, "This was a mistake.").waitFor();
    const button = (page) => page.getByRole("button", { name: "Delete “This was a mistake.”" });
    assert.equal(await button(grace).count(), 0);
    await button(ada).click();
    for (const page of [ada, grace]) await settled(page, "This was a mistake.").waitFor({ state: "detached" });
  });
});

test("anybody can sign in, with a name alone, and with an address", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [nameless, reachable] = [await open(server.url), await open(server.url)];
    await nameless.getByLabel("Name", { exact: true }).fill("Emmy");
    await nameless.getByRole("button", { name: "Sign in" }).click();
    await reachable.getByLabel("Name", { exact: true }).fill("Sofia Kovalevskaya");
    await reachable.getByLabel("Email").fill("sofia@example.test");
    await reachable.getByRole("button", { name: "Sign in" }).click();
    await users(nameless).locator("tr", { hasText: "Emmy" }).getByText("you").waitFor();
    await users(nameless).locator("tr", { hasText: "sofia@example.test" }).waitFor();
    await users(reachable).locator("tr", { hasText: "Sofia" }).getByText("you").waitFor();
  });
});

test("a refused token: the page tells the server's reason, and lets somebody else in", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(server.url, { viewport: { width: 390, height: 780 } });
    await page.getByRole("button", { name: "Mallory, uninvited" }).click();
    const refused = page.getByTestId("refused");
    await refused.getByText("The server refused Mallory").waitFor();
    assert.match(await refused.textContent(), /NoAuthProvider: /);
    await picture(page, "4-refused");
    assert.match(page.said.map(({ text }) => text).join("\n"), /Failed to authenticate: "NoAuthProvider: /);
    await refused.getByRole("button", { name: "Be somebody else" }).click();
    await signIn(page, "Linus Torvalds");
    await picture(page, "5-phone");
    assert.deepEqual(page.broke, []);
  });
});

test("a message that the server refuses is given back with the reason", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(server.url);
    await signIn(page, "Barbara Liskov");
    const box = composer(page);
    const long = "x".repeat(100_000);
    await write(page, long);
    const note = page.getByRole("alert").filter({ hasText: "Not sent" });
    await note.waitFor();
    assert.ok((await note.locator(".error-reason").textContent()).length > 10, "the reason is told");
    assert.equal(await box.inputValue(), long);
    assert.equal(await messages(page).getByText("xxxxx").count(), 0, "the optimistic message is gone");
    await picture(page, "6-not-sent");
    await write(page, "shorter");
    await settled(page, "shorter").waitFor();
    assert.equal(await note.count(), 0);
  });
});

// spec: S107
test("more than a page of messages: earlier ones are loaded when asked for, none twice, none left out", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(server.url);
    await signIn(page, "Ada Lovelace");
    for (let at = 1; at <= 60; at++) await write(page, `message number ${at}.`);
    await settled(page, "message number 60.").waitFor();

    const later = await open(server.url);
    const numbers = async () => {
      const bodies = await messages(later).locator(".body").allTextContents();
      return bodies.map((body) => /^message number (\d+)\.$/.exec(body)?.[1]).filter(Boolean).map(Number);
    };
    await settled(later, "message number 60.").waitFor();
    assert.deepEqual(
      await numbers(),
      Array.from({ length: 25 }, (_, at) => 36 + at),
      "the newest page first, and read downwards",
    );
    await write(page, "meanwhile");
    await settled(later, "meanwhile").waitFor();
    while ((await messages(later).getAttribute("data-status")) !== "Exhausted") {
      const earlier = later.getByRole("button", { name: "Earlier messages" });
      if (await earlier.isVisible()) await earlier.click();
      await eventually(async () => (await messages(later).getAttribute("data-status")) !== "LoadingMore", "the next page");
    }
    assert.deepEqual(
      await numbers(),
      Array.from({ length: 60 }, (_, at) => 1 + at),
    );
  });
});

test("while the server is away the page says so; what was written then arrives once when it is back", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [ada, grace] = [await open(server.url), await open(server.url)];
    await signIn(ada, "Ada Lovelace");
    await signIn(grace, "Grace Hopper");
    await server.kill();
    await ada.getByTestId("connection").getByText("Reconnecting…").waitFor();
    await write(ada, "written while the server was away");
    await ada.getByText("sending…").waitFor();
    await picture(ada, "7-away");
    await server.start();
    await settled(ada, "written while the server was away").waitFor();
    await settled(grace, "written while the server was away").waitFor();
    assert.equal(await messages(grace).getByText("written while the server was away").count(), 1);
    await ada.getByTestId("connection").getByText("Live").waitFor();
    await ada.getByTestId("auth").getByText("Signed in").waitFor();
  });
});

test("whoever signs in while the server is away is signed in when it is back", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(server.url);
    await page.getByRole("heading", { name: "Who are you?" }).waitFor();
    await server.kill();
    await page.getByRole("button", { name: "Linus Torvalds", exact: true }).click();
    await page.getByText("Signing in as Linus Torvalds…").waitFor();
    await server.start();
    await composer(page).waitFor();
    await users(page).locator("tr", { hasText: "Linus Torvalds" }).getByText("you").waitFor();
  });
});
