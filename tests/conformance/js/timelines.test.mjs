// Six stories of a sign-in, told step by step: what the client fetches, sends, hears and tells the application, in the
// order of `tests/spec/sync-protocol.md` 6.7.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { WebSocket } from "ws";
import { eventually, fresh, mint, quiet, sharedUrl, Watch } from "./support.mjs";

/** Longer than the ten seconds before its end at which a client renews a token. */
const RENEWED_AFTER_TWO_SECONDS = { lifetimeSeconds: 12 };
const REFUSED = { claims: { aud: "another-app" } };

/** A client with one subscription, and everything that happens around its sign-in, a line each. Transitions that leave the
    identity as it is are left out. */
class Story {
  static async begin() {
    return new Story(await sharedUrl());
  }

  constructor(url) {
    const story = this;
    this.url = url;
    this.lines = [];
    this.tokens = [];
    class Told extends WebSocket {
      constructor(...address) {
        super(...address);
        this.on("message", (data) => story.#received(JSON.parse(data)));
        this.on("close", (code) => story.lines.push(`closed ${code}`));
      }
      send(data) {
        story.#sent(JSON.parse(data));
        super.send(data);
      }
    }
    this.client = new ConvexClient(url, { logger: quiet(), webSocketConstructor: Told });
    this.who = Watch.query(this.client, api.auth.whoami);
  }

  /** Signs in with a token for each of these people in turn, and with new ones for the last of them after that. */
  signIn(...people) {
    let at = 0;
    this.signInWith(() => mint(this.url, people[Math.min(at++, people.length - 1)]));
  }

  /** Signs in with the tokens that `fetchToken` gives. */
  signInWith(fetchToken) {
    this.client.client.setAuth(
      async ({ forceRefreshToken }) => {
        this.lines.push(`fetch ${forceRefreshToken}`);
        const token = await fetchToken();
        if (!this.tokens.includes(token)) this.tokens.push(token);
        return token;
      },
      (isAuthenticated) => this.lines.push(`onChange ${isAuthenticated}`),
      (isRefreshing) => this.lines.push(`onRefreshChange ${isRefreshing}`),
    );
  }

  /** Forgets what has happened. */
  turnPage() {
    this.lines = [];
  }

  async until(line, count = 1) {
    const isThere = () => this.lines.filter((have) => have === line).length >= count;
    await eventually(isThere, () => `${count} times "${line}" in:\n${this.lines.join("\n")}`);
  }

  #sent(message) {
    const token = this.tokens.indexOf(message.value) + 1;
    const what = {
      Authenticate: () => `${message.baseVersion} ${message.tokenType === "None" ? "None" : `tok${token}`}`,
      ModifyQuerySet: () => `${message.baseVersion}-${message.newVersion}`,
    };
    this.lines.push(["->", message.type, what[message.type]?.()].filter(Boolean).join(" "));
  }

  #received(message) {
    if (message.type === "Transition" && message.startVersion.identity === message.endVersion.identity) return;
    const what = {
      Transition: () => `${message.startVersion.identity}-${message.endVersion.identity}`,
      AuthError: () => `${message.baseVersion} ${message.authUpdateAttempted} ${message.error.split(":")[0]}`,
    };
    if (message.type in what) this.lines.push(`<- ${message.type} ${what[message.type]()}`);
  }
}

async function tell(story) {
  const told = await Story.begin();
  try {
    await story(told);
  } finally {
    await told.client.close();
  }
}

const FIRST_LOGIN = [
  "fetch false",
  "-> Connect",
  "-> Authenticate 0 tok1",
  "-> ModifyQuerySet 0-1",
  "<- Transition 0-1",
  "fetch true",
  "onChange true",
  "-> Authenticate 1 tok2",
  "<- Transition 1-2",
  "onChange true",
];

// spec: S98
test("T1 first login: the cached token, then a fresh one", () =>
  tell(async (told) => {
    told.signIn({ subject: fresh("user") });
    await told.until("onChange true", 2);
    assert.deepEqual(told.lines, FIRST_LOGIN);
  }));

