// The dashboard, as people use it: each page in Chromium, beside an open page of the chat example.
// `SYNCLINE_SCREENSHOTS` names a folder for pictures of it.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { picture, withBrowser } from "./browser.mjs";
import { say, settled, signIn, write } from "./chat.mjs";
import { isSomethingMissing, PROGRAM, server } from "./chat-server.mjs";
import { eventually, mint, random, Server } from "./support.mjs";

const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

const at = (path) => `${server.url}/dashboard/${path}`;
const documents = (page) => page.getByTestId("documents");
const rowOf = (page, text) => documents(page).locator("tbody tr", { hasText: text });
const dialog = (page) => page.getByRole("dialog");

/** Nothing was complained of: no exception, nothing refused by the page's policy. */
function assertCalm(page) {
  assert.deepEqual(page.broke, []);
  assert.deepEqual(
    page.said.filter(({ level }) => level === "error"),
    [],
  );
}

/** The dashboard's own reader and writer of values, which need no browser. */
async function values() {
  const entryPoints = [fileURLToPath(new URL("../../../runtime/dashboard/src/values.ts", import.meta.url))];
  const { outputFiles } = await build({ entryPoints, bundle: true, write: false, format: "cjs", platform: "node" });
  const module = { exports: {} };
  new Function("module", "exports", "require", outputFiles[0].text)(module, module.exports, createRequire(import.meta.url));
  return module.exports;
}

test("values are read as people write them, and what is no value is told with its place", async () => {
  const { parse, printLine } = await values();
  for (const [text, expected] of [
    [`{"a": 1, b: 'it''s'}`, "a comma or } was expected at 16"],
    [`{ a: 1, "b c": [5n, -3n, 1e3, -0, NaN, -Infinity,], }`, `{ a: 1, "b c": [5n, -3n, 1000, -0, NaN, -Infinity] }`],
    [`{"$integer": "BQAAAAAAAAA="}`, "5n"],
    [`{"n": {"$float": "AAAAAAAA+H8="}}`, "{ n: NaN }"],
    [`bytes("aGk=")`, `bytes("aGk=")`],
    [`{"$bytes": "aGk="}`, `bytes("aGk=")`],
    [`"\\u00e9\\n"`, `"é\\n"`],
    [`{"__proto__": 1}`, "{ __proto__: 1 }"],
    [`{"$integer": 5}`, "$integer is no encoded value: $integer, $float and $bytes hold text in base64 at 0"],
    [`9223372036854775808n`, "an int64 (…n) has 64 bits: this number is too large at 0"],
    [`{ a: 1 b: 2 }`, "a comma or } was expected at 7"],
    [`{ a: 1, a: 2 }`, "the field a stands here twice at 8"],
    [`[1, 2`, "a comma or ] was expected at 5"],
    [`hello`, "hello is no value; text stands in quotes at 0"],
    [``, "a value was expected, and the text ends at 0"],
  ]) {
    let found;
    try {
      found = printLine(parse(text).value);
    } catch (error) {
      found = `${error.message} at ${error.at}`;
    }
    assert.equal(found, expected, text);
  }
});

test("whatever value is printed is read back as it was", async (t) => {
  const { encode, parse, print, printFields, printLine } = await values();
  const next = random(t);
  const below = (n) => Math.floor(next() * n);
  const name = () => ["a", "b_c", "d e", "0z", "__proto__", "x1", '"'][below(7)];
  const value = (depth) => {
    switch (below(depth > 0 ? 9 : 7)) {
      case 0:
        return null;
      case 1:
        return next() < 0.5;
      case 2:
        return BigInt.asIntN(64, (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32)));
      case 3:
        return [next() * 10 ** below(300), -0, NaN, Infinity, -Infinity, 5e-324, -below(100)][below(7)];
      case 4:
        return ["", "text", 'a "quoted" one', "two\nlines\tand \\ more", "\u0000\u2028", "it's"][below(6)];
      case 5:
        return Uint8Array.from({ length: below(5) }, () => below(256)).buffer;
      case 6:
        return below(1000);
      case 7:
        return Array.from({ length: below(4) }, () => value(depth - 1));
      default:
        return Object.fromEntries(Array.from({ length: below(4) }, () => [name(), value(depth - 1)]));
    }
  };
  for (let round = 0; round < 2000; round++) {
    const fields = { it: value(3) };
    const expected = JSON.stringify(encode(fields.it));
    for (const text of [printLine(fields), print(fields), printFields(fields)]) {
      assert.equal(JSON.stringify(encode(parse(text).value.it)), expected, text);
    }
  }
});

