import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { watchOrders } from "../order-stream.js";
import { NOW, change, changeOf, end, expired, hello, createHarness, ready, reset, rest, watch } from "./harness.js";

test("a stream is live once it has caught up", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  assert.equal(harness.last.url, "https://stream.example/orders/events?order=A");
  assert.deepEqual(harness.last.headers, { accept: "text/event-stream" });
  await harness.last.open(hello(), change(1), change(2));
  assert.deepEqual([log, orders.state, orders.cursor], [[1, 2], "connecting", "2-0000"]);
  await harness.last.send(ready("2-0000"), ":\n");
  await harness.last.send(change(3));
  assert.deepEqual([log, orders.state], [[1, 2, "live", 3], "live"]);
  assert.deepEqual(orders.get("A"), changeOf(3));
  assert.equal(harness.requests.length, 1);
});

test("a rest is kept to the millisecond, and does not change the state", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  await harness.last.open(hello(), change(1), ready("1-0000"), rest(20_000, "1-0000"));
  await harness.last.cut();
  assert.ok(!harness.last.aborted, "an aborted connection cannot be reused");
  await harness.advance(19_999);
  assert.equal(harness.requests.length, 1);
  await harness.advance(1);
  assert.equal(harness.requests.length, 2);
  assert.deepEqual(harness.last.headers, { accept: "text/event-stream", "last-event-id": "1-0000" });
  await harness.last.open(hello("1-0000"), ready("1-0000"));
  assert.deepEqual(log, [1, "live"]);
  assert.equal(orders.state, "live");
});

test("after rest a response that does not end is aborted, and one that breaks is no failure", async (t) => {
  const harness = createHarness(t);
  const { log } = await watch(harness);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"), change(9));
  await harness.advance(1_000);
  assert.ok(harness.requests[0].aborted);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.last.cut(new Error("reset by peer"));
  await harness.advance(1_000);
  assert.deepEqual([log, harness.requests.length], [["live"], 3]);
});

test("a check-in that takes 5 s is stale", async (t) => {
  const harness = createHarness(t);
  const { log } = await watch(harness);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  await harness.last.open(hello());
  await harness.advance(4_999);
  assert.deepEqual(log, ["live"]);
  await harness.advance(1);
  assert.deepEqual(log, ["live", "stale"]);
  await harness.last.send(ready("0"));
  await harness.advance(10_000);
  assert.deepEqual(log, ["live", "stale", "live"]);
});

test("a check-in that was in time stays live while it is held", async (t) => {
  const harness = createHarness(t);
  const { log } = await watch(harness);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  await harness.advance(4_999);
  await harness.last.open(hello(), ready("0"));
  await harness.advance(10_000);
  assert.deepEqual(log, ["live"]);
});

test("a rest before ready is stale", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  await harness.last.open(hello(), change(1), rest(3_000, "1-0000"));
  assert.deepEqual(log, ["live", 1, "stale"]);
  assert.equal(orders.get("A").seq, 1);
  await harness.advance(3_000);
  assert.equal(harness.requests.length, 3);
});

