// The option `share`: one stream for several tabs. `share-posts.test.js` has the posts of the leader.

import assert from "node:assert/strict";
import { test } from "node:test";

import { watchOrders } from "../order-stream.js";
import { change, createHarness, end, hello, ready, replaceGlobals, rest } from "./harness.js";
import { Tab, createOrigin, open, openRequests, post, postsTo } from "./origin.js";

test("tabs share the stream of one of them", async (t) => {
  const { origin, tabs } = await open(t, 3);
  assert.deepEqual(openRequests(origin), [tabs[0].request]);
  await tabs[0].request.send(change(2), rest(20_000, "2-0000"));
  await origin.turns();
  for (const { log, orders } of tabs) {
    assert.deepEqual(log, [1, "live", 2]);
    assert.deepEqual([orders.get("A").seq, orders.cursor, orders.state], [2, "2-0000", "live"]);
  }
  await origin.pass(20_000);
  assert.equal(origin.requests.length, 4, "one check-in for all");
  await origin.last.open(hello("2-0000"), change(3), end("3-0000~"));
  await origin.turns();
  for (const { log } of tabs) assert.deepEqual(log, [1, "live", 2, 3, "ended", "end"]);
  await origin.pass(1_000_000);
  assert.deepEqual([origin.requests.length, origin.channels.size], [4, 0]);
});

test("a single tab keeps its stream", async (t) => {
  const { origin, tabs } = await open(t, 1);
  await origin.pass(25_000);
  assert.ok(!tabs[0].request.aborted);
});

test("other orders, and other URLs, are not shared", async (t) => {
  const origin = createOrigin(t);
  for (const ids of [["A"], ["B"], ["A", "B"]]) {
    new Tab().watch(ids);
    await origin.pass(0);
    await origin.last.open(hello(), ready("0"));
  }
  await origin.pass(10_000);
  assert.equal(openRequests(origin).length, 3);
});

test("if the leader closes its stream, another tab continues at the last cursor", async (t) => {
  const { origin, tabs } = await open(t, 3);
  await tabs[0].request.send(change(2));
  await origin.turns();
  tabs[0].orders.close();
  await origin.pass(0);
  assert.equal(openRequests(origin).length, 1);
  assert.equal(origin.last.headers["last-event-id"], "2-0000");
  await origin.last.open(hello("2-0000"), change(3), ready("3-0000"));
  await origin.turns();
  assert.deepEqual([tabs[0].log, tabs[1].log, tabs[2].log], [[1, "live", 2], [1, "live", 2, 3], [1, "live", 2, 3]]);
});

test("if the leader's tab is closed without a word, another continues", async (t) => {
  const { origin, tabs } = await open(t, 2);
  tabs[0].tab.isFrozen = true;
  origin.locks.close(tabs[0].tab);
  await origin.pass(0);
  assert.equal(origin.last.headers["last-event-id"], "1-0000");
  await origin.last.open(hello("1-0000"), change(2), ready("2-0000"));
  assert.deepEqual(tabs[1].log, [1, "live", 2]);
});

test("a new leader that gets no answer within 5 s is stale", async (t) => {
  const { origin, tabs } = await open(t, 2);
  tabs[0].orders.close();
  await origin.turns();
  await origin.pass(4_999);
  assert.equal(tabs[1].orders.state, "live");
  await origin.pass(1);
  assert.equal(tabs[1].orders.state, "stale");
});

test("if the leader is hidden, another tab leads, and the hidden one has no stream", async (t) => {
  const { origin, tabs } = await open(t, 2);
  tabs[0].tab.setHidden(true);
  await origin.pass(0);
  assert.equal(tabs[0].orders.state, "connecting");
  assert.deepEqual(openRequests(origin), [origin.last]);
  await origin.last.open(hello("1-0000"), change(2), ready("2-0000"));
  await origin.turns();
  assert.deepEqual(tabs[0].log, [1, "live", "connecting"]);
  tabs[0].tab.setHidden(false);
  await origin.pass(0);
  assert.equal(origin.last.headers["last-event-id"], "1-0000");
  await origin.last.open(hello("1-0000"), change(2), ready("2-0000"));
  await origin.turns();
  assert.deepEqual(tabs[0].log, [1, "live", "connecting", 2, "live"]);
  assert.equal(openRequests(origin).length, 1);
});

