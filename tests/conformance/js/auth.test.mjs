// Who a client is: set, refreshed, cleared, refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { ConvexError } from "convex/values";
import { eventually, fresh, mint, quiet, sharedUrl, Watch } from "./support.mjs";

/** A client, and a record of what its token fetcher was asked and what it was told of its standing. */
async function start() {
  const url = await sharedUrl();
  const logger = quiet();
  const client = new ConvexClient(url, { logger });
  const asked = [];
  const standing = [];
  const signIn = (person) =>
    client.setAuth(
      async ({ forceRefreshToken }) => {
        asked.push(forceRefreshToken);
        return mint(url, person);
      },
      (isAuthenticated) => standing.push(isAuthenticated),
    );
  return { url, logger, client, asked, standing, signIn };
}

// spec: A77
test("a protected function: a page branches on the refusal, and signing in replaces it", async () => {
  const { client, signIn, standing } = await start();
  const refusal = (error) => (error instanceof ConvexError ? error.data : error);
  try {
    const me = Watch.query(client, api.guarded.me);
    assert.equal(refusal(await me.error()).code, "UNAUTHENTICATED");
    await assert.rejects(client.mutation(api.guarded.sign, {}), (error) => refusal(error).code === "UNAUTHENTICATED");

    const subject = fresh("user");
    signIn({ subject, claims: { org_role: "org:member" } });
    await me.value((value) => value === subject);
    await eventually(() => standing.length >= 2, "the server agrees, to both tokens");
    assert.equal(await client.mutation(api.guarded.sign, {}), subject);
    await assert.rejects(client.action(api.guarded.administer, {}), (error) => {
      const { code, message, needed, found } = refusal(error);
      assert.deepEqual({ code, needed, found }, { code: "FORBIDDEN", needed: ["org:admin", "admin"], found: ["org:member"] });
      return message.includes("org:admin or admin");
    });
  } finally {
    await client.close();
  }
});

// spec: A55, A68, S86, S87, S119
test("auth set and cleared: the same socket goes from nobody to somebody and back", async () => {
  const { client, standing, signIn } = await start();
  try {
    const subject = fresh("user");
    const who = Watch.query(client, api.auth.whoami);
    assert.equal(await who.value(() => true), null);

    signIn({ subject, name: "Ada", email: "ada@example.test" });
    const me = await who.value((value) => value !== null);
    assert.equal(me.subject, subject);
    assert.equal(me.name, "Ada");
    assert.equal(me.email, "ada@example.test");
    assert.equal(me.tokenIdentifier, `${me.issuer}|${subject}`);
    // The cached token and the fresh one that the client fetches behind it: cleared in between, the client would sign
    // in again by itself when the fresh one comes.
    await eventually(() => standing.length >= 2, "the server agrees, to both tokens");
    assert.equal(await client.mutation(api.auth.sign, {}), subject);

    client.client.clearAuth();
    await who.value((value) => value === null);
    assert.equal(await client.mutation(api.auth.sign, {}), null);
    assert.equal(client.connectionState().connectionCount, 1);
  } finally {
    await client.close();
  }
});

// spec: A60, A63, A65
test("auth refreshed: a new token of the same person is asked for in time, and no query is told anything", async () => {
  const { client, asked, standing, signIn } = await start();
  try {
    const subject = fresh("user");
    const who = Watch.query(client, api.auth.whoami);
    await who.value((value) => value === null);
    // The client renews ten seconds before the end: one or two seconds from now.
    signIn({ subject, lifetimeSeconds: 12 });
    await who.value((value) => value?.subject === subject);
    await eventually(() => asked.length >= 4, () => `a token refreshed by the clock; asked ${asked}`);
    assert.deepEqual(asked.slice(0, 3), [false, true, true]);
    await eventually(() => standing.length >= 3, "the refreshed token is confirmed");
    assert.ok(standing.every((isAuthenticated) => isAuthenticated));
    assert.equal(await client.mutation(api.auth.sign, {}), subject);
    assert.equal(who.told.length, 2, "nobody, then somebody, and nothing since");
    assert.equal(client.connectionState().connectionCount, 1);
  } finally {
    await client.close();
  }
});