test("a retry below one second counts as one second, and one above the limit of timers as that limit", async (t) => {
  const harness = createHarness(t);
  await watch(harness);
  for (const [retry, waited] of [[0, 1_000], [10 ** 12, 2 ** 31 - 1]]) {
    const before = harness.requests.length;
    await harness.last.open(hello(), ready("0"), rest(retry, "0"));
    await harness.advance(waited - 1);
    assert.equal(harness.requests.length, before);
    await harness.advance(1);
    assert.equal(harness.requests.length, before + 1);
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
  "a proxy's 400": (request) => request.status(400, "", "text/html"),
  "a proxy's 405": (request) => request.status(405, "", ""),
  "a proxy's 407": (request) => request.status(407, "", "text/html"),
  "a proxy's 410": (request) => request.status(410, "", "text/html"),
  "a proxy's 451": (request) => request.status(451, "", "application/problem+jsonp"),
  "a proxy's 401": (request) => request.status(401, "", "text/html"),
  "a proxy's 204": (request) => request.status(204, "", ""),
  "a proxy's 206": (request) => request.status(206, end("1-0000~"), "text/event-stream"),
  "a proxy's 304": (request) => request.status(304, "", ""),
  "a captive portal's 511": (request) => request.status(511, "", "text/html"),
  "a captive portal": (request) => request.status(200, end("1-0000~"), "text/html"),
  "an end without rest": async (request) => (await request.open(hello()), request.cut()),
  "a reset": async (request) => (await request.open(hello()), request.cut(new Error("reset by peer"))),
  "an empty body": async (request) => (await request.open(), request.cut()),
  "a change that cannot be read": (request) => request.open(hello(), "data: {\nid: 7-0000\n\n"),
};

for (const [name, fail] of Object.entries(FAILURES)) {
  test(`after ${name} the stream is opened again, with a longer delay each time`, async (t) => {
    const harness = createHarness(t, { random: 0.5 });
    const { orders, log } = await watch(harness);
    const details = [];
    orders.on("state", (detail) => details.push(detail));
    for (const [tries, delay] of [1_500, 3_000, 6_000, 12_000, 24_000, 24_000].entries()) {
      await fail(harness.last);
      await harness.advance(delay - 1);
      assert.equal(harness.requests.length, tries + 1);
      await harness.advance(1);
      assert.equal(harness.requests.length, tries + 2);
    }
    assert.deepEqual(log, Array(6).fill("stale"));
    assert.equal(details[0].retryAt, NOW + 1_500);
    assert.notEqual(details[0].reason, undefined);
    await harness.last.open(hello(), change(1), ready("1-0000"));
    assert.equal(orders.state, "live");
    await harness.last.cut();
    await harness.advance(1_500);
    assert.equal(harness.requests.length, 8, "a success resets the delay");
  });
}

test("after a frame that cannot be read, the client resumes before that frame", async (t) => {
  const harness = createHarness(t);
  await watch(harness);
  await harness.last.open(hello(), change(1), "data: {\nid: 2-0000\n\n");
  await harness.advance(1_500);
  assert.equal(harness.last.headers["last-event-id"], "1-0000");
});

test("the length of a rest does not affect the delay after a failure", async (t) => {
  const harness = createHarness(t);
  await watch(harness);
  await harness.last.open(hello(), ready("0"), rest(60_000, "0"));
  await harness.advance(60_000);
  await harness.last.status(503);
  await harness.advance(1_500);
  assert.equal(harness.requests.length, 3);
});

test("a client that got 429 does not come back sooner than one that is served", async (t) => {
  for (const [served, random, expected] of [[9_000, 0, 8_100], [9_000, 1, 9_900], [1_000, 0, 1_000], [60_000, 0.5, 16_000]]) {
    await t.test(`${served} ${random}`, async (t) => {
      const harness = createHarness(t, { random });
      await watch(harness);
      await harness.last.open(hello(), ready("0"), rest(served, "0"));
      await harness.advance(served);
      await harness.last.status(429);
      await harness.advance(expected - 1);
      assert.equal(harness.requests.length, 2);
      await harness.advance(1);
      assert.equal(harness.requests.length, 3);
    });
  }
});

test("clients that failed together do not come back together", async (t) => {
  const delays = [];
  for (const random of [0, 0.999]) {
    await t.test(`${random}`, async (t) => {
      const harness = createHarness(t, { random });
      const { orders } = await watch(harness);
      orders.on("state", ({ retryAt }) => delays.push(Math.floor(retryAt - NOW)));
      await harness.last.status(429);
    });
  }
  assert.deepEqual(delays, [1_000, 1_999]);
});

test("after a response was cut off, its retry is kept", async (t) => {
  const harness = createHarness(t);
  await watch(harness);
  await harness.last.open(hello("0", 5_000), ready("0"));
  await harness.last.cut();
  await harness.advance(4_999);
  assert.equal(harness.requests.length, 1);
  await harness.advance(1);
  assert.equal(harness.requests.length, 2);
});

test("after two missed heartbeats the connection counts as dead", async (t) => {
  const harness = createHarness(t);
  const { log } = await watch(harness);
  await harness.last.open(hello(), ready("0"));
  for (let beat = 0; beat < 4; beat += 1) {
    await harness.advance(29_999);
    await harness.last.send(":\n");
  }
  assert.deepEqual([log, harness.last.aborted], [["live"], false]);
  await harness.advance(30_000);
  assert.deepEqual([log, harness.last.aborted], [["live", "stale"], true]);
  await harness.advance(1_500);
  assert.equal(harness.requests.length, 2);
  await harness.advance(30_000);
  assert.ok(harness.last.aborted, "a connection without a response counts as dead too");
});

test("the option heartbeat sets the time limit of silence", async (t) => {
  const harness = createHarness(t);
  await watch(harness, ["A"], { heartbeat: 60_000 });
  await harness.advance(119_999);
  assert.ok(!harness.last.aborted);
  await harness.advance(1);
  assert.ok(harness.last.aborted);
});

test("a heartbeat above the limit of timers does not become zero", async (t) => {
  const harness = createHarness(t);
  for (const heartbeat of [2 ** 31, Infinity]) {
    const { orders } = await watch(harness, ["A"], { heartbeat });
    await harness.advance(1_000_000);
    assert.ok(!harness.last.aborted, `${heartbeat}`);
    orders.close();
  }
});

test("a repeated change is delivered once", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  await harness.last.open(hello(), change(1), change(2), change(2), change(1));
  await harness.last.cut();
  await harness.advance(1_500);
  assert.equal(harness.last.headers["last-event-id"], "1-0000", "the id of the last frame");
  await harness.last.open(hello(), change(1), change(2), change(3), ready("3-0000"));
  assert.deepEqual(log, [1, 2, "stale", 3, "live"]);
  assert.equal(orders.get("A").seq, 3);
});

test("after a cut at any byte, each change is delivered once and in order", async (t) => {
  const seqs = [1, 2, 3, 4];
  const whole = Buffer.from(hello() + seqs.map((seq) => change(seq)).join("") + ready("4-0000"));
  const text = whole.toString();
  for (let at = 0; at <= whole.length; at += 1) {
    await t.test(`${at}`, async (t) => {
      const harness = createHarness(t);
      const { log, orders } = await watch(harness);
      await harness.last.open(text.slice(0, at));
      await harness.last.cut();
      await harness.advance(1_500);
      // The server continues after the cursor.
      const cursor = harness.last.headers["last-event-id"] ?? "0";
      const after = Number.parseInt(cursor);
      await harness.last.open(hello(cursor), ...seqs.slice(after).map((seq) => change(seq)), ready("4-0000"));
      assert.deepEqual(log.filter(Number.isInteger), seqs);
      assert.equal(orders.cursor, "4-0000");
    });
  }
});

test("changes of other orders and unknown frames are ignored", async (t) => {
  const harness = createHarness(t);
  const { log, orders } = await watch(harness);
  await harness.last.open(hello(), change(1, "1-0000", "B"), "data: {}\nid: 1-0000\n\n", "event: later\ndata: x\nid: 1-0000\n\n", ready("1-0000"));
  assert.deepEqual([log, orders.getSnapshot().orders], [["live"], []]);
});

test("after a reset the replay is delivered, and the snapshot shows no gap", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness, ["A", "B"], { cursor: "7-0000.1-0000", orders: [changeOf(7), changeOf(1, "B")] });
  let renders = 0;
  orders.subscribe(() => (renders += 1));
  await harness.last.open(hello("7-0000.1-0000"), reset(["A", "C"]));
  assert.equal(orders.cursor, "0");
  await harness.last.send(change(1, "1-0000.0"), change(2, "2-0000.0"));
  assert.deepEqual([orders.get("A").seq, renders], [7, 0], "shown until the replay is complete");
  await harness.last.send(ready("2-0000.0"));
  assert.deepEqual(log, ["reset A", 1, 2, "live"]);
  assert.deepEqual([orders.get("A").seq, orders.get("B").seq], [2, 1]);
});