test("if the leader freezes, another tab takes over within 12 s, and the old one follows when it is thawed", async (t) => {
  const { origin, tabs } = await open(t, 2);
  const [frozen, other] = tabs;
  frozen.tab.isFrozen = true;
  await origin.pass(5_999);
  assert.equal(openRequests(origin).length, 1);
  await origin.pass(6_001);
  assert.equal(openRequests(origin).length, 2);
  assert.equal(origin.last.headers["last-event-id"], "1-0000");
  await origin.last.open(hello("1-0000"), change(2), ready("2-0000"));
  assert.deepEqual(other.log, [1, "live", 2]);
  await origin.last.send(change(3));

  frozen.tab.thaw();
  await origin.turns();
  // What its old stream had received meanwhile.
  await frozen.request.send(change(2), change(3));
  await origin.turns();
  assert.deepEqual([frozen.log, other.log], [[1, "live", 2, 3], [1, "live", 2, 3]]);
  await origin.pass(2_000);
  assert.deepEqual(openRequests(origin), [origin.last]);
});

test("the frames of a leader that was frozen do not hold back the others", async (t) => {
  const { origin, tabs } = await open(t, 3);
  const posts = postsTo(origin, tabs[2].tab);
  await tabs[0].request.send(rest(20_000, "1-0000"));
  await origin.pass(0);
  tabs[0].tab.isFrozen = true;
  await origin.pass(12_000);
  const opened = () => openRequests(origin).filter((request) => request !== tabs[0].request);
  for (const request of opened()) await request.open(hello("1-0000"), ready("1-0000"));
  await origin.pass(8_000);
  const [leads] = opened();
  assert.equal(opened().length, 1);
  tabs[0].tab.isFrozen = false;
  const frame = { event: "hello", data: "{}", id: "1-0000" };
  origin.channelOf(tabs[0].tab).postMessage(post(posts.find(({ term }) => term), { frame }));
  await origin.turns();
  await leads.send(change(2));
  await origin.turns();
  for (const { orders } of tabs.slice(1)) assert.equal(orders.getSnapshot().orders[0].seq, 2);
});

test("the others are as stale as the leader", async (t) => {
  const { origin, tabs } = await open(t, 2);
  await tabs[0].request.cut();
  await origin.turns();
  const { error } = tabs[0].orders.getSnapshot();
  assert.equal(error.reason, "cut off");
  assert.deepEqual(tabs[1].orders.getSnapshot().error, error);
  await origin.pass(2_000);
  await origin.last.open(hello("1-0000"), ready("1-0000"));
  await origin.turns();
  for (const { log } of tabs) assert.deepEqual(log, [1, "live", "stale", "live"]);
});

/** Answers the requests with this token, until the time has passed. */
async function answer(origin, token, ms, respond) {
  for (let left = ms; left > 0; left -= 500) {
    const mine = openRequests(origin).filter(({ headers }) => headers.authorization === `Bearer ${token}`);
    for (const request of mine) await respond(request);
    await origin.pass(500);
  }
}

test("if the leader gets no answer, another tab leads within 12 s, and the first one follows", async (t) => {
  const { origin, tabs } = await open(t, 2, { tokens: [() => "first", () => "second"] });
  await tabs[0].request.cut();
  await answer(origin, "first", 12_000, (request) => request.status(503));
  const own = origin.requests.findLast(({ headers }) => headers.authorization === "Bearer second");
  assert.deepEqual([own === tabs[1].request, own.aborted], [false, false]);
  await own.open(hello("1-0000"), change(2), ready("2-0000"));
  await answer(origin, "first", 20_000, async (request) => {
    await request.open(hello("1-0000"), change(2), ready("2-0000"));
    await own.send(":\n");
  });
  assert.deepEqual(openRequests(origin), [own]);
  for (const { log } of tabs) assert.deepEqual(log.filter((event, at) => event !== log[at - 1]), [1, "live", "stale", 2, "live"]);
  await own.send(change(3));
  await origin.turns();
  assert.equal(tabs[0].orders.get("A").seq, 3);
});

for (const more of [{}, { unavailable: true }]) {
  test(`a leader that rests for long because the server asked it to keeps its place: ${JSON.stringify(more)}`, async (t) => {
    const { origin, tabs } = await open(t, 3);
    await tabs[0].request.send(rest(100_000, "1-0000", more));
    await origin.pass(99_000);
    assert.equal(origin.requests.length, 3);
    for (const { orders } of tabs) assert.equal(orders.state, "stale");
    await origin.pass(1_000);
    await origin.last.open(hello("1-0000"), change(2), ready("2-0000"));
    await origin.turns();
    for (const { log } of tabs) assert.deepEqual(log, [1, "live", "stale", 2, "live"]);
    assert.equal(origin.requests.length, 4);
  });
}

