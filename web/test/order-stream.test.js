import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { watchOrders } from "../order-stream.js";
import { NOW, change, changeOf, end, expired, hello, play, ready, reset, rest, watch } from "./stage.js";

test("a stream is opened, read, and live once it has caught up", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  assert.equal(stage.last.url, "https://stream.example/orders/events?order=A");
  assert.deepEqual(stage.last.headers, { accept: "text/event-stream" });
  await stage.last.open(hello(), change(1), change(2));
  assert.deepEqual([log, orders.state, orders.cursor], [[1, 2], "connecting", "2-0000"]);
  await stage.last.send(ready("2-0000"), ":\n");
  await stage.last.send(change(3));
  assert.deepEqual([log, orders.state], [[1, 2, "live", 3], "live"]);
  assert.deepEqual(orders.get("A"), changeOf(3));
  assert.equal(stage.requests.length, 1);
});

test("a rest is kept to the millisecond and hidden", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  await stage.last.open(hello(), change(1), ready("1-0000"), rest(20_000, "1-0000"));
  await stage.last.cut();
  assert.ok(!stage.last.aborted, "cut off, the connection could not be used again");
  await stage.pass(19_999);
  assert.equal(stage.requests.length, 1);
  await stage.pass(1);
  assert.equal(stage.requests.length, 2);
  assert.deepEqual(stage.last.headers, { accept: "text/event-stream", "last-event-id": "1-0000" });
  await stage.last.open(hello("1-0000"), ready("1-0000"));
  assert.deepEqual(log, [1, "live"]);
  assert.equal(orders.state, "live");
});

test("a response that does not end after its goodbye is dropped, and one that breaks is no failure", async (t) => {
  const stage = play(t);
  const { log } = await watch(stage);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"), change(9));
  await stage.pass(1_000);
  assert.ok(stage.requests[0].aborted);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.last.cut(new Error("reset by peer"));
  await stage.pass(1_000);
  assert.deepEqual([log, stage.requests.length], [["live"], 3]);
});

test("a check-in that takes long is not live", async (t) => {
  const stage = play(t);
  const { log } = await watch(stage);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  await stage.last.open(hello());
  await stage.pass(4_999);
  assert.deepEqual(log, ["live"]);
  await stage.pass(1);
  assert.deepEqual(log, ["live", "stale"]);
  await stage.last.send(ready("0"));
  await stage.pass(10_000);
  assert.deepEqual(log, ["live", "stale", "live"]);
});

test("a check-in that was in time is live for as long as it is held", async (t) => {
  const stage = play(t);
  const { log } = await watch(stage);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  await stage.pass(4_999);
  await stage.last.open(hello(), ready("0"));
  await stage.pass(10_000);
  assert.deepEqual(log, ["live"]);
});

test("a goodbye before the response has caught up is not live", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  await stage.last.open(hello(), change(1), rest(3_000, "1-0000"));
  assert.deepEqual(log, ["live", 1, "stale"]);
  assert.equal(orders.get("A").seq, 1);
  await stage.pass(3_000);
  assert.equal(stage.requests.length, 3);
});

test("a retry shorter than a second is a second, one that no timer can wait is not zero", async (t) => {
  const stage = play(t);
  await watch(stage);
  for (const [retry, waited] of [[0, 1_000], [10 ** 12, 2 ** 31 - 1]]) {
    const before = stage.requests.length;
    await stage.last.open(hello(), ready("0"), rest(retry, "0"));
    await stage.pass(waited - 1);
    assert.equal(stage.requests.length, before);
    await stage.pass(1);
    assert.equal(stage.requests.length, before + 1);
  }
});

