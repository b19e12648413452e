// What only minutes with a real client show: keep-alive, renewal, back-off. The tests run side by side, and only
// with SYNCLINE_LONG set. Everything about the protocol's timers that a hand-moved clock can show is shown elsewhere.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ConvexClient as OldestClient } from "convex-1-24-8/browser";
import { Project } from "./cli.mjs";
import { Counting } from "./counting.mjs";
import { fresh, isMissing, mint, quiet, Server, sharedUrl, Watch } from "./support.mjs";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** Longer than the 60 s after which a client that hears nothing gives a connection up. */
const LONGER_THAN_CLIENTS_WAIT = 150 * SECOND;

function start(url, Client = ConvexClient) {
  const logger = quiet();
  return { client: new Client(url, { logger }), logger };
}

/** One connection, made once, and nothing to complain of. */
function assertUndisturbed({ client, logger }) {
  const { connectionCount, connectionRetries } = client.client.connectionState();
  assert.deepEqual({ connectionCount, connectionRetries }, { connectionCount: 1, connectionRetries: 0 });
  assert.deepEqual(
    logger.lines.filter(({ level }) => level !== "log"),
    [],
  );
}

describe("minutes with a real client", { concurrency: true, skip: !process.env.SYNCLINE_LONG }, () => {
  // spec: S120
  test("ten minutes of calls, updates and renewed tokens on one connection", { timeout: 12 * MINUTE }, async () => {
    const url = await sharedUrl();
    const standing = start(url);
    const { client } = standing;
    try {
      const [name, subject] = [fresh("mixed"), fresh("user")];
      let minted = 0;
      client.setAuth(async () => {
        minted += 1;
        return mint(url, { subject, lifetimeSeconds: 60 });
      });
      const counter = Watch.query(client, api.counter.get, { name });
      const who = Watch.query(client, api.auth.whoami);
      await who.value((value) => value?.subject === subject);
      const end = Date.now() + 10 * MINUTE;
      let count = 0;
      for (; Date.now() < end; await pause(250)) {
        count += 1;
        assert.equal(await client.mutation(api.counter.increment, { name, by: 1 }), count);
        await counter.value((value) => value === count);
        if (count % 20 === 0) assert.equal(await client.action(api.actions.echo, { value: count }), count);
        if (count % 100 === 0) assert.equal(await client.mutation(api.auth.sign, {}), subject);
      }
      assert.ok(minted >= 12, `a token every fifty seconds; minted ${minted}`);
      assert.ok(
        who.told.every(({ value }, at) => at === 0 || value?.subject === subject),
        "never somebody else",
      );
      assertUndisturbed(standing);
    } finally {
      await client.close();
    }
  });

  for (const [version, Client] of [
    ["1.24.8", OldestClient],
    ["1.48.0", ConvexClient],
  ]) {
    // spec: S9
    test(`npm convex ${version}: a client that only listens is kept`, { timeout: 5 * MINUTE }, async () => {
      const url = await sharedUrl();
      const standing = start(url, Client);
      try {
        const name = fresh("idle");
        const counter = Watch.query(standing.client, api.counter.get, { name });
        await counter.value((value) => value === 0);
        await pause(LONGER_THAN_CLIENTS_WAIT);
        await new ConvexHttpClient(url, { logger: false }).mutation(api.counter.increment, { name, by: 1 });
        await counter.value((value) => value === 1);
        assertUndisturbed(standing);
      } finally {
        await standing.client.close();
      }
    });
  }

  // spec: H24
  test("a follower of the log for whom nothing happens asks twice in a minute at most", { timeout: 5 * MINUTE }, async (t) => {
    if (isMissing(t, "SYNCLINE_SERVER", process.env.SYNCLINE_SERVER)) return;
    const server = await Server.start(process.env.SYNCLINE_SERVER);
    const counting = await Counting.start(server);
    const project = new Project(counting);
    const logs = project.start(["logs", "--success"]);
    try {
      await logs.prints("Watching logs");
      await pause(2 * MINUTE);
      const n = counting.of("/api/stream_function_logs").length;
      assert.ok(n >= 2 && n <= 4, `${n} requests in two minutes`);
    } finally {
      await logs.stop();
      project.remove();
      counting.stop();
      await server.remove();
    }
  });

  // spec: S9, S10
  test("a client that has not said a word yet is waited for", { timeout: 5 * MINUTE }, async () => {
    const url = await sharedUrl();
    const standing = start(url);
    try {
      // While its first token is fetched a client says nothing on the open socket.
      const subject = fresh("user");
      standing.client.setAuth(async () => {
        await pause(LONGER_THAN_CLIENTS_WAIT);
        return mint(url, { subject });
      });
      await pause(LONGER_THAN_CLIENTS_WAIT);
      assert.equal(await standing.client.mutation(api.auth.sign, {}), subject);
      assertUndisturbed(standing);
    } finally {
      await standing.client.close();
    }
  });

  // spec: A60
  test("a token that has run out while nothing happened is noticed at the next call, and replaced", { timeout: 5 * MINUTE }, async () => {
    const url = await sharedUrl();
    const { client, logger } = start(url);
    try {
      const subject = fresh("user");
      // The same token again and again: the client cannot renew it, and waits for the server to say so.
      let token = await mint(url, { subject, lifetimeSeconds: 15 });
      client.setAuth(async () => token);
      const who = Watch.query(client, api.auth.whoami);
      await who.value((value) => value?.subject === subject);
      await pause(20 * SECOND);
      assert.equal(client.client.connectionState().connectionCount, 1, "an idle socket outlives its token");
      token = await mint(url, { subject, lifetimeSeconds: 60 });
      assert.equal(await client.mutation(api.auth.sign, {}), subject, "sent again on a new socket, with the new token");
      assert.equal(client.client.connectionState().connectionCount, 2);
      assert.ok(
        who.told.every(({ value }, at) => at === 0 || value?.subject === subject),
        "never anonymous in between",
      );
      assert.deepEqual(
        logger.lines.filter(({ level }) => level === "error"),
        [],
      );
    } finally {
      await client.close();
    }
  });

  test("a server that is away for a while finds its clients again, and their calls take effect once", { timeout: 5 * MINUTE }, async (t) => {
    const program = process.env.SYNCLINE_SERVER;
    if (isMissing(t, "SYNCLINE_SERVER, the program to kill,", program)) return;
    const server = await Server.start(program);
    const { client } = start(server.url);
    try {
      const name = fresh("away");
      const counter = Watch.query(client, api.counter.get, { name });
      await counter.value((value) => value === 0);
      await server.kill();
      const calls = Array.from({ length: 10 }, () => client.mutation(api.counter.increment, { name, by: 1 }));
      await pause(45 * SECOND);
      await server.start();
      assert.deepEqual(
        await Promise.all(calls),
        Array.from({ length: 10 }, (_, at) => at + 1),
      );
      await counter.value((value) => value === 10);
    } finally {
      await client.close();
      await server.remove();
    }
  });
});
