// Values of every kind, there and back, and what a client may count on in the order of things.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { convexToJson, jsonToConvex } from "convex/values";
import { readFileSync } from "node:fs";
import { fresh, quiet, sharedUrl, Watch } from "./support.mjs";

const everyKind = {
  nothing: null,
  truth: [true, false],
  numbers: [0, -0, 1.5, -1e300, 5e-324, NaN, Infinity, -Infinity],
  integers: [0n, -1n, 9223372036854775807n, -9223372036854775808n],
  text: ["", "é", "😀", "a\u0000b", '"\\'],
  bytes: new Uint8Array([0, 1, 254, 255]).buffer,
  nested: { list: [[], [[]], { deep: {} }] },
};

test("a value of every kind comes back as it went, on the socket and over HTTP", async () => {
  const url = await sharedUrl();
  const client = new ConvexClient(url, { logger: quiet() });
  try {
    assert.deepStrictEqual(await client.action(api.actions.echo, { value: everyKind }), everyKind);
    const http = new ConvexHttpClient(url, { logger: false });
    assert.deepStrictEqual(await http.action(api.actions.echo, { value: everyKind }), everyKind);
  } finally {
    await client.close();
  }
});

/** The arguments of a call are one level of their own. */
const NESTING_MAX_OF_AN_ARGUMENT = 62;

const vectors = JSON.parse(readFileSync(new URL("../../vectors/values.json", import.meta.url))).vectors.filter(
  ({ raw, decodes, npm, server }) =>
    raw !== undefined && decodes === "ok" && npm?.ok && server.nesting <= NESTING_MAX_OF_AN_ARGUMENT,
);

// spec: D135
test("every vector that the client can represent comes back equal: query, mutation and action, on the socket and over HTTP", async (t) => {
  const url = await sharedUrl();
  const [client, http] = [new ConvexClient(url, { logger: quiet() }), new ConvexHttpClient(url, { logger: false })];
  const text = (value) => JSON.stringify(convexToJson(value));
  try {
    for (const { id, raw } of vectors) {
      const value = jsonToConvex(JSON.parse(raw));
      for (const caller of [client, http]) {
        for (const call of ["query", "mutation", "action"]) {
          const path = { query: api.values.asked, mutation: api.values.told, action: api.actions.echo }[call];
          assert.equal(text(await caller[call](path, { value })), text(value), `${id} as a ${call}`);
        }
      }
    }
    assert.ok(vectors.length > 50, `${vectors.length} vectors`);
    t.diagnostic(`${vectors.length} vectors`);
  } finally {
    await client.close();
  }
});

// spec: S60
test("mutations of one client take effect in the order they were called", async () => {
  const client = new ConvexClient(await sharedUrl(), { logger: quiet() });
  try {
    const name = fresh("order");
    const calls = Array.from({ length: 200 }, () => client.mutation(api.counter.increment, { name, by: 1 }));
    assert.deepEqual(await Promise.all(calls), Array.from({ length: 200 }, (_, at) => at + 1));
  } finally {
    await client.close();
  }
});

test("when a mutation's promise resolves, the queries show it, and optimistic updates give way in the same step", async () => {
  const client = new ConvexClient(await sharedUrl(), { logger: quiet() });
  try {
    const name = fresh("optimistic");
    const watch = Watch.query(client, api.counter.get, { name });
    await watch.value((value) => value === 0);
    const optimisticUpdate = (store) => store.setQuery(api.counter.get, { name }, 1000);
    const answer = await client.mutation(api.counter.increment, { name, by: 1 }, { optimisticUpdate });
    assert.equal(answer, 1);
    assert.deepEqual(
      watch.told.map((entry) => entry.value),
      [0, 1000, 1],
    );
  } finally {
    await client.close();
  }
});

test("two queries of one client are told of a commit together", async () => {
  const url = await sharedUrl();
  const [reader, writer] = [new ConvexClient(url, { logger: quiet() }), new ConvexHttpClient(url, { logger: false })];
  try {
    const list = fresh("together");
    const torn = [];
    const page = reader.onUpdate(api.items.page, { list, paginationOpts: { numItems: 100, cursor: null } }, () => {});
    const rows = Watch.query(reader, api.items.list, { list });
    reader.onUpdate(api.items.list, { list }, (whole) => {
      const paged = page.getCurrentValue()?.page;
      if (paged !== undefined && paged.length !== whole.length) torn.push([whole.length, paged.length]);
    });
    await rows.value((value) => value.length === 0);
    await Promise.all(Array.from({ length: 30 }, (_, rank) => writer.mutation(api.items.add, { list, rank, text: "" })));
    await rows.value((value) => value.length === 30);
    assert.equal(page.getCurrentValue().page.length, 30);
    assert.deepEqual(torn, []);
  } finally {
    await reader.close();
  }
});