test("a reset that was cut off is completed by the next response", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness, ["A"], { cursor: "7-0000", orders: [changeOf(7)] });
  await harness.last.open(hello("7-0000"), reset(["A"]), change(1));
  await harness.last.cut();
  await harness.advance(1_500);
  assert.deepEqual([harness.last.headers["last-event-id"], orders.get("A").seq], ["1-0000", 7]);
  await harness.last.open(hello("1-0000"), change(2), ready("2-0000"));
  assert.deepEqual([log, orders.get("A").seq], [["reset A", 1, "stale", 2, "live"], 2]);
});

test("a reset within a response is published together with its replay", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  const shown = [];
  orders.subscribe(() => shown.push(`${orders.state} ${orders.get("A")?.status}`));
  await harness.last.open(hello(), change(5), ready("5-0000"));
  await harness.last.send(reset(["A"]), change(1, "1-ffff"));
  assert.equal(orders.get("A").seq, 5, "shown until the replay is complete");
  await harness.last.send(change(2, "2-ffff"), ready("2-ffff"), ":\n");
  await harness.last.send(change(3, "3-ffff"));
  assert.deepEqual(log, [5, "live", "reset A", 1, 2, 3]);
  assert.deepEqual(shown, ["connecting S5", "live S5", "live S2", "live S3"]);
  await harness.last.send(reset(["A"]), ready("0"));
  assert.deepEqual([shown.at(-1), orders.state], ["live undefined", "live"]);
});

