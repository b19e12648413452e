// The official command line: run, data, function-spec, network-test, usage, and the commands that push code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { anyApi as api } from "convex/server";
import { Project } from "./cli.mjs";
import { fresh, Server } from "./support.mjs";

const PROGRAM = process.env.SYNCLINE_SERVER;
/** As long as a refused command may take. */
const REFUSED_MS = 5000;
const skip = PROGRAM ? false : "SYNCLINE_SERVER names no program";

let server, project, http;
before(async () => {
  if (skip) return;
  server = await Server.start(PROGRAM, { CONVEX_SITE_ORIGIN: "https://site.example.com/" });
  project = new Project(server);
  http = new ConvexHttpClient(server.url, { logger: false });
});
after(async () => {
  project?.remove();
  await server?.remove();
});

// spec: H10
test("run prints the value of each kind of function, and its lines on the other stream", { skip }, async () => {
  const name = fresh("run");
  assert.equal(await project.good(["run", "counter:increment", JSON.stringify({ name, by: 2 })]), "2\n");
  assert.equal(await project.good(["run", "counter:get", JSON.stringify({ name })]), "2\n");
  assert.equal(await project.good(["run", "api.counter.get", JSON.stringify({ name })]), "2\n");
  assert.equal(await project.good(["run", "actions:echo", '{value: {a: ["b", null]}}']), '{\n  "a": [\n    "b",\n    null\n  ]\n}\n');
  const word = fresh("word");
  const { code, stdout, stderr } = await project.run(["run", "talk:lines", JSON.stringify({ word })]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "1\n");
  const places = ["one", "two", "three"].map((end) => stderr.indexOf(`'${word} ${end}'`));
  assert.ok(places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1])), stderr);
});

// spec: H11, H12
test("run reaches internal functions, and acts as somebody", { skip }, async () => {
  assert.equal(await project.good(["run", "internal.counter.secret"]), "42\n");
  const seen = JSON.parse(await project.good(["run", "auth:whoami", "--identity", '{"name":"sarah"}']));
  assert.equal(seen.name, "sarah");
  const hidden = await project.run(["run", "counter:secret", "--identity", '{"name":"sarah"}']);
  assert.notEqual(hidden.code, 0, "whoever acts as a user sees what that user may call");
});

// spec: H13
test("run names the functions there are when it finds none", { skip }, async () => {
  const { code, stderr } = await project.run(["run", "nope:fn"]);
  assert.notEqual(code, 0);
  for (const name of ["items:list", "counter:increment", "users:store"]) assert.match(stderr, new RegExp(name));
});

// spec: H14
test("run --watch prints each new value", { skip }, async () => {
  const name = fresh("watched");
  const watch = project.start(["run", "counter:get", JSON.stringify({ name }), "--watch"]);
  try {
    await watch.prints("0\n");
    await http.mutation(api.counter.increment, { name, by: 7311 });
    await watch.prints("7311\n");
  } finally {
    await watch.stop();
  }
});

// spec: H15
test("special values survive run in arguments and results", { skip }, async () => {
  const given = { value: { int: { $integer: "BQAAAAAAAAA=" }, bytes: { $bytes: "AQID" }, nan: { $float: "AAAAAAAA+H8=" }, deep: [{ a: [] }] } };
  const printed = await project.good(["run", "values:asked", JSON.stringify(given)]);
  assert.match(printed, /"int": ("5"|5n|\{\s*"\$integer": "BQAAAAAAAAA="\s*\})/);
  assert.match(printed, /AQID/);
  assert.match(printed, /NaN|AAAAAAAA\+H8=/);
  assert.match(printed, /"deep": \[\s*\{\s*"a": \[\]\s*\}\s*\]/);
});

// spec: H18, H19
test("data lists the tables and shows their documents in order", { skip }, async () => {
  const list = fresh("list");
  for (const text of ["first", "second", "third", "fourth"]) await http.mutation(api.items.add, { list, rank: 0, text });
  const tables = (await project.good(["data"])).trim().split("\n");
  assert.deepEqual(tables, [...tables].sort());
  for (const table of ["bank", "counters", "items", "users"]) assert.ok(tables.includes(table), `${tables}`);
  assert.ok(tables.every((table) => !table.startsWith("_")), `${tables}`);
  const three = ["data", "items", "--limit", "3", "--order", "asc"];
  const texts = (await project.good([...three, "--format", "jsonl"])).trim().split("\n").map((line) => JSON.parse(line).text);
  assert.deepEqual(texts, ["first", "second", "third"]);
  const newest = (await project.good(["data", "items", "--limit", "1", "--format", "jsonl"])).trim();
  assert.equal(JSON.parse(newest).text, "fourth");
  assert.match((await project.run(three)).stderr, /Showing the 3 oldest/);
  assert.doesNotMatch((await project.run(["data", "items", "--limit", "4"])).stderr, /Showing/);
  for (const table of ["_storage", "_scheduled_functions"]) assert.equal((await project.run(["data", table])).code, 0);
});

