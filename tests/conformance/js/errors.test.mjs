// Failures, as clients see them: the text, and the application's own data.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ConvexError } from "convex/values";
import { fresh, quiet, sharedUrl, Watch } from "./support.mjs";

const data = { code: "FULL", seats: 12, big: 12n, list: [null, "x"], bytes: new Uint8Array([1, 2]).buffer };

async function withClient(use) {
  const url = await sharedUrl();
  const logger = quiet();
  const client = new ConvexClient(url, { logger });
  try {
    await use(client, url, logger);
  } finally {
    await client.close();
  }
}

// spec: S110, S113
test("a failing query tells its request id and its message", () =>
  withClient(async (client) => {
    const error = await Watch.query(client, api.errors.plain).error();
    assert.ok(!(error instanceof ConvexError));
    assert.match(
      error.message,
      /^\[CONVEX Q\(errors:plain\)\] \[Request ID: [0-9a-f]{16}\] Server Error\n[^]*this query always fails[^]*\n {2}Called by client$/,
    );
  }));

test("a query's error carries its data, and a later subscription is told again", () =>
  withClient(async (client) => {
    const first = Watch.query(client, api.errors.withData, { data });
    const error = await first.error();
    assert.ok(error instanceof ConvexError);
    assert.deepStrictEqual(error.data, data);
    first.unsubscribe();
    const again = await Watch.query(client, api.errors.withData, { data }).error();
    assert.deepStrictEqual(again.data, data);
  }));

test("data that is null is data", () =>
  withClient(async (client, url) => {
    const error = await Watch.query(client, api.errors.nullData).error();
    assert.ok(error instanceof ConvexError);
    assert.equal(error.data, null);
    const http = new ConvexHttpClient(url, { logger: false });
    await assert.rejects(http.query(api.errors.nullData, {}), (failure) => failure instanceof ConvexError && failure.data === null);
  }));

test("a mutation that fails with data leaves nothing behind, and those after it go on", () =>
  withClient(async (client) => {
    const list = fresh("undone");
    const rows = Watch.query(client, api.items.list, { list });
    await rows.value((value) => value.length === 0);
    const failing = client.mutation(api.errors.addThenFail, { list, data });
    const following = client.mutation(api.items.add, { list, rank: 2, text: "after" });
    await assert.rejects(failing, (error) => {
      assert.ok(error instanceof ConvexError);
      assert.deepStrictEqual(error.data, data);
      assert.match(error.message, /\[CONVEX M\(errors:addThenFail\)\]/);
      return true;
    });
    await following;
    const [row, ...others] = await rows.value((value) => value.length > 0);
    assert.equal(row.text, "after");
    assert.deepEqual(others, []);
  }));

test("an action's error carries its data", () =>
  withClient(async (client) => {
    await assert.rejects(client.action(api.actions.fail, { data }), (error) => {
      assert.ok(error instanceof ConvexError);
      assert.deepStrictEqual(error.data, data);
      return true;
    });
  }));

test("errors carry their data over HTTP too", async () => {
  const http = new ConvexHttpClient(await sharedUrl(), { logger: false });
  const list = fresh("undone-http");
  for (const call of [
    () => http.query(api.errors.withData, { data }),
    () => http.mutation(api.errors.addThenFail, { list, data }),
    () => http.action(api.actions.fail, { data }),
  ]) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof ConvexError);
      assert.deepStrictEqual(error.data, data);
      return true;
    });
  }
  assert.deepEqual(await http.query(api.items.list, { list }), []);
  await assert.rejects(http.query(api.errors.plain, {}), (error) => !(error instanceof ConvexError) && /Server Error/.test(error.message));
});

// spec: S115
test("a missing function, a function of another kind and wrong arguments fail the call, and the socket stays", () =>
  withClient(async (client) => {
    const name = fresh("kept");
    const kept = Watch.query(client, api.counter.get, { name });
    await kept.value((value) => value === 0);

    const missing = await Watch.query(client, api.nowhere.nothing).error();
    assert.match(missing.message, /Could not find public function for 'nowhere:nothing'/);
    await assert.rejects(client.mutation(api.nowhere.nothing, {}), /Could not find public function for 'nowhere:nothing'/);
    await assert.rejects(client.action(api.nowhere.nothing, {}), /Could not find public function for 'nowhere:nothing'/);

    await Watch.query(client, api.counter.increment, { name, by: 1 }).error();
    await assert.rejects(client.mutation(api.counter.get, { name }), /counter:get/);
    await assert.rejects(client.action(api.counter.get, { name }), /counter:get/);

    const wrong = await Watch.query(client, api.counter.get, { name: 7 }).error();
    assert.match(wrong.message, /ArgumentValidationError: /);
    await assert.rejects(client.mutation(api.counter.increment, { name }), /ArgumentValidationError: [^]*by/);
    await assert.rejects(client.action(api.actions.echo, { value: 1, more: 2 }), /ArgumentValidationError: [^]*more/);

    assert.equal(await client.mutation(api.counter.increment, { name, by: 3 }), 3);
    await kept.value((value) => value === 3);
    assert.equal(client.connectionState().connectionCount, 1);
  }));
