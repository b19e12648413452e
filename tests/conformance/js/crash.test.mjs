// The server is killed while mutations are in flight; what clients were promised holds when it is back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { eventually, fresh, isMissing, mint, quiet, random, Server, Watch } from "./support.mjs";

const PROGRAM = process.env.SYNCLINE_SERVER;

async function withServer(t, use) {
  if (isMissing(t, "SYNCLINE_SERVER, the program to kill,", PROGRAM)) return;
  const server = await Server.start(PROGRAM);
  const logger = quiet();
  const client = new ConvexClient(server.url, { logger });
  try {
    await use(server, client, logger);
  } finally {
    await client.close();
    await server.remove();
  }
}

// spec: S74, S76, S119
test("mutations in flight when the server is killed take effect exactly once", (t) =>
  withServer(t, async (server, client) => {
    const next = random(t);
    const name = fresh("once");
    const watch = Watch.query(client, api.counter.get, { name });
    await watch.value((value) => value === 0);
    let called = 0;
    for (let round = 0; round < 3; round++) {
      const answers = [];
      const calls = Array.from({ length: 100 }, () =>
        client.mutation(api.counter.increment, { name, by: 1 }).then((value) => answers.push(value)),
      );
      const before = Math.floor(next() * 90);
      await eventually(() => answers.length >= before, `${before} answers`);
      await server.kill();
      await server.start();
      await Promise.all(calls);
      assert.deepEqual(
        answers,
        Array.from({ length: 100 }, (_, at) => called + at + 1),
        "each increment is answered once, in order, with its own value",
      );
      called += 100;
      await watch.value((value) => value === called);
    }
    const values = watch.told.map(({ value }) => value);
    // The same value twice is no step back: a new socket tells everything anew.
    for (let at = 1; at < values.length; at++) assert.ok(values[at - 1] <= values[at], `time went back: ${values}`);
  }));

// spec: S72, S73
test("what was answered before the kill is there after it, and subscriptions go on", (t) =>
  withServer(t, async (server, client) => {
    const list = fresh("kept");
    const watch = Watch.query(client, api.items.list, { list });
    await watch.value((rows) => rows.length === 0);
    const id = await client.mutation(api.items.add, { list, rank: 1, text: "before" });
    await server.kill();
    await server.start();
    await client.mutation(api.items.add, { list, rank: 2, text: "after" });
    const rows = await watch.value((value) => value.length === 2);
    assert.deepEqual(
      rows.map((row) => row.text),
      ["before", "after"],
    );
    assert.equal(rows[0]._id, id);
    assert.ok(
      watch.told.every(({ value }, at) => at === 0 || value.length > 0),
      "the rows never vanish",
    );
  }));

// spec: S103, S105
test("pages keep their borders over a restart", (t) =>
  withServer(t, async (server, client) => {
    const list = fresh("pages");
    for (let rank = 1; rank <= 12; rank++) await client.mutation(api.items.add, { list, rank, text: "" });
    const watch = new Watch((onValue, onError) =>
      client.onPaginatedUpdate_experimental(api.items.page, { list }, { initialNumItems: 5 }, onValue, onError),
    );
    (await watch.value((view) => view.status === "CanLoadMore")).loadMore(5);
    await watch.value((view) => view.results.length === 10);
    await client.mutation(api.items.add, { list, rank: 3.5, text: "" });
    await server.kill();
    await server.start();
    await client.mutation(api.items.add, { list, rank: 4.5, text: "" });
    const view = await watch.value((value) => value.results.length === 12);
    assert.deepEqual(
      view.results.map((row) => row.rank),
      [1, 2, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10],
    );
  }));

test("a signed-in client is signed in again after a restart, with a token that is still good", (t) =>
  withServer(t, async (server, client, logger) => {
    const subject = fresh("user");
    const token = await mint(server.url, { subject });
    client.setAuth(async () => token);
    const who = Watch.query(client, api.auth.whoami);
    await who.value((value) => value?.subject === subject);
    await server.kill();
    await server.start();
    assert.equal(await client.mutation(api.auth.sign, {}), subject);
    const errors = logger.lines.filter(({ level }) => level === "error");
    assert.deepEqual(errors, [], "the development issuer's keys outlive the restart");
  }));

test("an action in flight when the server is killed fails, and says so", (t) =>
  withServer(t, async (server, client) => {
    const name = fresh("beside");
    const never = client.action(api.actions.never, {});
    const failed = assert.rejects(never, /Connection lost while action was in flight/);
    // An answer to a later call: the action has arrived.
    await client.mutation(api.counter.increment, { name, by: 1 });
    await server.kill();
    await server.start();
    await failed;
    assert.equal(await client.mutation(api.counter.increment, { name, by: 1 }), 2);
  }));
