// In a browser: /espalier.js as a shop has it in its pages, which are viewed, hidden, left, reloaded and cut off.
// node snippet.mjs INTAKE WRITE_KEY CHROMIUM SCREENSHOTS: prints what it saw as JSON; fails at the first surprise.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [intake, writeKey, chromiumAt, screenshots] = process.argv.slice(2);
const surprises = [];
const is = (what, seen, wanted) =>
  JSON.stringify(seen) === JSON.stringify(wanted) || surprises.push(`${what}: ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
async function until(what, isSo) {
  for (const began = Date.now(); !(await isSo()); await sleep(20)) {
    if (Date.now() - began > 10_000) throw new Error(`not within ten seconds: ${what}`);
  }
}
const listen = async (server) => {
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return `http://127.0.0.1:${server.address().port}`;
};

// Before intake, as a shop's proxy: what is sent is written down here, also by pages that are gone.
const wire = [];
let status = null;
const proxy = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const sent = Buffer.concat(parts);
  if (request.method === "POST") {
    is("no preflight is needed", request.headers["content-type"], "text/plain;charset=UTF-8");
    is("no cookie is sent along", request.headers.cookie, undefined);
    wire.push(...JSON.parse(sent).batch);
    if (status) return response.writeHead(status, { "access-control-allow-origin": "*" }).end();
  }
  const { host, connection, ...headers } = request.headers;
  const body = request.method === "POST" ? sent : undefined;
  const answer = await fetch(intake + request.url.replace(/^\/shop/, ""), { method: request.method, headers: { ...headers, "accept-encoding": "identity" }, body });
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()));
});
const snippetAt = `${await listen(proxy)}/shop/espalier.js`;

// The address's query says what the page is like: attributes of the snippet (?consent=required), and what it calls at once.
const shop = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  const attributes = [...searchParams].filter(([name]) => name !== "calls" && name !== "before");
  const calls = JSON.parse(searchParams.get("calls") ?? "[]").map((call) => `espalier(...${JSON.stringify(call)});`);
  response.writeHead(pathname === "/favicon.ico" ? 404 : 200, { "content-type": "text/html" }).end(`<!doctype html><meta charset="utf-8">
<title>Shop ${pathname}</title><link rel="icon" href="data:,"><body><h1>A shop's page, ${pathname}</h1>
<script>${searchParams.get("before") ?? ""};window.known=new Set(["known",...Object.getOwnPropertyNames(window)])</script>
<script>window.espalier=window.espalier||function(){(espalier.q=espalier.q||[]).push(arguments)};${calls.join("")}</script>
<script async src="${snippetAt}" data-write-key="${writeKey}" ${attributes.map(([name, value]) => `data-${name}="${value}"`).join(" ")}></script>`);
});
const shopAt = await listen(shop);
const at = (path, options = {}) => `${shopAt}${path}?${new URLSearchParams({ ...options, ...(options.calls && { calls: JSON.stringify(options.calls) }) })}`;