// spec: S98
test("T2 token refresh: on the live socket, and no query is told anything", () =>
  tell(async (told) => {
    const subject = fresh("user");
    told.signIn({ subject, ...RENEWED_AFTER_TWO_SECONDS });
    await told.until("onChange true", 2);
    told.turnPage();
    await told.until("onChange true");
    assert.deepEqual(told.lines, [
      "fetch true",
      "-> Authenticate 2 tok3",
      "<- Transition 2-3",
      "onChange true",
    ]);
    assert.deepEqual(
      told.who.told.map(({ value }) => value.subject),
      [subject],
    );
  }));

// spec: S98
test("T3 the cached token is refused: a fresh one on a new socket, at once", () =>
  tell(async (told) => {
    told.signIn({ subject: fresh("user"), ...REFUSED }, { subject: fresh("user") });
    await told.until("onChange true");
    assert.deepEqual(told.lines, [
      "fetch false",
      "-> Connect",
      "-> Authenticate 0 tok1",
      "-> ModifyQuerySet 0-1",
      "<- AuthError 0 true NoAuthProvider",
      "onRefreshChange true",
      "closed 1005",
      "fetch true",
      "-> Connect",
      "-> Authenticate 0 tok2",
      "-> ModifyQuerySet 0-1",
      "<- Transition 0-1",
      "onRefreshChange false",
      "onChange true",
    ]);
  }));

// spec: S98
test("T4 fresh tokens are refused too: three of them, then the client goes on as nobody", () =>
  tell(async (told) => {
    told.signIn({ subject: fresh("user"), ...REFUSED });
    await told.who.value((me) => me === null);
    const attempt = (token) => [
      "-> Connect",
      `-> Authenticate 0 tok${token}`,
      "-> ModifyQuerySet 0-1",
      "<- AuthError 0 true NoAuthProvider",
    ];
    assert.deepEqual(told.lines, [
      "fetch false",
      ...attempt(1),
      "onRefreshChange true",
      ...["closed 1005", "fetch true", ...attempt(2)],
      ...["closed 1005", "fetch true", ...attempt(3)],
      ...["closed 1005", "fetch true", ...attempt(4)],
      "onChange false",
      "onRefreshChange false",
      "closed 1005",
      "-> Connect",
      "-> ModifyQuerySet 0-1",
    ]);
  }));

// spec: S98
test("T5 expiry in mid-connection: noticed at a mutation, which then runs under the fresh token", () =>
  tell(async (told) => {
    const subject = fresh("user");
    // The same token twice: the client cannot renew it, and waits for the server to say so.
    let token = await mint(told.url, { subject, lifetimeSeconds: 3 });
    told.signInWith(() => token);
    await told.until("onChange true");
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    await eventually(() => Date.now() / 1000 > exp, "the token ends");
    token = await mint(told.url, { subject });
    told.turnPage();
    assert.equal(await told.client.mutation(api.auth.sign, {}), subject);
    await told.until("onChange true");
    assert.deepEqual(told.lines, [
      "-> Mutation",
      "<- AuthError 1 false TokenExpired",
      "onRefreshChange true",
      "closed 1005",
      "fetch true",
      "-> Connect",
      "-> Authenticate 0 tok2",
      "-> ModifyQuerySet 0-1",
      "-> Mutation",
      "<- Transition 0-1",
      "onRefreshChange false",
      "onChange true",
    ]);
  }));

// spec: S98
test("T6 logout: the socket stays, and what depends on the identity changes", () =>
  tell(async (told) => {
    told.signIn({ subject: fresh("user") });
    await told.until("onChange true", 2);
    told.turnPage();
    told.client.client.clearAuth();
    await told.who.value((me) => me === null);
    assert.deepEqual(told.lines, ["-> Authenticate 2 None", "<- Transition 2-3"]);
  }));
