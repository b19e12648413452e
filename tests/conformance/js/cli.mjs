// The official command line against a server: in a project folder of its own, as a person would have it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { eventually } from "./support.mjs";

const MODULES = resolve("node_modules");

export class Project {
  constructor(server, { key = server.adminKey() } = {}) {
    this.folder = mkdtempSync(join(tmpdir(), "syncline-project-"));
    this.env = {
      PATH: process.env.PATH,
      HOME: this.folder,
      CI: "1",
      CONVEX_SELF_HOSTED_URL: server.url,
      CONVEX_SELF_HOSTED_ADMIN_KEY: key,
    };
    const dependencies = { convex: "1.48.0" };
    writeFileSync(join(this.folder, "package.json"), JSON.stringify({ name: "project", type: "module", dependencies }));
    symlinkSync(MODULES, join(this.folder, "node_modules"));
    mkdirSync(join(this.folder, "convex"));
  }

  /** `npx convex ...`, started. */
  start(words, { tool = "convex/bin/main.js", ...env } = {}) {
    return new Command(spawn(process.execPath, [join(MODULES, tool), ...words], { cwd: this.folder, env: { ...this.env, ...env } }));
  }

  /** `npx convex ...` to its end: the exit code and what it printed. */
  async run(words, { input = "", ...options } = {}) {
    const command = this.start(words, options);
    command.child.stdin.end(input);
    const code = await command.ended;
    return { code, stdout: command.stdout, stderr: command.stderr };
  }

  /** What a command printed that went well. */
  async good(words, options) {
    const { code, stdout, stderr } = await this.run(words, options);
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const commands = new Set();
process.once("exit", () => commands.forEach((child) => child.kill("SIGKILL")));

/** A command that runs. */
class Command {
  constructor(child) {
    this.child = child;
    this.stdout = "";
    this.stderr = "";
    child.stdout.on("data", (bytes) => (this.stdout += bytes));
    child.stderr.on("data", (bytes) => (this.stderr += bytes));
    this.ended = once(child, "close").then(([code]) => code);
    commands.add(child);
    child.once("close", () => commands.delete(child));
  }

  /** Waits until it has printed a text. */
  prints(text) {
    return eventually(
      () => this.stdout.includes(text) || this.stderr.includes(text),
      () => `${text} is printed; so far:\n${this.stdout}\n${this.stderr}`,
    );
  }

  async stop() {
    this.child.kill("SIGINT");
    await this.ended;
  }
}
