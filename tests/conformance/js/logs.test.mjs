// `npx convex logs` against a server: what functions do, as it happens.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { Project } from "./cli.mjs";
import { Counting } from "./counting.mjs";
import { eventually, fresh, mint, quiet, Server } from "./support.mjs";

const PROGRAM = process.env.SYNCLINE_SERVER;
/** How long a follower is watched. The minute that a request is held is waited for in `long.test.mjs`. */
const IDLE_MS = 4000;
const skip = PROGRAM ? false : "SYNCLINE_SERVER names no program";

async function withServer(work) {
  const server = await Server.start(PROGRAM);
  const project = new Project(server);
  const http = new ConvexHttpClient(server.url, { logger: false });
  try {
    await work({ server, project, http });
  } finally {
    project.remove();
    await server.remove();
  }
}

/** Starts a follower, and waits until its request is held by the server. */
async function follow(server, project, words) {
  const logs = project.start(["logs", ...words]);
  await logs.prints("Watching logs");
  const key = server.adminKey();
  await eventually(async () => {
    const answer = await fetch(`${server.url}/api/syncline/health`, { headers: { authorization: `Convex ${key}` } });
    return (await answer.json()).followers > 0;
  }, "the follower waits");
  return logs;
}

// spec: H21
test("the very first call on a fresh server is shown, and each one after it", { skip }, () =>
  withServer(async ({ server, project, http }) => {
    const logs = await follow(server, project, ["--success"]);
    try {
      await http.mutation(api.counter.increment, { name: "first", by: 1 });
      await logs.prints("M(counter:increment)");
      await http.query(api.counter.get, { name: "first" });
      await logs.prints("Q(counter:get)");
      await http.action(api.actions.echo, { value: 1 });
      await logs.prints("A(actions:echo)");
      assert.match(logs.stdout + logs.stderr, /Function executed in \d+/);
    } finally {
      await logs.stop();
    }
  }));

// spec: H24
test("a follower for whom nothing happens keeps one request open", { skip }, () =>
  withServer(async ({ server }) => {
    const counting = await Counting.start(server);
    const project = new Project(counting);
    const logs = await follow(server, project, ["--success"]);
    try {
      const asked = () => counting.of("/api/stream_function_logs");
      // The first, which says where the log is now, and the one that is held. The next one comes after a minute.
      const n_before = asked().length;
      await pause(IDLE_MS);
      assert.equal(asked().length, n_before, "nothing was asked meanwhile");
      assert.ok(n_before <= 2, `${n_before} requests to begin with`);
      assert.deepEqual(asked().map(({ took }) => took === null), [...Array(n_before - 1).fill(false), true]);
    } finally {
      await logs.stop();
      project.remove();
      counting.stop();
    }
  }));

test("lines come in order, and those of a sign-in as they are known", { skip }, () =>
  withServer(async ({ server, project, http }) => {
    const logs = await follow(server, project, []);
    const session = new ConvexClient(server.url, { logger: quiet() });
    try {
      await http.mutation(api.talk.lines, { word: "w" });
      await logs.prints("'w three'");
      const all = logs.stdout + logs.stderr;
      const places = ["[LOG] 'w one'", "[WARN] 'w two'", "[ERROR] 'w three'"].map((line) => all.indexOf(line));
      assert.ok(places[0] >= 0 && places[0] < places[1] && places[1] < places[2], all);
      session.setAuth(() => mint(server.url, { subject: "user_ada", name: "Ada" }));
      const id = await session.mutation(api.users.store, {});
      await logs.prints("🔐 users.store called { hasIdentity: true, identitySubject: 'user_ada'");
      await logs.prints(`✅ Created new user: ${id}`);
      await assert.rejects(http.query(api.errors.plain, {}));
      await logs.prints("this query always fails");
    } finally {
      await session.close();
      await logs.stop();
    }
  }));

