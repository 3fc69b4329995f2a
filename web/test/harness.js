/** A fake server, page and clock to test `watchOrders` with. */

import { watchOrders } from "../order-stream.js";

const utf8 = new TextEncoder();

/** 2026-11-22T17:40:00Z */
export const NOW = 1_795_369_200_000;

export const hello = (id = "0", retry = 1_180) => `:\nevent: hello\nretry: ${retry}\ndata: {}\nid: ${id}\n\n`;
export const ready = (id) => `event: ready\ndata: {}\nid: ${id}\n\n`;
export const rest = (retry, id, more = {}) =>
  `event: rest\nretry: ${retry}\ndata: ${JSON.stringify({ retry, ...more })}\nid: ${id}\n\n`;
export const expired = (id) => `event: expired\ndata: {}\nid: ${id}\n\n`;
export const end = (id) => `event: end\ndata: {"orders":{}}\nid: ${id}\n\n`;
export const gone = (orderId, id, seq = 2) => `event: gone\ndata: ${JSON.stringify({ orderId, seq })}\nid: ${id}\n\n`;
export const reset = (orders) => `event: reset\ndata: ${JSON.stringify({ orders, reason: "trimmed" })}\nid: 0\n\n`;
export const changeOf = (seq, orderId = "A") => ({ orderId, seq, status: `S${seq}`, previous: null, at: "", attributes: {} });
export const change = (seq, id = `${seq}-0000`, orderId = "A") => `data: ${JSON.stringify(changeOf(seq, orderId))}\nid: ${id}\n\n`;

/** A JWT that expires `expiresIn` seconds after `NOW`. `name` makes it unique, `more` adds claims. Its signature is not valid. */
export const jwt = (expiresIn, name = "", more = {}) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return [part({ alg: "ES256" }), part({ exp: NOW / 1_000 + expiresIn, sub: "ü?>", name, ...more }), "signature"].join(".");
};

/** What each test has replaced. The last change is undone first, but `t.after` and `t.mock` begin with the first. */
const replaced = new WeakMap();

/** Replaces properties for one test, also those that Node.js allows only to define again (`navigator`). */
function replace(t, object, values) {
  if (!replaced.has(t)) {
    const undo = [];
    replaced.set(t, undo);
    t.after(() => undo.reverse().forEach((step) => step()));
  }
  for (const [name, value] of Object.entries(values)) {
    const before = Object.getOwnPropertyDescriptor(object, name);
    replaced.get(t).push(() => (before ? Object.defineProperty(object, name, before) : delete object[name]));
    Object.defineProperty(object, name, { value, configurable: true, writable: true });
  }
}

export const replaceGlobals = (t, values) => replace(t, globalThis, values);

/** Deletes globals for one test. */
function deleteGlobals(t, names) {
  replaceGlobals(t, Object.fromEntries(names.map((name) => [name, undefined])));
  for (const name of names) delete globalThis[name];
}

/** Runs all pending work that does not wait for a timer. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A request that the client has sent. The test decides the response. */
class Request {
  #response;
  #body;

  constructor(url, { headers, signal, credentials }, resolve, reject) {
    Object.assign(this, { url, headers, signal, credentials });
    this.#response = { resolve, reject };
    signal.addEventListener("abort", () => {
      reject(signal.reason);
      this.#body?.error(signal.reason);
    });
  }

  get aborted() {
    return this.signal.aborted;
  }

  async status(status, body = "", contentType = "application/problem+json") {
    const allowed = [204, 304].includes(status) ? null : body;
    this.#response.resolve(new Response(allowed, { status, headers: contentType ? { "content-type": contentType } : {} }));
    await settle();
  }

  async refuse() {
    this.#response.reject(new TypeError("Failed to fetch"));
    await settle();
  }