// spec: H40
test("the documents of a table are live, and an edited one changes in an open page of the application", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [chat, page] = [await open(server.url), await open(at("data/messages"))];
    await page.getByTestId("connection").getByText("Live").waitFor();
    await signIn(chat, "Ada Lovelace");
    await say(chat, "written in the chat");
    await rowOf(page, "written in the chat").waitFor();

    await rowOf(page, "written in the chat").click();
    const fields = dialog(page).getByLabel("Fields");
    await fields.waitFor();
    const text = await fields.inputValue();
    assert.match(text, /body: "written in the chat"/);
    await fields.fill(text.replace("written in the chat", "corrected in the dashboard"));
    await dialog(page).getByRole("button", { name: "Save" }).click();
    await dialog(page).waitFor({ state: "detached" });
    await settled(chat, "corrected in the dashboard").waitFor();
    assert.equal(await settled(chat, "written in the chat").count(), 0);

    await rowOf(page, "corrected in the dashboard").focus();
    await page.keyboard.press("Delete");
    await dialog(page).getByText("Delete this document?").waitFor();
    await page.keyboard.press("Enter");
    await settled(chat, "corrected in the dashboard").waitFor({ state: "detached" });
    await rowOf(page, "corrected in the dashboard").waitFor({ state: "detached" });
    assertCalm(page);
  });
});

// spec: H40
test("an id leads to its document, and a document that is gone is said to be", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [chat, page] = [await open(server.url), await open(at("data/messages"))];
    await signIn(chat, "Linus Torvalds");
    await say(chat, "who wrote this?");
    await rowOf(page, "who wrote this?").locator('[data-label="author"] a').click();
    await dialog(page).getByText("Document in users").waitFor();
    assert.match(await dialog(page).getByLabel("Fields").inputValue(), /name: "Linus Torvalds"/);
    await page.keyboard.press("Escape");
    await page.getByRole("heading", { name: "users" }).waitFor();
    const [id] = await rowOf(page, "Linus Torvalds").evaluateAll((rows) => rows.map((row) => row.dataset.id));
    await page.goto(at(`data/messages?id=${id}`));
    await dialog(page).getByText("There is no such document").waitFor();
    assertCalm(page);
  });
});

// spec: H40
test("a document that does not fit is explained while it is written, and cannot be sent", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(at("data/users"));
    await page.getByRole("button", { name: "Add document" }).click();
    const fields = dialog(page).getByLabel("Fields");
    const add = dialog(page).getByRole("button", { name: "Add", exact: true });
    const fault = (text) => dialog(page).getByText(text);

    await fields.fill('{\n  name: "Hedy",\n  tokenIdentifier: "hedy" 5\n}');
    await fault("a comma or } was expected").waitFor();
    await dialog(page).getByRole("button", { name: "line 3" }).click();
    assert.equal(await fields.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd)), "5");
    await fields.fill("{\n  name: 5n\n}");
    await fault("name: expected string, found 5n").waitFor();
    assert.ok(await add.isDisabled());

    await fields.fill('{ name: "Hedy Lamarr", tokenIdentifier: "test|hedy", lastName: 1 }');
    await fault("there is no field lastName").waitFor();
    await fields.fill('{ name: "Hedy Lamarr", tokenIdentifier: "test|hedy" }');
    await page.keyboard.press("Control+Enter");
    await dialog(page).waitFor({ state: "detached" });
    await rowOf(page, "Hedy Lamarr").waitFor();
    assertCalm(page);
  });
});

