// What the tests of this folder share: a server to talk to, and ways to wait for what clients are told.
//
// The server is told by the environment:
//   SYNCLINE_URL          address of a running server with the functions below
//   SYNCLINE_SERVER       program that serves them: started as `PROGRAM serve --port N --data DIR`, killed, started again
//   SYNCLINE_CHAT_SERVER  the chat example, for the tests of its page
//   SYNCLINE_CLERK_CHAT   the same behind Clerk: `tests/src/bin/test-chat.rs`
//   SYNCLINE_REQUIRE_ALL  set: what would be skipped for want of one of these, or of Chromium, fails
//   SYNCLINE_LONG         set: the tests that wait for minutes run too
//
// The functions (numbers are float64; `list` and `name` keep tests apart from each other):
//   items:list      ({list})                 query     rows {_id, _creationTime, list, rank, text}, by rank upwards
//   items:page      ({list, paginationOpts}) query     the same rows, paginated (index by_list_rank [list, rank])
//   items:add       ({list, rank, text})     mutation  inserts a row; its id
//   items:remove    ({list, rank})           mutation  deletes the first row of that rank; whether there was one
//   counter:get     ({name})                 query     number, 0 before the first increment
//   counter:increment ({name, by})           mutation  adds; the new value
//   errors:plain    ({})                     query     fails with the message "this query always fails", without data
//   errors:withData ({data: any})            query     fails as an application's error with that data
//   errors:nullData ({})                     query     fails as an application's error whose data is null
//   errors:addThenFail ({list, data: any})   mutation  inserts a row into the list, then fails with that data
//   values:asked    ({value: any})           query     the value
//   values:told     ({value: any})           mutation  the value
//   auth:whoami     ({})                     query     {subject, issuer, tokenIdentifier, name?, email?}, null when anonymous
//   auth:sign       ({})                     mutation  the subject of the caller, null when anonymous
//   actions:echo    ({value: any})           action    the value
//   actions:fail    ({data: any})            action    fails as an application's error with that data
//   actions:never   ({})                     action    never ends
//   users:store, users:current, users:list, users:me   the ready-made users module
//   guarded:me      ({})                     query     the caller's subject; refused with {code: "UNAUTHENTICATED"}
//   guarded:sign    ({})                     mutation  the same
//   guarded:administer ({})                  action    the same, for the role `admin` or `org:admin` in the token;
//                                                      refused with {code: "FORBIDDEN", needed, found}
// The development issuer is on, and errors are not redacted.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

/** Nothing that a test waits for takes longer on a machine that is merely busy. */
const PATIENCE_MS = 20_000;
const POLL_MS = 25;
/** Of what a server says, in characters: more than any one test makes it say. */
const OUTPUT_KEPT = 256 * 1024;

export const CHROMIUM = "/usr/bin/chromium";
export const CHROMIUM_ARGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** Skips the test, by name, when something is missing; fails it instead when everything was asked for. */
export function isMissing(t, what, there) {
  if (there) return false;
  if (process.env.SYNCLINE_REQUIRE_ALL) throw new Error(`${what} is missing, and SYNCLINE_REQUIRE_ALL is set`);
  t.skip(`${what} is missing`);
  return true;
}

export function isChromiumMissing(t) {
  return isMissing(t, CHROMIUM, existsSync(CHROMIUM));
}

/** A server process of this test's own, on a port and a data folder that stay its own through restarts. */
export class Server {
  static async start(program, env = {}) {
    const server = new Server(program, await freePort(), mkdtempSync(join(tmpdir(), "syncline-conformance-")), env);
    await server.start();
    return server;
  }

  constructor(program, port, data, env) {
    this.program = program;
    this.env = env;
    this.port = port;
    this.data = data;
    this.url = `http://127.0.0.1:${port}`;
    this.output = "";
    this.child = null;
  }

