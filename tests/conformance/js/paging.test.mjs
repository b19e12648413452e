// Pages that stay gapless while rows are inserted and deleted in the middle of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { eventually, fresh, quiet, random, sharedUrl, Watch } from "./support.mjs";

const PAGE = 5;

function watchPages(client, list) {
  return new Watch((onValue, onError) =>
    client.onPaginatedUpdate_experimental(api.items.page, { list }, { initialNumItems: PAGE }, onValue, onError),
  );
}

const ranksOf = (view) => view.results.map((row) => row.rank);

/** Whatever happens, no row comes twice and none out of order. */
function checkOrder(watch) {
  for (const { value } of watch.told.filter((entry) => "value" in entry)) {
    const ranks = ranksOf(value);
    for (let at = 1; at < ranks.length; at++) assert.ok(ranks[at - 1] < ranks[at], `not in order: ${ranks}`);
  }
}

/** Loads until `pages` pages are there. */
async function loadPages(watch, pages) {
  for (let page = 1; page < pages; page++) {
    const before = (await watch.value((view) => view.status === "CanLoadMore")).results.length;
    watch.last.value.loadMore(PAGE);
    await watch.value((view) => view.status !== "LoadingMore" && view.results.length > before, "another page");
  }
}

// spec: S102, S107
test("what is shown is a prefix of what is there, after every insertion and deletion", async (t) => {
  const next = random(t);
  const client = new ConvexClient(await sharedUrl(), { logger: quiet() });
  try {
    const list = fresh("pages");
    const model = new Set();
    for (let rank = 0; rank < 40; rank++) {
      model.add(rank * 10);
      await client.mutation(api.items.add, { list, rank: rank * 10, text: "" });
    }
    const watch = watchPages(client, list);
    await loadPages(watch, 3);

    const sorted = () => [...model].sort((a, b) => a - b);
    const shows = (view) => {
      const whole = sorted();
      const ranks = ranksOf(view);
      const isPrefix = ranks.every((rank, at) => rank === whole[at]);
      return isPrefix && (view.status !== "Exhausted" || ranks.length === whole.length);
    };
    let end = ranksOf(watch.last.value).at(-1);
    for (let step = 0; step < 120; step++) {
      // Mostly inside the pages that are shown, sometimes beyond them.
      const rank = Math.floor(next() * (next() < 0.8 ? end : 400));
      if (model.has(rank) || (next() < 0.5 && model.size > 20)) {
        const gone = sorted().reduce((best, have) => (Math.abs(have - rank) < Math.abs(best - rank) ? have : best));
        model.delete(gone);
        assert.equal(await client.mutation(api.items.remove, { list, rank: gone }), true);
      } else {
        model.add(rank);
        await client.mutation(api.items.add, { list, rank, text: "" });
      }
      const view = await watch.value(shows, `a prefix of ${sorted()}`);
      end = Math.max(...ranksOf(view), 20);
    }
    checkOrder(watch);
  } finally {
    await client.close();
  }
});

// spec: S102
test("a row inserted or deleted inside a page changes that page's length and moves no border", async () => {
  const client = new ConvexClient(await sharedUrl(), { logger: quiet() });
  try {
    const list = fresh("borders");
    for (let rank = 1; rank <= 12; rank++) await client.mutation(api.items.add, { list, rank, text: "" });
    const watch = watchPages(client, list);
    await loadPages(watch, 2);
    assert.deepEqual(ranksOf(watch.last.value), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);

    await client.mutation(api.items.add, { list, rank: 2.5, text: "" });
    assert.deepEqual(ranksOf(watch.last.value), [1, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10]);
    await client.mutation(api.items.remove, { list, rank: 5 });
    await client.mutation(api.items.remove, { list, rank: 6 });
    assert.deepEqual(ranksOf(watch.last.value), [1, 2, 2.5, 3, 4, 7, 8, 9, 10]);
    await client.mutation(api.items.add, { list, rank: 5.5, text: "" });
    assert.deepEqual(ranksOf(watch.last.value), [1, 2, 2.5, 3, 4, 5.5, 7, 8, 9, 10]);
    await client.mutation(api.items.add, { list, rank: 11.5, text: "" });
    assert.deepEqual(ranksOf(watch.last.value), [1, 2, 2.5, 3, 4, 5.5, 7, 8, 9, 10]);
  } finally {
    await client.close();
  }
});