// spec: H40
test("a table is paged through, and filtered on an index", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [chat, page] = [await open(server.url), await open(at("data/messages"))];
    await signIn(chat, "Grace Hopper");
    for (let number = 1; number <= 60; number++) await say(chat, `page filler ${number}.`);
    await rowOf(page, "page filler 60.").waitFor();
    const fillers = () => rowOf(page, "page filler").count();
    await eventually(async () => (await page.getByText("Page 1, 50 documents").count()) === 1, "a full first page");
    assert.equal(await fillers(), 50, "no more than a page is in the document");
    await page.getByRole("button", { name: "Next" }).click();
    await rowOf(page, "page filler 1.").waitFor();
    assert.equal(await rowOf(page, "page filler 60.").count(), 0);
    await page.getByRole("button", { name: "Back" }).click();
    await rowOf(page, "page filler 60.").waitFor();

    await page.goto(at("data/users"));
    const index = page.getByLabel("Index");
    await rowOf(page, "Grace Hopper").waitFor();
    await eventually(async () => (await index.locator("option").count()) > 2, "the indexes of the table");
    await index.selectOption("by_token");
    await page.keyboard.press("/");
    const value = page.locator("[data-filter]").first();
    const issuer = `${server.url}/dev-issuer`;
    await value.fill(`${issuer}|user_grace`);
    await eventually(async () => (await documents(page).locator("tbody tr").count()) === 1, "one user fits");
    await rowOf(page, "Grace Hopper").waitFor();
    await value.fill("nobody at all");
    await page.getByText("No document fits").waitFor();
    assertCalm(page);
  });
});

// spec: H41
test("a query is watched and a mutation run, as an administrator and as somebody else", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(at("functions/users:current"));
    const result = page.getByTestId("result");
    const as = async (name) => page.getByRole("radio", { name }).click();
    await page.getByRole("button", { name: "Watch" }).click();
    await result.getByText("null").waitFor();

    await page.getByRole("link", { name: "store" }).click();
    await page.getByRole("heading", { name: "users:store" }).waitFor();
    await as("Nobody");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await result.getByText("It failed").waitFor();
    await as("A token");
    await page.locator("textarea.token").fill(await mint(server.url, { subject: "user_dorothy", name: "Dorothy Vaughan" }));
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await result.getByText(/^"[0-9a-z]{20,}"$/).waitFor();
    await page.getByRole("region", { name: "Recent calls" }).getByText("ok").first().waitFor();

    await page.getByRole("link", { name: "list" }).last().click();
    await page.getByRole("heading", { name: "users:list" }).waitFor();
    await page.getByRole("button", { name: "Watch" }).click();
    await result.getByText("Dorothy Vaughan").waitFor();
    const chat = await open(server.url);
    await signIn(chat, "Barbara Liskov");
    await result.getByText("Barbara Liskov").waitFor();
    assertCalm(page);
  });
});

// spec: H41
test("a token that the server refuses is not run as nobody", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(at("functions/users:current"));
    await page.getByRole("radio", { name: "A token" }).click();
    await page.locator("textarea.token").fill("eyJhbGciOiJub25lIn0.e30.");
    await page.getByRole("button", { name: "Watch" }).click();
    await page.getByTestId("result").getByText("It failed").waitFor();
    assert.equal(await page.locator(".result").count(), 0, "there is no value");
  });
});