test("after end no request follows", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  await harness.last.open(hello(), change(1), end("1-0000~"));
  assert.deepEqual([log, orders.cursor], [[1, "ended", "end"], "1-0000~"]);
  await harness.setVisibility("hidden");
  await harness.setVisibility("visible");
  await harness.fire("online");
  await harness.advance(100_000);
  assert.deepEqual([harness.requests.length, orders.state], [1, "ended"]);
});

test("after 204 no request follows", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness, ["A"], { cursor: "1-0000~", orders: [changeOf(1)] });
  const ends = [];
  orders.on("end", (event) => ends.push(event));
  await harness.last.status(204);
  await harness.advance(100_000);
  assert.deepEqual([log, harness.requests.length], [["ended", "end"], 1]);
  assert.deepEqual(ends, [{ orders: [changeOf(1)] }]);
});

test("a 204 before the end of each order is not the server's", async (t) => {
  const harness = createHarness(t);
  const { log } = await watch(harness, ["A", "B"], { cursor: "1-0000~.2-0000" });
  await harness.last.status(204);
  await harness.advance(1_500);
  assert.deepEqual([log, harness.requests.length], [["stale"], 2]);
});

test("the client shows a server's snapshot and resumes from it", async (t) => {
  const harness = createHarness(t);
  const snapshot = { orders: [changeOf(3)], cursor: "3-0000.0" };
  const { orders, log } = await watch(harness, ["A", "B"], snapshot);
  assert.deepEqual(orders.getSnapshot(), { state: "connecting", ...snapshot });
  assert.equal(harness.last.headers["last-event-id"], "3-0000.0");
  await harness.last.open(hello("3-0000.0"), change(3), change(1, "3-0000.1-0000", "B"), ready("3-0000.1-0000"));
  assert.deepEqual(log, [1, "live"]);
  assert.deepEqual(orders.getSnapshot(), { state: "live", cursor: "3-0000.1-0000", orders: [changeOf(3), changeOf(1, "B")] });
});

test("a snapshot is the same object until its content changes", async (t) => {
  const harness = createHarness(t);
  const { orders } = await watch(harness, ["A", "B"]);
  const seen = [orders.getSnapshot()];
  const unsubscribe = orders.subscribe(() => seen.push(orders.getSnapshot()));
  await harness.last.open(hello("0.0"), change(1, "1-0000.0"), change(1, "1-0000.1-0000", "B"), ready("1-0000.1-0000"));
  assert.deepEqual(seen.map(({ orders }) => orders.length), [0, 2, 2]);
  assert.equal(seen[1].orders, seen[2].orders, "only the state has changed");
  await harness.last.send(":\n", rest(1_000, "1-0000.1-0000"));
  await harness.advance(1_000);
  await harness.last.open(hello("1-0000.1-0000"), ready("1-0000.1-0000"));
  assert.equal(seen.length, 3, "a check-in without changes does not render");
  const before = orders.get("B");
  await harness.last.send(change(2, "2-0000.1-0000"), rest(1_000, "2-0000.1-0000"));
  assert.equal(seen.length, 4);
  await harness.advance(1_000);
  await harness.last.open(hello("2-0000.1-0000"), change(3, "3-0000.1-0000"), change(4, "4-0000.1-0000"), ready("4-0000.1-0000"));
  assert.equal(seen.length, 5, "a replay renders once");
  await harness.last.send(rest(1_000, "4-ffff.1-0000"));
  assert.equal(seen[5].cursor, "4-ffff.1-0000");
  assert.equal(seen[5].orders, seen[4].orders, "only the cursor has changed");
  assert.equal(orders.get("B"), before);
  unsubscribe();
  await harness.advance(1_000);
  await harness.last.open(hello(), change(5, "5-0000.1-0000"), ready("5-0000.1-0000"));
  assert.equal(seen.length, 6);
});

