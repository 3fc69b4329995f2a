// The option `share` with orders that the tabs name, under random interleavings: `simulation.js` says of what.

import assert from "node:assert/strict";
import { test } from "node:test";

import { changeOf, end } from "./harness.js";
import { Tab } from "./origin.js";
import { HoldingServer, SEEDS, simulate } from "./simulation.js";

const IDS = ["A", "B"];

class Server extends HoldingServer {
  /** The number of changes, by order. */
  changes = new Map(IDS.map((id) => [id, 0]));
  /** How often the history of an order has begun again, with lower numbers. */
  histories = new Map(IDS.map((id) => [id, 0]));

  begins(headers) {
    const marks = headers["last-event-id"]?.split(".") ?? IDS.map(() => "0");
    const sent = new Map(IDS.map((id, at) => [id, Number.parseInt(marks[at], 10)]));
    const histories = new Map(IDS.map((id, at) => [id, Number.parseInt(marks[at].split("-")[1] ?? this.histories.get(id), 10)]));
    return { sent, histories };
  }

  cursor({ sent, histories }) {
    return IDS.map((id) => (sent.get(id) ? `${sent.get(id)}-${histories.get(id)}` : "0")).join(".");
  }

  replay(response, lag = 0) {
    let wasReset = false;
    for (const [id, count] of this.changes) {
      wasReset = this.#reset(response, id) || wasReset;
      for (let seq = response.sent.get(id) + 1; seq <= count - lag; seq += 1) {
        response.sent.set(id, seq);
        response.send(`data: ${JSON.stringify(changeOf(seq, id))}\nid: ${this.cursor(response)}\n\n`);
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
    send(`event: reset\ndata: ${JSON.stringify({ orders: [id], reason: "trimmed" })}\nid: ${this.cursor({ sent, histories })}\n\n`);
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

  end() {
    for (const response of [...this.open]) {
      response.send(end(this.cursor(response).replace(/(?=\.|$)/g, "~")));
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

async function run(t, seed) {
  const { origin, server, tabs } = await simulate(t, seed, {
    server: (random) => new Server(random),
    openTab,
    events: (server, pick, random) => [
      [8, () => server.append(pick(IDS))],
      [2, () => server.begin(pick(IDS), 1 + Math.floor(random() * 3))],
    ],
  });
  for (const { seen, orders } of tabs) {
    assert.deepEqual(seen, server.changes, "nothing is lost");
    for (const id of IDS) assert.equal(orders.get(id)?.seq ?? 0, server.changes.get(id), "and it is shown");
  }
  server.end();
  await origin.pass(5_000);
  assert.deepEqual([server.open.size, ...tabs.map(({ orders }) => orders.state)], [0, ...tabs.map(() => "ended")]);
}

for (const seed of SEEDS) test(`seed ${seed}`, (t) => run(t, seed));