const FAILURES = {
  "429": (request) => request.status(429),
  "500": (request) => request.status(500),
  "502": (request) => request.status(502, '{"Message":"Internal Server Error"}'),
  "503": (request) => request.status(503),
  "408": (request) => request.status(408),
  "a refused connection": (request) => request.refuse(),
  "a firewall's 403": (request) => request.status(403, "<html>blocked</html>", "text/html"),
  "a proxy's 404": (request) => request.status(404, "default backend", "text/plain; charset=utf-8"),
  "the platform's 403": (request) => request.status(403, '{"Message":"Forbidden"}', "application/json"),
  "somebody's 400": (request) => request.status(400, "", "text/html"),
  "somebody's 405": (request) => request.status(405, "", ""),
  "somebody's 407": (request) => request.status(407, "", "text/html"),
  "somebody's 410": (request) => request.status(410, "", "text/html"),
  "somebody's 451": (request) => request.status(451, "", "application/problem+jsonp"),
  "a proxy's 401": (request) => request.status(401, "", "text/html"),
  "a proxy's 204": (request) => request.status(204, "", ""),
  "a proxy's 206": (request) => request.status(206, end("1-0000~"), "text/event-stream"),
  "a proxy's 304": (request) => request.status(304, "", ""),
  "a captive portal's 511": (request) => request.status(511, "", "text/html"),
  "a captive portal": (request) => request.status(200, end("1-0000~"), "text/html"),
  "an end without goodbye": async (request) => (await request.open(hello()), request.cut()),
  "a reset": async (request) => (await request.open(hello()), request.cut(new Error("reset by peer"))),
  "an empty body": async (request) => (await request.open(), request.cut()),
  "a change that cannot be read": (request) => request.open(hello(), "data: {\nid: 7-0000\n\n"),
};

for (const [name, fail] of Object.entries(FAILURES)) {
  test(`after ${name} it is opened again, later each time`, async (t) => {
    const stage = play(t, { random: 0.5 });
    const { orders, log } = await watch(stage);
    const details = [];
    orders.on("state", (detail) => details.push(detail));
    for (const [tries, delay] of [1_500, 3_000, 6_000, 12_000, 24_000, 24_000].entries()) {
      await fail(stage.last);
      await stage.pass(delay - 1);
      assert.equal(stage.requests.length, tries + 1);
      await stage.pass(1);
      assert.equal(stage.requests.length, tries + 2);
    }
    assert.deepEqual(log, Array(6).fill("stale"));
    assert.equal(details[0].retryAt, NOW + 1_500);
    assert.notEqual(details[0].reason, undefined);
    await stage.last.open(hello(), change(1), ready("1-0000"));
    assert.equal(orders.state, "live");
    await stage.last.cut();
    await stage.pass(1_500);
    assert.equal(stage.requests.length, 8, "it went well in between: it starts anew");
  });
}

test("a frame that cannot be read is asked for again", async (t) => {
  const stage = play(t);
  await watch(stage);
  await stage.last.open(hello(), change(1), "data: {\nid: 2-0000\n\n");
  await stage.pass(1_500);
  assert.equal(stage.last.headers["last-event-id"], "1-0000");
});

test("how long a rest was says nothing of the failure after it", async (t) => {
  const stage = play(t);
  await watch(stage);
  await stage.last.open(hello(), ready("0"), rest(60_000, "0"));
  await stage.pass(60_000);
  await stage.last.status(429);
  await stage.pass(1_500);
  assert.equal(stage.requests.length, 3);
});

test("clients that failed together do not come back together", async (t) => {
  const delays = [];
  for (const random of [0, 0.999]) {
    await t.test(`${random}`, async (t) => {
      const stage = play(t, { random });
      const { orders } = await watch(stage);
      orders.on("state", ({ retryAt }) => delays.push(Math.floor(retryAt - NOW)));
      await stage.last.status(429);
    });
  }
  assert.deepEqual(delays, [1_000, 1_999]);
});

test("a response that was cut off comes back no sooner than it had asked", async (t) => {
  const stage = play(t);
  await watch(stage);
  await stage.last.open(hello("0", 5_000), ready("0"));
  await stage.last.cut();
  await stage.pass(4_999);
  assert.equal(stage.requests.length, 1);
  await stage.pass(1);
  assert.equal(stage.requests.length, 2);
});

test("two missed heartbeats are a dead connection", async (t) => {
  const stage = play(t);
  const { log } = await watch(stage);
  await stage.last.open(hello(), ready("0"));
  for (let beat = 0; beat < 4; beat += 1) {
    await stage.pass(29_999);
    await stage.last.send(":\n");
  }
  assert.deepEqual([log, stage.last.aborted], [["live"], false]);
  await stage.pass(30_000);
  assert.deepEqual([log, stage.last.aborted], [["live", "stale"], true]);
  await stage.pass(1_500);
  assert.equal(stage.requests.length, 2);
  await stage.pass(30_000);
  assert.ok(stage.last.aborted, "so is one that does not answer at all");
});