test("if the server cannot read its data, the state is stale with the reason unavailable", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  const details = [];
  orders.on("state", (detail) => details.push(detail));
  await harness.last.open(hello(), ready("0"), rest(4_000, "0", { unavailable: true }));
  assert.deepEqual(details.at(-1), { state: "stale", reason: "unavailable", retryAt: NOW + 4_000 });
  await harness.advance(4_000);
  await harness.last.open(hello(), rest(8_000, "0", { unavailable: true }));
  assert.deepEqual(details.at(-1), { state: "stale", reason: "unavailable", retryAt: NOW + 12_000 });
  await harness.advance(8_000);
  await harness.last.open(hello(), ready("0"), rest(8_000, "0"));
  assert.deepEqual(log, ["live", "stale", "stale", "live"]);
});

test("a rest above the server's default limit is stale", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  const details = [];
  orders.on("state", (detail) => details.push(detail));
  await harness.last.open(hello(), ready("0"), rest(66_000, "0", { unavailable: false }));
  assert.deepEqual(log, ["live"]);
  await harness.advance(66_000);
  await harness.last.open(hello(), ready("0"), rest(66_001, "0"));
  assert.deepEqual(details.at(-1), { state: "stale", reason: "rest", retryAt: NOW + 66_000 + 66_001 });
  await harness.advance(66_000);
  assert.equal(harness.requests.length, 2, "the client still waits that long");
  await harness.advance(1);
  await harness.last.open(hello(), ready("0"));
  assert.deepEqual(log, ["live", "stale", "live"]);
});

test("a rest is kept if its data cannot be read", async (t) => {
  const harness = createHarness(t);
  const { log } = await watch(harness);
  for (const data of ["", "null", "[]", "{", '{"unavailable":"no"}']) {
    await harness.last.open(hello(), ready("0"), `event: rest\nretry: 1000\ndata: ${data}\nid: 0\n\n`);
    await harness.advance(1_000);
  }
  assert.deepEqual([log, harness.requests.length], [["live"], 6]);
});

test("a new visitor may get reset before the first change", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  await harness.last.open(hello(), reset(["A"]), change(51, "51-0001"), change(52, "52-0001"), ready("52-0001"));
  assert.deepEqual([log, orders.get("A").seq], [["reset A", 51, 52, "live"], 52]);
});

test("the URL of the request, and the limits of the number of orders", async (t) => {
  const harness = createHarness(t);
  const requestUrl = async (url, ids) => {
    const orders = watchOrders(url, ids);
    await harness.advance(0);
    orders.close();
    return harness.last.url;
  };
  assert.equal(await requestUrl("https://s.example", [".."]), "https://s.example/orders/events?order=..");
  assert.equal(await requestUrl("/stream/", ["a b", "ü&", "a b"]), "https://shop.example/stream/orders/events?order=a%20b&order=%C3%BC%26");
  assert.equal(await requestUrl(new URL("http://localhost:9000/lambda-url/stream"), new Set(["A"])), "http://localhost:9000/lambda-url/stream/orders/events?order=A");
  assert.equal(await requestUrl("https://s.example/?tenant=1", ["A"]), "https://s.example/orders/events?tenant=1&order=A");
  assert.equal(await requestUrl("https://s.example/a/b?q=a%20b&r=%2B&&flag#top", ["A"]), "https://s.example/a/b/orders/events?q=a%20b&r=%2B&flag&order=A#top");
  assert.equal(await requestUrl("/stream//?", ["A"]), "https://shop.example/stream/orders/events?order=A");
  assert.equal(await requestUrl("https://s.example?order=B&orderly=1", ["A"]), "https://s.example/orders/events?orderly=1&order=A", "orders in the page's query are replaced");
  assert.equal(await requestUrl("https://s.example", [7, "7", 7n, -0, Number.MAX_SAFE_INTEGER]), "https://s.example/orders/events?order=7&order=0&order=9007199254740991");
  assert.throws(() => watchOrders("/", []), new RangeError("1 to 10 orders can be watched at once, not 0"));
  assert.throws(() => watchOrders("/", "abcdefghijk"), RangeError);
});

