/** A server, a page and a clock for `watchOrders`, all of them played. */

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
export const reset = (orders) => `event: reset\ndata: ${JSON.stringify({ orders, reason: "trimmed" })}\nid: 0\n\n`;
export const changeOf = (seq, orderId = "A") => ({ orderId, seq, status: `S${seq}`, previous: null, at: "", attributes: {} });
export const change = (seq, id = `${seq}-0000`, orderId = "A") => `data: ${JSON.stringify(changeOf(seq, orderId))}\nid: ${id}\n\n`;

/** A JWT of which nothing but its `exp` counts, in seconds from `NOW`, and what `more` has. */
export const jwt = (expiresIn, is = "", more = {}) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return [part({ alg: "ES256" }), part({ exp: NOW / 1_000 + expiresIn, sub: "ü?>", is, ...more }), "signature"].join(".");
};

/** Lets everything happen that waits for no timer. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A request that the module has sent, and how it is answered. */
class Request {
  #answer;
  #body;

  constructor(url, { headers, signal, credentials }, resolve, reject) {
    Object.assign(this, { url, headers, signal, credentials });
    this.#answer = { resolve, reject };
    signal.addEventListener("abort", () => {
      reject(signal.reason);
      this.#body?.error(signal.reason);
    });
  }

  get aborted() {
    return this.signal.aborted;
  }

  async status(status, body = "", contentType = "application/problem+json") {
    const whole = [204, 304].includes(status) ? null : body;
    this.#answer.resolve(new Response(whole, { status, headers: contentType ? { "content-type": contentType } : {} }));
    await settle();
  }

  async refuse() {
    this.#answer.reject(new TypeError("Failed to fetch"));
    await settle();
  }

  /** The head of a stream, and its first frames. */
  async open(...frames) {
    const body = new ReadableStream({ start: (controller) => void (this.#body = controller) });
    this.#answer.resolve(new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } }));
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

/** Timers and `Date.now`; `node:test` mocks the latter from Node.js 20 on. */
class Clock {
  now = NOW;
  #timers = new Map();
  #last = 0;

  setTimeout = (callback, delay) => {
    // As browsers and Node.js do: what does not fit 31 bits is not waited for.
    this.#timers.set((this.#last += 1), { callback, at: this.now + (delay < 2 ** 31 ? delay : 0) });
    return this.#last;
  };

  clearTimeout = (timer) => void this.#timers.delete(timer);

  pass(ms) {
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

/** Plays around one test; `random` is what `Math.random` gives. */
export function play(t, { random = 0.5, hidden = false } = {}) {
  const clock = new Clock();
  const { setTimeout, clearTimeout, fetch } = globalThis;
  t.mock.method(Math, "random", () => random);
  t.mock.method(Date, "now", () => clock.now);
  /** @type {Request[]} */
  const requests = [];
  const request = (url, options) => new Promise((resolve, reject) => requests.push(new Request(url, options, resolve, reject)));
  const visibilityState = hidden ? "hidden" : "visible";
  const document = Object.assign(new EventTarget(), { visibilityState, baseURI: "https://shop.example/orders/" });
  const window = new EventTarget();
  Object.assign(globalThis, { document, window, fetch: request, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout });
  t.after(() => Object.assign(globalThis, { document: undefined, window: undefined, fetch, setTimeout, clearTimeout }));
  return {
    requests,
    /** Sets this machine's clock by so many milliseconds; no timer notices. */
    setClock(by) {
      t.mock.method(Date, "now", () => clock.now + by);
    },
    get last() {
      return requests.at(-1);
    },
    /** Passes milliseconds, and lets what comes of it happen. */
    async pass(ms) {
      clock.pass(ms);
      await settle();
    },
    async show(is) {
      document.visibilityState = is;
      document.dispatchEvent(new Event("visibilitychange"));
      await this.pass(0);
    },
    async happens(type) {
      window.dispatchEvent(new Event(type));
      await this.pass(0);
    },
  };
}

/** Watches, and keeps in `log` what it is told: a change as its number, a state as its name. */
export async function watch(stage, ids = ["A"], options = {}) {
  const orders = watchOrders("https://stream.example/", ids, options);
  const log = [];
  orders.on("change", ({ seq }) => log.push(seq));
  orders.on("state", ({ state }) => log.push(state));
  orders.on("reset", ({ orders }) => log.push(`reset ${orders}`));
  orders.on("end", () => log.push("end"));
  await stage.pass(0);
  return { orders, log };
}
