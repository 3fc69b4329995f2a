import assert from "node:assert/strict";
import { test } from "node:test";

import { watchCustomer } from "../order-stream.js";
import { change, changeOf, createHarness, gone, hello, ready, reset, rest } from "./harness.js";

async function watchMe(harness, options = {}) {
  const orders = watchCustomer("https://stream.example/base/?a=b", options);
  const log = [];
  orders.on("change", ({ orderId, seq }) => log.push(`${orderId} ${seq}`));
  orders.on("gone", ({ orderId }) => log.push(`${orderId} gone`));
  orders.on("reset", ({ orders }) => log.push(`reset ${orders}`));
  await harness.advance(0);
  return { orders, log };
}

const shown = (orders) => orders.getSnapshot().orders.map(({ orderId, seq }) => `${orderId} ${seq}`);

test("a customer's stream shows every order that the server names, and new ones", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watchMe(harness);
  assert.equal(harness.last.url, "https://stream.example/base/customers/me/events?a=b");
  await harness.last.open(hello(), change(4, "2-0000_", "A"), change(1, "5-0000_", "B"));
  assert.deepEqual(shown(orders), []);
  await harness.last.send(ready("5-0000"), change(1, "6-0000", "new"), change(5, "7-0000", "A"));
  assert.deepEqual(shown(orders), ["A 5", "B 1", "new 1"]);
  assert.deepEqual(log, ["A 4", "B 1", "new 1", "A 5"]);
  assert.deepEqual([orders.cursor, orders.get("new")], ["7-0000", changeOf(1, "new")]);
});

test("an order that is gone is no longer shown, and may come back", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watchMe(harness);
  await harness.last.open(hello(), change(1, "1-0000_", "A"), ready("1-0000"), gone("A", "2-0000"), gone("B", "3-0000"));
  assert.deepEqual(shown(orders), []);
  await harness.last.send(change(3, "4-0000", "A"));
  assert.deepEqual(shown(orders), ["A 3"]);
  assert.deepEqual(log, ["A 1", "A gone", "A 3"]);
});

test("a reset of all orders forgets each of them", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watchMe(harness);
  await harness.last.open(hello(), change(3, "1-0000_", "A"), change(1, "2-0000_", "B"), ready("2-0000"), rest(1_000, "2-0000"));
  await harness.advance(1_000);
  assert.equal(harness.last.headers["last-event-id"], "2-0000");
  await harness.last.open(hello("2-0000"), reset("*"), change(3, "9-0000_", "A"));
  assert.deepEqual(shown(orders), ["A 3", "B 1"]);
  await harness.last.send(ready("9-0000"));
  assert.deepEqual(shown(orders), ["A 3"]);
  assert.deepEqual(log, ["A 3", "B 1", "reset A,B", "A 3"]);
});

test("after a reset, a customer's orders are unknown until they come again", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watchMe(harness);
  await harness.last.open(hello(), change(3, "1-0000_", "A"), change(1, "2-0000_", "B"), ready("2-0000"));
  await harness.last.send(reset("*"), change(1, "9-0000_", "A"), ready("9-0000"));
  await harness.last.send(reset("*"), change(1, "12-0000_", "C"), ready("12-0000"));
  await harness.last.send(reset(["A", "B", "C"]), change(2, "13-0000", "B"), ready("13-0000"));
  assert.deepEqual(shown(orders), ["B 2"]);
  assert.deepEqual(log, ["A 3", "B 1", "reset A,B", "A 1", "reset A", "C 1", "reset C", "B 2"]);
});

test("a page that was rendered with a snapshot continues after it", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watchMe(harness, { cursor: "2-0000", orders: [changeOf(3, "A"), changeOf(1, "B")] });
  assert.equal(harness.last.headers["last-event-id"], "2-0000");
  assert.deepEqual(shown(orders), ["A 3", "B 1"]);
  await harness.last.open(hello("2-0000"), change(3, "1-0000", "A"), change(2, "3-0000", "B"), ready("3-0000"));
  assert.deepEqual(log, ["B 2"]);
});
