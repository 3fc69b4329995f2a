import assert from "node:assert/strict";
import { test } from "node:test";

import { expiry } from "../order-stream/tokens.js";
import { NOW, change, expired, hello, jwt, createHarness, ready, rest, settle, watch } from "./harness.js";

/** Watches with a page that returns these tokens, one after another, and records the `rejected` of each call. */
async function watchWith(harness, ...tokens) {
  const asked = [];
  const token = async ({ rejected }) => {
    asked.push(rejected);
    const next = tokens.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  return { asked, ...(await watch(harness, ["A"], { token })) };
}

const authorizationOf = ({ headers }) => headers.authorization;

test("the token is sent in a header, and requested once", async (t) => {
  const harness = createHarness(t);
  const { asked } = await watchWith(harness, "opaque");
  assert.equal(authorizationOf(harness.last), "Bearer opaque");
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  await harness.last.open(hello(), ready("0"), rest(60_000, "0"));
  await harness.advance(60_000);
  assert.equal(authorizationOf(harness.last), "Bearer opaque");
  assert.deepEqual(asked, [undefined]);
});

test("a new token is requested before exp", async (t) => {
  const harness = createHarness(t);
  const [first, second] = [jwt(60, "first"), jwt(3_600, "second")];
  const { asked } = await watchWith(harness, first, second);
  await harness.last.open(hello(), ready("0"), rest(30_000, "0"));
  await harness.advance(30_000);
  assert.equal(authorizationOf(harness.last), `Bearer ${first}`, "30 s are left");
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  assert.equal(authorizationOf(harness.last), `Bearer ${second}`);
  assert.deepEqual(asked, [undefined, undefined], "the first token was not rejected");
});

test("a token that looks expired by this machine's clock is still sent", async (t) => {
  const harness = createHarness(t);
  const old = jwt(-86_400);
  const { asked, log } = await watchWith(harness, old, old);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  assert.equal(authorizationOf(harness.last), `Bearer ${old}`);
  assert.deepEqual([asked.length, log], [2, ["live"]]);
});

test("after expired the token is replaced, and the page stays live", async (t) => {
  const harness = createHarness(t);
  const { asked, log } = await watchWith(harness, "first", "second");
  await harness.last.open(hello(), change(1), ready("1-0000"), expired("1-0000"));
  await harness.last.cut();
  await harness.advance(1_180);
  assert.deepEqual([asked, authorizationOf(harness.last)], [[undefined, "first"], "Bearer second"]);
  await harness.last.open(hello("1-0000"), ready("1-0000"));
  assert.deepEqual(log, [1, "live"]);
});

test("a token that is replaced before its exp is not reported as rejected", async (t) => {
  const harness = createHarness(t);
  const { asked } = await watchWith(harness, "first", jwt(29), "third");
  await harness.last.open(hello(), ready("0"), expired("0"));
  await harness.advance(1_180);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  assert.deepEqual(asked, [undefined, "first", undefined]);
});

test("tokens that expire before ready cause no endless loop", async (t) => {
  const harness = createHarness(t);
  const { asked } = await watchWith(harness, ..."abcdefgh");
  for (const delay of [1_500, 3_000, 6_000]) {
    const { length } = asked;
    await harness.last.open(hello(), expired("0"));
    await harness.advance(delay - 1);
    assert.equal(asked.length, length);
    await harness.advance(1);
    assert.equal(asked.length, length + 1);
  }
});

test("after 401 the token is replaced at once", async (t) => {
  const harness = createHarness(t);
  const { asked, log } = await watchWith(harness, "first", "second", "third");
  await harness.last.status(401);
  await harness.advance(0);
  assert.deepEqual([asked, authorizationOf(harness.last)], [[undefined, "first"], "Bearer second"]);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  await harness.last.status(401);
  await harness.advance(0);
  assert.equal(authorizationOf(harness.last), "Bearer third", "the second token was accepted in between");
  assert.deepEqual(log, ["live"]);
});

test("if a new token is refused too, the state is denied", async (t) => {
  const harness = createHarness(t);
  const { asked, log, orders } = await watchWith(harness, "first", "second", "third");
  const details = [];
  orders.on("state", (detail) => details.push(detail));
  await harness.last.status(401);
  await harness.advance(0);
  await harness.last.status(401, '{"title":"Unauthorized","detail":"the token has expired"}');
  await harness.advance(1_000_000);
  await harness.setVisibility("hidden");
  await harness.setVisibility("visible");
  assert.deepEqual([log, asked.length, harness.requests.length], [["denied"], 2, 2]);
  assert.equal(details[0].reason, "401 Unauthorized the token has expired");
});

const BETWEEN = {
  "503": (harness) => harness.last.status(503),
  "a refused connection": (harness) => harness.last.refuse(),
  "a proxy's 401": (harness) => harness.last.status(401, "", "text/html"),
  "silence": (harness) => harness.advance(30_000),
  "a response that ends early": async (harness) => (await harness.last.open(hello()), harness.last.cut()),
};

for (const [name, occur] of Object.entries(BETWEEN)) {
  test(`401, ${name}, 401 does not count as two 401s in a row`, async (t) => {
    const harness = createHarness(t);
    const { asked, log } = await watchWith(harness, ..."abcdef");
    await harness.last.status(401);
    await harness.advance(0);
    await occur(harness);
    await harness.advance(1_500);
    await harness.last.status(401);
    await harness.advance(0);
    assert.deepEqual(log, ["stale"], "the token may have expired during the wait");
    const { length } = asked;
    assert.equal(asked.at(-1), authorizationOf(harness.requests.at(-2)).slice("Bearer ".length));
    await harness.last.status(401);
    await harness.advance(1_000_000);
    assert.deepEqual([log, asked.length], [["stale", "denied"], length], "the next 401 is the second in a row");
  });
}

test("a 401 after the page was hidden is the first in a row", async (t) => {
  const harness = createHarness(t);
  const { log } = await watchWith(harness, "first", "second", "third");
  await harness.last.status(401);
  await harness.advance(0);
  await harness.setVisibility("hidden");
  await harness.advance(3_600_000);
  await harness.setVisibility("visible");
  await harness.last.status(401);
  await harness.advance(0);
  assert.deepEqual([log.includes("denied"), authorizationOf(harness.last)], [false, "Bearer third"]);
});

test("a 401 that is not the server's is not denied, and each attempt has a new token", async (t) => {
  const harness = createHarness(t);
  const { asked, log } = await watchWith(harness, "first", "second", "third");
  for (const delay of [1_500, 3_000]) {
    await harness.last.status(401, "", "text/html");
    await harness.advance(delay - 1);
    const { length } = harness.requests;
    await harness.advance(1);
    assert.equal(harness.requests.length, length + 1);
  }
  assert.deepEqual([log, asked], [["stale", "stale"], [undefined, "first", "second"]]);
});

test("401 without a token function is denied", async (t) => {
  const harness = createHarness(t);
  const { log } = await watch(harness);
  await harness.last.status(401);
  await harness.advance(1_000_000);
  assert.deepEqual([log, harness.requests.length], [["denied"], 1]);
});

for (const status of [400, 403, 404, 405]) {
  test(`${status} is denied, and no request follows`, async (t) => {
    const harness = createHarness(t);
    const { asked, log } = await watchWith(harness, "first", "second");
    await harness.last.status(status, "not JSON");
    await harness.fire("online");
    await harness.advance(1_000_000);
    assert.deepEqual([log, asked.length, harness.requests.length], [["denied"], 1, 1]);
  });
}

/** Checks in every 10 s for an hour. The server accepts a token for `life` milliseconds. */
async function checkInForAnHour(harness, life) {
  let since = 0;
  for (let at = 0; at < 3_600_000; at += 10_000) {
    const before = authorizationOf(harness.requests.at(-2) ?? { headers: {} });
    if (authorizationOf(harness.last) !== before) since = at;
    const hasExpired = at - since >= life - 10_000;
    await harness.last.open(hello("0", 10_000), ready("0"), hasExpired ? expired("0") : rest(10_000, "0"));
    await harness.advance(10_000);
  }
}

for (const minutes of [-1_440, -20, -10, 0, 9, 9.7, 20, 1_440]) {
  for (const hasIat of [true, false]) {
    test(`with a clock ${minutes} minutes ahead${hasIat ? "" : ", and tokens without iat"}`, async (t) => {
      const harness = createHarness(t);
      harness.setClock(minutes * 60_000);
      let [asked, now] = [0, NOW];
      const token = () => {
        asked += 1;
        now = Date.now() - minutes * 60_000;
        const [iat, exp] = [now / 1_000, now / 1_000 + 600];
        return jwt(0, `${asked}`, hasIat ? { iat, exp } : { exp });
      };
      const { log } = await watch(harness, ["A"], { token });
      await checkInForAnHour(harness, 600_000);
      assert.equal(harness.requests.length, 361, "each check-in opens once");
      assert.deepEqual(log, ["live"]);
      // If the clock makes ten minutes look like less than one, every second check-in may request a token.
      const most = hasIat || minutes <= 0 || minutes >= 10 ? 8 : 360 / 2;
      assert.ok(asked >= 6 && asked <= most, `${asked} tokens`);
    });
  }
}

test("a clock that is changed while a token is in use", async (t) => {
  const harness = createHarness(t);
  const { asked, log } = await watchWith(harness, ...Array.from({ length: 9 }, (_, n) => jwt(600, `${n}`, { iat: NOW / 1_000 })));
  harness.setClock(1_200_000);
  await checkInForAnHour(harness, Infinity);
  assert.ok(asked.length <= 8, `${asked.length} tokens`);
  assert.deepEqual(log, ["live"]);
});

test("tokens that expire right after ready cause no endless loop", async (t) => {
  const harness = createHarness(t);
  const { asked, log } = await watchWith(harness, ..."abcdefgh");
  await harness.last.open(hello(), ready("0"), expired("0"));
  await harness.advance(1_180);
  for (const delay of [1_500, 3_000, 6_000, 12_000]) {
    const { length } = asked;
    await harness.last.open(hello(), ready("0"), expired("0"));
    await harness.advance(delay - 1);
    assert.equal(asked.length, length);
    await harness.advance(1);
    assert.equal(asked.length, length + 1);
  }
  assert.equal(log.at(-1), "stale");
});

test("requests at the same time share one call for a token", async (t) => {
  const harness = createHarness(t);
  const { promise, resolve } = withResolvers();
  let asked = 0;
  await watch(harness, ["A"], { token: () => ((asked += 1), promise) });
  await harness.fire("online");
  await harness.fire("online");
  await harness.setVisibility("hidden");
  await harness.setVisibility("visible");
  assert.equal(asked, 1);
  resolve("only");
  await settle();
  assert.deepEqual([harness.requests.length, authorizationOf(harness.last)], [1, "Bearer only"]);
});

test("a replacement is requested once, and again after the page failed", async (t) => {
  const harness = createHarness(t);
  const calls = [];
  const token = ({ rejected }) => {
    const call = { rejected, ...withResolvers() };
    calls.push(call);
    return call.promise;
  };
  await watch(harness, ["A"], { token });
  calls[0].resolve("first");
  await settle();
  await harness.last.status(401);
  await harness.advance(0);
  await harness.fire("online");
  assert.deepEqual(calls.map(({ rejected }) => rejected), [undefined, "first"]);
  calls[1].resolve(Promise.reject(new Error("the shop is down")));
  await settle();
  await harness.advance(1_500);
  assert.deepEqual(calls.map(({ rejected }) => rejected), [undefined, "first", "first"]);
});

test("an older token that arrives late does not replace a newer one", async (t) => {
  const harness = createHarness(t);
  const calls = [];
  const token = () => {
    calls.push(withResolvers());
    return calls.at(-1).promise;
  };
  await watch(harness, ["A"], { token });
  await harness.advance(31_500);
  assert.equal(calls.length, 2);
  calls[1].resolve("newer");
  await settle();
  calls[0].resolve("older");
  await settle();
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  assert.deepEqual([authorizationOf(harness.last), calls.length], ["Bearer newer", 2]);
});

test("a page without a token, which uses a cookie, is asked again if the cookie is refused", async (t) => {
  const harness = createHarness(t);
  const { asked, log } = await watchWith(harness, undefined, undefined);
  await harness.last.open(hello(), ready("0"), rest(1_000, "0"));
  await harness.advance(1_000);
  assert.equal(asked.length, 1);
  await harness.last.status(401);
  await harness.advance(0);
  await harness.last.open(hello(), ready("0"));
  assert.deepEqual([asked.length, log], [2, ["live"]]);
});

test("a stream that is closed while the page is asked for a token sends no request", async (t) => {
  const harness = createHarness(t);
  const abort = new AbortController();
  await watch(harness, ["A"], { signal: abort.signal, token: () => (abort.abort(), "first") });
  await harness.advance(1_000_000);
  assert.equal(harness.requests.length, 0);
});

test("the media type of a denial may be written in any way", async (t) => {
  for (const type of ["Application/Problem+JSON", "application/problem+json; charset=utf-8", "application/problem+json ;x=y"]) {
    await t.test(type, async (t) => {
      const harness = createHarness(t);
      const { log } = await watch(harness);
      await harness.last.status(404, "null", type);
      assert.deepEqual(log, ["denied"]);
    });
  }
});

test("a page that fails to return a token is asked again later", async (t) => {
  const harness = createHarness(t);
  const { asked, log } = await watchWith(harness, new Error("the shop is down"), "second");
  assert.deepEqual([log, harness.requests.length], [["stale"], 0]);
  await harness.advance(1_500);
  assert.deepEqual([asked.length, authorizationOf(harness.last)], [2, "Bearer second"]);
});

test("a page that never answers is asked again", async (t) => {
  const harness = createHarness(t);
  let asked = 0;
  await watch(harness, ["A"], { token: () => ((asked += 1), new Promise(() => {})) });
  await harness.advance(30_000);
  await harness.advance(1_500);
  assert.equal(asked, 2);
});

test("without a token no header is sent", async (t) => {
  const harness = createHarness(t);
  await watchWith(harness, undefined);
  assert.equal(authorizationOf(harness.last), undefined);
});

test("a token that arrives while the page is hidden opens no stream, and is kept", async (t) => {
  const harness = createHarness(t);
  const { promise, resolve } = withResolvers();
  let asked = 0;
  await watch(harness, ["A"], { token: () => ((asked += 1), promise) });
  await harness.setVisibility("hidden");
  resolve("late");
  await settle();
  assert.equal(harness.requests.length, 0);
  await harness.setVisibility("visible");
  assert.deepEqual([asked, authorizationOf(harness.last)], [1, "Bearer late"]);
});

test("exp is read from a JWT, and infinite for any other token", () => {
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
