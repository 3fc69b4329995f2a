/** Several tabs of one origin in one process: Web Locks, `BroadcastChannel`, and tabs that freeze. */

import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { setMaxListeners } from "node:events";

import { watchCustomer, watchOrders } from "../order-stream.js";
import { change, createHarness, hello, ready, replaceGlobals } from "./harness.js";

/** The tab whose code runs. */
const current = new AsyncLocalStorage();

export class Tab {
  isHidden = false;
  isFrozen = false;
  #backlog = [];
  #listeners = new Set();

  /** What would call the tab's code. A frozen tab does it when it is thawed. */
  run(task) {
    if (this.isFrozen) this.#backlog.push(task);
    else current.run(this, task);
  }

  thaw() {
    this.isFrozen = false;
    for (const task of this.#backlog.splice(0)) this.run(task);
  }

  visibility = {
    hidden: () => this.isHidden,
    subscribe: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
  };

  setHidden(isHidden) {
    this.isHidden = isHidden;
    for (const listener of [...this.#listeners]) this.run(listener);
  }

  /** Watches in this tab. */
  watch(ids, options) {
    const more = { share: true, visibility: this.visibility, ...options };
    return current.run(this, () => watchOrders("https://stream.example/", ids, more));
  }

  /** Watches all orders of the customer in this tab. */
  watchCustomer(options) {
    const more = { share: "C", visibility: this.visibility, ...options };
    return current.run(this, () => watchCustomer("https://stream.example/", more));
  }
}

/** Tasks that have been started and have not run yet. */
class Tasks {
  pending = 0;

  start(task) {
    this.pending += 1;
    setImmediate(() => {
      this.pending -= 1;
      task();
    });
  }
}

/** https://w3c.github.io/web-locks/, as far as it is used here. */
class Locks {
  #held = new Map();
  #waiting = [];
  #tasks;

  constructor(tasks) {
    this.#tasks = tasks;
  }

  request = (name, { signal, steal = false }, callback) => {
    if (signal && steal) return Promise.reject(new DOMException("signal and steal", "NotSupportedError"));
    return new Promise((resolve, reject) => {
      const request = { name, callback, resolve, reject, tab: current.getStore() };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => {
        if (!this.#waiting.includes(request)) return;
        this.#waiting = this.#waiting.filter((other) => other !== request);
        reject(signal.reason);
      });
      this.#waiting[steal ? "unshift" : "push"](request);
      if (steal) this.#steal(name);
      this.#tasks.start(() => this.#grant(name));
    });
  };

  #steal(name) {
    const victim = this.#held.get(name);
    this.#held.delete(name);
    victim?.tab.run(() => victim.reject(new DOMException("stolen", "AbortError")));
  }

  #grant(name) {
    const next = this.#waiting.find((request) => request.name === name);
    if (this.#held.has(name) || !next) return;
    this.#waiting = this.#waiting.filter((other) => other !== next);
    this.#held.set(name, next);
    next.tab.run(async () => {
      const result = await next.callback();
      if (this.#held.get(name) !== next) return;
      this.#held.delete(name);
      next.resolve(result);
      this.#grant(name);
    });
  }

  /** Closes a tab without any of its code. */
  close(tab) {
    this.#waiting = this.#waiting.filter((request) => request.tab !== tab);
    for (const [name, request] of this.#held) {
      if (request.tab !== tab) continue;
      this.#held.delete(name);
      this.#grant(name);
    }
  }
}

/** A `BroadcastChannel` whose messages take a turn, in a class of its own for each origin. */
const channels = (tasks) =>
  class Channel {
    static open = new Set();
    onmessage;
    tab = current.getStore();
    /** How many of the next messages are lost. */
    losses = 0;

    constructor(name) {
      this.name = name;
      Channel.open.add(this);
    }

    postMessage(data) {
      const receivers = [...Channel.open].filter((other) => other !== this && other.name === this.name);
      const copy = structuredClone(data);
      for (const receiver of receivers) tasks.start(() => receiver.#receive(copy));
    }

    #receive(data) {
      if (this.losses > 0) this.losses -= 1;
      else this.tab.run(() => Channel.open.has(this) && this.onmessage?.({ data }));
    }

    close() {
      Channel.open.delete(this);
    }
  };

/** A harness in which tabs share. */
export function createOrigin(t, options) {
  const harness = createHarness(t, options);
  // The tabs have one document. Node.js warns of more than ten listeners.
  setMaxListeners(0, document, window);
  const { setTimeout, clearTimeout } = globalThis;
  const pending = new Set();
  const tasks = new Tasks();
  const locks = new Locks(tasks);
  const Channel = channels(tasks);
  replaceGlobals(t, {
    navigator: { locks },
    BroadcastChannel: Channel,
    setTimeout(callback, delay) {
      const tab = current.getStore();
      // A timer that is due in a frozen tab can still be cleared.
      const task = () => pending.delete(timer) && callback();
      const timer = setTimeout(AsyncResource.bind(() => tab.run(task)), delay);
      pending.add(timer);
      return timer;
    },
    clearTimeout(timer) {
      pending.delete(timer);
      clearTimeout(timer);
    },
  });
  const channelOf = (tab) => [...Channel.open].find((channel) => channel.tab === tab);
  return Object.assign(harness, {
    locks,
    channels: Channel.open,
    channelOf,
    /** Loses the next messages to a tab. Browsers do that if a tab's memory is short. */
    lose(tab, count = 1) {
      const channel = channelOf(tab);
      if (channel) channel.losses = count;
    },
    /** Runs all that does not wait for time: messages and locks take turns, and may set timers that are due at once. */
    async turns() {
      do await harness.advance(0);
      while (tasks.pending > 0 || harness.isDue);
    },
    /** Advances the time in steps, so that messages arrive in between. */
    async pass(ms) {
      for (let left = ms; left > 0; left -= 500) {
        await harness.advance(Math.min(left, 500));
        await this.turns();
      }
      await this.turns();
    },
  });
}

/** Opens tabs one after the other. Each has had its own stream, and all but the first have closed it. */
export async function open(t, count, { ids = ["A"], tokens = [] } = {}) {
  const origin = createOrigin(t);
  const tabs = [];
  for (let at = 0; at < count; at += 1) {
    const tab = new Tab();
    const orders = tab.watch(ids, tokens[at] && { token: tokens[at] });
    const log = [];
    orders.on("change", ({ seq }) => log.push(seq));
    orders.on("state", ({ state }) => log.push(state));
    orders.on("reset", () => log.push("reset"));
    orders.on("end", () => log.push("end"));
    await origin.pass(0);
    await origin.last.open(hello(), change(1), ready("1-0000"));
    await origin.turns();
    tabs.push({ tab, orders, log, request: origin.last });
  }
  return { origin, tabs };
}

/** A post of a leader whose numbers follow those of its last post. */
export const post = (last, more) => ({ ...last, number: last.number + 1, frame: undefined, before: last.after, ...more });

/** The posts that a tab gets from now on. */
export function postsTo(origin, tab) {
  const posts = [];
  const channel = origin.channelOf(tab);
  const { onmessage } = channel;
  channel.onmessage = (message) => (posts.push(message.data), onmessage(message));
  return posts;
}

export const openRequests = ({ requests }) => requests.filter(({ aborted }) => !aborted);