test("an id that is neither a string nor a safe integer is an error", (t) => {
  const harness = createHarness(t);
  for (const [id, described] of [[2 ** 53, "9007199254740992"], [1.5, "1.5"], [NaN, "NaN"], [undefined, "undefined"], [null, "null"], [true, "true"], [{}, "an object"], [Symbol("A"), "Symbol(A)"]]) {
    assert.throws(() => watchOrders("/", ["A", id]), new TypeError(`an order id is a string or a whole number up to 2^53, but one is ${described}`));
  }
  assert.equal(harness.requests.length, 0);
});

test("an order that was named by a number is found by the number and by its digits", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness, [7]);
  await harness.last.open(hello(), change(1, "1-0000", "7"), ready("1-0000"));
  assert.deepEqual([log, orders.get(7), orders.get("7")], [[1, "live"], changeOf(1, "7"), changeOf(1, "7")]);
});

test("the option credentials is passed to fetch", async (t) => {
  const harness = createHarness(t);
  await watch(harness);
  assert.equal(harness.last.credentials, undefined, "fetch's default");
  await watch(harness, ["A"], { credentials: "include" });
  assert.equal(harness.last.credentials, "include");
  await harness.last.status(503);
  await harness.advance(1_500);
  assert.equal(harness.last.credentials, "include");
});

test("after close no event is delivered and no request is sent", async (t) => {
  const harness = createHarness(t);
  const abort = new AbortController();
  const { orders, log } = await watch(harness, ["A"], { signal: abort.signal });
  await harness.last.open(hello(), change(1));
  orders.on("change", () => abort.abort());
  await harness.last.send(change(2) + change(3) + ready("3-0000"));
  assert.deepEqual([log, orders.cursor, harness.last.aborted], [[1, 2], "2-0000", true]);
  await harness.setVisibility("hidden");
  await harness.setVisibility("visible");
  await harness.advance(100_000);
  assert.equal(harness.requests.length, 1);
  await watch(harness, ["A"], { signal: abort.signal });
  assert.equal(harness.requests.length, 1, "an aborted signal prevents the first request");
});

/** The event at which a listener closes the stream. More events follow in the same chunk. */
const CLOSERS = {
  frame: ({ event }) => event === "message",
  change: () => true,
  reset: () => true,
  state: ({ state }) => state === "ended",
  end: () => true,
};

for (const [type, isTrigger] of Object.entries(CLOSERS)) {
  test(`if a listener to ${type} closes the stream, nothing more is delivered`, async (t) => {
    const harness = createHarness(t);
    const { orders } = await watch(harness);
    const received = [];
    const closes = (event) => {
      if (!isTrigger(event)) return;
      orders.close();
      for (const type of Object.keys(CLOSERS)) orders.on(type, () => received.push(`new ${type}`));
      received.length = 0;
    };
    orders.on(type, closes);
    for (const type of Object.keys(CLOSERS)) orders.on(type, () => received.push(type));
    orders.subscribe(() => received.push("render"));
    await harness.last.open(hello() + reset(["A"]) + change(1) + ready("1-0000") + change(2) + end("2-0000~"));
    await harness.advance(100_000);
    assert.deepEqual([received, harness.requests.length], [[], 1]);
  });
}

test("if a listener to frame closes the stream at a change, the cursor does not pass that change", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  orders.on("frame", ({ event }) => event === "message" && orders.close());
  await harness.last.open(hello() + change(1) + ready("1-0000"));
  assert.deepEqual([log, orders.cursor], [[], "0"]);
});

test("if a stream is closed at live, its cursor is that of the last delivered change", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  orders.on("state", () => orders.close());
  await harness.last.open(hello() + change(1) + ready("1-0000") + change(2) + change(3));
  assert.deepEqual([log, orders.cursor], [[1, "live"], "1-0000"], "the cursor does not pass what was not delivered");
});

test("if a subscriber closes the stream, the other subscribers are not called", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  let renders = 0;
  orders.subscribe(orders.close);
  orders.subscribe(() => (renders += 1));
  await harness.last.open(hello(), change(1) + ready("1-0000"), change(2));
  assert.deepEqual([log, renders], [[1], 0]);
});

test("a listener that another listener removes is not called", async (t) => {
  const harness = createHarness(t);
  const { orders } = await watch(harness);
  let calls = 0;
  orders.on("change", () => stop());
  const stop = orders.on("change", () => (calls += 1));
  await harness.last.open(hello(), change(1));
  assert.equal(calls, 0);
});