// spec: H22
test("the history has all that is known of a call", { skip }, () =>
  withServer(async ({ project, http }) => {
    for (let n = 0; n < 7; n++) await http.mutation(api.items.add, { list: "h", rank: n, text: "x".repeat(100) });
    await http.query(api.items.list, { list: "h" });
    const logs = project.start(["logs", "--history", "5", "--success", "--jsonl"]);
    const lines = () => logs.stdout.split("\n").filter((line) => line.startsWith("{"));
    try {
      await eventually(() => lines().length >= 5, () => `five lines:\n${logs.stdout}\n${logs.stderr}`);
      const entries = lines().map((line) => JSON.parse(line));
      assert.deepEqual(entries.map((entry) => entry.identifier), [...Array(4).fill("items:add"), "items:list"]);
      const query = entries[4];
      assert.deepEqual(
        [query.kind, query.udfType, query.cachedResult, query.error, query.caller, query.identityType, query.identity, query.willRetry],
        ["Completion", "Query", false, null, "HttpApi", "unknown", null, false],
      );
      assert.equal(query.usageStats.databaseReadDocuments, 7);
      assert.ok(query.usageStats.databaseReadBytes > 7 * 100, JSON.stringify(query.usageStats));
      assert.equal(query.usageStats.databaseWriteDocuments, 0);
      assert.ok(query.returnBytes > 7 * 100);
      assert.ok(query.userExecutionTime > 0 && query.userExecutionTime <= query.executionTime && query.executionTime < 5);
      assert.ok(query.usageStats.databaseIoReadBytes > query.usageStats.databaseReadBytes, JSON.stringify(query.usageStats));
      assert.ok(Math.abs(query.timestamp * 1000 - Date.now()) < 600_000);
      const mutation = entries[0];
      assert.deepEqual([mutation.udfType, mutation.usageStats.databaseWriteDocuments], ["Mutation", 1]);
      assert.ok(mutation.usageStats.databaseWriteBytes > 100);
      for (const field of ["componentPath", "logLines", "requestId", "executionId", "parentExecutionId", "occInfo", "success",
        "userExecutionTime", "executionTimestamp", "environment"]) assert.ok(field in mutation, field);
    } finally {
      await logs.stop();
    }
  }));

// spec: H23
test("the lines of an action are shown while it runs, and once", { skip }, () =>
  withServer(async ({ server, project, http }) => {
    const logs = await follow(server, project, ["--success"]);
    try {
      const name = fresh("long");
      const running = http.action(api.talk.long, { name });
      await logs.prints(`${name} begins`);
      assert.ok(!(logs.stdout + logs.stderr).includes(`${name} ends`));
      await http.mutation(api.counter.increment, { name, by: 1 });
      await running;
      await logs.prints("A(talk:long)] Function executed");
      const all = logs.stdout + logs.stderr;
      assert.equal(all.split(`${name} begins`).length, 2, all);
      assert.equal(all.split(`${name} ends`).length, 2, all);
    } finally {
      await logs.stop();
    }
  }));

// spec: H8
test("a server that is interrupted ends in order, with those connected who follow it", { skip }, () =>
  withServer(async ({ server, project }) => {
    const logs = await follow(server, project, []);
    const session = new ConvexClient(server.url, { logger: quiet() });
    try {
      await new Promise((resolve) => session.onUpdate(api.counter.get, { name: "c" }, resolve));
      const started = Date.now();
      const ended = once(server.child, "exit");
      server.child.kill("SIGINT");
      assert.deepEqual(await ended, [0, null]);
      assert.ok(Date.now() - started < 10_000, `${Date.now() - started} ms`);
    } finally {
      await session.close();
      await logs.stop();
    }
  }));

test("a query that another client watches already is shown as cached", { skip }, () =>
  withServer(async ({ server, project }) => {
    const sessions = [1, 2].map(() => new ConvexClient(server.url, { logger: quiet() }));
    try {
      for (const session of sessions) {
        await new Promise((resolve) => session.onUpdate(api.counter.get, { name: "c" }, resolve));
      }
      const key = server.adminKey();
      const answer = await fetch(`${server.url}/api/stream_function_logs?cursor=0`, { headers: { authorization: `Convex ${key}` } });
      const { entries } = await answer.json();
      assert.deepEqual(entries.map((entry) => [entry.identifier, entry.cachedResult]), [["counter:get", false], ["counter:get", true]]);
    } finally {
      for (const session of sessions) await session.close();
    }
  }));
