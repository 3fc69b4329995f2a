/**
 * Tabs that share under random interleavings: they open, close, hide, freeze and lose messages, while the server cuts, rests, lags, fails
 * and resets orders. A failure names its seed: `SEED=7 node --test web/test/share-simulation.test.js` repeats it.
 */

import assert from "node:assert/strict";

import { hello, ready, rest } from "./harness.js";
import { createOrigin } from "./origin.js";

const STEPS = 60;

export const SEEDS = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: 100 }, (_, seed) => seed);

/** Mulberry32: numbers from 0 to 1 that a seed repeats. */
export function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A server that holds each response. A subclass has `begins(headers)`, which returns how far a client has seen; `cursor(response)`; and
 * `replay(response, lag)`, which sends what is new, and returns whether it sent a `reset`: `ready` is then sent again.
 */
export class HoldingServer {
  open = new Set();
  isDown = false;
  #random;

  constructor(random) {
    this.#random = random;
  }

  fetch = async (_, { headers, signal }) => {
    if (this.isDown) return new Response("", { status: 503 });
    const response = { ...this.begins(headers), send: undefined, close: undefined };
    const body = new ReadableStream({
      start: (controller) => {
        response.send = (text) => controller.enqueue(new TextEncoder().encode(text));
        response.close = (error) => {
          if (!this.open.delete(response)) return;
          if (error) controller.error(error);
          else controller.close();
        };
      },
    });
    signal.addEventListener("abort", () => response.close(signal.reason));
    this.open.add(response);
    response.send(hello(this.cursor(response)));
    // A replica may not have the newest change yet.
    this.replay(response, this.#random() < 0.3 ? 1 : 0);
    this.#ready(response);
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };

  #ready(response) {
    this.caughtUp?.(response);
    response.send(ready(this.cursor(response)));
  }

  poll() {
    for (const response of this.open) {
      response.send(":\n");
      if (this.replay(response)) this.#ready(response);
    }
  }

  rest() {
    for (const response of [...this.open]) {
      response.send(rest(3_000, this.cursor(response)));
      response.close();
    }
  }

  cut() {
    for (const response of [...this.open]) response.close(new Error("reset by peer"));
  }
}

/** @returns what may happen in any of the simulations, each with its weight */
function faults(origin, server, tabs, { pick, random, openTab }) {
  return [
    [4, () => origin.pass(random() * 4_000)],
    [2, () => server.rest()],
    [2, () => server.cut()],
    [1, () => void (server.isDown = !server.isDown)],
    [3, () => tabs.length < 5 && tabs.push(openTab(server))],
    [2, () => tabs.length > 1 && tabs.splice(Math.floor(random() * tabs.length), 1)[0].orders.close()],
    [4, () => ((tab) => tab.setHidden(!tab.isHidden))(pick(tabs).tab)],
    [3, () => ((tab) => (tab.isFrozen ? tab.thaw() : void (tab.isFrozen = true)))(pick(tabs).tab)],
    [2, () => origin.lose(pick(tabs).tab, 1 + Math.floor(random() * 4))],
  ];
}

/**
 * Runs a seed until the tabs have had the time to recover from all faults. They must be live then, with one stream.
 *
 * @param {{server: Function, openTab: Function, events: Function}} model `events` returns what changes orders, each with its weight
 */
export async function simulate(t, seed, { server: createServer, openTab, events }) {
  const random = generator(seed);
  const origin = createOrigin(t);
  t.mock.method(Math, "random", generator(seed + 1));
  const uncaught = [];
  t.mock.method(globalThis, "queueMicrotask", (task) =>
    Promise.resolve().then(task).catch((error) => uncaught.push(error)),
  );
  const server = createServer(random);
  const tabs = [openTab(server)];
  const pick = (list) => list[Math.floor(random() * list.length)];
  const possible = [...events(server, pick, random), ...faults(origin, server, tabs, { pick, random, openTab })];
  const weighted = possible.flatMap(([weight, event]) => Array(weight).fill(event));
  for (let step = 0; step < STEPS; step += 1) {
    await weighted[Math.floor(random() * weighted.length)]();
    await origin.turns();
  }
  await recover(origin, server, tabs);
  assert.deepEqual(uncaught, []);
  assert.deepEqual(tabs.map(({ orders }) => orders.state), tabs.map(() => "live"));
  assert.equal(server.open.size, 1, "one stream is left");
  return { origin, server, tabs };
}

/** Ends all faults, and gives each tab the time to continue. */
async function recover(origin, server, tabs) {
  server.isDown = false;
  for (const { tab } of tabs) {
    if (tab.isFrozen) tab.thaw();
    if (tab.isHidden) tab.setHidden(false);
  }
  for (let round = 0; round < 20; round += 1) {
    await origin.pass(3_000);
    server.poll();
  }
  await origin.pass(3_000);
}