const ENDS = {
  "the end": (harness) => harness.last.open(hello(), end("1-0000~")),
  "a 403": (harness) => harness.last.status(403),
  "close": (_, orders) => orders.close(),
  "the signal": (_, __, abort) => abort.abort(),
};

for (const [name, ends] of Object.entries(ENDS)) {
  test(`after ${name} the signal has no listener`, async (t) => {
    const harness = createHarness(t);
    const abort = new AbortController();
    const { orders } = await watch(harness, ["A"], { signal: abort.signal });
    assert.equal(getEventListeners(abort.signal, "abort").length, 1);
    await ends(harness, orders, abort);
    assert.equal(getEventListeners(abort.signal, "abort").length, 0);
  });
}

test("a stream that is closed while it waits sends no request", async (t) => {
  const harness = createHarness(t);
  for (const before of [(request) => request.status(502), (request) => request.open(hello(), ready("0"), rest(1_000, "0")), () => {}]) {
    const { orders } = await watch(harness);
    const requests = harness.requests.length;
    await before(harness.last);
    orders.close();
    await harness.advance(100_000);
    assert.equal(harness.requests.length, requests);
  }
});

test("a listener that throws does not stop the stream", async (t) => {
  const harness = createHarness(t);
  const { orders, log } = await watch(harness);
  const thrown = [];
  t.mock.method(globalThis, "queueMicrotask", (task) => thrown.push(task));
  orders.on("change", () => {
    throw new Error("the page's own");
  });
  await harness.last.open(hello(), change(1), ready("1-0000"));
  assert.deepEqual(log, [1, "live"]);
  assert.throws(() => thrown[0](), new Error("the page's own"));
});

test("a hidden page sends no requests, and one that is shown again sends one at once", async (t) => {
  for (const before of [
    () => {},
    (request) => request.open(hello(), ready("0")),
    (request) => request.open(hello(), ready("0"), rest(1_000, "0")),
    (request) => request.status(429),
  ]) {
    await t.test(async (t) => {
      const harness = createHarness(t);
      const { orders } = await watch(harness);
      await before(harness.last);
      await harness.setVisibility("hidden");
      assert.equal(orders.state, "connecting");
      await harness.advance(1_000_000);
      assert.equal(harness.requests.length, 1);
      assert.ok(harness.last.aborted);
      await harness.setVisibility("visible");
      assert.equal(harness.requests.length, 2);
      await harness.last.status(502);
      await harness.advance(1_500);
      assert.equal(harness.requests.length, 3, "hiding the page resets the delay");
    });
  }
});

test("a page that is hidden from the start opens no stream until it is shown", async (t) => {
  const harness = createHarness(t, { hidden: true });
  const { log } = await watch(harness);
  await harness.fire("online");
  await harness.advance(1_000_000);
  assert.deepEqual([harness.requests.length, log], [0, []]);
  await harness.setVisibility("visible");
  assert.equal(harness.requests.length, 1);
});

test("the stream is closed when the page enters the back/forward cache, and opened when it leaves it", async (t) => {
  const harness = createHarness(t);
  await watch(harness);
  await harness.last.open(hello(), ready("0"));
  await harness.fire("pageshow");
  assert.equal(harness.requests.length, 1, "the first pageshow opens no second stream");
  await harness.fire("pagehide");
  assert.ok(harness.last.aborted);
  await harness.fire("pageshow");
  assert.equal(harness.requests.length, 2);
});

test("when the network is back, the stream is opened at once", async (t) => {
  const harness = createHarness(t);
  await watch(harness);
  for (const before of [() => harness.last.status(502), () => harness.last.open(hello(), ready("0"))]) {
    await before();
    const request = harness.last;
    await harness.fire("online");
    assert.notEqual(harness.last, request);
    assert.ok(request.aborted);
  }
});

test("frame events have the event, the data and the id of each frame", async (t) => {
  const harness = createHarness(t);
  const { orders } = await watch(harness);
  const frames = [];
  orders.on("frame", (frame) => frames.push(frame));
  await harness.last.open(hello(), change(1), expired("1-0000"));
  assert.deepEqual(frames.map(({ event, id }) => `${event} ${id}`), ["hello 0", "message 1-0000", "expired 1-0000"]);
  assert.deepEqual(JSON.parse(frames[1].data), changeOf(1));
});
