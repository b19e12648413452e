// The types that `codegen` writes: they compile as strictly as the compiler can be, under three versions of the
// library, mistakes are errors, and the functions behind them are called.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import { isMissing, Server } from "./support.mjs";

const PROGRAM = process.env.SYNCLINE_SERVER;
const HERE = fileURLToPath(new URL(".", import.meta.url));
const PACKAGES = join(HERE, "node_modules");
const STRICT = [
  "strict",
  "exactOptionalPropertyTypes",
  "noUncheckedIndexedAccess",
  "noUnusedLocals",
  "noUnusedParameters",
  "verbatimModuleSyntax",
  "isolatedModules",
  "noEmit",
];

const folders = [];
let project = null;
before(() => {
  if (PROGRAM) project = newProject("convex");
});
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function codegen(...args) {
  const { status, stdout, stderr } = spawnSync(PROGRAM, ["codegen", ...args], { encoding: "utf8" });
  return { status, said: stdout + stderr };
}

/** A folder as an application has it, with the types written into it, and no folder called `convex`. */
function newProject(library) {
  const folder = mkdtempSync(join(tmpdir(), "syncline-types-"));
  folders.push(folder);
  mkdirSync(join(folder, "node_modules"));
  for (const name of ["@types", "react"]) symlinkSync(join(PACKAGES, name), join(folder, "node_modules", name));
  symlinkSync(join(PACKAGES, library), join(folder, "node_modules", "convex"));
  for (const name of ["good.tsx", "wrong.ts"]) copyFileSync(join(HERE, "types", name), join(folder, name));
  assert.deepEqual(codegen(join(folder, "api.ts")), { status: 0, said: "" });
  return folder;
}

function tsc(folder, file) {
  const options = STRICT.map((option) => `--${option}`);
  const shape = ["--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--jsx", "preserve"];
  const args = [join(PACKAGES, "typescript/bin/tsc"), ...options, ...shape, "--preserveSymlinks", "--skipLibCheck", file];
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  return { status, said: stdout };
}

for (const library of ["convex", "convex-1-27", "convex-1-24-8"]) {
  test(`the generated types compile, and mistakes do not, with ${library}`, (t) => {
    if (isMissing(t, "SYNCLINE_SERVER, a program to start,", PROGRAM)) return;
    const folder = library === "convex" ? project : newProject(library);
    assert.deepEqual(tsc(folder, "good.tsx"), { status: 0, said: "" });
  });
}

test("a wrong argument is a type error that names it", (t) => {
  if (isMissing(t, "SYNCLINE_SERVER, a program to start,", PROGRAM)) return;
  const { status, said } = tsc(project, "wrong.ts");
  assert.notEqual(status, 0);
  assert.match(said, /wrong\.ts\(5,\d+\): error TS2322: Type 'number' is not assignable to type 'string'/);
});

test("the functions behind the types are called", async (t) => {
  if (isMissing(t, "SYNCLINE_SERVER, a program to start,", PROGRAM)) return;
  const bundle = join(project, "good.mjs");
  const entryPoints = [join(project, "good.tsx")];
  await esbuild.build({ entryPoints, outfile: bundle, bundle: true, format: "esm", platform: "node", logLevel: "error" });
  const { called } = await import(pathToFileURL(bundle));
  const server = await Server.start(PROGRAM);
  try {
    assert.deepEqual(await called(server.url), { found: true, text: "x", echoed: "e", name: "users:store" });
  } finally {
    await server.remove();
  }
});

test("what is up to date is left alone, and `--check` fails for what is not", (t) => {
  if (isMissing(t, "SYNCLINE_SERVER, a program to start,", PROGRAM)) return;
  const file = join(project, "api.ts");
  const [text, written] = [readFileSync(file, "utf8"), statSync(file).mtimeMs];
  assert.equal(codegen(file).status, 0);
  assert.equal(statSync(file).mtimeMs, written);
  assert.deepEqual(codegen(file, "--check"), { status: 0, said: "" });

  const stale = join(project, "stale.ts");
  writeFileSync(stale, text.replaceAll("\n", "\r\n"));
  assert.equal(codegen(stale, "--check").status, 0, "other ends of lines are no change");
  writeFileSync(stale, text.replace("rank: number", "rank: string"));
  const { status, said } = codegen(stale, "--check");
  assert.equal(status, 1);
  assert.match(said, /stale\.ts is out of date: line \d+ should be `.*rank: number.*`, and is `.*rank: string.*`/);
  assert.match(said, /codegen .*stale\.ts/);
  assert.ok(readFileSync(stale, "utf8").includes("rank: string"), "a check writes nothing");
  assert.match(codegen(join(project, "missing.ts"), "--check").said, /it does not exist/);
});
