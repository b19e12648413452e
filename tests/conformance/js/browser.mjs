// Chromium for the tests: each in a profile of its own, with what the pages complain of kept.
// `SYNCLINE_SCREENSHOTS` names a folder for pictures of them.
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { CHROMIUM, CHROMIUM_ARGS } from "./support.mjs";

/** Opens Chromium, hands `use` a maker of pages (each somebody else's: storage is not shared), and closes it. */
export async function withBrowser(use) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  try {
    await use(async (url, options = {}) => {
      const context = await browser.newContext({ viewport: { width: 1180, height: 780 }, ...options });
      const page = await context.newPage();
      page.said = [];
      page.broke = [];
      page.on("console", (message) => page.said.push({ level: message.type(), text: message.text() }));
      page.on("pageerror", (error) => page.broke.push(error.message));
      await page.goto(url);
      return page;
    });
  } finally {
    await browser.close();
  }
}

/** Keeps a picture of a page, where pictures are asked for. */
export async function picture(page, name) {
  const folder = process.env.SYNCLINE_SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Serves one page that is a program of the folder `react`, bundled. */
export async function serveReact(program) {
  const bundle = await build({
    entryPoints: [new URL(`react/${program}`, import.meta.url).pathname],
    bundle: true,
    write: false,
    format: "iife",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    logLevel: "error",
  });
  const script = bundle.outputFiles[0].text;
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><div id="root"></div><script src="/page.js"></script>');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
