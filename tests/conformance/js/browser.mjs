// Chromium for the tests: each in a profile of its own, with what the pages complain of kept.
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