// spec: H42
test("calls appear in the log as they end, and are found by function, failure, request and identity", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [page, chat] = [await open(at("logs")), await open(server.url)];
    const log = page.getByTestId("log");
    await signIn(chat, "Ada Lovelace");
    await say(chat, "for the log");
    const entry = (path) => log.locator(".log-entry", { hasText: path });
    await entry("messages:send").first().waitFor();
    assert.equal(await entry("_system/").count(), 0, "what the dashboard itself asks for is not shown");

    await write(chat, "x".repeat(100_000));
    await log.locator('[data-failed="true"]').first().waitFor();
    await page.getByRole("radio", { name: "Failures" }).click();
    await eventually(async () => (await entry("messages:list").count()) === 0, "only what failed");
    await entry("messages:send").first().getByRole("button").click();
    const request = await log.locator(".log-detail a").nth(1).textContent();
    await page.getByRole("radio", { name: "All" }).click();
    await page.keyboard.press("/");
    await page.keyboard.type(request);
    await eventually(async () => (await log.locator(".log-entry").count()) === 1, "the call of one request");

    await page.getByLabel("Function, request or text").fill("messages:send");
    const other = await open(server.url);
    await signIn(other, "Barbara Liskov");
    await say(other, "by somebody else");
    await eventually(async () => (await entry("messages:send").count()) >= 3, "what both have sent");
    await page.getByLabel("As", { exact: true }).fill(`${server.url}/dev-issuer|user_barbara`);
    await eventually(async () => (await entry("messages:send").count()) === 1, "what one of them has sent");
    await entry("messages:send").getByRole("button").click();
    await log.locator(".log-detail").getByText("|user_barbara").waitFor();
    assertCalm(page);
  });
});

test("a refused handshake is shown with its reason, and a pasted token is explained", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [page, chat] = [await open(at("auth")), await open(server.url)];
    await page.getByText(`${server.url}/dev-issuer`).first().waitFor();
    const handshakes = page.getByTestId("handshakes");
    await chat.getByRole("button", { name: "Mallory, uninvited" }).click();
    const refused = handshakes.locator("li", { hasText: "audience_mismatch" }).first();
    await refused.getByText("refused", { exact: true }).waitFor();
    assert.match(await refused.textContent(), /expected "convex"/, "the sentence says what was expected");
    assert.match(await refused.locator(".remedy").textContent(), /\w{3}/, "and what to do");
    assert.doesNotMatch(await page.content(), /eyJ[\w-]{20}/, "no token is shown");

    const explained = page.getByTestId("explained");
    await page.getByLabel("Token", { exact: true }).fill(await mint(server.url, { subject: "user_ada", name: "Ada" }));
    await page.getByRole("button", { name: "Explain" }).click();
    await explained.locator('[data-accepted="true"]').waitFor();
    await page.getByLabel("Token", { exact: true }).fill("nonsense");
    await page.getByRole("button", { name: "Explain" }).click();
    await explained.locator('[data-accepted="false"]').waitFor();
    assert.equal(await explained.locator('tr[data-ok="false"]').count(), 1, "one check is the one that failed");
    assertCalm(page);
  });
});

test("live queries: who watches, what is read, and why it ran again", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [page, chat] = [await open(at("queries")), await open(server.url)];
    await signIn(chat, "Ada Lovelace");
    const query = page.getByTestId("queries").locator(".query", { hasText: "messages:list" }).first();
    await query.getByText("first").waitFor();
    await query.getByRole("button").click();
    await query.locator(".reads").getByText("messages").first().waitFor();
    await say(chat, "run again, please");
    await query.locator(".query-cause").getByText("messages").waitFor();
    await chat.close();
    await query.waitFor({ state: "detached" });
    assertCalm(page);
  });
});

// spec: H43
test("health: calls are counted as they are made", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const [page, chat] = [await open(at("health")), await open(server.url)];
    const mutations = async () => Number((await page.locator(".numbers tr", { hasText: "Mutations" }).locator("td").first().textContent()).replaceAll(",", ""));
    await page.getByTestId("health").waitFor();
    const before = await mutations();
    await signIn(chat, "Ada Lovelace");
    await say(chat, "count me");
    await eventually(async () => (await mutations()) > before, "one more mutation");
    assertCalm(page);
  });
});