test("a tab that remembers an earlier leader follows one that has never heard of it", async (t) => {
  const { origin, tabs } = await open(t, 3);
  tabs[0].orders.close();
  await origin.pass(0);
  await origin.last.open(hello("1-0000"), ready("1-0000"));
  await origin.turns();
  tabs[2].tab.setHidden(true);
  tabs[1].orders.close();
  await origin.pass(1_000);
  assert.deepEqual(openRequests(origin), []);
  new Tab().watch(["A"]);
  await origin.pass(0);
  const leads = origin.last;
  await leads.open(hello(), change(1), ready("1-0000"));
  tabs[2].tab.setHidden(false);
  await origin.pass(0);
  await origin.last.open(hello("1-0000"), ready("1-0000"));
  await origin.pass(0);
  assert.deepEqual(openRequests(origin), [leads]);
});

test("while the leader is stale, a new tab keeps its own stream", async (t) => {
  const { origin, tabs } = await open(t, 1);
  await tabs[0].request.cut();
  new Tab().watch(["A"]);
  await origin.pass(0);
  const own = origin.last;
  await own.open(hello(), change(1), ready("1-0000"));
  await origin.turns();
  assert.ok(!own.aborted);
});

test("each tab is denied by its own token only", async (t) => {
  const tokens = [() => "bad", () => "good", () => "good"];
  const { origin, tabs } = await open(t, 3, { tokens });
  await tabs[0].request.cut();
  await origin.pass(2_000);
  await origin.last.status(403);
  await origin.pass(0);
  assert.deepEqual([tabs[0].orders.state, origin.last.headers.authorization], ["denied", "Bearer good"]);
  await origin.last.open(hello("1-0000"), ready("1-0000"));
  await origin.turns();
  assert.deepEqual(tabs[0].log, [1, "live", "stale", "denied"]);
  for (const { log } of tabs.slice(1)) assert.deepEqual(log, [1, "live", "stale", "live"]);
});

test("if the leader freezes and its lock cannot be taken, each other tab keeps a stream", async (t) => {
  const { origin, tabs } = await open(t, 2);
  const { request } = origin.locks;
  origin.locks.request = (name, options, callback) =>
    options.steal ? Promise.reject(new DOMException("no", "SecurityError")) : request(name, options, callback);
  tabs[0].tab.isFrozen = true;
  await origin.pass(12_000);
  await origin.last.open(hello("1-0000"), ready("1-0000"));
  await origin.pass(4_000);
  assert.deepEqual([origin.requests.length, origin.last.aborted], [3, false]);
});

test("a tab asks for one token, however often it opens a stream", async (t) => {
  let calls = 0;
  const token = () => `token${(calls += 1)}`;
  const { origin, tabs } = await open(t, 2, { tokens: [undefined, token] });
  tabs[0].orders.close();
  await origin.pass(0);
  assert.deepEqual([calls, origin.last.headers.authorization], [1, "Bearer token1"]);
});

const { BroadcastChannel } = globalThis;
for (const [name, globals] of Object.entries({
  "Web Locks": { navigator: {}, BroadcastChannel },
  "BroadcastChannel": { navigator: { locks: {} }, BroadcastChannel: undefined },
  "both": { navigator: undefined, BroadcastChannel: undefined },
})) {
  test(`without ${name}, each tab has its own stream`, async (t) => {
    const harness = createHarness(t);
    replaceGlobals(t, globals);
    const tabs = [1, 2].map(() => watchOrders("https://stream.example/", ["A"], { share: true }));
    await harness.advance(0);
    for (const request of harness.requests) await request.open(hello(), change(1), ready("1-0000"));
    await harness.advance(20_000);
    assert.deepEqual(tabs.map(({ state }) => state), ["live", "live"]);
    assert.equal(openRequests(harness).length, 2);
  });
}

test("if the browser refuses the lock, each tab keeps its own stream", async (t) => {
  const origin = createOrigin(t);
  origin.locks.request = () => Promise.reject(new DOMException("no", "SecurityError"));
  for (let tab = 0; tab < 2; tab += 1) {
    new Tab().watch(["A"]);
    await origin.pass(0);
    await origin.last.open(hello(), ready("0"));
  }
  await origin.pass(20_000);
  assert.equal(openRequests(origin).length, 2);
});

test("without share, nothing is shared", async (t) => {
  const origin = createOrigin(t);
  for (let tab = 0; tab < 2; tab += 1) new Tab().watch(["A"], { share: false });
  await origin.pass(0);
  assert.deepEqual([origin.requests.length, origin.channels.size], [2, 0]);
});