test("a server with another heartbeat", async (t) => {
  const stage = play(t);
  await watch(stage, ["A"], { heartbeat: 60_000 });
  await stage.pass(119_999);
  assert.ok(!stage.last.aborted);
  await stage.pass(1);
  assert.ok(stage.last.aborted);
});

test("a heartbeat that no timer can wait for is not zero", async (t) => {
  const stage = play(t);
  for (const heartbeat of [2 ** 31, Infinity]) {
    const { orders } = await watch(stage, ["A"], { heartbeat });
    await stage.pass(1_000_000);
    assert.ok(!stage.last.aborted, `${heartbeat}`);
    orders.close();
  }
});

test("a change is handed over once, whatever is repeated", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  await stage.last.open(hello(), change(1), change(2), change(2), change(1));
  await stage.last.cut();
  await stage.pass(1_500);
  assert.equal(stage.last.headers["last-event-id"], "1-0000", "the id of the last frame");
  await stage.last.open(hello(), change(1), change(2), change(3), ready("3-0000"));
  assert.deepEqual(log, [1, 2, "stale", 3, "live"]);
  assert.equal(orders.get("A").seq, 3);
});

test("cut at any byte, each change is handed over once and in order", async (t) => {
  const seqs = [1, 2, 3, 4];
  const whole = Buffer.from(hello() + seqs.map((seq) => change(seq)).join("") + ready("4-0000"));
  const text = whole.toString();
  for (let at = 0; at <= whole.length; at += 1) {
    await t.test(`${at}`, async (t) => {
      const stage = play(t);
      const { log, orders } = await watch(stage);
      await stage.last.open(text.slice(0, at));
      await stage.last.cut();
      await stage.pass(1_500);
      // The server goes on after the cursor.
      const cursor = stage.last.headers["last-event-id"] ?? "0";
      const after = Number.parseInt(cursor);
      await stage.last.open(hello(cursor), ...seqs.slice(after).map((seq) => change(seq)), ready("4-0000"));
      assert.deepEqual(log.filter(Number.isInteger), seqs);
      assert.equal(orders.cursor, "4-0000");
    });
  }
});

test("what is of no watched order, or no change, is nothing", async (t) => {
  const stage = play(t);
  const { log, orders } = await watch(stage);
  await stage.last.open(hello(), change(1, "1-0000", "B"), "data: {}\nid: 1-0000\n\n", "event: later\ndata: x\nid: 1-0000\n\n", ready("1-0000"));
  assert.deepEqual([log, orders.getSnapshot().orders], [["live"], []]);
});

test("after a reset what is replayed is new, and the page sees no gap", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage, ["A", "B"], { cursor: "7-0000.1-0000", orders: [changeOf(7), changeOf(1, "B")] });
  let renders = 0;
  orders.subscribe(() => (renders += 1));
  await stage.last.open(hello("7-0000.1-0000"), reset(["A", "C"]));
  assert.equal(orders.cursor, "0");
  await stage.last.send(change(1, "1-0000.0"), change(2, "2-0000.0"));
  assert.deepEqual([orders.get("A").seq, renders], [7, 0], "shown until the replay is whole");
  await stage.last.send(ready("2-0000.0"));
  assert.deepEqual(log, ["reset A", 1, 2, "live"]);
  assert.deepEqual([orders.get("A").seq, orders.get("B").seq], [2, 1]);
});

test("a reset that was cut off is made good by the next response", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage, ["A"], { cursor: "7-0000", orders: [changeOf(7)] });
  await stage.last.open(hello("7-0000"), reset(["A"]), change(1));
  await stage.last.cut();
  await stage.pass(1_500);
  assert.deepEqual([stage.last.headers["last-event-id"], orders.get("A").seq], ["1-0000", 7]);
  await stage.last.open(hello("1-0000"), change(2), ready("2-0000"));
  assert.deepEqual([log, orders.get("A").seq], [["reset A", 1, "stale", 2, "live"], 2]);
});