// spec: H20
test("data reads a table of many pages", { skip }, async () => {
  await project.good(["run", "talk:many", '{"list":"many","count":20000}']);
  const n_before = (await project.good(["data", "items", "--limit", "30000", "--format", "jsonl"])).trim().split("\n").length;
  assert.ok(n_before >= 20_000, `${n_before} rows`);
});

// spec: H25
test("function-spec lists every function with its validators", { skip }, async () => {
  const spec = JSON.parse(await project.good(["function-spec"]));
  assert.equal(spec.url, server.url);
  const named = (identifier) => spec.functions.find((each) => each.identifier === identifier);
  assert.deepEqual(named("counter.js:increment"), {
    identifier: "counter.js:increment",
    functionType: "Mutation",
    visibility: { kind: "public" },
    args: {
      type: "object",
      value: { name: { fieldType: { type: "string" }, optional: false }, by: { fieldType: { type: "number" }, optional: false } },
    },
    returns: { type: "number" },
  });
  assert.equal(named("counter.js:secret").visibility.kind, "internal");
  assert.deepEqual(named("errors.js:plain").args, { type: "object", value: {} });
  assert.ok(spec.functions.every((each) => each.identifier.includes(".js:") && !each.identifier.startsWith("_system")));
});

// spec: H4
test("the server tells its own addresses as variables", { skip }, async () => {
  assert.equal(await project.good(["env", "get", "CONVEX_SITE_URL"]), "https://site.example.com\n");
  assert.equal(await project.good(["env", "get", "CONVEX_CLOUD_URL"]), `${server.url}\n`);
  assert.equal(await project.good(["env", "list", "--include-values"]), "");
  assert.equal(await project.good(["run", "talk:variable", '{"name":"CONVEX_SITE_URL"}']), '"https://site.example.com"\n');
});

// spec: H44, H45
test("commands that push code are refused at once, in a sentence", { skip }, async () => {
  for (const words of [["deploy", "-y"], ["codegen"], ["run", "counter:secret", "--push"], ["dev", "--once"]]) {
    // The tool bundles before it asks; on a machine that is busy with other things it may have another try at that.
    const tries = [];
    while (tries.length < 3 && !tries.some((took) => took < REFUSED_MS)) {
      const started = Date.now();
      const { code, stderr } = await project.run(words);
      tries.push(Date.now() - started);
      assert.notEqual(code, 0, `${words}`);
      assert.match(stderr, /functions of this server are written in Rust/, `${words}`);
    }
    assert.ok(tries.some((took) => took < REFUSED_MS), `${words} took ${tries} ms`);
  }
  const written = readFileSync(join(project.folder, ".env.local"), "utf8");
  assert.match(written, new RegExp(`CONVEX_URL=${server.url}`));
  assert.match(written, /CONVEX_SITE_URL=https:\/\/site\.example\.com/);
});

// spec: H52, H53
test("the network test passes, and there are no limits of usage", { skip }, async () => {
  await project.good(["network-test", "--speed-test"]);
  await project.good(["deployment", "usage"]);
  await project.good(["deployment", "usage-limits", "list"]);
});

// spec: H1, H9
test("health checks are answered, and metrics as it is set", { skip }, async () => {
  const closed = await Server.start(PROGRAM, { DISABLE_METRICS_ENDPOINT: "true" });
  try {
    assert.equal((await fetch(`${server.url}/version`)).status, 200);
    const metrics = await fetch(`${server.url}/metrics`);
    assert.equal(metrics.status, 200);
    assert.match(await metrics.text(), /^# TYPE syncline_/m);
    const refused = await fetch(`${closed.url}/metrics`);
    assert.deepEqual([refused.status, (await refused.json()).code], [404, "MetricsDisabled"]);
  } finally {
    await closed.remove();
  }
});

// spec: H6
test("a wrong admin key ends each command with its reason", { skip }, async () => {
  const stranger = new Project(server, { key: "syncline|00" });
  try {
    for (const words of [["run", "counter:get", '{"name":"x"}'], ["data"], ["logs"], ["function-spec"], ["deploy", "-y"]]) {
      const started = Date.now();
      const { code, stdout, stderr } = await stranger.run(words);
      assert.ok(Date.now() - started < 10_000, `${words} took ${Date.now() - started} ms`);
      assert.notEqual(code, 0, `${words}`);
      assert.match(stdout + stderr, /admin key/, `${words}`);
    }
  } finally {
    stranger.remove();
  }
});