// spec: S104, S108
test("a page that grows beyond twice its size is split by the client, with nothing lost or doubled", async () => {
  const client = new ConvexClient(await sharedUrl(), { logger: quiet() });
  try {
    const list = fresh("split");
    for (const rank of [1, 2, 3, 4, 5, 100, 101]) await client.mutation(api.items.add, { list, rank, text: "" });
    const watch = watchPages(client, list);
    await watch.value((view) => view.results.length === PAGE);
    const inside = Array.from({ length: 40 }, (_, at) => 1 + (at + 1) / 50);
    for (const rank of inside) await client.mutation(api.items.add, { list, rank, text: "" });
    const whole = [1, ...inside, 2, 3, 4, 5];
    await watch.value((view) => ranksOf(view).length === whole.length);
    assert.deepEqual(ranksOf(watch.last.value), whole);
    await client.mutation(api.items.remove, { list, rank: 3 });
    await watch.value((view) => !ranksOf(view).includes(3) && ranksOf(view).length === whole.length - 1);
    checkOrder(watch);
  } finally {
    await client.close();
  }
});

// spec: S107
test("pages hold together while others write as fast as they can", async (t) => {
  const next = random(t);
  const url = await sharedUrl();
  const client = new ConvexClient(url, { logger: quiet() });
  try {
    const list = fresh("busy");
    const writer = new ConvexHttpClient(url, { logger: false });
    const model = new Set();
    for (let rank = 0; rank < 30; rank++) {
      model.add(rank);
      await writer.mutation(api.items.add, { list, rank, text: "" });
    }
    const watch = watchPages(client, list);
    await loadPages(watch, 3);

    const writing = Array.from({ length: 6 }, async (_, who) => {
      const mine = new ConvexHttpClient(url, { logger: false });
      for (let step = 0; step < 25; step++) {
        const rank = Math.floor(next() * 30) + (who + 1) / 10;
        if (model.has(rank)) {
          model.delete(rank);
          await mine.mutation(api.items.remove, { list, rank });
        } else {
          model.add(rank);
          await mine.mutation(api.items.add, { list, rank, text: "" });
        }
      }
    });
    await Promise.all(writing);
    const whole = [...model].sort((a, b) => a - b);
    await watch.value((view) => ranksOf(view).every((rank, at) => rank === whole[at]), `a prefix of ${whole}`);
    while (watch.last.value.status !== "Exhausted") {
      if (watch.last.value.status === "CanLoadMore") watch.last.value.loadMore(20);
      await eventually(() => watch.last.value.status !== "LoadingMore", "the next page");
    }
    assert.deepEqual(ranksOf(watch.last.value), whole);
    checkOrder(watch);
  } finally {
    await client.close();
  }
});

// spec: S106
test("a cursor of another query and a cursor that is none fail the query with what clients look for", async () => {
  const http = new ConvexHttpClient(await sharedUrl(), { logger: false });
  const list = fresh("cursor");
  for (let rank = 0; rank < 4; rank++) await http.mutation(api.items.add, { list, rank, text: "" });
  const page = await http.query(api.items.page, { list, paginationOpts: { numItems: 2, cursor: null } });
  assert.equal(typeof page.continueCursor, "string");
  const other = fresh("cursor-of-another");
  for (const [name, cursor] of [
    [other, page.continueCursor],
    [list, "no cursor"],
  ]) {
    await assert.rejects(http.query(api.items.page, { list: name, paginationOpts: { numItems: 2, cursor } }), /InvalidCursor/);
  }
});
