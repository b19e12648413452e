// The generators of convex-helpers: types for TypeScript and OpenAPI, made from what function-spec tells.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Project } from "./cli.mjs";
import { fresh, Server } from "./support.mjs";

const PROGRAM = process.env.SYNCLINE_SERVER;
const skip = PROGRAM ? false : "SYNCLINE_SERVER names no program";
const GENERATORS = "convex-helpers/bin.cjs";

async function withProject(work) {
  const server = await Server.start(PROGRAM);
  const project = new Project(server);
  try {
    await work(project, server);
  } finally {
    project.remove();
    await server.remove();
  }
}

// spec: H26
test("generated types compile strictly and drive a client", { skip }, () =>
  withProject(async (project, server) => {
    await project.good(["ts-api-spec", "--output-file", "api"], { tool: GENERATORS });
    writeFileSync(
      join(project.folder, "use.ts"),
      `import { ConvexHttpClient } from "convex/browser";
import { api } from "./api.js";
const client = new ConvexHttpClient(${JSON.stringify(server.url)}, { logger: false });
const by: number = await client.mutation(api.counter.increment, { name: "typed", by: 3 });
const value: number = await client.query(api.counter.get, { name: "typed" });
// @ts-expect-error: the argument has to be a number
const wrong = () => client.mutation(api.counter.increment, { name: "typed", by: "3" });
void wrong;
process.stdout.write(String(by + value));
`,
    );
    writeFileSync(
      join(project.folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { strict: true, module: "nodenext", target: "es2022", skipLibCheck: true, types: [], lib: ["es2022", "dom"] },
        files: ["use.ts", "globals.d.ts"],
      }),
    );
    writeFileSync(join(project.folder, "globals.d.ts"), "declare const process: { stdout: { write(text: string): void } };\n");
    execFileSync(process.execPath, ["node_modules/typescript/bin/tsc"], { cwd: project.folder, stdio: "pipe" });
    const printed = execFileSync(process.execPath, ["use.js"], { cwd: project.folder, encoding: "utf8" });
    assert.equal(printed, "6");
  }));

// spec: H27
test("the paths of the generated OpenAPI answer", { skip }, () =>
  withProject(async (project, server) => {
    await project.good(["open-api-spec", "--output-file", "api"], { tool: GENERATORS });
    const yaml = readFileSync(join(project.folder, "api.yaml"), "utf8");
    const paths = [...yaml.matchAll(/^ {2}(\/api\/run\/\S+):/gm)].map(([, path]) => path);
    assert.ok(paths.includes("/api/run/counter/increment"), paths.join(" "));
    const name = fresh("open");
    for (const [path, args, value] of [
      ["/api/run/counter/increment", { name, by: 5 }, 5],
      ["/api/run/counter/get", { name }, 5],
      ["/api/run/actions/echo", { value: [1, "a"] }, [1, "a"]],
    ]) {
      const answer = await fetch(server.url + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ args }),
      });
      assert.deepEqual(await answer.json(), { status: "success", value });
    }
  }));
