// `ConvexReactClient` and its hooks in Chromium, on a page made for it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { serveReact, withBrowser } from "./browser.mjs";
import { eventually, fresh, isChromiumMissing, isMissing, mint, random, Server, sharedUrl } from "./support.mjs";

let harness;
before(async () => (harness = await serveReact("harness.jsx")));
after(() => harness.close());

const pageOf = (server, list) =>
  `http://127.0.0.1:${harness.address().port}/?server=${encodeURIComponent(server)}&list=${encodeURIComponent(list)}`;

const text = (page, id) => page.locator(id).textContent();
const ranks = (page) => page.locator("#pages li").allTextContents().then((all) => all.map(Number));
const mutate = (page, module, name, args) =>
  page.evaluate(([module, name, args]) => window.harness.client.mutation(window.harness.api[module][name], args), [module, name, args]);

// spec: S119
test("hooks see what another page writes", async (t) => {
  if (isChromiumMissing(t)) return;
  const url = await sharedUrl();
  await withBrowser(async (open) => {
    const list = fresh("react");
    const [writer, reader] = [await open(pageOf(url, list)), await open(pageOf(url, list))];
    await reader.locator("#value", { hasText: "0" }).waitFor();
    await writer.locator("#one").click();
    await reader.locator("#value", { hasText: "1" }).waitFor();
    await writer.locator("#answers", { hasText: "1" }).waitFor();
    assert.deepEqual([...writer.broke, ...reader.broke], []);
  });
});

test("errors reach a page with their text and their data", async (t) => {
  if (isChromiumMissing(t)) return;
  const url = await sharedUrl();
  await withBrowser(async (open) => {
    const list = fresh("react-errors");
    const page = await open(pageOf(url, list));
    await page.locator("#wrong").click();
    await page.locator("#failure", { hasText: "ArgumentValidationError: " }).waitFor();
    const caught = await page.evaluate(async (list) => {
      const { client, api, ConvexError } = window.harness;
      const data = { code: "FULL", seats: [1, null] };
      const failing = [client.mutation(api.errors.addThenFail, { list, data }), client.query(api.errors.withData, { data })];
      const errors = (await Promise.allSettled(failing)).map((outcome) => outcome.reason);
      return errors.map((error) => (error instanceof ConvexError ? error.data : String(error)));
    }, list);
    assert.deepEqual(caught, Array(2).fill({ code: "FULL", seats: [1, null] }));
    assert.deepEqual(await ranks(page), [], "the failed mutation left nothing");
  });
});

// spec: S102, S107, D81
test("usePaginatedQuery stays gapless while rows come and go in the middle of its pages", async (t) => {
  if (isChromiumMissing(t)) return;
  const next = random(t);
  const url = await sharedUrl();
  await withBrowser(async (open) => {
    const list = fresh("react-pages");
    const page = await open(pageOf(url, list));
    const model = new Set();
    for (let rank = 0; rank < 200; rank += 10) {
      model.add(rank);
      await mutate(page, "items", "add", { list, rank, text: "" });
    }
    // The first page was empty, hence open at its end: a fresh page starts with borders.
    await page.reload();
    for (const length of [5, 10, 15]) {
      await eventually(async () => (await ranks(page)).length === length, `${length} rows`);
      if (length < 15) await page.locator("#more:enabled").click();
    }
    for (let step = 0; step < 40; step++) {
      const rank = Math.floor(next() * 140);
      const isThere = model.has(rank);
      if (isThere) model.delete(rank);
      else model.add(rank);
      await mutate(page, "items", isThere ? "remove" : "add", isThere ? { list, rank } : { list, rank, text: "" });
      const whole = [...model].sort((a, b) => a - b);
      await eventually(async () => {
        const shown = await ranks(page);
        return shown.length >= 10 && shown.every((rank, at) => rank === whole[at]);
      }, `a prefix of ${whole}`);
    }
    const status = () => page.locator("#pages").getAttribute("data-status");
    await eventually(async () => {
      if ((await status()) === "CanLoadMore") await page.locator("#more").click();
      return (await status()) === "Exhausted";
    }, "the last page");
    assert.deepEqual(
      await ranks(page),
      [...model].sort((a, b) => a - b),
      "exactly the rows that are there",
    );
    assert.deepEqual(page.broke, []);
  });
});

test("auth set, and cleared, through a React client", async (t) => {
  if (isChromiumMissing(t)) return;
  const url = await sharedUrl();
  await withBrowser(async (open) => {
    const page = await open(pageOf(url, fresh("react-auth")));
    const subject = fresh("user");
    const token = await mint(url, { subject });
    const sign = () => mutate(page, "auth", "sign", {});
    assert.equal(await sign(), null);
    await page.evaluate(
      (token) => new Promise((agreed) => window.harness.client.setAuth(async () => token, (is) => is && agreed())),
      token,
    );
    assert.equal(await sign(), subject);
    await page.evaluate(() => window.harness.client.clearAuth());
    assert.equal(await sign(), null);
  });
});

// spec: S74, S76, S119
test("a page's mutations in flight when the server is killed take effect exactly once", async (t) => {
  if (isChromiumMissing(t) || isMissing(t, "SYNCLINE_SERVER, the program to kill,", process.env.SYNCLINE_SERVER)) return;
  const server = await Server.start(process.env.SYNCLINE_SERVER);
  try {
    await withBrowser(async (open) => {
      const page = await open(pageOf(server.url, fresh("react-once")));
      await page.locator("#value", { hasText: "0" }).waitFor();
      const answers = async () => (await text(page, "#answers")).split(" ").filter(Boolean).map(Number);
      await page.locator("#hundred").click();
      await eventually(async () => (await answers()).length > 0, "a first answer");
      await server.kill();
      await server.start();
      await eventually(async () => (await answers()).length === 100, "a hundred answers");
      assert.deepEqual(
        await answers(),
        Array.from({ length: 100 }, (_, at) => at + 1),
      );
      await page.locator("#value", { hasText: "100" }).waitFor();
    });
  } finally {
    await server.remove();
  }
});
