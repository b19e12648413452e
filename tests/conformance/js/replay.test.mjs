// What the official clients say through the recorder is a handshake that passes when it is played again.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { eventually, isMissing, mint, quiet, Server, Watch } from "./support.mjs";

/** Starts the recorder in front of a server: its address, and how to stop it. */
async function record(program, url, out) {
  const child = spawn(program, ["replay", "record", "--url", url, "--listen", "127.0.0.1:0", "--out", out], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (bytes) => (said += bytes));
  const address = () => said.match(/connect to (http:\S+?),/)?.[1];
  await eventually(address, "the recorder listens");
  const stop = async () => {
    const ended = once(child, "exit");
    child.kill("SIGINT");
    await ended;
  };
  return { address: address(), stop };
}

// spec: A72, A80
test("a session of the official clients is recorded, and passes in process and over a socket", async (t) => {
  const program = process.env.SYNCLINE_SERVER;
  if (isMissing(t, "SYNCLINE_SERVER", program)) return;
  const server = await Server.start(program);
  const folder = mkdtempSync(join(tmpdir(), "syncline-recorded-"));
  const file = join(folder, "session.jsonl");
  const tokens = [];
  try {
    const recorder = await record(program, server.url, file);
    const client = new ConvexClient(recorder.address, { logger: quiet() });
    const me = Watch.query(client, api.users.me);
    await me.value((value) => value === null);
    const standing = [];
    client.setAuth(
      async () => {
        tokens.push(await mint(server.url, { subject: "user_ada", name: "Ada" }));
        return tokens.at(-1);
      },
      (isAuthenticated) => standing.push(isAuthenticated),
    );
    await me.value((value) => value?.subject === "user_ada");
    await eventually(() => standing.length >= 2, "the server agrees, to both tokens");
    await client.mutation(api.users.store, {});
    const users = Watch.query(client, api.users.list);
    await users.value((rows) => rows.length === 1);
    const http = new ConvexHttpClient(recorder.address, { logger: quiet() });
    assert.equal((await http.query(api.users.list, {})).length, 1);
    await client.close();
    await recorder.stop();

    const text = readFileSync(file, "utf8");
    assert.ok(tokens.length >= 2);
    for (const token of tokens) assert.ok(!text.includes(token.split(".")[2]), "no token is in the file");
    for (const place of [[], ["--socket"]]) {
      const played = spawnSync(program, ["replay", "run", file, ...place], { encoding: "utf8" });
      assert.equal(played.status, 0, `${played.stdout}${played.stderr}\n${text}`);
      assert.match(played.stdout, /\nreplay: 1 passed, 0 failed, 0 skipped \(1 files\)\n$/);
    }
  } finally {
    await server.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});
