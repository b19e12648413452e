// The thin path with the oldest promised client, one between, and the newest: subscribe, mutate, see the update.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fresh, quiet, sharedUrl, Watch } from "./support.mjs";

// All versions are loaded before the first test is named: the file's `after` would run, and end the server, if there
// were no test left while another version loads.
const versions = await Promise.all(
  [
    ["1.24.8", "convex-1-24-8"],
    ["1.27.5", "convex-1-27"],
    ["1.48.0", "convex"],
  ].map(async ([version, name]) => [version, await import(`${name}/browser`), await import(`${name}/server`)]),
);

for (const [version, { ConvexClient, ConvexHttpClient }, { anyApi: api }] of versions) {
  // spec: S119
  test(`npm convex ${version}: a client sees what another one writes`, async () => {
    const url = await sharedUrl();
    const list = fresh("seen");
    const [writer, reader] = [new ConvexClient(url, { logger: quiet() }), new ConvexClient(url, { logger: quiet() })];
    try {
      const watch = Watch.query(reader, api.items.list, { list });
      await watch.value((rows) => rows.length === 0);
      const id = await writer.mutation(api.items.add, { list, rank: 1, text: "hello" });
      const [row] = await watch.value((rows) => rows.length === 1);
      assert.deepEqual(row, { _id: id, _creationTime: row._creationTime, list, rank: 1, text: "hello" });
      assert.equal(typeof row._creationTime, "number");

      assert.equal(await writer.mutation(api.items.remove, { list, rank: 1 }), true);
      await watch.value((rows) => rows.length === 0);
      assert.equal(watch.told.length, 3, "each state is told once");
      assert.equal(reader.client.connectionState().connectionCount, 1);
    } finally {
      await Promise.all([writer.close(), reader.close()]);
    }
  });

  // spec: S119
  test(`npm convex ${version}: its HTTP client reads, writes and acts`, async () => {
    const client = new ConvexHttpClient(await sharedUrl(), { logger: false });
    const name = fresh("http");
    assert.equal(await client.query(api.counter.get, { name }), 0);
    assert.equal(await client.mutation(api.counter.increment, { name, by: 2.5 }), 2.5);
    assert.equal(await client.query(api.counter.get, { name }), 2.5);
    assert.deepEqual(await client.action(api.actions.echo, { value: [1, "two", null] }), [1, "two", null]);
  });
}
