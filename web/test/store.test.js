// What the bindings have in common, without a framework.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createStore, ofCustomer, ofOrders } from "../frameworks/store.js";
import { change, changeOf, createHarness, hello, ready } from "./harness.js";

const URL_OF_STREAM = "https://stream.example/";
const snapshot = (cursor, ...orders) => ({ cursor, orders });
const orderStore = (url, orders, options) => createStore(ofOrders(url, orders), options);
const customerStore = (customer, options) => createStore(ofCustomer(URL_OF_STREAM, customer), options);
const seqs = (store) => store.getSnapshot().orders.map(({ orderId, seq }) => `${orderId}${seq}`);

/** Subscribes as a component does, and unsubscribes after the test. */
async function mount(t, harness, store, newest) {
  const unmount = store.subscribe(() => {}, newest);
  t.after(unmount);
  await harness.advance(0);
  return unmount;
}

test("cursor and orders come from the same rendering, if a later one has a newer snapshot", async (t) => {
  const harness = createHarness(t);
  const store = orderStore(URL_OF_STREAM, "A", snapshot("1-0000", changeOf(1)));
  await mount(t, harness, store, () => snapshot("3-0000", changeOf(3)));
  assert.deepEqual([harness.last.headers["last-event-id"], seqs(store)], ["1-0000", ["A1"]]);
  await harness.last.open(hello("1-0000"), change(2), change(3), ready("3-0000"));
  assert.deepEqual(seqs(store), ["A3"]);
});

test("if another component knows an older change than the snapshot, that of the snapshot counts", async (t) => {
  const harness = createHarness(t);
  await mount(t, harness, orderStore(URL_OF_STREAM, "A"));
  await harness.last.open(hello(), change(1), ready("1-0000"));
  const store = orderStore(URL_OF_STREAM, ["A", "B"], snapshot("3-0000.1-0000", changeOf(3), changeOf(1, "B")));
  assert.deepEqual(seqs(store), ["A3", "B1"]);
  await mount(t, harness, store);
  assert.equal(harness.last.headers["last-event-id"], "3-0000.1-0000");
  await harness.last.open(hello("3-0000.1-0000"), ready("3-0000.1-0000"));
  assert.deepEqual(seqs(store), ["A3", "B1"]);
});

test("if another component knows a newer change than the snapshot, that change counts", async (t) => {
  const harness = createHarness(t);
  await mount(t, harness, orderStore(URL_OF_STREAM, "A"));
  await harness.last.open(hello(), change(4), ready("4-0000"));
  const store = orderStore(URL_OF_STREAM, ["A", "B"], snapshot("3-0000.1-0000", changeOf(3), changeOf(1, "B")));
  await mount(t, harness, store);
  assert.deepEqual([harness.last.headers["last-event-id"], seqs(store)], ["3-0000.1-0000", ["A4", "B1"]]);
});

for (const [ids, orders, isUsed] of [
  [["A", "B"], [changeOf(1), changeOf(1, "B")], true],
  [[7], [changeOf(1, "7")], true],
  [["B", "A"], [changeOf(1), changeOf(1, "B")], false],
  [["A"], [changeOf(1), changeOf(1, "B")], false],
  [["A", "B", "C"], [changeOf(1), changeOf(1, "B")], false],
  [["A", "B"], [], false],
  [["A", "B"], undefined, false],
]) {
  test(`the cursor of a snapshot of ${orders?.map(({ orderId }) => orderId)} is ${isUsed ? "" : "not "}used for ${ids}`, async (t) => {
    const harness = createHarness(t);
    const store = orderStore(URL_OF_STREAM, ids, { cursor: "1-0000.1-0000", orders });
    assert.equal(store.initial.cursor, isUsed ? "1-0000.1-0000" : "");
    await mount(t, harness, store);
    assert.equal(harness.last.headers["last-event-id"], isUsed ? "1-0000.1-0000" : undefined);
  });
}

test("a component that comes after a denial has a watch of its own, and shows nothing of the denied one", async (t) => {
  const harness = createHarness(t);
  const denied = orderStore(URL_OF_STREAM, "A");
  await mount(t, harness, denied);
  await harness.last.open(hello(), change(1), ready("1-0000"));
  await harness.last.cut();
  await harness.advance(2_000);
  await harness.last.status(403);
  const store = orderStore(URL_OF_STREAM, "A", { token: () => "t" });
  assert.deepEqual([store.getSnapshot().state, seqs(store)], ["connecting", []]);
  const unmount = await mount(t, harness, store);
  await harness.last.open(hello(), change(1), ready("1-0000"));
  assert.deepEqual([store.getSnapshot().state, denied.getSnapshot().state], ["live", "denied"]);
  unmount();
  await harness.advance(0);
  assert.ok(harness.last.aborted);
});

test("without any token function, a refused request is sent once more at most", async (t) => {
  const harness = createHarness(t);
  const store = orderStore(URL_OF_STREAM, "A");
  await mount(t, harness, store);
  await harness.last.status(401);
  await harness.advance(0);
  await harness.last.status(401);
  await harness.advance(100_000);
  assert.deepEqual([harness.requests.length, store.getSnapshot().state], [2, "denied"]);
});

test("a component with an order shows nothing of a customer's stream, which may be another customer's", async (t) => {
  const harness = createHarness(t);
  await mount(t, harness, customerStore("C"));
  await harness.last.open(hello(), change(1, "1-0000_"), ready("1-0000"));
  assert.deepEqual([seqs(customerStore("C")), seqs(orderStore(URL_OF_STREAM, "A")), seqs(customerStore("A"))], [["A1"], [], []]);
});

test("a customer may be a number, and a cursor without orders is not used", async (t) => {
  const harness = createHarness(t);
  await mount(t, harness, customerStore(0, { cursor: "3-0000" }));
  await mount(t, harness, customerStore("0"));
  assert.deepEqual(harness.requests.map(({ headers }) => headers["last-event-id"]), [undefined]);
  for (const customer of [undefined, null, ""]) await mount(t, harness, customerStore(customer, snapshot("1-0000", changeOf(1))));
  assert.equal(harness.requests.length, 1);
});

test("options in the place of the customer are an error", () => {
  for (const customer of [{ token: () => "t" }, ["C"], () => "C"]) {
    assert.throws(() => customerStore(customer), { name: "TypeError", message: "the second argument says who the customer is: a text or a number" });
  }
});

test("an empty snapshot of a customer is continued", async (t) => {
  const harness = createHarness(t);
  await mount(t, harness, customerStore("empty", snapshot("0")));
  assert.equal(harness.last.headers["last-event-id"], "0");
});