// Attached to, not launched by, the library: it would tell each page that it is in front, always.
const userDataDir = await mkdtemp(join(tmpdir(), "snippet-"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", `--user-data-dir=${userDataDir}`, "about:blank"];
const process_ = spawn(chromiumAt, flags, { stdio: "ignore" });
const ended = new Promise((exit) => process_.on("exit", exit).on("error", (error) => exit(surprises.push(`the browser: ${error.message}`))));

let browser;
async function open() {
  let port = "";
  await until("the browser listens", async () => {
    port = await readFile(join(userDataDir, "DevToolsActivePort"), "utf8").then((text) => text.split("\n")[0], () => "");
    return port;
  });
  browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}`, { noDefaults: true });
  return browser.contexts()[0];
}

const started = (page) => until("the snippet has started", () => page.evaluate(() => Boolean(window.espalier?.on)));
const go = async (page, path, options) => {
  await page.goto(at(path, options));
  await started(page);
};
const call = (page, ...given) => page.evaluate((given) => espalier(...given), given);
const stored = (page) => page.evaluate(() => ({ ...localStorage }));
const waiting = async (page) => Object.keys(await stored(page)).filter((key) => key.startsWith("espalier.queue."));
const visibility = (page, wanted) => until(`the page is ${wanted}`, () => page.evaluate((wanted) => document.visibilityState === wanted, wanted));
const front = async (page) => {
  await page.bringToFront();
  await visibility(page, "visible");
};
// What was sent of a name, each message once.
const told = (name) => [...new Map(wire.filter((m) => (m.event ?? m.type) === name).map((m) => [m.messageId, m])).values()];
const pagesOf = (path) => told("page").filter((m) => m.properties.path === path);
const writesNothing = async (what, page) => {
  const seen = await page.evaluate(async () => [document.cookie, localStorage.length, sessionStorage.length, (await indexedDB.databases()).length]);
  is(`${what}: cookies and storage`, seen, ["", 0, 0, 0]);
  is(`${what}: cookies of the browser`, (await page.context().cookies()).length, 0);
};

async function beforeConsent(page) {
  await go(page, "/plain");
  await until("the page is told", () => pagesOf("/plain").length === 1);
  await writesNothing("before consent", page);
  is("globals", await page.evaluate(() => Object.getOwnPropertyNames(window).filter((name) => !known.has(name) && !/^(__playwright|__pw|UtilityScript)/.test(name))), ["espalier"]);
  await page.reload();
  await until("the reloaded page is told", () => pagesOf("/plain").length === 2);
  await writesNothing("after a reload without consent", page);
  const [first, second] = pagesOf("/plain");
  is("a reload is nobody's, without consent", first.anonymousId === second.anonymousId, false);
  is("what a page says of itself", [first.properties.title, first.properties.referrer], ["Shop /plain", ""]);
}

async function consentRequired(page) {
  const calls = [["product", { product_id: "held" }]];
  await go(page, "/asked", { consent: "required", calls });
  await call(page, "track", "Held");
  await sleep(400);
  await writesNothing("while it is asked", page);
  await call(page, "consent", false);
  await page.goto("about:blank");
  await go(page, "/refused", { consent: "required", calls: [...calls, ["consent", false]] });
  await call(page, "track", "Refused");
  await sleep(400);
  await writesNothing("when it is refused", page);
  is("nothing was sent without consent", [pagesOf("/asked"), pagesOf("/refused"), told("Held"), told("Refused"), told("Product Viewed")].flat(), []);
  // A consent manager says no on each page, until somebody says yes.
  await call(page, "consent", true);
  await until("the page is told after all", () => pagesOf("/refused").length === 1 && told("Product Viewed").length === 1);
  await call(page, "consent", false);
  await writesNothing("when it is taken back", page);
}

async function cookie(page) {
  await go(page, "/cookie", { cookie: "", calls: [["consent", true]] });
  const id = (await stored(page))["espalier.id"];
  is("the cookie is the id", await page.evaluate(() => document.cookie), `espalier_id=${id}`);
  // Another host of the shop has the cookie, and no storage.
  await page.evaluate(() => localStorage.clear());
  await page.goto(at("/other-host", { cookie: "" }));
  await until("the page is told", () => pagesOf("/other-host").length === 1);
  is("the cookie is enough", pagesOf("/other-host")[0].anonymousId, id);
  await call(page, "consent", false);
  await writesNothing("the cookie goes too", page);
}

async function visitor(page, context, seen) {
  const product = { product_id: "p1", name: "Shoe", price: 80 };
  const other = await context.newPage();
  await other.goto("about:blank");
  await front(page);
  let began = Date.now();
  await go(page, "/product", { calls: [["consent", true], ["identify", "snippet-user", { email: "snippet@example.com" }], ["product", product]] });
  await until("the product is told", () => told("Product Viewed").some((m) => m.properties.product_id === "p1"));
  const view = told("Product Viewed").find((m) => m.properties.product_id === "p1").properties.view_id;
  const { "espalier.id": id } = await stored(page);
  is("no cookie that was not asked for", await page.evaluate(() => document.cookie), "");
  const session = (await stored(page))["espalier.session"].split(".")[0];
  if (screenshots) await page.screenshot({ path: join(screenshots, "snippet.png") });

  // In front for 1.2 s, behind for 1.5 s, in front for 1.2 s, left by navigation.
  const reports = () => told("Page Left").filter((m) => m.properties.view_id === view).map((m) => m.properties.dwell_seconds);
  await sleep(1_200);
  await other.bringToFront();
  await visibility(page, "hidden");
  await until("a hidden page reports", () => reports().length === 1);
  await sleep(1_500);
  await front(page);
  await sleep(1_200);
  await call(page, "addToCart", { cart_id: "snippet-cart", quantity: 2 });
  await go(page, "/cart");
  const most = (Date.now() - began - 1_500) / 1_000;
  await until("a page that is left reports", () => reports().length === 2);
  const [hidden, left] = reports();
  if (!(hidden >= 1.1 && hidden < left && left >= 2.3 && left <= most)) surprises.push(`seconds: ${hidden} and ${left}, of at most ${most}`);
  Object.assign(seen, { view, left, session, anonymous: id });
  is("what is put into the cart", told("Product Added").map((m) => m.properties), [{ quantity: 2, ...product, cart_id: "snippet-cart" }]);

  // A reload, while intake has trouble: the same visitor, the same session; what it did not take comes again.
  status = 503;
  await call(page, "track", "Before Reload");
  await until("it is tried", () => told("Before Reload").length === 1);
  status = null;
  await page.reload();
  await started(page);
  await until("nothing waits", async () => (await waiting(page)).length === 0);
  is("it was tried twice", wire.filter((m) => m.event === "Before Reload").length >= 2, true);
  is("the same visitor and session after a reload", pagesOf("/cart").map((m) => [m.anonymousId, m.context.sessionId]), Array(2).fill([id, session]));

  // Back by the button: the page comes out of the cache, and is another view of its product.
  // It is not loaded again, so there is no "load" to wait for.
  await page.goBack({ waitUntil: "commit" });
  await until("the product is told again", () => told("Product Viewed").filter((m) => m.properties.product_id === "p1").length === 2);
  is("how the page came to be", await page.evaluate(() => performance.getEntriesByType("navigation")[0].type), "navigate");

  // An address that changes without a load, and one that only seems to.
  await page.evaluate(() => history.pushState({}, "", "/pushed"));
  await page.evaluate(() => history.pushState({}, "", "/pushed#part"));
  await until("the pushed page is told", () => pagesOf("/pushed").length === 1);
  is("where it came from", new URL(pagesOf("/pushed")[0].properties.referrer).pathname, "/product");
  await page.evaluate(() => history.go(-2));
  await until("the page is told again", () => pagesOf("/product").length === 3);

  // Offline: what is said then is sent when the line is back, or by a later page.
  await context.setOffline(true);
  await call(page, "track", "Made Offline");
  await sleep(300);
  is("it waits", (await waiting(page)).length >= 1, true);
  await context.setOffline(false);
  await until("it is sent when online", () => told("Made Offline").length === 1);
  await until("nothing waits", async () => (await waiting(page)).length === 0);
  await context.setOffline(true);
  await call(page, "track", "Left Offline");
  await sleep(200);
  await page.close({ runBeforeUnload: false });
  await context.setOffline(false);
  page = await context.newPage();
  await front(page);
  await go(page, "/later", { calls: [["product", product]] });
  await until("the later page sends it", () => told("Left Offline").length === 1);
  await until("nothing waits", async () => (await waiting(page)).length === 0);

  // Half an hour of silence.
  await page.evaluate(() => (localStorage["espalier.session"] = localStorage["espalier.session"].split(".")[0] + "." + (Date.now() - 18e5)));
  await go(page, "/next-visit");
  await until("the next visit is told", () => pagesOf("/next-visit").length === 1);
  const next = pagesOf("/next-visit")[0];
  is("another session of the same visitor", [next.anonymousId === id, next.context.sessionId === session], [true, false]);

  // Bounds of what waits: 100 messages, 100,000 characters, a day.
  await context.setOffline(true);
  await page.evaluate(() => (localStorage[`espalier.queue.${(Date.now() - 864e5 - 1) * 1e3}-old`] = '{"type":"track","event":"Too Old"}'));
  await page.evaluate(() => Array.from({ length: 120 }, (_, n) => espalier("track", "Many", { n })));
  await page.evaluate(() => espalier("track", "Too Large", { text: "x".repeat(20_000) }));
  await until("the oldest go", async () => (await waiting(page)).length === 100);
  await page.evaluate(() => Array.from({ length: 10 }, (_, n) => espalier("track", "Much", { n, text: "x".repeat(15_000) })));
  await until("100,000 characters wait", async () => (await waiting(page)).length === 6);
  is("the newest stay", (await waiting(page)).length, 6);

  // Another tab takes consent back.
  const tab = await context.newPage();
  await tab.goto("about:blank");
  await context.setOffline(false).catch(() => {});
  await go(tab, "/taken-back", { calls: [["consent", false]] });
  await call(page, "track", "After The Refusal");
  await sleep(300);
  await writesNothing("taken back in another tab", page);
  is("nothing is sent any more", [pagesOf("/taken-back"), told("After The Refusal"), told("Too Old"), told("Too Large")].flat(), []);
  await tab.close();
  await other.close();
  return page;
}

// Rendered ahead: the browser does not do it while it is watched, so the page says so of itself.
async function prerendered(page) {
  const before = "Object.defineProperty(document,'prerendering',{get:()=>!window.isShown,configurable:true});window.isShown=false";
  await go(page, "/ahead", { before, calls: [["track", "Asked Ahead"]] });
  await sleep(300);
  is("what is rendered ahead tells nothing", [pagesOf("/ahead"), told("Asked Ahead")].flat(), []);
  await page.evaluate(() => {
    window.isShown = true;
    document.dispatchEvent(new Event("prerenderingchange"));
  });
  await until("it is told when it is shown", () => pagesOf("/ahead").length === 1 && told("Asked Ahead").length === 1);
}

// A page in which nothing works has no errors of ours.
async function broken(page) {
  const before = "Object.defineProperty(window,'localStorage',{get(){throw new Error('blocked')}});navigator.sendBeacon=()=>false";
  await go(page, "/broken", { before, calls: [["consent", true], ["nonsense"], ["product"], ["track", "Still Told"]] });
  await until("it tells what it can", () => told("Still Told").length === 1);
  await sleep(1_000);
  await page.goto("about:blank");
  await until("fetch sends what a beacon does not", () => told("Page Left").some((m) => m.properties.path === "/broken"));
}

const seen = {};
try {
  const context = await open();
  context.on("weberror", (error) => surprises.push(`page: ${error.error().message}`));
  context.on("console", (message) => message.type() === "error" && !/ERR_INTERNET_DISCONNECTED|503/.test(message.text()) && surprises.push(`console: ${message.text()}`));
  let page = await context.newPage();
  await front(page);
  const timed = async (name, part) => {
    const began = Date.now();
    page = (await part(page, context, seen)) ?? page;
    console.error(`${name}: ${Date.now() - began} ms`);
  };
  await timed("before consent", beforeConsent);
  await timed("consent required", consentRequired);
  await timed("cookie", cookie);
  await timed("visitor", visitor);
  await timed("prerendered", prerendered);
  await timed("broken", broken);
} catch (error) {
  surprises.push(`${error.message} ${error.stack.match(/snippet.mjs:\d+/g)}`);
  console.error(JSON.stringify(wire, null, 1).slice(-4_000));
} finally {
  await browser?.close();
  process_.kill();
  await ended;
  await rm(userDataDir, { recursive: true, force: true, maxRetries: 5 });
  proxy.close();
  shop.close();
}
console.log(JSON.stringify({ ...seen, surprises }));
process.exit(surprises.length > 0 ? 1 : 0);
