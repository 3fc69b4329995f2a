// The option `share` under random interleavings: tabs open, close, hide, freeze and lose messages, while the server cuts, rests, lags,
// fails and resets orders. A failure names its seed: `SEED=7 node --test web/test/share-simulation.test.js` repeats it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { changeOf, end, hello, ready, rest } from "./harness.js";
import { Tab, createOrigin } from "./origin.js";

const IDS = ["A", "B"];
const STEPS = 60;
const SEEDS = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: 100 }, (_, seed) => seed);

/** Mulberry32: numbers from 0 to 1 that a seed repeats. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A server that holds each response. */
class Server {
  /** The number of changes, by order. */
  changes = new Map(IDS.map((id) => [id, 0]));
  /** How often the history of an order has begun again, with lower numbers. */
  histories = new Map(IDS.map((id) => [id, 0]));
  #open = new Set();
  #random;
  isDown = false;

  constructor(random) {
    this.#random = random;
  }

  get open() {
    return this.#open.size;
  }

  fetch = async (_, { headers, signal }) => {
    if (this.isDown) return new Response("", { status: 503 });
    const marks = headers["last-event-id"]?.split(".") ?? IDS.map(() => "0");
    const sent = new Map(IDS.map((id, at) => [id, Number.parseInt(marks[at], 10)]));
    const histories = new Map(IDS.map((id, at) => [id, Number.parseInt(marks[at].split("-")[1] ?? this.histories.get(id), 10)]));
    const response = { sent, histories, send: undefined, close: undefined };
    const body = new ReadableStream({
      start: (controller) => {
        response.send = (text) => controller.enqueue(new TextEncoder().encode(text));
        response.close = (error) => {
          if (!this.#open.delete(response)) return;
          if (error) controller.error(error);
          else controller.close();
        };
      },
    });
    signal.addEventListener("abort", () => response.close(signal.reason));
    this.#open.add(response);
    response.send(hello(this.#cursor(response)));
    // A replica may not have the newest change yet.
    this.#replay(response, this.#random() < 0.3 ? 1 : 0);
    response.send(ready(this.#cursor(response)));
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };

  #cursor({ sent, histories }) {
    return IDS.map((id) => (sent.get(id) ? `${sent.get(id)}-${histories.get(id)}` : "0")).join(".");
  }

  /** @returns whether an order was reset: `ready` is then sent again */
  #replay(response, lag = 0) {
    let wasReset = false;
    for (const [id, count] of this.changes) {
      wasReset = this.#reset(response, id) || wasReset;
      for (let seq = response.sent.get(id) + 1; seq <= count - lag; seq += 1) {
        response.sent.set(id, seq);
        response.send(`data: ${JSON.stringify(changeOf(seq, id))}\nid: ${this.#cursor(response)}\n\n`);
      }
    }
    return wasReset;
  }

  /** Says that the changes which the client has are of an earlier history. */
  #reset({ sent, histories, send }, id) {
    const isOld = histories.get(id) !== this.histories.get(id);
    histories.set(id, this.histories.get(id));
    if (!isOld || sent.get(id) === 0) return false;
    sent.set(id, 0);
    send(`event: reset\ndata: ${JSON.stringify({ orders: [id], reason: "trimmed" })}\nid: ${this.#cursor({ sent, histories })}\n\n`);
    return true;
  }

  /** The history of an order begins again. */
  begin(id, count) {
    this.histories.set(id, this.histories.get(id) + 1);
    this.changes.set(id, count);
    this.poll();
  }

  append(id) {
    this.changes.set(id, this.changes.get(id) + 1);
    this.poll();
  }

  poll() {
    for (const response of this.#open) {
      response.send(":\n");
      if (this.#replay(response)) response.send(ready(this.#cursor(response)));
    }
  }

  rest() {
    for (const response of [...this.#open]) {
      response.send(rest(3_000, this.#cursor(response)));
      response.close();
    }
  }

  cut() {
    for (const response of [...this.#open]) response.close(new Error("reset by peer"));
  }

  end() {
    for (const response of [...this.#open]) {
      response.send(end(this.#cursor(response).replace(/(?=\.|$)/g, "~")));
      response.close();
    }
  }
}

function openTab(server) {
  const tab = new Tab();
  const orders = tab.watch(IDS, { fetch: server.fetch });
  const seen = new Map(IDS.map((id) => [id, 0]));
  orders.on("change", ({ orderId, seq }) => {
    assert.equal(seq, seen.get(orderId) + 1, `${orderId}: once and in order`);
    seen.set(orderId, seq);
  });
  orders.on("reset", ({ orders }) => orders.forEach((id) => seen.set(id, 0)));
  return { tab, orders, seen };
}

/** @returns what may happen, each with its weight */
function events(origin, server, tabs, random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  return [
    [8, () => server.append(pick(IDS))],
    [2, () => server.begin(pick(IDS), 1 + Math.floor(random() * 3))],
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

async function run(t, seed) {
  const random = generator(seed);
  const origin = createOrigin(t);
  t.mock.method(Math, "random", generator(seed + 1));
  const uncaught = [];
  t.mock.method(globalThis, "queueMicrotask", (task) =>
    Promise.resolve().then(task).catch((error) => uncaught.push(error)),
  );
  const server = new Server(random);
  const tabs = [openTab(server)];
  const weighted = events(origin, server, tabs, random).flatMap(([weight, event]) => Array(weight).fill(event));
  for (let step = 0; step < STEPS; step += 1) {
    await weighted[Math.floor(random() * weighted.length)]();
    await origin.turns();
  }
  await recover(origin, server, tabs);
  assert.deepEqual(uncaught, []);
  for (const { seen, orders } of tabs) {
    assert.deepEqual(seen, server.changes, "nothing is lost");
    assert.equal(orders.state, "live");
    for (const id of IDS) assert.equal(orders.get(id)?.seq ?? 0, server.changes.get(id), "and it is shown");
  }
  assert.equal(server.open, 1, "one stream is left");
  server.end();
  await origin.pass(5_000);
  assert.deepEqual([server.open, ...tabs.map(({ orders }) => orders.state)], [0, ...tabs.map(() => "ended")]);
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

for (const seed of SEEDS) test(`seed ${seed}`, (t) => run(t, seed));