  async start() {
    const child = spawn(this.program, ["serve", "--port", String(this.port), "--data", this.data], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...this.env },
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (bytes) => (this.output = (this.output + bytes).slice(-OUTPUT_KEPT)));
    }
    process.once("exit", () => child.kill("SIGKILL"));
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`${this.program} ended with ${child.exitCode}:\n${this.output}`);
      return fetch(`${this.url}/version`).then(
        (response) => response.ok,
        () => false,
      );
    }, `${this.program} answers on ${this.url}`);
  }

  /** A key of the administrator, as the server's own command line prints it. */
  adminKey() {
    return execFileSync(this.program, ["keygen", "--data", this.data], { encoding: "utf8" }).trim();
  }

  /** As a crash does: at once, with nothing drained and nothing said. */
  async kill() {
    await this.#end("SIGKILL");
  }

  async remove() {
    await this.#end("SIGKILL");
    rmSync(this.data, { recursive: true, force: true });
  }

  async #end(signal) {
    const child = this.child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }
}

let shared = null;
// Registered here, on the file: registered inside a test it would end the server with that test.
after(async () => (await shared)?.remove());

/** The address of a server that this file's tests use together, and leave running. */
export async function sharedUrl() {
  if (process.env.SYNCLINE_URL) return process.env.SYNCLINE_URL;
  shared ??= startShared();
  return (await shared).url;
}

function startShared() {
  if (!process.env.SYNCLINE_SERVER) throw new Error("set SYNCLINE_URL or SYNCLINE_SERVER: see support.mjs");
  return Server.start(process.env.SYNCLINE_SERVER);
}

/** A port that nothing listens on, outside of the range from which the system gives ports to connections: a server
    that is killed and started again must find it free. */
async function freePort() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    const probe = createServer();
    const free = await new Promise((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}

let names = 0;

/** A name that no other test, and no earlier run against the same server, has used. */
export function fresh(word) {
  return `${word}-${process.pid}-${Date.now().toString(36)}-${names++}`;
}

/** Waits until `condition` gives something true, and gives that; fails with `what` did not come about. */
export async function eventually(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`did not come about: ${typeof what === "function" ? what() : what}`);
    await pause(POLL_MS);
  }
}

/** Everything one subscription is told, in order. */
export class Watch {
  constructor(subscribe) {
    this.told = [];
    this.waiting = new Set();
    const tell = (entry) => {
      this.told.push(entry);
      for (const look of this.waiting) look();
    };
    this.unsubscribe = subscribe(
      (value) => tell({ value }),
      (error) => tell({ error }),
    );
  }

  static query(client, query, args = {}) {
    return new Watch((onValue, onError) => client.onUpdate(query, args, onValue, onError));
  }

  get last() {
    return this.told.at(-1);
  }

  /** The first value, the present one included, that fits. */
  value(fits, what = "a fitting value") {
    return this.#entry((entry) => entry !== undefined && "value" in entry && fits(entry.value), what).then((entry) => entry.value);
  }

  /** The error, once that is what the subscription stands at. */
  error() {
    return this.#entry((entry) => entry !== undefined && "error" in entry, "an error").then((entry) => entry.error);
  }

  #entry(fits, what) {
    return new Promise((resolve, reject) => {
      const finish = (settle, outcome) => {
        clearTimeout(timer);
        this.waiting.delete(look);
        settle(outcome);
      };
      const look = () => {
        if (fits(this.last)) finish(resolve, this.last);
      };
      const timer = setTimeout(
        () => finish(reject, new Error(`not told ${what}; last told ${print(this.last)}`)),
        PATIENCE_MS,
      );
      this.waiting.add(look);
      look();
    });
  }
}

function print(entry) {
  return entry === undefined ? "nothing" : "error" in entry ? String(entry.error) : JSON.stringify(entry.value);
}

/** A `logger` for a client: keeps what the client would print. */
export function quiet() {
  const lines = [];
  const keep =
    (level) =>
    (...words) =>
      lines.push({ level, text: words.map(String).join(" ") });
  return { lines, logVerbose() {}, log: keep("log"), warn: keep("warn"), error: keep("error") };
}

/** A token of the server's development issuer. */
export async function mint(url, person) {
  const response = await fetch(`${url}/dev-issuer/token`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(person),
  });
  if (!response.ok) throw new Error(`the development issuer answered ${response.status}: ${await response.text()}`);
  return (await response.json()).token;
}

/** Numbers in [0, 1) that a seed repeats (mulberry32). The seed is printed, and `SEED` sets it. */
export function random(t) {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`SEED=${seed}`);
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
