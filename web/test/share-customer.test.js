// The option `share` with a customer's stream: its orders are not fixed, and all customers have the same URL.

import assert from "node:assert/strict";
import { test } from "node:test";

import { watchCustomer } from "../order-stream.js";
import { change, gone, hello, ready, replaceGlobals, reset, rest } from "./harness.js";
import { Tab, createOrigin, openRequests, postsTo } from "./origin.js";

/** Two tabs of a customer who has the orders A and B. The second one has closed its own stream. */
async function openTwo(t) {
  const origin = createOrigin(t);
  const tabs = [];
  for (let at = 0; at < 2; at += 1) {
    const tab = new Tab();
    const orders = tab.watchCustomer();
    const log = [];
    orders.on("change", ({ orderId, seq }) => log.push(`${orderId}${seq}`));
    orders.on("gone", ({ orderId }) => log.push(`${orderId} gone`));
    orders.on("reset", ({ orders }) => log.push(`reset ${orders}`));
    await origin.pass(0);
    await origin.last.open(hello(), change(1, "1-0000_"), change(1, "2-0000_", "B"), ready("2-0000"));
    await origin.turns();
    tabs.push({ tab, orders, log, request: origin.last });
  }
  assert.deepEqual(openRequests(origin), [tabs[0].request]);
  return { origin, tabs };
}

const shown = ({ orders }) => orders.getSnapshot().orders.map(({ orderId, seq }) => `${orderId}${seq}`);

test("the tabs of a customer share a stream, with new orders, orders that are gone, and resets", async (t) => {
  const { origin, tabs } = await openTwo(t);
  await tabs[0].request.send(change(1, "3-0000", "N"), gone("A", "4-0000"), change(2, "5-0000", "B"));
  await origin.turns();
  for (const tab of tabs) assert.deepEqual(shown(tab), ["B2", "N1"]);
  await tabs[0].request.send(reset("*"), change(1, "9-1111_", "N"), ready("9-1111"), change(3, "10-1111", "A"));
  await origin.turns();
  for (const tab of tabs) {
    assert.deepEqual(shown(tab), ["N1", "A3"]);
    assert.deepEqual(tab.log, ["A1", "B1", "N1", "A gone", "B2", "reset B,N", "N1", "A3"]);
  }
  assert.equal(origin.requests.length, 2);
});

test("the tabs of other customers do not share, nor do those of orders", async (t) => {
  const origin = createOrigin(t);
  const streams = [];
  for (const [id, watch] of [["D", (tab) => tab.watchCustomer({ share: "D" })], ["A", (tab) => tab.watch(["A"])], ["C", (tab) => tab.watchCustomer({ share: "C" })]]) {
    streams.push(watch(new Tab()));
    await origin.turns();
    await origin.last.open(hello(), change(1, "1-0000", id), ready("1-0000"));
  }
  await origin.pass(10_000);
  assert.equal(openRequests(origin).length, 3);
  assert.deepEqual(streams.map((orders) => shown({ orders })), [["D1"], ["A1"], ["C1"]]);
});

test("tabs that name another text do not share the stream of the same orders", async (t) => {
  const origin = createOrigin(t);
  for (const share of [true, "C", "D"]) {
    new Tab().watch(["A"], { share });
    await origin.turns();
    await origin.last.open(hello(), change(1), ready("1-0000"));
  }
  await origin.pass(10_000);
  assert.equal(openRequests(origin).length, 3);
});

for (const share of [true, "", 7, null, {}]) {
  test(`for a customer, share cannot be ${JSON.stringify(share)}`, async (t) => {
    const origin = createOrigin(t);
    const says = { name: "TypeError", message: "for a customer, `share` is a text that no other customer has, such as the customer's id" };
    assert.throws(() => watchCustomer("https://stream.example/", { share }), says);
    // Also in a browser without the interfaces: otherwise only some customers would see the error.
    replaceGlobals(t, { navigator: undefined, BroadcastChannel: undefined });
    assert.throws(() => watchCustomer("https://stream.example/", { share }), says);
    await origin.turns();
    assert.deepEqual([origin.requests.length, origin.channels.size], [0, 0]);
  });
}

