// The life of a sign-in as a React application sees it, in Chromium: what `useConvexAuth` says, and which of
// `Authenticated`, `Unauthenticated`, `AuthLoading` and `AuthRefreshing` are shown, at each step.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { serveReact, withBrowser } from "./browser.mjs";
import { eventually, fresh, isChromiumMissing, mint, sharedUrl } from "./support.mjs";

// What the hook says (loading, authenticated, refreshing), and what is shown.
const LOADING = "100 AuthLoading";
const OUT = "000 Unauthenticated";
const IN = "010 Authenticated";
const REFRESHING = "011 Authenticated+AuthRefreshing";

const REFUSED = { claims: { aud: "another-app" } };
/** A client renews ten seconds before the end: two seconds from now. */
const RENEWED_AFTER_TWO_SECONDS = { lifetimeSeconds: 12 };
/** Enough to sign in with on a busy machine, and soon over. */
const SOON_OVER = { lifetimeSeconds: 8 };

let pages;
before(async () => (pages = await serveReact("lifecycle.jsx")));
after(() => pages.close());

/** One browser with its provider: the tokens it gives, and the tabs it is asked from. */
class Life {
  constructor(url, open) {
    this.url = url;
    this.open = open;
    this.counter = fresh("counter");
    this.address = `http://127.0.0.1:${pages.address().port}/?server=${encodeURIComponent(url)}&counter=${this.counter}`;
    /** Whether each token was asked for by force. */
    this.asked = [];
    this.person = { subject: fresh("ada") };
    /** The token for somebody who asks for the nth time, counted from 0. */
    this.token = (person) => mint(url, person);
  }

  /** Opens the first tab, with nobody signed in. */
  async begin() {
    const tab = await this.open("about:blank");
    await tab
      .context()
      .exposeFunction("giveToken", (person, forced) => this.token(person, this.asked.push(forced) - 1));
    await tab.goto(this.address);
    await this.stands(tab, OUT);
    return tab;
  }

  /** Signs in, and waits until both the cached token and the fresh one are confirmed. */
  async signIn(tab, person = this.person) {
    await this.choose(tab, person);
    await tab.locator("#me", { hasText: person.subject }).waitFor();
    await this.stands(tab, IN);
  }

  choose(tab, person) {
    return tab.evaluate((person) => window.lifecycle.provider.set(person), person);
  }

  /** Waits until this is the last thing that was shown. */
  stands(tab, standing) {
    return tab.waitForFunction((standing) => window.lifecycle?.standings.at(-1) === standing, standing);
  }

  standings(tab) {
    return tab.evaluate(() => window.lifecycle.standings);
  }

  subjects(tab) {
    return tab.evaluate(() => window.lifecycle.subjects);
  }

  sign(tab) {
    return tab.evaluate(() => window.lifecycle.client.mutation(window.lifecycle.api.auth.sign, {}));
  }

  connections(tab) {
    return tab.evaluate(() => window.lifecycle.client.connectionState().connectionCount);
  }
}

function story(name, tell) {
  test(name, async (t) => {
    if (isChromiumMissing(t)) return;
    const url = await sharedUrl();
    await withBrowser((open) => {
      const life = new Life(url, open);
      return life.begin().then((tab) => tell(life, tab));
    });
  });
}

const expiry = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).exp;
const isOver = (token) => eventually(() => Date.now() / 1000 > expiry(token), "the token ends");

// spec: S98
story(
  "first login: loading until the server agrees to the cached token; the fresh one behind it shows nothing",
  async (life, tab) => {
    await life.signIn(tab);
    await eventually(() => life.asked.length === 2, "the cached token, and a fresh one");
    assert.deepEqual(life.asked, [false, true]);
    assert.equal(await life.sign(tab), life.person.subject);
    assert.deepEqual(await life.standings(tab), [OUT, IN]);

    await tab.reload();
    await life.stands(tab, IN);
    assert.deepEqual(await life.standings(tab), [LOADING, IN], "who comes back signed in is never shown as signed out");
    assert.deepEqual(await life.subjects(tab), ["?", life.person.subject]);
  },
);

// spec: S98, A63
story("refresh at its time: on the same socket, and nothing of it is shown", async (life, tab) => {
  life.person = { ...life.person, ...RENEWED_AFTER_TWO_SECONDS };
  await life.signIn(tab);
  await eventually(
    () => life.asked.length >= 4,
    () => `two tokens at the start and two by the clock: ${life.asked}`,
  );
  assert.deepEqual(life.asked.slice(0, 4), [false, true, true, true]);
  assert.equal(await life.sign(tab), life.person.subject);
  assert.deepEqual(await life.standings(tab), [OUT, IN]);
  assert.equal(await life.connections(tab), 1);
});