test("a reset in mid-response is shown with its replay, as a whole", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  const shown = [];
  orders.subscribe(() => shown.push(`${orders.state} ${orders.get("A")?.status}`));
  await stage.last.open(hello(), change(5), ready("5-0000"));
  await stage.last.send(reset(["A"]), change(1, "1-ffff"));
  assert.equal(orders.get("A").seq, 5, "what was known stands until there is more to show");
  await stage.last.send(change(2, "2-ffff"), ready("2-ffff"), ":\n");
  await stage.last.send(change(3, "3-ffff"));
  assert.deepEqual(log, [5, "live", "reset A", 1, 2, 3]);
  assert.deepEqual(shown, ["connecting S5", "live S5", "live S2", "live S3"]);
  await stage.last.send(reset(["A"]), ready("0"));
  assert.deepEqual([shown.at(-1), orders.state], ["live undefined", "live"]);
});

test("the end is the end", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  await stage.last.open(hello(), change(1), end("1-0000~"));
  assert.deepEqual([log, orders.cursor], [[1, "ended", "end"], "1-0000~"]);
  await stage.show("hidden");
  await stage.show("visible");
  await stage.happens("online");
  await stage.pass(100_000);
  assert.deepEqual([stage.requests.length, orders.state], [1, "ended"]);
});

test("204 is the end", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage, ["A"], { cursor: "1-0000~", orders: [changeOf(1)] });
  const ends = [];
  orders.on("end", (event) => ends.push(event));
  await stage.last.status(204);
  await stage.pass(100_000);
  assert.deepEqual([log, stage.requests.length], [["ended", "end"], 1]);
  assert.deepEqual(ends, [{ orders: [changeOf(1)] }]);
});

test("204 to a cursor whose ends were not all told is somebody else's", async (t) => {
  const stage = play(t);
  const { log } = await watch(stage, ["A", "B"], { cursor: "1-0000~.2-0000" });
  await stage.last.status(204);
  await stage.pass(1_500);
  assert.deepEqual([log, stage.requests.length], [["stale"], 2]);
});

test("a server-rendered snapshot is shown, and gone on from", async (t) => {
  const stage = play(t);
  const answer = { orders: [changeOf(3)], cursor: "3-0000.0" };
  const { orders, log } = await watch(stage, ["A", "B"], answer);
  assert.deepEqual(orders.getSnapshot(), { state: "connecting", ...answer });
  assert.equal(stage.last.headers["last-event-id"], "3-0000.0");
  await stage.last.open(hello("3-0000.0"), change(3), change(1, "3-0000.1-0000", "B"), ready("3-0000.1-0000"));
  assert.deepEqual(log, [1, "live"]);
  assert.deepEqual(orders.getSnapshot(), { state: "live", cursor: "3-0000.1-0000", orders: [changeOf(3), changeOf(1, "B")] });
});

test("a snapshot is the same object until it is another", async (t) => {
  const stage = play(t);
  const { orders } = await watch(stage, ["A", "B"]);
  const seen = [orders.getSnapshot()];
  const unsubscribe = orders.subscribe(() => seen.push(orders.getSnapshot()));
  await stage.last.open(hello("0.0"), change(1, "1-0000.0"), change(1, "1-0000.1-0000", "B"), ready("1-0000.1-0000"));
  assert.deepEqual(seen.map(({ orders }) => orders.length), [0, 2, 2]);
  assert.equal(seen[1].orders, seen[2].orders, "only the state is another");
  await stage.last.send(":\n", rest(1_000, "1-0000.1-0000"));
  await stage.pass(1_000);
  await stage.last.open(hello("1-0000.1-0000"), ready("1-0000.1-0000"));
  assert.equal(seen.length, 3, "a check-in that brings nothing renders nothing");
  const before = orders.get("B");
  await stage.last.send(change(2, "2-0000.1-0000"), rest(1_000, "2-0000.1-0000"));
  assert.equal(seen.length, 4);
  await stage.pass(1_000);
  await stage.last.open(hello("2-0000.1-0000"), change(3, "3-0000.1-0000"), change(4, "4-0000.1-0000"), ready("4-0000.1-0000"));
  assert.equal(seen.length, 5, "nor does what is caught up with render more than once");
  await stage.last.send(rest(1_000, "4-ffff.1-0000"));
  assert.equal(seen[5].cursor, "4-ffff.1-0000");
  assert.equal(seen[5].orders, seen[4].orders, "only the cursor is another");
  assert.equal(orders.get("B"), before);
  unsubscribe();
  await stage.pass(1_000);
  await stage.last.open(hello(), change(5, "5-0000.1-0000"), ready("5-0000.1-0000"));
  assert.equal(seen.length, 6);
});