test("the keyboard leads everywhere", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(at(""));
    await page.getByTestId("connection").getByText("Live").waitFor();
    for (const [key, path] of Object.entries({ f: "functions", l: "logs", a: "auth", q: "queries", h: "health", d: "data" })) {
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await page.waitForURL(new RegExp(`/dashboard/${path}`));
    }
    await page.keyboard.press("?");
    await dialog(page).getByRole("heading", { name: "Keyboard" }).waitFor();
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "detached" });
    await page.goto(at("data/users"));
    await documents(page).locator("tbody tr").first().focus();
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.evaluate(() => document.activeElement.matches("tbody tr:nth-child(2)")), true);
    await page.keyboard.press("Enter");
    await dialog(page).getByLabel("Fields").waitFor();
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => document.activeElement.matches("tbody tr:nth-child(2)")), true, "back where it was");
    await page.goBack();
    assertCalm(page);
  });
});

// spec: H38
test("a server in production asks for the admin key, refuses a wrong one, and keeps the right one in this tab", async (t) => {
  if (isSomethingMissing(t)) return;
  const production = await Server.start(PROGRAM, { SYNCLINE_PRODUCTION: "true" });
  try {
    await withBrowser(async (open) => {
      const page = await open(`${production.url}/dashboard/data/messages`);
      const key = page.getByLabel("Admin key");
      const enter = page.getByRole("button", { name: "Open the dashboard" });
      await key.fill("syncline|0123");
      await enter.click();
      await page.getByRole("alert").getByText("admin key").waitFor();
      await key.fill(production.adminKey());
      await enter.click();
      await page.getByText("No documents yet").waitFor();
      await page.reload();
      await page.getByText("No documents yet").waitFor();
      assert.equal(await page.evaluate(() => Object.keys(localStorage).filter((name) => name.includes("key")).length), 0);
      await page.getByRole("button", { name: "Forget the admin key" }).click();
      await key.waitFor();
    });
  } finally {
    await production.remove();
  }
});

test("nothing is loaded from elsewhere, and the page's policy would not let it", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    const page = await open(at("health"));
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    for (const path of ["data/messages", "functions", "logs", "auth", "queries"]) {
      await page.goto(at(path));
      await page.getByTestId("connection").getByText("Live").waitFor();
    }
    assert.ok(asked.length > 5);
    assert.deepEqual(
      asked.filter((url) => new URL(url).host !== new URL(server.url).host),
      [],
    );
    const escaped = await page.evaluate(() => fetch("http://127.0.0.2:9/").then(() => "fetched", () => "refused"));
    assert.equal(escaped, "refused");
    assert.match(page.said.map(({ text }) => text).join("\n"), /Content Security Policy/);
  });
});

/** What each page shows once it has been answered; of Health, a line of the last seconds. */
const shown = {
  data: ".documents tbody tr",
  functions: ".calls li",
  logs: ".log-entry",
  auth: '[data-testid="handshakes"] li',
  queries: ".query",
  health: ".spark polyline",
};

test("every page fits its screen, wide and narrow, light and dark", async (t) => {
  if (isSomethingMissing(t)) return;
  await withBrowser(async (open) => {
    // So that there is something to see: queries that are watched, people, a message, and lines of calls.
    const chat = await open(server.url);
    await signIn(chat, "Ada Lovelace");
    await say(chat, "something to look at");
    for (const [size, viewport] of Object.entries(SIZES)) {
      for (const colorScheme of ["light", "dark"]) {
        const page = await open(at("data/messages"), { viewport, colorScheme });
        for (const path of ["data/messages", "data/users", "functions/messages:list", "logs", "auth", "queries", "health"]) {
          await page.goto(at(path));
          await page.getByRole("heading", { level: 1 }).waitFor();
          await page.getByTestId("connection").getByText("Live").waitFor();
          // A line of zeros has no height, and counts as not visible.
          await page.locator(shown[path.split("/")[0]]).first().waitFor({ state: "attached" });
          const tooWide = await page.evaluate(() => document.querySelector(".content").scrollWidth - document.querySelector(".content").clientWidth);
          assert.ok(tooWide <= 0, `${path} is ${tooWide}px too wide on a ${size} screen`);
          await picture(page, `dashboard-${path.replaceAll(/\W/g, "-")}-${size}-${colorScheme}`);
        }
        assertCalm(page);
      }
    }
  });
});
