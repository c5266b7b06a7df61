// Drives every view of the page in a real browser: opens it, uses each control and looks at the API for what came of it,
// runs axe-core in light, in dark and at phone width, and measures what the first load fetches.
// Arguments: link that lets in once, intake, write key, trigger, chromium, folder for screenshots.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [link, intake, writeKey, executablePath, screenshots] = process.argv.slice(2);
const ops = new URL(link).origin;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const surprises = [];
const told = {};

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"],
});

// Answers that a step asks for by doing something that is refused.
const expected = new Set();
function watch(page) {
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    if (/status of (\d+)/.test(message.text()) && expected.has(+RegExp.$1)) return;
    surprises.push(`${page.url()}: console: ${message.text()}`);
  });
  page.on("pageerror", (error) => surprises.push(`${page.url()}: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(ops) && !url.startsWith("data:") && !url.startsWith("blob:")) surprises.push(`asked elsewhere: ${url}`);
  });
}
// Every chart is drawn, and what was to be moved has moved.
const settled = async (page) => {
  await page.waitForFunction(() => [...document.querySelectorAll(".plot")].every((plot) => plot.querySelector("canvas")));
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
};
async function until(what, holds, seconds = 20) {
  for (const end = Date.now() + seconds * 1e3; Date.now() < end; ) {
    if (await holds()) return;
    await new Promise((later) => setTimeout(later, 100));
  }
  throw new Error(`never: ${what}`);
}
const open = async (page, path) => {
  await page.goto(ops + path, { waitUntil: "load" });
};
const api = async (page, path) => (await page.request.get(`${ops}/api/${path}`)).json();
const says = async (page, text) => {
  const main = await page.locator("main").innerText();
  if (!main.includes(text)) throw new Error(`${page.url()} does not say "${text}":\n${main}`);
};

/** What axe-core finds serious, and whether the page is wider than the screen. */
async function inspect(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const one of found.violations.filter((one) => ["serious", "critical"].includes(one.impact))) {
    surprises.push(`${name}: ${one.id}: ${one.help}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join("; ")}`);
  }
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (overflow > 0) surprises.push(`${name}: the page is ${overflow} pixels wider than the screen`);
}

// What is no count of things that are kept: limits, sizes, prices, and codes, which nobody is shown.
const measures = ["Low at", "Left", "Allowed", "Ours", "Left of all", "Bytes", "Position", "Price", "In stock", "Priority"];
const counting = ["health", "triggers", "trigger", "connectors", "connector", "events", "nightly", "quota"];

/** Counts that lead nowhere. */
async function lead(page, name) {
  if (!counting.includes(name)) return;
  const alone = await page.evaluate((measures) => {
    const heads = (cell) => [...cell.closest("table").querySelectorAll("thead th")].map((head) => head.innerText.trim().toLowerCase());
    const of = (cell) => heads(cell)[[...cell.parentElement.children].indexOf(cell)];
    const cells = [...document.querySelectorAll("main td.n")].filter((cell) => !cell.closest("figure") && /^[\d,.]*[1-9][\d,.]*$/.test(cell.innerText.trim()));
    return cells.filter((cell) => !cell.querySelector("a") && !measures.includes(of(cell))).map((cell) => `${of(cell)}: ${cell.innerText}`);
  }, measures.map((one) => one.toLowerCase()));
  for (const one of alone) surprises.push(`${name}: a number leads nowhere: ${one}`);
}

async function signIn(context) {
  const page = await context.newPage();
  watch(page);
  // Bytes of the first load, as they come over the wire.
  await page.goto(link, { waitUntil: "load" });
  await page.getByRole("button", { name: "Come in" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/enter"));
  return page;
}

async function weigh(context) {
  const page = await context.newPage();
  watch(page);
  const sizes = [];
  page.on("requestfinished", (request) => sizes.push(request.sizes().then((s) => s.responseBodySize + s.responseHeadersSize)));
  const session = await context.newCDPSession(page);
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  await open(page, "/");
  await page.waitForSelector(".plot canvas");
  await settled(page);
  told.bytes = (await Promise.all(sizes)).reduce((sum, n) => sum + n, 0);
  told.requests = sizes.length;
  await page.close();
}

async function track(event, n, more = {}) {
  const body = { type: "track", event, messageId: `drive-${event}-${n}`, userId: `driven-${n}`, properties: { form: `f${n}` }, context: { traits: { email: `driven-${n}@example.com` } }, ...more };
  const answer = await fetch(`${intake}/v1/track`, { method: "POST", headers: { authorization: `Basic ${btoa(`${writeKey}:`)}`, "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`not accepted: ${answer.status}`);
}

const person = {};
const steps = {
  async "the keyboard reaches the content first"(page) {
    await open(page, "/");
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => document.activeElement.textContent);
    if (!focused.includes("Skip to the content")) throw new Error(`the first stop is "${focused}"`);
    await page.keyboard.press("Enter");
    if (!(await page.evaluate(() => location.hash === "#main" && document.activeElement.id === "main"))) throw new Error("the link does not skip");
  },
  async "health says how everything is, and draws it"(page) {
    await open(page, "/");
    for (const text of ["Events accepted", "engine", "klaviyo", "web", "shop"]) await says(page, text);
    await page.waitForSelector(".plot canvas");
    for (const over of ["24h", "14d", "1h"]) {
      await page.getByRole("link", { name: over, exact: true }).click();
      await page.waitForSelector(".plot canvas");
      const current = await page.locator("nav.tabs a[aria-current]").innerText();
      if (current !== over) throw new Error(`${current} is shown, and not ${over}`);
    }
    await page.locator("figure.chart summary").first().click();
    if ((await page.locator("figure.chart table").first().locator("tbody tr").count()) < 2) throw new Error("the chart has no table");
    const dead = page.locator("dl.figures div", { hasText: "Dead letters" }).getByRole("link");
    await dead.click();
    await page.waitForURL(`${ops}/letters`);
  },
  async "an open page changes by itself"(page) {
    await open(page, "/");
    const shown = () => page.locator("dl.figures div", { hasText: "Events accepted" }).locator("strong").innerText();
    const before = Number((await shown()).replaceAll(",", ""));
    await page.evaluate(() => (window.stays = true));
    await track("Looked", 1);
    await until("the accepted event shows", async () => Number((await shown()).replaceAll(",", "")) === before + 1);
    if (!(await page.evaluate(() => window.stays))) throw new Error("the whole page was loaded");
  },
  async "a trigger is looked at, paused and resumed"(page) {
    await open(page, "/triggers");
    await page.getByRole("link", { name: "form", exact: true }).first().click();
    for (const text of ["In words", "did = \"Form Submitted\"", "Fires by day", "What vendors made of it"]) await says(page, text);
    const state = async () => (await api(page, "triggers")).find((one) => one.name === "form");
    await page.selectOption("select[name=policy]", "keep");
    await page.getByRole("button", { name: "Pause" }).click();
    await says(page, "It is paused");
    const paused = await state();
    if (paused.state !== "paused" || paused.policy !== "keep") throw new Error(JSON.stringify(paused));
    await track("Form Submitted", 900);
    await until("it is held", async () => (await state()).held === 1);
    await open(page, "/activations?state=waiting&lane=klaviyo");
    await says(page, "until its trigger is resumed");
    await page.locator("tbody th a").first().click();
    for (const text of ["waits in its lane", "It was not tried yet", "POST /api/"]) await says(page, text);
    await open(page, "/triggers/form");
    await says(page, "Held for");
    await page.selectOption("select[name=held]", "send");
    await page.getByRole("button", { name: "Resume" }).click();
    await says(page, "It is live again");
    if ((await state()).state !== "live") throw new Error("it is not live");
    await page.selectOption("select[name=policy]", "drop");
    await page.getByRole("button", { name: "Pause" }).click();
    await track("Form Submitted", 901);
    await until("whom the pause kept is told", async () => {
      await open(page, "/triggers/form");
      return (await page.locator("#kept-paused a").count()) === 1;
    }, 40);
    await lead(page, "trigger");
    await inspect(page, "trigger (kept)");
    await page.screenshot({ path: join(screenshots, "trigger-kept.png"), fullPage: true });
    await page.getByRole("button", { name: "Resume" }).click();
    await says(page, "It is live again");
    await page.getByRole("link", { name: "Back-test the last 30 days" }).click();
    await says(page, "lived again under the triggers in force");
    await page.locator("figure.bars svg").waitFor();
  },
  async "somebody is found by any name, and explained"(page) {
    expected.add(404);
    await open(page, "/people");
    await page.getByLabel("Find somebody").fill("nobody@example.com");
    await page.getByRole("button", { name: "Find" }).click();
    await says(page, "Nobody goes by that name");
    expected.delete(404);
    await page.getByLabel("Find somebody").fill("driven-900@example.com");
    await page.getByRole("button", { name: "Find" }).click();
    await page.waitForURL(/\/people\/[0-9a-f]{32}$/);
    person.url = page.url();
    for (const text of ["driven-900", "Form Submitted", "form", "Consent"]) await says(page, text);
    await page.getByLabel("Kind of moment").getByRole("link", { name: "edges" }).click();
    if ((await page.locator("ol.timeline li.event").count()) > 0) throw new Error("events are shown among the edges");
    await says(page, "activated");
    await page.selectOption("select[name=trigger]", "form");
    await page.getByRole("button", { name: "Explain" }).click();
    await says(page, "For f900 is true");
    await says(page, "\"Form Submitted\" at least once");
  },
  async "what left is filtered and opened"(page) {
    await open(page, "/activations");
    await page.selectOption("select[name=end]", "accepted");
    await page.selectOption("select[name=lane]", "klaviyo");
    await page.getByRole("button", { name: "Show" }).click();
    const ends = await page.locator("tbody tr td:last-child").allInnerTexts();
    if (ends.length === 0 || ends.some((end) => !end.includes("accepted"))) throw new Error(`not what was asked for: ${ends}`);
    await page.locator("tbody th a").first().click();
    for (const text of ["Payload", "Request", "POST /api/", "accepted by the vendor"]) await says(page, text);
    if ((await page.locator("main").innerText()).includes("@example.com")) throw new Error("an address is shown");
    await open(page, "/activations");
    await page.getByRole("link", { name: "Waiting" }).click();
    await page.waitForURL(/state=waiting/);
  },
  async "a dead letter is opened, dropped, replayed"(page) {
    const dead = async () => (await api(page, "status")).lanes.find((one) => one.name === "klaviyo").dead;
    const before = await dead();
    if (before < 5) throw new Error(`only ${before} dead letters`);
    await open(page, "/letters?lane=klaviyo");
    await page.locator("tbody th a").first().click();
    for (const text of ["Tries", "refused", "Payload", "Request"]) await says(page, text);
    page.once("dialog", (dialog) => dialog.dismiss());
    await page.getByRole("button", { name: "Drop" }).click();
    if ((await dead()) !== before) throw new Error("it was dropped without being sure");
    page.once("dialog", (dialog) => dialog.accept());
    await page.getByRole("button", { name: "Drop" }).click();
    await says(page, "It is dropped");
    if ((await dead()) !== before - 1) throw new Error("it is still there");
    await page.locator("tbody th a").first().click();
    await page.getByRole("button", { name: "Replay" }).click();
    await says(page, "It waits in its lane again");
    await until("it has left", async () => (await dead()) === before - 2);
  },
  async "dead letters are replayed by filter, counted first"(page) {
    const dead = async () => (await api(page, "status")).lanes.find((one) => one.name === "klaviyo").dead;
    const before = await dead();
    await open(page, "/letters");
    // What nothing matches is nothing, and not everything.
    await page.getByLabel("Code").fill("no_such_code");
    await page.getByRole("button", { name: "Show" }).click();
    await says(page, "There are none");
    await page.getByLabel("Code").fill("");
    await page.selectOption("select[name=trigger]", "form");
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByRole("button", { name: "count first" }).click();
    const section = page.locator("section.banner", { hasText: "Replay by filter" });
    // Counted, and shown without anybody loading the page.
    await section.getByText("dead letters match").waitFor({ timeout: 15_000 }).catch(async () => {
      throw new Error(await page.locator("main").innerText());
    });
    if (!(await section.innerText()).includes(`${before} dead letters`)) throw new Error(await section.innerText());
    if ((await dead()) !== before) throw new Error("they were replayed before anybody said so");
    await section.getByRole("button", { name: "Leave them" }).click();
    if ((await section.count()) > 0) throw new Error("they are not left");
    await page.getByRole("button", { name: "count first" }).click();
    await section.getByText("dead letters match").waitFor({ timeout: 15_000 });
    await section.getByRole("button", { name: `Replay ${before}` }).click();
    await section.getByText(`${before} wait in their lanes again`).waitFor({ timeout: 20_000 });
    await until("they have left", async () => (await dead()) === 0);
  },
  async "a night is begun, and its report read"(page) {
    await open(page, "/nights");
    await page.selectOption("select[name=since]", "1");
    await page.getByRole("button", { name: "Begin" }).click();
    await says(page, "A night has begun");
    await until("its report", async () => (await api(page, "nights")).length > 0, 60);
    await open(page, "/nights");
    await says(page, "The night of");
    await says(page, "Lists that were read again");
    await page.getByRole("region", { name: "Nights" }).locator("th a").first().click();
    await page.waitForURL(/of=/);
  },
  async "sources, their streams and their audit are shown"(page) {
    await open(page, "/connectors");
    await page.getByRole("link", { name: "shop", exact: true }).click();
    for (const text of ["Streams", "orders", "Read up to", "Mapping audit"]) await says(page, text);
    await page.getByRole("region", { name: "Streams" }).locator("a[href^='/connectors/events']").first().click();
    await page.waitForURL(/\/connectors\/events\?source=shop/);
    await says(page, "were accepted in all");
    await open(page, "/connectors/events");
    await page.selectOption("select[name=source]", "web");
    await page.getByRole("button", { name: "Show" }).click();
    await page.waitForURL(/source=web/);
    await says(page, "Form Submitted");
    const sources = await page.locator("tbody td a[href^='/connectors/']").allInnerTexts();
    if (sources.length === 0 || sources.some((source) => source !== "web")) throw new Error(`of web: ${sources}`);
    await page.locator("tbody a[href^='/people/']").first().click();
    await page.waitForURL(/\/people\//);
    await open(page, "/connectors/set-aside");
    await says(page, "could be read");
  },
  async "quotas are shown"(page) {
    await open(page, "/quota");
    for (const text of ["Ledger", "klaviyo", "Forecast"]) await says(page, text);
  },
  async "accounts and tokens are made and taken away, and a viewer only looks"(page) {
    await open(page, "/access");
    await page.fill("#name", "vera");
    await page.selectOption("#role", "viewer");
    await page.fill("#password", "a long enough password");
    await page.getByRole("button", { name: "Make the account" }).click();
    const viewer = await browser.newContext();
    const looks = await viewer.newPage();
    watch(looks);
    await open(looks, "/sign-in?to=/triggers/form");
    await looks.getByLabel("Name").fill("vera");
    await looks.getByLabel("Password").fill("a long enough password");
    await looks.getByRole("button", { name: "Sign in" }).click();
    await looks.waitForURL(`${ops}/triggers/form`);
    await says(looks, "In words");
    for (const control of ["Pause", "Resume"]) {
      if ((await looks.getByRole("button", { name: control }).count()) > 0) throw new Error(`a viewer sees "${control}"`);
    }
    if ((await looks.getByRole("link", { name: "Access", exact: true }).count()) > 0) throw new Error("a viewer is led to Access");
    await inspect(looks, "trigger (viewer)");
    expected.add(403);
    const refused = await looks.goto(`${ops}/access`);
    if (refused.status() !== 403) throw new Error(`a viewer sees Access: ${refused.status()}`);
    await says(looks, "This asks for the role admin, and you are viewer.");
    expected.delete(403);

    await page.fill("#token", "scraper");
    await page.selectOption("#area", "health");
    await page.getByRole("button", { name: "Make the token" }).click();
    const secret = (await page.locator("section[role=status] code").innerText()).trim();
    const asks = async (path) => (await fetch(`${ops}/api/${path}`, { headers: { authorization: `Bearer ${secret}` } })).status;
    if ((await asks("status")) !== 200 || (await asks("triggers")) !== 403) throw new Error("the token is not held to its area");
    await page.getByRole("button", { name: "Revoke scraper" }).click();
    if ((await asks("status")) !== 401) throw new Error("the token is still good");

    await page.getByLabel("Role of vera").selectOption("operator");
    await page.locator("form[action='/access/accounts/vera']").getByRole("button", { name: "Change" }).click();
    await open(looks, "/triggers/form");
    await looks.getByRole("button", { name: "Pause" }).waitFor();
    await page.getByRole("button", { name: "Remove vera" }).click();
    await open(looks, "/triggers/form");
    if (!looks.url().includes("/sign-in")) throw new Error("who is removed is still in");
    await viewer.close();
  },
  async "somebody is exported and erased"(page) {
    await page.goto(person.url);
    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export as JSON" }).click();
    const text = readFileSync(await (await saved).path(), "utf8");
    const exported = JSON.parse(text);
    if (!exported.names.includes("email:driven-900@example.com") || exported.events.length === 0) throw new Error(text);
    // Not without a tick in the box.
    await page.getByRole("button", { name: "Erase" }).click();
    if (page.url() !== person.url) throw new Error("nobody was sure");
    await page.getByLabel("this cannot be undone").check();
    await page.getByRole("button", { name: "Erase" }).click();
    await page.waitForURL(/\/people\?done=(erased|begun)/);
    await until("the receipt", async () => (await api(page, "person/receipts")).length === 1);
    expected.add(404);
    const gone = await page.goto(person.url);
    if (gone.status() !== 404) throw new Error("they are still there");
    expected.delete(404);
  },
};

const views = { health: "/", triggers: "/triggers", trigger: "/triggers/form", backtest: "/triggers/form/backtest", people: "/people", activations: "/activations", waiting: "/activations?state=waiting", letters: "/letters", nightly: "/nights", connectors: "/connectors", connector: "/connectors/shop", events: "/connectors/events", products: "/connectors/products", "set-aside": "/connectors/set-aside", quota: "/quota", access: "/access", account: "/account" };

try {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, acceptDownloads: true });
  const page = await signIn(context);
  await weigh(context);
  const state = await context.storageState();

  // Each view as it is read: in light, in dark, on a telephone; with somebody, an activation and a dead letter opened.
  await open(page, "/activations");
  views.activation = await page.locator("tbody th a").first().getAttribute("href");
  views.person = await page.locator("tbody a[href^='/people/']").first().getAttribute("href");
  await open(page, "/letters");
  views.letter = await page.locator("tbody th a").first().getAttribute("href");
  for (const [name, colorScheme, width] of [["light", "light", 1360], ["dark", "dark", 1360], ["phone", "light", 390]]) {
    const as = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, storageState: state });
    const reader = await as.newPage();
    watch(reader);
    for (const [view, path] of Object.entries(views)) {
      await open(reader, path);
      await settled(reader);
      if ((await reader.locator("h1").count()) !== 1) surprises.push(`${view}: not one heading`);
      await inspect(reader, `${view} (${name})`);
      await lead(reader, view);
      await reader.screenshot({ path: join(screenshots, `${view}-${name}.png`), fullPage: true });
    }
    await as.close();
  }

  told.steps = [];
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step(page);
      told.steps.push(name);
    } catch (error) {
      surprises.push(`${name}: ${error.message}`);
    }
  }

  // Without a script links and forms do the same.
  const plain = await browser.newContext({ javaScriptEnabled: false, storageState: state });
  const reader = await plain.newPage();
  await open(reader, "/triggers/form");
  await reader.getByRole("button", { name: "Pause" }).click();
  if (!(await reader.locator("main").innerText()).includes("It is paused")) surprises.push("without a script nothing is paused");
  await reader.getByRole("button", { name: "Resume" }).click();
  await plain.close();
  await context.close();
} catch (error) {
  surprises.push(error.stack);
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ...told, wanted: Object.keys(steps), surprises }));