test("what the server cannot read for now is not live, and says so", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  const details = [];
  orders.on("state", (detail) => details.push(detail));
  await stage.last.open(hello(), ready("0"), rest(4_000, "0", { unavailable: true }));
  assert.deepEqual(details.at(-1), { state: "stale", reason: "unavailable", retryAt: NOW + 4_000 });
  await stage.pass(4_000);
  await stage.last.open(hello(), rest(8_000, "0", { unavailable: true }));
  assert.deepEqual(details.at(-1), { state: "stale", reason: "unavailable", retryAt: NOW + 12_000 });
  await stage.pass(8_000);
  await stage.last.open(hello(), ready("0"), rest(8_000, "0"));
  assert.deepEqual(log, ["live", "stale", "stale", "live"]);
});

test("a rest longer than the server promises by default is not live", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  const details = [];
  orders.on("state", (detail) => details.push(detail));
  await stage.last.open(hello(), ready("0"), rest(66_000, "0", { unavailable: false }));
  assert.deepEqual(log, ["live"]);
  await stage.pass(66_000);
  await stage.last.open(hello(), ready("0"), rest(66_001, "0"));
  assert.deepEqual(details.at(-1), { state: "stale", reason: "rest", retryAt: NOW + 66_000 + 66_001 });
  await stage.pass(66_000);
  assert.equal(stage.requests.length, 2, "it is kept all the same");
  await stage.pass(1);
  await stage.last.open(hello(), ready("0"));
  assert.deepEqual(log, ["live", "stale", "live"]);
});

test("a rest whose data cannot be read is a rest", async (t) => {
  const stage = play(t);
  const { log } = await watch(stage);
  for (const data of ["", "null", "[]", "{", '{"unavailable":"no"}']) {
    await stage.last.open(hello(), ready("0"), `event: rest\nretry: 1000\ndata: ${data}\nid: 0\n\n`);
    await stage.pass(1_000);
  }
  assert.deepEqual([log, stage.requests.length], [["live"], 6]);
});

test("a new visitor may be told that history is trimmed", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  await stage.last.open(hello(), reset(["A"]), change(51, "51-0001"), change(52, "52-0001"), ready("52-0001"));
  assert.deepEqual([log, orders.get("A").seq], [["reset A", 51, 52, "live"], 52]);
});

test("ids, URLs and how many", async (t) => {
  const stage = play(t);
  const asked = async (url, ids) => {
    const orders = watchOrders(url, ids);
    await stage.pass(0);
    orders.close();
    return stage.last.url;
  };
  assert.equal(await asked("https://s.example", [".."]), "https://s.example/orders/events?order=..");
  assert.equal(await asked("/stream/", ["a b", "ü&", "a b"]), "https://shop.example/stream/orders/events?order=a%20b&order=%C3%BC%26");
  assert.equal(await asked(new URL("http://localhost:9000/lambda-url/stream"), new Set(["A"])), "http://localhost:9000/lambda-url/stream/orders/events?order=A");
  assert.equal(await asked("https://s.example/?tenant=1", ["A"]), "https://s.example/orders/events?tenant=1&order=A");
  assert.equal(await asked("https://s.example/a/b?q=a%20b&r=%2B&&flag#top", ["A"]), "https://s.example/a/b/orders/events?q=a%20b&r=%2B&flag&order=A#top");
  assert.equal(await asked("/stream//?", ["A"]), "https://shop.example/stream/orders/events?order=A");
  assert.equal(await asked("https://s.example?order=B&orderly=1", ["A"]), "https://s.example/orders/events?orderly=1&order=A", "of those that are named");
  assert.equal(await asked("https://s.example", [7, "7", 7n, -0, Number.MAX_SAFE_INTEGER]), "https://s.example/orders/events?order=7&order=0&order=9007199254740991");
  assert.throws(() => watchOrders("/", []), new RangeError("1 to 10 orders can be watched at once, 0 were named"));
  assert.throws(() => watchOrders("/", "abcdefghijk"), RangeError);
});

