// Records what the official JavaScript client sends, into npm-<version>.json beside this file.
//
//   npm install convex@1.48.0 ws        (anywhere; run from there)
//   node <here>/record.mjs
//
// The server below answers just enough to make the client go on: results, responses, identity versions.
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { ConvexClient } = require("convex/browser");
const { anyApi } = require("convex/server");
const { WebSocketServer } = require("ws");
const { version } = require("convex/package.json");

const frames = [];
let sockets = 0;
let during = "";
let refusals = 0;
let losses = 0;
let ts = 1_700_000_000_000_000_000n;

function encodeTs(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.toString("base64");
}

/** One socket: keeps the versions, answers everything with something. */
function serve(socket) {
  const number = sockets++;
  let at = { querySet: 0, identity: 0, ts: encodeTs(0n) };
  const send = (message) => socket.send(JSON.stringify(message));
  const move = (change, modifications) => {
    ts += 1000n;
    const endVersion = { ...at, ...change, ts: encodeTs(ts) };
    send({ type: "Transition", startVersion: at, endVersion, modifications });
    at = endVersion;
  };
  socket.on("message", (data, isBinary) => {
    const text = data.toString();
    if (isBinary) throw new Error("a binary message");
    frames.push({ during, socket: number, text });
    const message = JSON.parse(text);
    switch (message.type) {
      case "ModifyQuerySet":
        return move(
          { querySet: message.newVersion },
          message.modifications.map(({ type, queryId }) =>
            type === "Add"
              ? { type: "QueryUpdated", queryId, value: [], logLines: [], journal: `journal of "${queryId}"` }
              : { type: "QueryRemoved", queryId },
          ),
        );
      case "Authenticate":
        if (refusals-- > 0) {
          send({ type: "AuthError", error: "Unauthenticated: recorded", baseVersion: at.identity, authUpdateAttempted: true });
          return socket.close();
        }
        return move({ identity: message.baseVersion + 1 }, []);
      case "Mutation":
        if (losses-- > 0) return socket.close(1011, "InternalServerError");
        ts += 1000n;
        send({ type: "MutationResponse", requestId: message.requestId, success: true, result: null, ts: encodeTs(ts), logLines: [] });
        return move({}, []);
      case "Action":
        return send({ type: "ActionResponse", requestId: message.requestId, success: true, result: null, logLines: [] });
    }
  });
}

/** An unsigned token: the client reads only `iat` and `exp`. */
function token(subject, seconds) {
  const iat = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256", kid: "k" })}.${part({ iss: "https://issuer.example", sub: subject, iat, exp: iat + seconds })}.c2ln`;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const server = new WebSocketServer({ port: 0, perMessageDeflate: false });
server.on("connection", serve);
await new Promise((resolve) => server.on("listening", resolve));
const address = `http://127.0.0.1:${server.address().port}`;
const { messages, pages, ai } = anyApi;

during = "connect, subscribe, unsubscribe";
const client = new ConvexClient(address, { logger: false });
await pause(200);
client.onUpdate(messages.list, { channel: "general" }, () => {});
const stop = client.onUpdate(messages.count, {}, () => {});
await pause(200);
stop();
await pause(200);

during = "values";
await client.mutation(messages.send, {
  text: 'quote " backslash \\ newline \n snowman ☃ clef 𝄞 control \u0001',
  int: 5n,
  least: -(2n ** 63n),
  bytes: new Uint8Array([0, 127, 255]).buffer,
  special: [NaN, Infinity, -Infinity, -0],
  floats: [1, 1.5, 1e300, -2e-7],
  nested: { array: [null, true, { deep: [] }] },
});
await client.mutation(messages.send, {});
await client.action(ai.reply, { prompt: "hi" });

during = "authenticate, refresh, sign out";
let fetches = 0;
client.setAuth(async () => token("ada", 3600 + fetches++));
await pause(400);
client.client.clearAuth();
await pause(200);

during = "admin";
client.client.setAdminAuth("instance|0123", { issuer: "https://issuer.example", subject: "u1", name: "Ada", role: "x" });
await pause(200);

during = "reconnect";
client.client.clearAuth();
losses = 1;
await client.mutation(messages.send, { body: "again" });
await client.close();

during = "a cached token is refused";
refusals = 1;
const refused = new ConvexClient(address, { logger: false });
refused.setAuth(async () => token("bob", 3600 + fetches++));
await pause(1000);
await refused.close();

during = "expectAuth, debug events";
const waiting = new ConvexClient(address, { logger: false, expectAuth: true, reportDebugInfoToConvex: true });
waiting.onUpdate(pages.list, { paginationOpts: { numItems: 10, cursor: null, id: 1 } }, () => {});
await pause(200);
waiting.setAuth(async () => token("eve", 3600));
await pause(600);
await waiting.close();

const record = { client: `npm convex ${version}`, frames };
writeFileSync(new URL(`npm-${version}.json`, import.meta.url), JSON.stringify(record, null, 1) + "\n");
process.exit(0);
