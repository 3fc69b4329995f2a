// The option `share`: what the tabs learn from the posts of the one that leads, and what they do if they miss some.

import assert from "node:assert/strict";
import { test } from "node:test";

import { change, hello, ready, reset, rest } from "./harness.js";
import { Tab, open, openRequests, post, postsTo } from "./origin.js";

test("a tab whose read was older than the leader's keeps its stream until it has the rest", async (t) => {
  const { origin, tabs } = await open(t, 1);
  await tabs[0].request.send(change(2));
  const late = new Tab().watch(["A"]);
  await origin.pass(0);
  await origin.last.open(hello(), change(1), ready("1-0000"));
  await origin.turns();
  assert.equal(openRequests(origin).length, 2);
  await origin.last.send(change(2));
  await origin.turns();
  assert.deepEqual([late.get("A").seq, openRequests(origin)], [2, [tabs[0].request]]);
});

test("a tab that missed a message asks the server for what it lacks", async (t) => {
  const { origin, tabs } = await open(t, 2);
  origin.lose(tabs[1].tab);
  await tabs[0].request.send(change(2));
  await origin.turns();
  await tabs[0].request.send(change(3));
  await origin.pass(0);
  assert.equal(origin.last.headers["last-event-id"], "1-0000");
  await origin.last.open(hello("1-0000"), change(2), change(3), ready("3-0000"));
  await origin.turns();
  assert.deepEqual(tabs[1].log, [1, "live", 2, 3]);
  assert.deepEqual(openRequests(origin), [tabs[0].request]);
});

test("a tab that missed the last change notices within 2 s", async (t) => {
  const { origin, tabs } = await open(t, 2);
  origin.lose(tabs[1].tab);
  await tabs[0].request.send(change(2));
  await origin.turns();
  await origin.pass(2_000);
  assert.equal(origin.last.headers["last-event-id"], "1-0000");
});

test("a tab that missed only ready shows the changes before it within 2 s", async (t) => {
  const { origin, tabs } = await open(t, 2);
  await tabs[0].request.send(rest(1_000, "1-0000"));
  await origin.pass(1_000);
  await origin.last.open(hello("1-0000"), change(2));
  await origin.turns();
  origin.lose(tabs[1].tab);
  await origin.last.send(ready("2-0000"));
  await origin.turns();
  assert.deepEqual([tabs[0].orders.get("A").seq, tabs[1].orders.get("A").seq], [2, 1]);
  await origin.pass(2_000);
  assert.deepEqual([origin.requests.length, origin.last.headers["last-event-id"]], [4, "2-0000"]);
  await origin.last.open(hello("2-0000"), ready("2-0000"));
  await origin.turns();
  assert.deepEqual([tabs[1].orders.get("A").seq, tabs[1].orders.state, openRequests(origin).length], [2, "live", 1]);
});

test("a tab that has changes without ready does not follow a new leader that is past it", async (t) => {
  const { origin, tabs } = await open(t, 2);
  const posts = postsTo(origin, tabs[1].tab);
  await tabs[0].request.send(rest(1_000, "1-0000"));
  await origin.pass(1_000);
  await origin.last.open(hello("1-0000"), change(2));
  await origin.turns();
  const last = posts.at(-1);
  assert.deepEqual([last.after, tabs[1].orders.get("A").seq], [{ marks: { A: 2 }, caughtUp: false }, 1]);
  const progress = { ...last.after, caughtUp: true };
  origin.channelOf(tabs[0].tab).postMessage(post(last, { term: last.term + 1, number: 1, before: progress, after: progress }));
  await origin.pass(0);
  assert.equal(origin.last.headers["last-event-id"], "2-0000");
});

test("a tab does not follow a new leader whose numbers are lower, because it has missed a reset", async (t) => {
  const { origin, tabs } = await open(t, 2);
  const posts = postsTo(origin, tabs[1].tab);
  await tabs[0].request.send(change(2));
  await origin.turns();
  const last = posts.at(-1);
  const progress = { marks: { A: 1 }, caughtUp: true };
  origin.channelOf(tabs[0].tab).postMessage(post(last, { term: last.term + 1, number: 1, before: progress, after: progress }));
  await origin.pass(0);
  assert.deepEqual([origin.requests.length, origin.last.headers["last-event-id"]], [3, "2-0000"]);
});

/** How many posts of a reset and its replay a tab misses. Only after the first one are the leader's numbers lower than the tab's. */
for (const lost of [1, 2, 3, 4]) {
  test(`a tab that missed a reset and ${lost - 1} posts after it asks the server`, async (t) => {
    const { origin, tabs } = await open(t, 2);
    await tabs[0].request.send(change(2));
    await origin.turns();
    origin.lose(tabs[1].tab, lost);
    await tabs[0].request.send(reset(["A"]), change(1), change(2), ready("2-0000"), change(3));
    await origin.pass(2_000);
    assert.equal(origin.last.headers["last-event-id"], "2-0000");
    await origin.last.open(hello("2-0000"), reset(["A"]), change(1), change(2), change(3), ready("3-0000"));
    await origin.turns();
    for (const { log } of tabs) assert.deepEqual(log, [1, "live", 2, "reset", 1, 2, 3]);
    assert.deepEqual(openRequests(origin), [tabs[0].request]);
  });
}

test("a reset reaches every tab", async (t) => {
  const { origin, tabs } = await open(t, 2);
  await tabs[0].request.send(reset(["A"]), change(1), change(2), ready("2-0000"));
  await origin.turns();
  for (const { log } of tabs) assert.deepEqual(log, [1, "live", "reset", 1, 2]);
});

test("a frame that cannot be read is requested again, by the tab that leads and by those that follow", async (t) => {
  const { origin, tabs } = await open(t, 2);
  await tabs[0].request.send("data: {\nid: 2-0000\n\n");
  await origin.turns();
  assert.deepEqual(tabs.map(({ orders }) => orders.cursor), ["1-0000", "1-0000"]);
  const posts = postsTo(origin, tabs[1].tab);
  await origin.pass(2_000);
  await origin.last.open(hello("1-0000"), ready("1-0000"));
  await origin.turns();
  const frame = { event: "message", data: "{", id: "2-0000" };
  origin.channelOf(tabs[0].tab).postMessage(post(posts.at(-1), { frame }));
  await origin.pass(0);
  assert.equal(openRequests(origin).length, 2);
  assert.deepEqual([tabs[1].orders.cursor, origin.last.headers["last-event-id"]], ["1-0000", "1-0000"]);
});

test("a tab that closes its stream in a listener has not taken what comes after", async (t) => {
  const { origin, tabs } = await open(t, 2);
  tabs[1].orders.on("change", () => tabs[1].orders.close());
  await tabs[0].request.send(change(2), change(3));
  await origin.turns();
  assert.deepEqual([tabs[1].log, tabs[1].orders.cursor], [[1, "live", 2], "2-0000"]);
  assert.deepEqual(tabs[0].log, [1, "live", 2, 3]);
});
