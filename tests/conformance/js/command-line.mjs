// The official command line, `npx convex`, against a server of a test.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";

/** `npx convex env ...` against a server: the exit code and what it printed. */
export async function env(server, words, { key = server.adminKey(), input } = {}) {
  const child = spawn(process.execPath, ["node_modules/convex/bin/main.js", "env", ...words], {
    env: {
      PATH: process.env.PATH,
      HOME: server.data,
      CI: "1",
      CONVEX_SELF_HOSTED_URL: server.url,
      CONVEX_SELF_HOSTED_ADMIN_KEY: key,
    },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (bytes) => (stdout += bytes));
  child.stderr.on("data", (bytes) => (stderr += bytes));
  child.stdin.end(input ?? "");
  const [code] = await once(child, "close");
  return { code, stdout, stderr };
}

/** The same, which has to succeed: what it printed. */
export async function good(server, words, options) {
  const { code, stdout, stderr } = await env(server, words, options);
  assert.equal(code, 0, stderr);
  return stdout;
}