// spec: A64
test("one person after another on one client: what is told is always the later one's", async () => {
  const { client, signIn } = await start();
  try {
    const [first, second] = [fresh("first"), fresh("second")];
    const who = Watch.query(client, api.auth.whoami);
    signIn({ subject: first });
    await who.value((value) => value?.subject === first);
    signIn({ subject: second });
    await who.value((value) => value?.subject === second);
    assert.equal(await client.mutation(api.auth.sign, {}), second);
    const subjects = who.told.map(({ value }) => value?.subject);
    assert.ok(!subjects.slice(subjects.indexOf(second)).includes(first), String(subjects));
  } finally {
    await client.close();
  }
});

// spec: A62
test("a mutation called before the sign-in runs as nobody, one called after it as somebody", async () => {
  const { client, standing, signIn } = await start();
  try {
    const subject = fresh("user");
    assert.equal(await client.mutation(api.auth.sign, {}), null);
    signIn({ subject });
    const signed = client.mutation(api.auth.sign, {});
    assert.equal(await signed, subject);
    await eventually(() => standing.at(-1) === true, "the server agrees");
  } finally {
    await client.close();
  }
});

// spec: A10, A58, S89
test("a refused token: the client is told why, tries fresh ones, gives up, and goes on as nobody", async () => {
  const { client, asked, standing, logger, signIn } = await start();
  try {
    const who = Watch.query(client, api.auth.whoami);
    await who.value((value) => value === null);
    signIn({ subject: fresh("user"), claims: { aud: "another-app" } });
    await eventually(() => standing.length > 0, "the client gives up");
    assert.deepEqual(standing, [false]);
    assert.equal(asked[0], false);
    assert.ok(asked.slice(1).every((forced) => forced) && asked.length === 4, `one cached token and three fresh: ${asked}`);
    const said = logger.lines.filter(({ level }) => level === "error").map(({ text }) => text);
    assert.equal(said.length, 1, said.join("\n"));
    assert.match(said[0], /^Failed to authenticate: "NoAuthProvider: [^]*Issuer matched; token aud: \["another-app"\]; expected "convex"/);
    assert.equal(await client.mutation(api.auth.sign, {}), null);
  } finally {
    await client.close();
  }
});

// spec: A73, A74
test("users:store twice at once makes one row, and other clients see it", async () => {
  const url = await sharedUrl();
  const clients = [0, 1, 2].map(() => new ConvexClient(url, { logger: quiet() }));
  try {
    const subject = fresh("user");
    const users = Watch.query(clients[2], api.users.list);
    const before = (await users.value(() => true)).length;
    for (const client of clients.slice(0, 2)) client.setAuth(() => mint(url, { subject, name: "Ada" }));
    const ids = await Promise.all(clients.slice(0, 2).map((client) => client.mutation(api.users.store, {})));
    assert.equal(ids[0], ids[1]);
    const rows = await users.value((value) => value.length > before);
    assert.equal(rows.filter((row) => row.tokenIdentifier.endsWith(`|${subject}`)).length, 1);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
});

test("over HTTP a token is set, cleared and refused call by call", async () => {
  const url = await sharedUrl();
  const http = new ConvexHttpClient(url, { logger: false });
  const subject = fresh("user");
  assert.equal(await http.query(api.auth.whoami, {}), null);
  http.setAuth(await mint(url, { subject, name: "Ada" }));
  assert.equal((await http.query(api.auth.whoami, {})).subject, subject);
  assert.equal(await http.mutation(api.auth.sign, {}), subject);
  http.clearAuth();
  assert.equal(await http.query(api.auth.whoami, {}), null);
  http.setAuth(await mint(url, { subject, claims: { aud: "another-app" } }));
  await assert.rejects(http.query(api.auth.whoami, {}), /NoAuthProvider/);
});