  /** Responds with the head of a stream and its first frames. */
  async open(...frames) {
    const body = new ReadableStream({ start: (controller) => void (this.#body = controller) });
    this.#response.resolve(new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } }));
    await settle();
    if (frames.length > 0) await this.send(...frames);
  }

  async send(...frames) {
    this.#body.enqueue(utf8.encode(frames.join("")));
    await settle();
  }

  async cut(error) {
    if (error) this.#body.error(error);
    else this.#body.close();
    await settle();
  }
}

/** Timers and `Date.now`. `node:test` mocks `Date` only since Node.js 20, and this runs on 18. */
class Clock {
  now = NOW;
  #timers = new Map();
  #last = 0;

  setTimeout = (callback, delay) => {
    // Browsers and Node.js do the same: a delay that does not fit in 31 bits becomes 0.
    this.#timers.set((this.#last += 1), { callback, at: this.now + (delay < 2 ** 31 ? delay : 0) });
    return this.#last;
  };

  clearTimeout = (timer) => void this.#timers.delete(timer);

  get isDue() {
    return [...this.#timers.values()].some(({ at }) => at <= this.now);
  }

  advance(ms) {
    const end = this.now + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
      if (!next) break;
      const [timer, { callback, at }] = next;
      this.#timers.delete(timer);
      this.now = at;
      callback();
    }
    this.now = end;
  }
}

/**
 * Replaces timers, `fetch`, `document` and `window` for one test. `random` is the result of `Math.random`, and `page` is another
 * `window`, with its document.
 */
export function createHarness(t, { random = 0.5, hidden = false, page } = {}) {
  const clock = new Clock();
  replace(t, Math, { random: () => random });
  replace(t, Date, { now: () => clock.now });
  /** @type {Request[]} */
  const requests = [];
  const request = (url, options) => new Promise((resolve, reject) => requests.push(new Request(url, options, resolve, reject)));
  const visibilityState = hidden ? "hidden" : "visible";
  const fake = Object.assign(new EventTarget(), { visibilityState, baseURI: "https://shop.example/orders/" });
  const document = page?.document ?? fake;
  const window = page ?? new EventTarget();
  const eventOf = (type) => new (page?.Event ?? Event)(type);
  replaceGlobals(t, { document, window, fetch: request, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout });
  return {
    requests,
    /** Moves this machine's clock by so many milliseconds. Timers are not affected. */
    setClock(by) {
      replace(t, Date, { now: () => clock.now + by });
    },
    /** Whether a timer is due. */
    get isDue() {
      return clock.isDue;
    },
    get last() {
      return requests.at(-1);
    },
    /** Advances the time, and runs the timers that are due and the work that follows from them. */
    async advance(ms) {
      clock.advance(ms);
      await settle();
    },
    async setVisibility(visibilityState) {
      Object.defineProperty(document, "visibilityState", { value: visibilityState, configurable: true, writable: true });
      document.dispatchEvent(eventOf("visibilitychange"));
      await this.advance(0);
    },
    async fire(type) {
      window.dispatchEvent(eventOf(type));
      await this.advance(0);
    },
  };
}

export const PAGE_GLOBALS = ["window", "document", "navigator", "EventSource", "fetch", "BroadcastChannel", "location", "self"];

/** An app's harness: no global of a page exists. Its `fetch` is not global either. */
export function createApp(t) {
  const harness = createHarness(t);
  const { fetch } = globalThis;
  deleteGlobals(t, PAGE_GLOBALS);
  return { harness, fetch };
}

/** Watches, and records the events in `log`: a change as its number, a state as its name. */
export async function watch(harness, ids = ["A"], options = {}) {
  const orders = watchOrders("https://stream.example/", ids, options);
  const log = [];
  orders.on("change", ({ seq }) => log.push(seq));
  orders.on("state", ({ state }) => log.push(state));
  orders.on("reset", ({ orders }) => log.push(`reset ${orders}`));
  orders.on("end", () => log.push("end"));
  await harness.advance(0);
  return { orders, log };
}