test("an id that is no text and no exact number is an error", (t) => {
  const stage = play(t);
  for (const [id, is] of [[2 ** 53, "9007199254740992"], [1.5, "1.5"], [NaN, "NaN"], [undefined, "undefined"], [null, "null"], [true, "true"], [{}, "an object"], [Symbol("A"), "Symbol(A)"]]) {
    assert.throws(() => watchOrders("/", ["A", id]), new TypeError(`an order id is a string or a whole number up to 2^53, but one is ${is}`));
  }
  assert.equal(stage.requests.length, 0);
});

test("an order that was named by a number is found by it, and by its digits", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage, [7]);
  await stage.last.open(hello(), change(1, "1-0000", "7"), ready("1-0000"));
  assert.deepEqual([log, orders.get(7), orders.get("7")], [[1, "live"], changeOf(1, "7"), changeOf(1, "7")]);
});

test("cookies go where the page says", async (t) => {
  const stage = play(t);
  await watch(stage);
  assert.equal(stage.last.credentials, undefined, "as fetch has it by itself");
  await watch(stage, ["A"], { credentials: "include" });
  assert.equal(stage.last.credentials, "include");
  await stage.last.status(503);
  await stage.pass(1_500);
  assert.equal(stage.last.credentials, "include");
});

test("closed is closed", async (t) => {
  const stage = play(t);
  const abort = new AbortController();
  const { orders, log } = await watch(stage, ["A"], { signal: abort.signal });
  await stage.last.open(hello(), change(1));
  orders.on("change", () => abort.abort());
  await stage.last.send(change(2) + change(3) + ready("3-0000"));
  assert.deepEqual([log, orders.cursor, stage.last.aborted], [[1, 2], "2-0000", true]);
  await stage.show("hidden");
  await stage.show("visible");
  await stage.pass(100_000);
  assert.equal(stage.requests.length, 1);
  await watch(stage, ["A"], { signal: abort.signal });
  assert.equal(stage.requests.length, 1, "closed before it began");
});

/** What a listener is told before it closes the stream, and what comes after it in the same chunk. */
const CLOSERS = {
  frame: ({ event }) => event === "message",
  change: () => true,
  reset: () => true,
  state: ({ state }) => state === "ended",
  end: () => true,
};

for (const [type, isIt] of Object.entries(CLOSERS)) {
  test(`closed in a listener to ${type}, nothing more is delivered`, async (t) => {
    const stage = play(t);
    const { orders } = await watch(stage);
    const told = [];
    const closes = (event) => {
      if (!isIt(event)) return;
      orders.close();
      for (const type of Object.keys(CLOSERS)) orders.on(type, () => told.push(`new ${type}`));
      told.length = 0;
    };
    orders.on(type, closes);
    for (const type of Object.keys(CLOSERS)) orders.on(type, () => told.push(type));
    orders.subscribe(() => told.push("render"));
    await stage.last.open(hello() + reset(["A"]) + change(1) + ready("1-0000") + change(2) + end("2-0000~"));
    await stage.pass(100_000);
    assert.deepEqual([told, stage.requests.length], [[], 1]);
  });
}

test("closed when it is live, another watch goes on from there and misses nothing", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  orders.on("state", () => orders.close());
  await stage.last.open(hello() + change(1) + ready("1-0000") + change(2) + change(3));
  assert.deepEqual([log, orders.cursor], [[1, "live"], "1-0000"], "what was not handed over is not behind the cursor");
});

test("closed while it is rendered", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  let renders = 0;
  orders.subscribe(orders.close);
  orders.subscribe(() => (renders += 1));
  await stage.last.open(hello(), change(1) + ready("1-0000"), change(2));
  assert.deepEqual([log, renders], [[1], 0]);
});

test("a listener that another one takes away is not called", async (t) => {
  const stage = play(t);
  const { orders } = await watch(stage);
  let calls = 0;
  orders.on("change", () => stop());
  const stop = orders.on("change", () => (calls += 1));
  await stage.last.open(hello(), change(1));
  assert.equal(calls, 0);
});

