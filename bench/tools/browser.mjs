// Headless Chromium for the tests, driven through playwright-core: users are contexts that share
// nothing, pages are theirs. BROWSER_RULES says which names lead where, all others lead nowhere.
// Every command about a page fails with where the page is and what it says.

import { installed, serve } from "./lines.mjs";

const { chromium } = (await installed("playwright", "playwright-core")).default;

const browser = await chromium.launch({
  executablePath: process.env.BROWSER_PROGRAM,
  headless: true,
  args: [
    // Of the whole browser: service workers do not ask what a context ignores.
    "--ignore-certificate-errors",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--host-resolver-rules=${process.env.BROWSER_RULES}`,
  ],
});

const contexts = new Map();
const pages = [];
// page -> what went wrong in it.
const complaints = new WeakMap();

// Runs in every frame before its own scripts: what became of its WebSockets, by the wall clock.
function watchSockets() {
  const seen = [];
  Object.defineProperty(window, "watchedSockets", { value: seen });
  window.WebSocket = class WebSocket extends window.WebSocket {
    constructor(...given) {
      super(...given);
      const socket = { url: this.url, opened_at: null, closed_at: null, code: null, clean: null };
      seen.push(socket);
      this.addEventListener("open", () => (socket.opened_at = Date.now()));
      this.addEventListener("close", ({ code, wasClean }) => {
        Object.assign(socket, { closed_at: Date.now(), code, clean: wasClean });
      });
    }
  };
}

function adopt(page) {
  const known = pages.indexOf(page);
  if (known >= 0) return known;
  const wrong = [];
  complaints.set(page, wrong);
  page.on("console", (said) => said.type() === "error" && wrong.push(said.text()));
  page.on("pageerror", (error) => wrong.push(String(error)));
  return pages.push(page) - 1;
}

// The page, or the frame below it whose URL has `frame` in it, waited for.
async function place({ page, frame, timeout }) {
  const whole = pages[page];
  if (frame === undefined) return whole;
  for (const end = Date.now() + timeout; Date.now() < end; ) {
    const found = below(whole).find((each) => each.url().includes(frame));
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const urls = below(whole).map((each) => each.url());
  throw new Error(`no frame with ${frame} in its URL; there are: ${urls.join(", ")}`);
}

const below = (page) => page.frames().filter((each) => each !== page.mainFrame());
const bodyText = () => document.body?.innerText ?? "";

function within(limit, promise) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`not within ${limit} ms`)), limit);
  });
  return Promise.race([promise, late]);
}

// A navigation that fails is told before Chromium's own page for it is there, and that page would
// interrupt the next one: it is awaited.
async function settled(page, navigate) {
  let shown;
  const failed = new Promise((resolve) => (shown = resolve));
  const look = (frame) => frame.url().startsWith("chrome-error:") && shown();
  page.on("framenavigated", look);
  try {
    return await navigate();
  } catch (error) {
    await within(1000, failed).catch(() => {});
    throw error;
  } finally {
    page.off("framenavigated", look);
  }
}

// What a test's author wants to know when a command failed.
async function account(page) {
  const text = await within(2000, page.evaluate(bodyText)).catch((error) => `(${error.message})`);
  const wrong = complaints.get(page).slice(-10).join("\n");
  return `at ${page.url()}\nthe page says: ${text.slice(0, 2000)}\nits console: ${wrong}`;
}

// page -> what went over its connections since it was asked to watch: sizes and order, no content.
const watched = new WeakMap();

function watchTraffic(page) {
  const [requests, messages] = [[], []];
  watched.set(page, { requests, messages });
  page.on("request", (request) => requests.push(request));
  page.on("websocket", (socket) => {
    const note = (from) => ({ payload }) => {
      messages.push({ url: socket.url(), from, bytes: Buffer.byteLength(payload) });
    };
    socket.on("framesent", note("browser"));
    socket.on("framereceived", note("tool"));
  });
}

async function traffic(page) {
  const { requests, messages } = watched.get(page);
  const sized = await Promise.all(
    requests.map(async (request) => {
      // One that failed, or is under way still, has no sizes.
      const sizes = await within(1000, request.sizes()).catch(() => null);
      return sizes && { url: request.url(), head: sizes.requestHeadersSize, body: sizes.responseBodySize };
    }),
  );
  return { requests: sized.filter(Boolean), messages };
}

// Each takes the place, what was given and the whole page.
const onPages = {
  open: (at, { url, timeout }, page) => {
    const options = { timeout, waitUntil: "domcontentloaded" };
    return settled(page, async () => (await at.goto(url, options))?.status() ?? 0);
  },
  reload: async (at, { timeout }) => {
    return (await at.reload({ timeout, waitUntil: "domcontentloaded" }))?.status() ?? 0;
  },
  click: (at, { selector, timeout }) => at.locator(selector).click({ timeout }),
  double_click: (at, { selector, timeout }) => at.locator(selector).dblclick({ timeout }),
  fill: (at, { selector, text, timeout }) => at.locator(selector).fill(text, { timeout }),
  press: (_at, { key }, page) => page.keyboard.press(key),
  type: (_at, { text }, page) => page.keyboard.type(text),
  wait_for: async (at, { selector, timeout }) => {
    await at.locator(selector).first().waitFor({ timeout });
  },
  wait_for_attached: async (at, { selector, timeout }) => {
    await at.locator(selector).first().waitFor({ timeout, state: "attached" });
  },
  wait_for_url: (at, { part, timeout }) => {
    return at.waitForURL((url) => url.href.includes(part), { timeout, waitUntil: "commit" });
  },
  wait_for_text: async (at, { text, timeout }) => {
    await at.locator("body", { hasText: text }).waitFor({ timeout });
  },
  text: (at) => at.evaluate(bodyText),
  content: (at) => at.content(),
  eval: (at, { script }) => at.evaluate(script),
  url: (at) => at.url(),
  sockets: (at) => at.evaluate("window.watchedSockets"),
  errors: (_at, _given, page) => complaints.get(page),
  watch_traffic: (_at, _given, page) => void watchTraffic(page),
  traffic: (_at, _given, page) => traffic(page),
  screenshot: (_at, { path, timeout }, page) => page.screenshot({ path, timeout }),
  another: async (_at, _given, page) => adopt(await page.context().newPage()),
  pages: (_at, _given, page) => page.context().pages().map(adopt),
  cookies: (_at, _given, page) => page.context().cookies(),
  add_cookie: (_at, { cookie }, page) => page.context().addCookies([cookie]),
  clear_cookies: (_at, _given, page) => page.context().clearCookies(),
  close: (_at, _given, page) => page.close(),
};

// A command without a value of its own answers null: not all that playwright returns is data.
const silent = new Set(["wait_for_url", "screenshot", "watch_traffic"]);

const commands = {
  user: async ({ user }) => {
    if (contexts.has(user)) throw new Error(`${user} has a context already`);
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    contexts.set(user, context);
    await context.addInitScript(watchSockets);
    context.on("page", adopt);
    return adopt(await context.newPage());
  },
};

for (const [name, command] of Object.entries(onPages)) {
  commands[name] = async (given) => {
    const page = pages[given.page];
    try {
      const at = await place(given);
      const value = await within(given.timeout + 1000, Promise.resolve(command(at, given, page)));
      return silent.has(name) ? null : value;
    } catch (error) {
      throw new Error(`${name}: ${error.message}\n${await account(page)}`, { cause: error });
    }
  };
}

serve({ version: browser.version() }, commands, () => browser.close());