test("without share, customers and orders have streams of their own", async (t) => {
  const origin = createOrigin(t);
  for (const share of [undefined, undefined, false, false]) {
    for (const watch of [(tab) => tab.watchCustomer({ share }), (tab) => tab.watch(["A"], { share })]) {
      watch(new Tab());
      await origin.turns();
      await origin.last.open(hello(), change(1), ready("1-0000"));
    }
  }
  await origin.pass(10_000);
  assert.equal(openRequests(origin).length, 8);
});

/** What a tab misses. After it, only the orders that it shows differ from the leader's, and no number is higher. */
for (const [name, frames, log, orders] of [
  ["that an order is gone", [gone("A", "3-0000")], ["A gone"], ["B1"]],
  ["a new order", [change(1, "3-0000", "N")], ["N1"], ["A1", "B1", "N1"]],
  ["a reset after which there are no orders", [reset("*"), ready("0")], ["reset A,B"], []],
  ["a reset after which the numbers are the same", [reset("*"), change(1, "2-1111_"), ready("2-1111")], ["reset A,B", "A1"], ["A1"]],
]) {
  test(`a tab that missed ${name} notices within 2 s`, async (t) => {
    const { origin, tabs } = await openTwo(t);
    origin.lose(tabs[1].tab, frames.length);
    await tabs[0].request.send(...frames);
    await origin.turns();
    assert.deepEqual([shown(tabs[0]), shown(tabs[1])], [orders, ["A1", "B1"]]);
    await origin.pass(2_000);
    assert.deepEqual([origin.requests.length, origin.last.headers["last-event-id"]], [3, "2-0000"]);
    await origin.last.open(hello("2-0000"), ...frames, ready(tabs[0].orders.cursor));
    await origin.turns();
    assert.deepEqual([shown(tabs[1]), tabs[1].log.slice(2)], [orders, log]);
    assert.deepEqual(openRequests(origin), [tabs[0].request]);
  });
}

test("a tab that is asked to take over after it missed that an order is gone continues at its own cursor", async (t) => {
  const { origin, tabs } = await openTwo(t);
  origin.lose(tabs[1].tab);
  await tabs[0].request.send(gone("A", "3-0000"));
  tabs[0].orders.close();
  await origin.pass(0);
  assert.equal(origin.last.headers["last-event-id"], "2-0000");
  await origin.last.open(hello("2-0000"), gone("A", "3-0000"), ready("3-0000"));
  assert.deepEqual(shown(tabs[1]), ["B1"]);
});

test("a tab follows although it shows an order that the customer's log has forgotten", async (t) => {
  const { origin, tabs } = await openTwo(t);
  tabs[0].orders.close();
  await origin.pass(0);
  const late = new Tab().watchCustomer();
  await origin.pass(0);
  const [leads, own] = openRequests(origin);
  await leads.open(hello("2-0000"), ready("2-0000"));
  await own.open(hello(), change(1, "2-0000_", "B"), ready("2-0000"));
  await origin.turns();
  assert.deepEqual([shown(tabs[1]), shown({ orders: late })], [["A1", "B1"], ["B1"]]);
  assert.deepEqual(openRequests(origin), [leads]);
});

test("tabs of a customer without orders share, however often each has checked in", async (t) => {
  const origin = createOrigin(t);
  new Tab().watchCustomer();
  await origin.turns();
  for (const mark of ["0-0001", "0-0002"]) {
    await origin.last.open(hello(), ready("0"), rest(1_000, mark));
    await origin.pass(1_000);
  }
  const leads = origin.last;
  await leads.open(hello("0-0002"), ready("0-0002"));
  const late = new Tab().watchCustomer();
  await origin.turns();
  await origin.last.open(hello(), ready("0"));
  await origin.turns();
  assert.deepEqual(openRequests(origin), [leads]);
  await leads.send(change(1, "1-0000", "N"));
  await origin.turns();
  assert.deepEqual(shown({ orders: late }), ["N1"]);
});

test("a post does not grow with the customer's orders", async (t) => {
  const { origin, tabs } = await openTwo(t);
  const posts = postsTo(origin, tabs[1].tab);
  await tabs[0].request.send(...Array.from({ length: 1_000 }, (_, at) => change(1, `${at + 3}-0000`, `N${at}`)));
  await origin.turns();
  assert.deepEqual(posts.at(-1).after, { marks: { "*": "1002-0000" }, caughtUp: true });
  assert.equal(shown(tabs[1]).length, 1_002);
});