// spec: S98
story("the cached token is refused: loading goes on until the fresh one is confirmed", async (life, tab) => {
  await life.choose(tab, life.person);
  await life.stands(tab, IN);
  life.asked = [];
  life.token = (person, nth) => mint(life.url, nth === 0 ? { ...person, ...REFUSED } : person);
  await tab.reload();
  await life.stands(tab, IN);
  assert.deepEqual(await life.standings(tab), [LOADING, IN]);
  assert.deepEqual(life.asked, [false, true]);
  assert.equal(await life.sign(tab), life.person.subject);
});

// spec: S98, A58
story("fresh tokens are refused too: signed out after three, with the reason in the console", async (life, tab) => {
  await life.choose(tab, life.person);
  await life.stands(tab, IN);
  life.asked = [];
  life.token = (person) => mint(life.url, { ...person, ...REFUSED });
  await tab.reload();
  await life.stands(tab, OUT);
  assert.deepEqual(await life.standings(tab), [LOADING, OUT]);
  assert.deepEqual(life.asked, [false, true, true, true]);
  await tab.locator("#me", { hasText: "nobody" }).waitFor();
  const said = tab.said.filter(({ level }) => level === "error").map(({ text }) => text);
  assert.equal(said.length, 1, said.join("\n"));
  assert.match(
    said[0],
    /^Failed to authenticate: "NoAuthProvider: [^]*token aud: \["another-app"\]; expected "convex"/,
  );
});

// spec: S98, A59, A60
story(
  "expiry while open: the call that finds out goes through under a fresh token, and refreshing is shown",
  async (life, tab) => {
    const held = await mint(life.url, { ...life.person, ...SOON_OVER });
    life.token = () => held;
    await life.signIn(tab);
    await isOver(held);
    assert.deepEqual(await life.standings(tab), [OUT, IN], "an idle page is not told");
    life.token = (person) => mint(life.url, person);
    assert.equal(await life.sign(tab), life.person.subject);
    await life.stands(tab, IN);
    assert.deepEqual(await life.standings(tab), [OUT, IN, REFRESHING, IN]);
    assert.ok(!(await life.subjects(tab)).slice(2).includes("nobody"), "nobody saw the page as anonymous");
  },
);

// spec: S98, A59, A60
story(
  "sleep and resume: a page that slept through the end of its token comes back as the same person",
  async (life, tab) => {
    const held = await mint(life.url, { ...life.person, ...SOON_OVER });
    life.token = () => held;
    await life.signIn(tab);
    await tab.locator("#counter", { hasText: "0" }).waitFor();
    const lid = await tab.context().newCDPSession(tab);
    await lid.send("Page.setWebLifecycleState", { state: "frozen" });
    await isOver(held);
    life.token = (person) => mint(life.url, person);
    // The server wants to tell the page, and finds out that the token is over.
    await new ConvexHttpClient(life.url, { logger: false }).mutation(api.counter.increment, {
      name: life.counter,
      by: 1,
    });
    await lid.send("Page.setWebLifecycleState", { state: "active" });
    await tab.locator("#counter", { hasText: "1" }).waitFor();
    await life.stands(tab, IN);
    assert.deepEqual(await life.standings(tab), [OUT, IN, REFRESHING, IN]);
    assert.equal(await tab.locator("#me").textContent(), life.person.subject);
    assert.equal(await life.sign(tab), life.person.subject);
  },
);

// spec: S98, A68
story("sign-out: at once, on the same socket", async (life, tab) => {
  await life.signIn(tab);
  await life.choose(tab, null);
  await tab.locator("#me", { hasText: "nobody" }).waitFor();
  assert.deepEqual(await life.standings(tab), [OUT, IN, OUT]);
  assert.equal(await life.sign(tab), null);
  assert.equal(await life.connections(tab), 1);
});

// spec: A64
story("switching user: what is shown is the second one, and never the first again", async (life, tab) => {
  await life.signIn(tab);
  const grace = { subject: fresh("grace") };
  await life.signIn(tab, grace);
  assert.equal(await life.sign(tab), grace.subject);
  const subjects = await life.subjects(tab);
  assert.deepEqual(
    subjects.filter((subject) => subject !== "nobody" && subject !== "?"),
    [life.person.subject, grace.subject],
  );
  assert.deepEqual((await life.standings(tab)).at(-1), IN);
});

// spec: A67
story(
  "two tabs of one browser: each signs in for itself, and signing out in one is signing out in both",
  async (life, tab) => {
    const other = await tab.context().newPage();
    await other.goto(life.address);
    await life.stands(other, OUT);
    await life.signIn(tab);
    await other.locator("#me", { hasText: life.person.subject }).waitFor();
    await eventually(() => life.asked.length === 4, "two tokens for each tab");
    for (const each of [tab, other]) {
      await life.stands(each, IN);
      assert.equal(await life.sign(each), life.person.subject);
      assert.equal(await life.connections(each), 1);
    }
    await life.choose(other, null);
    for (const each of [tab, other]) {
      await life.stands(each, OUT);
      await each.locator("#me", { hasText: "nobody" }).waitFor();
      assert.equal(await life.sign(each), null);
    }
  },
);
