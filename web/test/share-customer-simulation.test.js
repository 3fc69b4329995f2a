// The option `share` with a customer's stream, under random interleavings: `simulation.js` says of what. The customer gets new orders, loses
// some to another customer, and gets them back. The log forgets, or is another one with the same numbers.

import assert from "node:assert/strict";
import { test } from "node:test";

import { changeOf, gone } from "./harness.js";
import { Tab } from "./origin.js";
import { HoldingServer, SEEDS, simulate } from "./simulation.js";

const IDS = ["A", "B", "C", "D"];

/** A customer's log, of which the first entries may have expired. */
class Server extends HoldingServer {
  /** @type {{orderId: string, seq: number, isGone: boolean}[]} */
  log = [];
  /** The number of the last entry that has expired. */
  expired = 0;
  /** How often the log has begun again. It is the fingerprint of its entries. */
  history = 1;

  begins(headers) {
    const [, number, digits, partial] = /^(\d+)(?:-(\w{4}))?(_?)$/.exec(headers["last-event-id"] ?? "0");
    const history = Number(number) > 0 ? Number.parseInt(digits, 16) : this.history;
    return { number: Number(number), history, isPartial: Boolean(partial) || number === "0", checkIns: 0 };
  }

  cursor({ number, history, isPartial, checkIns }) {
    const digits = (count) => `-${count.toString(16).padStart(4, "0")}`;
    if (number === 0) return `0${checkIns ? digits(checkIns) : ""}`;
    return `${number}${digits(history)}${isPartial ? "_" : ""}`;
  }

  caughtUp(response) {
    response.isPartial = false;
    // Each tab has another number of check-ins.
    response.checkIns = response.number === 0 ? 1 + (this.requests = (this.requests ?? 0) + 1) : 0;
  }

  replay(response, lag = 0) {
    const wasReset = this.#reset(response);
    const end = this.log.length - lag;
    for (let number = response.number + 1; number <= end; number += 1) {
      const entry = this.log[number - 1];
      response.number = number;
      if (!response.isPartial || this.#isNewest(number)) this.#send(response, entry);
    }
    return wasReset;
  }

  #isNewest(number) {
    return number > this.expired && this.log.findLastIndex(({ orderId }) => orderId === this.log[number - 1].orderId) === number - 1;
  }

  #send(response, { orderId, seq, isGone }) {
    const id = this.cursor(response);
    if (isGone) response.send(gone(orderId, id, seq));
    else response.send(`data: ${JSON.stringify(changeOf(seq, orderId))}\nid: ${id}\n\n`);
  }

  #reset(response) {
    const { number, history, isPartial } = response;
    const isLost = number > 0 && (history !== this.history || (!isPartial && number < this.expired));
    if (!isLost) return false;
    Object.assign(response, { number: 0, history: this.history, isPartial: true });
    response.send(`event: reset\ndata: {"orders":"*","reason":"trimmed"}\nid: 0\n\n`);
    return true;
  }

  /** The newest entry of each order. */
  get newest() {
    return new Map(this.log.map((entry) => [entry.orderId, entry]));
  }

  /** @param {boolean} isGone the order is another customer's now. It may come back, with the next change */
  append(orderId, isGone = false) {
    const before = this.newest.get(orderId);
    if (isGone && (!before || before.isGone)) return;
    this.log.push({ orderId, seq: (before?.seq ?? 0) + 1, isGone });
    this.poll();
  }

  /** Entries expire. The newest one of a log stays. */
  expire(count) {
    this.expired = Math.max(this.expired, Math.min(count, this.log.length - 1));
    this.poll();
  }

  /** Another log, in which each order has one entry, for example after a restore. It may have the numbers of the one before. */
  begin() {
    this.log = [...this.newest.values()].map((entry) => ({ ...entry, seq: 1 }));
    this.history += 1;
    this.expired = 0;
    this.poll();
  }
}

function openTab(server) {
  const tab = new Tab();
  const orders = tab.watchCustomer({ fetch: server.fetch });
  let [last, isPartial] = [0, true];
  orders.on("frame", ({ event, id }) => {
    const number = Number.parseInt(id, 10);
    if (event === "message" || event === "gone") {
      const isNext = id.endsWith("_") && isPartial ? number > last : number === last + 1;
      assert.ok(isNext, `${id} after ${last}: once and in order`);
      last = number;
    }
    if (event === "reset") [last, isPartial] = [0, true];
    if (event === "ready") [last, isPartial] = [number, number === 0];
  });
  return { tab, orders };
}

async function run(t, seed) {
  const { origin, server, tabs } = await simulate(t, seed, {
    server: (random) => new Server(random),
    openTab,
    events: (server, pick, random) => [
      [8, () => server.append(pick(IDS))],
      [3, () => server.append(pick(IDS), true)],
      [1, () => server.append(`new ${server.log.length}`)],
      [1, () => server.expire(Math.floor(random() * server.log.length))],
      [1, () => server.begin()],
    ],
  });
  for (const { orders } of tabs) {
    const shown = new Map(orders.getSnapshot().orders.map(({ orderId, seq }) => [orderId, seq]));
    for (const [id, { seq, isGone }] of server.newest) {
      const number = 1 + server.log.findLastIndex(({ orderId }) => orderId === id);
      // A tab may still show what the log has forgotten since.
      const isForgotten = number <= server.expired && !shown.has(id);
      assert.equal(shown.get(id), isGone || isForgotten ? undefined : seq, `${id}: nothing is lost, and nothing stays`);
      shown.delete(id);
    }
    assert.deepEqual([...shown], []);
  }
  for (const { orders } of tabs) orders.close();
  await origin.turns();
  assert.equal(server.open.size, 0);
}

for (const seed of SEEDS) test(`seed ${seed}`, (t) => run(t, seed));
