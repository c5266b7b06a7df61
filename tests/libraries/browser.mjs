// In a browser: Segment's library, unmodified, with only the host changed.
// node browser.mjs INTAKE WRITE_KEY CHROMIUM: prints what it saw as JSON; fails at the first surprise.

import { readFile, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [intake, writeKey, executablePath] = process.argv.slice(2);
const library = await readFile(new URL("./node_modules/@segment/analytics-next/dist/umd/index.js", import.meta.url));

const shop = (options) => `<!doctype html><meta charset="utf-8"><title>A shop</title><link rel="icon" href="data:,">
<script src="/analytics.js"></script><script>
window.analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey: ${JSON.stringify(writeKey)}, cdnURL: ${JSON.stringify(intake)} }, ${JSON.stringify(options)});
</script>`;
const batching = { integrations: { "Segment.io": { deliveryStrategy: { strategy: "batching", config: { size: 50, timeout: 60_000 } } } } };
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const [type, body] =
    pathname === "/analytics.js" ? ["text/javascript", library]
    : pathname === "/" ? ["text/html", shop({})]
    : pathname === "/batching" ? ["text/html", shop(batching)]
    // The library asks its own folder for parts it does not have in itself.
    : ["text/javascript", null];
  response.writeHead(body === null ? 404 : 200, { "content-type": type }).end(body ?? "");
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const shopAt = `http://127.0.0.1:${server.address().port}`;

const userDataDir = await mkdtemp(join(tmpdir(), "browser-"));
const browser = await chromium.launchPersistentContext(userDataDir, {
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

const surprises = [];
function watch(page) {
  page.on("console", (message) => message.type() === "error" && surprises.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => surprises.push(`page: ${error.message}`));
  page.on("response", (answer) => answer.status() >= 400 && surprises.push(`${answer.status()} ${answer.url()}`));
}

try {
  const page = await browser.newPage();
  watch(page);
  await page.goto(`${shopAt}/`);
  await page.evaluate(async () => {
    await analytics.identify("browser-user", { email: "browser@example.com", plan: "gold" });
    await analytics.page("Shop", "Home", { path: "/" });
    await analytics.track("Product Added", { cart_id: "browser-cart", product_id: "p1", price: 19.9 });
    await analytics.group("g1", { name: "Acme" });
  });
  // A batch that the library sends when the page goes away.
  const leaving = await browser.newPage();
  watch(leaving);
  await leaving.goto(`${shopAt}/batching`);
  await leaving.evaluate(async () => {
    await analytics.ready();
    await analytics.track("Left With The Page", { cart_id: "browser-cart" });
  });
  await leaving.goto("about:blank");

  console.log(JSON.stringify({ surprises }));
} finally {
  await browser.close();
  await rm(userDataDir, { recursive: true, force: true });
  server.close();
}
process.exit(surprises.length > 0 ? 1 : 0);
