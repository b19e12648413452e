// Two stories of people who put Clerk before their application, from the mistake to the page that works: the chat's own
// page in Chromium, the official command line, and an instance of Clerk that the test holds.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { ConvexClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { picture, withBrowser } from "./browser.mjs";
import { choose, composer, settled, users, write } from "./chat.mjs";
import { Clerk, PRESET, userOf } from "./clerk.mjs";
import { Project } from "./cli.mjs";
import { eventually, isChromiumMissing, isMissing, quiet, Server } from "./support.mjs";

const PROGRAM = process.env.SYNCLINE_CLERK_CHAT;
const VARIABLE = "CLERK_JWT_ISSUER_DOMAIN";
const HOST = "quiet-ox-46.clerk.accounts.dev";
const ISSUER = `https://${HOST}`;
/** A client renews ten seconds before the end: two seconds from now. */
const RENEWED_AFTER_TWO_SECONDS = 12;

function isSomethingMissing(t) {
  return isMissing(t, "SYNCLINE_CLERK_CHAT, the chat behind Clerk,", PROGRAM) || isChromiumMissing(t);
}

/** Runs a story with a Clerk instance, a server that takes its tokens from `configured`, and a maker of pages. */
async function tell(configured, story) {
  const clerk = await Clerk.start(HOST);
  const server = await Server.start(PROGRAM, { [VARIABLE]: configured, TEST_APP_ISSUERS_AT: clerk.documents });
  const project = new Project(server);
  try {
    await withBrowser((open) => story({ clerk, server, project, open: (options) => openPage(open, clerk, server, options) }));
  } finally {
    project.remove();
    await server.remove();
    clerk.stop();
  }
}

/** The chat's page, whose stand-in for Clerk gets its tokens from this instance. */
async function openPage(open, clerk, server, options) {
  const page = await open("about:blank", options);
  page.profile = {};
  // A server with a provider has no development issuer: what the page asks of one is Clerk's to answer.
  await page.route("**/dev-issuer/.well-known/*", (route) => route.fulfill({ json: { issuer: clerk.issuer } }));
  await page.route("**/dev-issuer/token", (route) => {
    const person = { ...route.request().postDataJSON(), ...page.profile };
    return route.fulfill({ json: { token: clerk.token(userOf(person)) } });
  });
  await page.goto(server.url);
  return page;
}

const refusal = (page) => page.getByTestId("refused");
const errorsOf = (page) => page.said.filter(({ level }) => level === "error").map(({ text }) => text);
const count = (text, part) => text.split(part).length - 1;
const logged = (server, part, times = 1) =>
  eventually(
    () => count(server.output, part) >= times,
    () => `${times} times in the server's log: ${part}\n${server.output}`,
  );

async function signOut(page) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Who are you?" }).waitFor();
}

/** Whoever calls with this token, or without one: what `users:store` says to it. */
async function store(server, token) {
  const client = new ConvexClient(server.url, { logger: quiet() });
  try {
    if (token) client.setAuth(async () => token);
    return await client.mutation(api.users.store, {});
  } finally {
    await client.close();
  }
}

// spec: A6, A58, A69, A73, A77
test("Clerk and Convex: from a variable that names another instance to people who sign in, change, stay and expire", async (t) => {
  if (isSomethingMissing(t)) return;
  await tell("https://tidy-elk-12.clerk.accounts.dev", async ({ clerk, server, project, open }) => {
    const page = await open();
    await page.getByRole("heading", { name: "Who are you?" }).waitFor();
    await assert.rejects(store(server), (error) => error.data.code === "UNAUTHENTICATED");
    await logged(server, "users.store called { hasIdentity: false }");

    await choose(page, "Ada Lovelace");
    await refusal(page)
      .getByText(`Token issuer: "${ISSUER}" (expected "https://tidy-elk-12.clerk.accounts.dev")`)
      .waitFor();
    await picture(page, "clerk-1-variable-of-another-instance");
    await project.good(["env", "set", VARIABLE, ISSUER]);
    clerk.template.lifetime = RENEWED_AFTER_TWO_SECONDS;
    await refusal(page).getByRole("button", { name: "Try again" }).click();
    await composer(page).waitFor();
    await users(page).locator("tr", { hasText: "Ada Lovelace" }).getByText("you").waitFor();
    await logged(
      server,
      "users.store called { hasIdentity: true, identitySubject: 'user_ada', identityEmail: 'ada@example.test' }",
    );
    await logged(server, "Created new user");
    await write(page, "Signed in with Clerk.");
    await settled(page, "Signed in with Clerk.").waitFor();
    await picture(page, "clerk-2-signed-in");

    await signOut(page);
    page.profile = { name: "Ada King" };
    await choose(page, "Ada Lovelace");
    await users(page).locator("tr", { hasText: "Ada King" }).getByText("you").waitFor();
    assert.equal(await users(page).locator("tbody tr").count(), 1, "the same row, brought up to date");
    await logged(server, "Updated existing user");
    assert.equal(count(server.output, "Created new user"), 1);

    const before = clerk.minted.length;
    await eventually(() => clerk.minted.length >= before + 2, "the page renews its token by itself, twice");
    assert.equal(await page.getByTestId("auth").textContent(), "Signed in");
    await picture(page, "clerk-3-renewed");
    assert.equal(errorsOf(page).length, 1, `the refusal at the start and nothing since: ${errorsOf(page)}`);

    await expire(page, clerk);
    await takeAudienceAway(page, clerk);
    assert.deepEqual(page.broke, []);
  });
});

