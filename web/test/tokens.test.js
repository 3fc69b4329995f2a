import assert from "node:assert/strict";
import { test } from "node:test";

import { expiry } from "../order-stream/tokens.js";
import { NOW, change, expired, hello, jwt, play, ready, rest, settle, watch } from "./stage.js";

/** Watches with a page that gives these tokens, one after another, and notes what it was asked. */
async function watchWith(stage, ...tokens) {
  const asked = [];
  const token = async ({ rejected }) => {
    asked.push(rejected);
    const next = tokens.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  return { asked, ...(await watch(stage, ["A"], { token })) };
}

/** The token that a request brought. */
const brought = ({ headers }) => headers.authorization;

test("the token goes in a header, and is asked for once", async (t) => {
  const stage = play(t);
  const { asked } = await watchWith(stage, "opaque");
  assert.equal(brought(stage.last), "Bearer opaque");
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  await stage.last.open(hello(), ready("0"), rest(60_000, "0"));
  await stage.pass(60_000);
  assert.equal(brought(stage.last), "Bearer opaque");
  assert.deepEqual(asked, [undefined]);
});

test("before exp the page is asked for another", async (t) => {
  const stage = play(t);
  const [first, second] = [jwt(60, "first"), jwt(3_600, "second")];
  const { asked } = await watchWith(stage, first, second);
  await stage.last.open(hello(), ready("0"), rest(30_000, "0"));
  await stage.pass(30_000);
  assert.equal(brought(stage.last), `Bearer ${first}`, "half a minute is left");
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  assert.equal(brought(stage.last), `Bearer ${second}`);
  assert.deepEqual(asked, [undefined, undefined], "nobody has rejected the first");
});

test("a token is tried whatever this machine's clock makes of it", async (t) => {
  const stage = play(t);
  const old = jwt(-86_400);
  const { asked, log } = await watchWith(stage, old, old);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  assert.equal(brought(stage.last), `Bearer ${old}`);
  assert.deepEqual([asked.length, log], [2, ["live"]]);
});

test("on expired it is exchanged, and the page stays live", async (t) => {
  const stage = play(t);
  const { asked, log } = await watchWith(stage, "first", "second");
  await stage.last.open(hello(), change(1), ready("1-0000"), expired("1-0000"));
  await stage.last.cut();
  await stage.pass(1_180);
  assert.deepEqual([asked, brought(stage.last)], [[undefined, "first"], "Bearer second"]);
  await stage.last.open(hello("1-0000"), ready("1-0000"));
  assert.deepEqual(log, [1, "live"]);
});

test("a token that is exchanged in time was not rejected, whatever was before it", async (t) => {
  const stage = play(t);
  const { asked } = await watchWith(stage, "first", jwt(29), "third");
  await stage.last.open(hello(), ready("0"), expired("0"));
  await stage.pass(1_180);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  assert.deepEqual(asked, [undefined, "first", undefined]);
});

test("tokens that expire at once are no endless loop", async (t) => {
  const stage = play(t);
  const { asked } = await watchWith(stage, ..."abcdefgh");
  for (const delay of [1_500, 3_000, 6_000]) {
    const { length } = asked;
    await stage.last.open(hello(), expired("0"));
    await stage.pass(delay - 1);
    assert.equal(asked.length, length);
    await stage.pass(1);
    assert.equal(asked.length, length + 1);
  }
});

test("on 401 it is exchanged at once", async (t) => {
  const stage = play(t);
  const { asked, log } = await watchWith(stage, "first", "second", "third");
  await stage.last.status(401);
  await stage.pass(0);
  assert.deepEqual([asked, brought(stage.last)], [[undefined, "first"], "Bearer second"]);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  await stage.last.status(401);
  await stage.pass(0);
  assert.equal(brought(stage.last), "Bearer third", "the second was good in between");
  assert.deepEqual(log, ["live"]);
});

test("a fresh token that is refused too is denied", async (t) => {
  const stage = play(t);
  const { asked, log, orders } = await watchWith(stage, "first", "second", "third");
  const details = [];
  orders.on("state", (detail) => details.push(detail));
  await stage.last.status(401);
  await stage.pass(0);
  await stage.last.status(502);
  await stage.pass(1_500);
  assert.deepEqual(asked, [undefined, "first"], "the 502 says nothing of the second");
  await stage.last.status(401, '{"title":"Unauthorized","detail":"the token has expired"}');
  await stage.pass(1_000_000);
  await stage.show("hidden");
  await stage.show("visible");
  assert.deepEqual([log, asked.length, stage.requests.length], [["stale", "denied"], 2, 3]);
  assert.equal(details[1].reason, "401 Unauthorized the token has expired");
});

test("401 without anyone to ask is denied", async (t) => {
  const stage = play(t);
  const { log } = await watch(stage);
  await stage.last.status(401);
  await stage.pass(1_000_000);
  assert.deepEqual([log, stage.requests.length], [["denied"], 1]);
});

for (const status of [400, 403, 404, 405]) {
  test(`${status} is denied for good`, async (t) => {
    const stage = play(t);
    const { asked, log } = await watchWith(stage, "first", "second");
    await stage.last.status(status, "not JSON");
    await stage.happens("online");
    await stage.pass(1_000_000);
    assert.deepEqual([log, asked.length, stage.requests.length], [["denied"], 1, 1]);
  });
}

test("a page that cannot give a token now is asked again later", async (t) => {
  const stage = play(t);
  const { asked, log } = await watchWith(stage, new Error("the shop is down"), "second");
  assert.deepEqual([log, stage.requests.length], [["stale"], 0]);
  await stage.pass(1_500);
  assert.deepEqual([asked.length, brought(stage.last)], [2, "Bearer second"]);
});

test("a page that never gives one is asked again", async (t) => {
  const stage = play(t);
  let asked = 0;
  await watch(stage, ["A"], { token: () => ((asked += 1), new Promise(() => {})) });
  await stage.pass(30_000);
  await stage.pass(1_500);
  assert.equal(asked, 2);
});

test("a page that has none sends none", async (t) => {
  const stage = play(t);
  await watchWith(stage, undefined);
  assert.equal(brought(stage.last), undefined);
});

test("a token that comes once the page is hidden opens nothing, and is kept", async (t) => {
  const stage = play(t);
  const { promise, resolve } = withResolvers();
  let asked = 0;
  await watch(stage, ["A"], { token: () => ((asked += 1), promise) });
  await stage.show("hidden");
  resolve("late");
  await settle();
  assert.equal(stage.requests.length, 0);
  await stage.show("visible");
  assert.deepEqual([asked, brought(stage.last)], [1, "Bearer late"]);
});

test("the exp of a JWT, and of what is none", () => {
  assert.equal(expiry(jwt(60)), NOW + 60_000);
  assert.equal(expiry(jwt(60, "???>>>üüü")), NOW + 60_000, "base64url, UTF-8");
  for (const opaque of [undefined, "", "opaque", "a.b.c", "..", `a.${btoa("{}")}.c`, `a.${btoa('{"exp":"1"}')}.c`, `a.${btoa("null")}.c`]) {
    assert.equal(expiry(opaque), Infinity, opaque);
  }
});

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