const ENDS = {
  "the end": (stage) => stage.last.open(hello(), end("1-0000~")),
  "a 403": (stage) => stage.last.status(403),
  "close": (_, orders) => orders.close(),
  "the signal": (_, __, abort) => abort.abort(),
};

for (const [name, ends] of Object.entries(ENDS)) {
  test(`after ${name} the signal is not listened to`, async (t) => {
    const stage = play(t);
    const abort = new AbortController();
    const { orders } = await watch(stage, ["A"], { signal: abort.signal });
    assert.equal(getEventListeners(abort.signal, "abort").length, 1);
    await ends(stage, orders, abort);
    assert.equal(getEventListeners(abort.signal, "abort").length, 0);
  });
}

test("closed while it waits", async (t) => {
  const stage = play(t);
  for (const before of [(request) => request.status(502), (request) => request.open(hello(), ready("0"), rest(1_000, "0")), () => {}]) {
    const { orders } = await watch(stage);
    const requests = stage.requests.length;
    await before(stage.last);
    orders.close();
    await stage.pass(100_000);
    assert.equal(stage.requests.length, requests);
  }
});

test("a listener that throws stops nothing", async (t) => {
  const stage = play(t);
  const { orders, log } = await watch(stage);
  const thrown = [];
  t.mock.method(globalThis, "queueMicrotask", (task) => thrown.push(task));
  orders.on("change", () => {
    throw new Error("the page's own");
  });
  await stage.last.open(hello(), change(1), ready("1-0000"));
  assert.deepEqual(log, [1, "live"]);
  assert.throws(() => thrown[0](), new Error("the page's own"));
});

test("a hidden page asks for nothing, a shown one at once", async (t) => {
  for (const before of [
    () => {},
    (request) => request.open(hello(), ready("0")),
    (request) => request.open(hello(), ready("0"), rest(1_000, "0")),
    (request) => request.status(429),
  ]) {
    await t.test(async (t) => {
      const stage = play(t);
      const { orders } = await watch(stage);
      await before(stage.last);
      await stage.show("hidden");
      assert.equal(orders.state, "connecting");
      await stage.pass(1_000_000);
      assert.equal(stage.requests.length, 1);
      assert.ok(stage.last.aborted);
      await stage.show("visible");
      assert.equal(stage.requests.length, 2);
      await stage.last.status(502);
      await stage.pass(1_500);
      assert.equal(stage.requests.length, 3, "and as patiently as if nothing had been");
    });
  }
});

test("a page that is hidden from the start", async (t) => {
  const stage = play(t, { hidden: true });
  const { log } = await watch(stage);
  await stage.happens("online");
  await stage.pass(1_000_000);
  assert.deepEqual([stage.requests.length, log], [0, []]);
  await stage.show("visible");
  assert.equal(stage.requests.length, 1);
});

test("into the back/forward cache and out of it", async (t) => {
  const stage = play(t);
  await watch(stage);
  await stage.last.open(hello(), ready("0"));
  await stage.happens("pageshow");
  assert.equal(stage.requests.length, 1, "the page's first one");
  await stage.happens("pagehide");
  assert.ok(stage.last.aborted);
  await stage.happens("pageshow");
  assert.equal(stage.requests.length, 2);
});

test("on the network again it does not wait", async (t) => {
  const stage = play(t);
  await watch(stage);
  for (const before of [() => stage.last.status(502), () => stage.last.open(hello(), ready("0"))]) {
    await before();
    const request = stage.last;
    await stage.happens("online");
    assert.notEqual(stage.last, request);
    assert.ok(request.aborted);
  }
});

test("frames as they come", async (t) => {
  const stage = play(t);
  const { orders } = await watch(stage);
  const frames = [];
  orders.on("frame", (frame) => frames.push(frame));
  await stage.last.open(hello(), change(1), expired("1-0000"));
  assert.deepEqual(frames.map(({ event, id }) => `${event} ${id}`), ["hello 0", "message 1-0000", "expired 1-0000"]);
  assert.deepEqual(JSON.parse(frames[1].data), changeOf(1));
});
