// The option `share` while streams fail: an outage must not have the requests of every tab, and a tab whose own stream works must not wait for
// one whose stream does not.

import assert from "node:assert/strict";
import { test } from "node:test";

import { change, hello, ready } from "./harness.js";
import { Tab, open, openRequests } from "./origin.js";
import { generator } from "./simulation.js";

/** So many tabs with a token of their own, `t0` and so on. The stream of the first one, which leads, breaks off. */
async function cut(t, count) {
  const { origin, tabs } = await open(t, count, { tokens: Array.from({ length: count }, (_, at) => () => `t${at}`) });
  // Otherwise all tabs would try at the same time.
  t.mock.method(Math, "random", generator(1));
  for (const request of origin.requests) request.isAnswered = true;
  await tabs[0].request.cut();
  return { origin, tabs };
}

/** Answers each request within half a second, for some time. @returns how many there were */
async function answer(origin, ms, respond) {
  const before = origin.requests.length;
  for (let left = ms; left > 0; left -= 500) {
    for (const request of openRequests(origin)) {
      if (!request.isAnswered) await respond(Object.assign(request, { isAnswered: true }));
    }
    await origin.pass(500);
  }
  return origin.requests.length - before;
}

const FAILURES = {
  "a status": (request) => request.status(503),
  "no connection": (request) => request.refuse(),
  "a response that breaks off": async (request) => {
    await request.open(hello("1-0000"));
    await request.cut();
  },
};
const serve = (request) => request.open(hello("1-0000"), change(2), ready("2-0000"));

async function outage(t, count, respond) {
  const { origin, tabs } = await cut(t, count);
  return { origin, tabs, requests: await answer(origin, 600_000, respond) };
}

for (const [name, respond] of Object.entries(FAILURES)) {
  test(`ten tabs send at most two and a half times the requests of one tab while the server is down: ${name}`, async (t) => {
    const { requests: alone } = await outage(t, 1, respond);
    const { origin, tabs, requests } = await outage(t, 10, respond);
    assert.ok(requests <= 2.5 * alone, `${requests}, and ${alone} of one tab`);
    assert.deepEqual(tabs.map(({ orders }) => orders.state), tabs.map(() => "stale"));
    await answer(origin, 50_000, serve);
    for (const { orders } of tabs) assert.deepEqual([orders.state, orders.get("A").seq], ["live", 2]);
    assert.equal(openRequests(origin).length, 1);
  });
}

test("a tab that is opened while the server is down says so, and closes its stream", async (t) => {
  const { origin } = await outage(t, 2, FAILURES["a status"]);
  const late = new Tab().watch(["A"], { token: () => "late" });
  await answer(origin, 5_000, FAILURES["a status"]);
  assert.equal(late.state, "stale");
  assert.deepEqual(late.getSnapshot().error, { reason: "503" });
  assert.equal(openRequests(origin).filter(({ headers }) => headers.authorization === "Bearer late").length, 0);
  await answer(origin, 50_000, serve);
  assert.deepEqual([late.state, late.get("A").seq, openRequests(origin).length], ["live", 2, 1]);
});

/** The tabs whose streams fail for good. Each tab that tries in vain doubles the time until the next one. */
for (const [broken, longest] of [[["t0"], 12_000], [["t0", "t1"], 36_000], [["t0", "t1", "t2", "t3"], 132_000]]) {
  test(`if only the streams of ${broken} fail, another tab leads within ${longest / 1_000} s`, async (t) => {
    const { origin, tabs } = await cut(t, 6);
    const respond = (request) => (broken.includes(request.headers.authorization.slice(7)) ? request.refuse() : serve(request));
    await answer(origin, longest + 1_000, respond);
    for (const { orders } of tabs.slice(broken.length)) assert.deepEqual([orders.state, orders.get("A").seq], ["live", 2]);
  });
}

test("after an outage, a leader whose stream still fails does not keep the others stale for longer than 48 s", async (t) => {
  const { origin, tabs } = await outage(t, 5, FAILURES["no connection"]);
  const respond = (request) => (request.headers.authorization === "Bearer t0" ? request.refuse() : serve(request));
  await answer(origin, 49_000, respond);
  for (const { orders } of tabs.slice(1)) assert.deepEqual([orders.state, orders.get("A").seq], ["live", 2]);
});

test("a tab whose listener closes the stream once it works does not lead", async (t) => {
  const { origin, tabs } = await cut(t, 2);
  const { request } = origin.locks;
  const steals = [];
  origin.locks.request = (name, options, callback) => (options.steal && steals.push(name), request(name, options, callback));
  tabs[1].orders.on("state", ({ state }) => state === "live" && tabs[1].orders.close());
  const respond = (request) => (request.headers.authorization === "Bearer t0" ? request.refuse() : serve(request));
  await answer(origin, 13_000, respond);
  assert.deepEqual([tabs[1].orders.get("A").seq, tabs[0].orders.state, steals], [2, "stale", []]);
});