/** Clerk has no fresh token until the one at hand is over: the next call finds out, and goes through with a new one. */
async function expire(page, clerk) {
  await signOut(page);
  clerk.template.lifetime = 8;
  clerk.held = clerk.token(userOf({ subject: "user_ada", ...page.profile }));
  await choose(page, "Ada Lovelace");
  await composer(page).waitFor();
  const { exp } = JSON.parse(Buffer.from(clerk.held.split(".")[1], "base64url"));
  await eventually(() => Date.now() / 1000 > exp, "the token ends");
  clerk.held = null;
  clerk.template.lifetime = 60;
  const before = clerk.minted.length;
  await write(page, "After the token has ended.");
  await settled(page, "After the token has ended.").waitFor();
  assert.ok(clerk.minted.length > before, "a fresh token was asked for");
  assert.equal(await page.getByTestId("messages").getByText("After the token has ended.").count(), 1);
  await picture(page, "clerk-4-after-expiry");
}

/** Somebody deletes `aud` from the template: the page says so to the next one who signs in. */
async function takeAudienceAway(page, clerk) {
  await signOut(page);
  clerk.template.claims = { name: PRESET.name };
  await choose(page, "Ada Lovelace");
  await refusal(page).getByText('the token has no "aud" (expected "convex")').waitFor();
  await refusal(page).getByText('create a JWT template named "convex"').waitFor();
  await picture(page, "clerk-5-no-audience");
}

const BY_HAND = { claims: { aud: "convex", iss: "{{org.slug}}", sub: "{{user.id}}" }, lifetime: 60 };

/** What each of the three places says: what is wrong, what to remove, and on which page. */
function tellsTheMistake(text) {
  for (const part of [
    /issuer: \\?"acme\\?"/,
    /expected \\?"https:\/\/quiet-ox-46\.clerk\.accounts\.dev\\?"/,
    /Clerk sets both itself/,
    /Remove \\?"iss\\?" and \\?"sub\\?" from the claims of the template/,
    /Clerk Dashboard, Configure, JWT templates/,
  ]) {
    assert.match(text, part);
  }
}

/** `auth explain` of the server's program, told the token on standard input: what it printed, and how it ended. */
async function explain(clerk, token) {
  const env = { ...process.env, [VARIABLE]: ISSUER, TEST_APP_ISSUERS_AT: clerk.documents };
  const child = spawn(PROGRAM, ["auth", "explain"], { env, stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(token);
  const [printed, [status]] = await Promise.all([text(child.stdout), once(child, "close")]);
  return { status, printed };
}

// spec: A10, A58, A71, A72
test("hasIdentity: false: a template by hand that sets iss and sub, and the same template without them", async (t) => {
  if (isSomethingMissing(t)) return;
  await tell(ISSUER, async ({ clerk, server, open }) => {
    clerk.template = BY_HAND;
    const page = await open();
    await choose(page, "Ada Lovelace");
    await refusal(page).getByText("The server refused Ada Lovelace").waitFor();
    tellsTheMistake(await refusal(page).textContent());
    await picture(page, "template-1-refused");

    const [wrong] = clerk.minted;
    const said = errorsOf(page).filter((text) => text.startsWith("Failed to authenticate"));
    assert.equal(said.length, 1, said.join("\n"));
    tellsTheMistake(said[0]);
    const lines = server.output.split("\n").filter((line) => line.includes("token not accepted"));
    assert.equal(lines.length, 4, "one cached token and three fresh ones");
    for (const line of lines) tellsTheMistake(line);
    assert.ok(
      clerk.minted.every((token) => !server.output.includes(token)),
      "no token is logged",
    );
    await assert.rejects(store(server, wrong), (error) => error.data.code === "UNAUTHENTICATED");
    await logged(server, "users.store called { hasIdentity: false }");
    const explained = await explain(clerk, wrong);
    tellsTheMistake(explained.printed);
    assert.equal(explained.status, 1);

    clerk.template = { claims: { aud: "convex", name: PRESET.name, email: PRESET.email }, lifetime: 60 };
    await refusal(page).getByRole("button", { name: "Try again" }).click();
    await composer(page).waitFor();
    await users(page).locator("tr", { hasText: "Ada Lovelace" }).getByText("you").waitFor();
    await logged(server, "users.store called { hasIdentity: true, identitySubject: 'user_ada'");
    await write(page, "The template is right now.");
    await settled(page, "The template is right now.").waitFor();
    await picture(page, "template-2-signed-in");
    const right = await explain(clerk, clerk.minted.at(-1));
    assert.match(right.printed, /The token is accepted, as https:\/\/quiet-ox-46\.clerk\.accounts\.dev\|user_ada\./);
    assert.equal(right.status, 0);
    assert.deepEqual(page.broke, []);
  });
});
