// The variables of the deployment through the official command line, and the issuer that follows one of them.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { Project } from "./cli.mjs";
import { fresh, mint, quiet, Server, Watch } from "./support.mjs";

const PROGRAM = process.env.SYNCLINE_SERVER;
const VARIABLE = "CLERK_JWT_ISSUER_DOMAIN";
const skip = PROGRAM ? false : "SYNCLINE_SERVER names no program";

// spec: H2, H16, H17
test("variables are set, read, listed and removed, several of them at once", { skip }, async () => {
  const server = await Server.start(PROGRAM);
  const project = new Project(server);
  try {
    const awkward = "line one\nline 'two' \"quoted\" = $x";
    await project.good(["env", "set", "AWKWARD"], { input: awkward });
    assert.equal(await project.good(["env", "get", "AWKWARD"]), `${awkward}\n`);
    const file = join(server.data, "defaults.env");
    writeFileSync(file, "A=1\nB='two words'\n");
    await project.good(["env", "set", "--from-file", file]);
    await project.good(["env", "remove", "AWKWARD"]);
    assert.equal(await project.good(["env", "list", "--include-values"]), "A=1\nB=two words\n");

    writeFileSync(file, "A=changed\nD=4\n");
    assert.equal((await project.run(["env", "set", "--from-file", file])).code, 1, "the command does not overwrite by itself");
    await project.good(["env", "set", "--from-file", file, "--force"]);
    assert.equal(await project.good(["env", "list", "--include-values"]), "A=changed\nB=two words\nD=4\n");

    writeFileSync(file, "C=3\nnot-a-name=4\n");
    const { code, stderr } = await project.run(["env", "set", "--from-file", file]);
    assert.notEqual(code, 0, stderr);
    assert.equal((await project.good(["env", "list", "--names-only"])).includes("C"), false, "nothing of it was set");
    for (const [words, part] of [
      [["set", "CONVEX_SITE_URL", "x"], "EnvVarNameForbidden"],
      [["set", "LONG", "x".repeat(8193)], "EnvironmentVariableValueTooLarge"],
    ]) {
      const refused = await project.run(["env", ...words]);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, new RegExp(part));
    }
  } finally {
    project.remove();
    await server.remove();
  }
});

// spec: H6
test("a wrong admin key ends each command with its reason", { skip }, async () => {
  const server = await Server.start(PROGRAM);
  const project = new Project(server, { key: "syncline|00" });
  try {
    for (const words of [["set", "A", "1"], ["list"], ["get", "A"]]) {
      const { code, stderr } = await project.run(["env", ...words]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /admin key/);
    }
  } finally {
    project.remove();
    await server.remove();
  }
});

// spec: A5, A6, HS38
test("the issuer follows its variable at once, a mistake is refused by name, and open sessions go on", { skip }, async () => {
  const [first, second] = [await Server.start(PROGRAM), await Server.start(PROGRAM)];
  const issuer = (server) => `${server.url}/dev-issuer`;
  const server = await Server.start(PROGRAM, { TEST_APP_ISSUER_VARIABLE: VARIABLE, [VARIABLE]: issuer(first) });
  const project = new Project(server);
  const session = new ConvexClient(server.url, { logger: quiet() });
  const http = new ConvexHttpClient(server.url, { logger: false });
  try {
    const subject = fresh("user");
    session.setAuth(() => mint(first.url, { subject, lifetimeSeconds: 3600 }));
    const who = Watch.query(session, api.auth.whoami);
    await who.value((value) => value?.subject === subject);

    await project.good(["env", "set", VARIABLE, issuer(second)]);
    assert.equal(await project.good(["env", "get", VARIABLE]), `${issuer(second)}\n`);
    http.setAuth(await mint(second.url, { subject }));
    assert.equal((await http.query(api.auth.whoami, {})).subject, subject);
    assert.equal(await session.mutation(api.auth.sign, {}), subject);
    http.setAuth(await mint(first.url, { subject }));
    await assert.rejects(http.query(api.auth.whoami, {}), /NoAuthProvider/);

    const refused = await project.run(["env", "set", VARIABLE, "pk_test_abc"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /InvalidAuthConfig: [^]*pk_test_abc/);
    assert.equal(await project.good(["env", "get", VARIABLE]), `${issuer(second)}\n`);
    http.setAuth(await mint(second.url, { subject }));
    assert.equal((await http.query(api.auth.whoami, {})).subject, subject);
  } finally {
    await session.close();
    project.remove();
    for (const each of [first, second, server]) await each.remove();
  }
});
