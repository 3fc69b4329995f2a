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
  await stage.last.status(401, '{"title":"Unauthorized","detail":"the token has expired"}');
  await stage.pass(1_000_000);
  await stage.show("hidden");
  await stage.show("visible");
  assert.deepEqual([log, asked.length, stage.requests.length], [["denied"], 2, 2]);
  assert.equal(details[0].reason, "401 Unauthorized the token has expired");
});

const BETWEEN = {
  "503": (stage) => stage.last.status(503),
  "a refused connection": (stage) => stage.last.refuse(),
  "a proxy's 401": (stage) => stage.last.status(401, "", "text/html"),
  "silence": (stage) => stage.pass(30_000),
  "a response that breaks off": async (stage) => (await stage.last.open(hello()), stage.last.cut()),
};

for (const [name, happens] of Object.entries(BETWEEN)) {
  test(`401, ${name}, 401 is not two 401s in a row`, async (t) => {
    const stage = play(t);
    const { asked, log } = await watchWith(stage, ..."abcdef");
    await stage.last.status(401);
    await stage.pass(0);
    await happens(stage);
    await stage.pass(1_500);
    await stage.last.status(401);
    await stage.pass(0);
    assert.deepEqual(log, ["stale"], "the token may have aged while it was waited");
    const { length } = asked;
    assert.equal(asked.at(-1), brought(stage.requests.at(-2)).slice("Bearer ".length));
    await stage.last.status(401);
    await stage.pass(1_000_000);
    assert.deepEqual([log, asked.length], [["stale", "denied"], length], "but the next one is");
  });
}

test("a token that was refused after the page was hidden is refused for the first time", async (t) => {
  const stage = play(t);
  const { log } = await watchWith(stage, "first", "second", "third");
  await stage.last.status(401);
  await stage.pass(0);
  await stage.show("hidden");
  await stage.pass(3_600_000);
  await stage.show("visible");
  await stage.last.status(401);
  await stage.pass(0);
  assert.deepEqual([log.includes("denied"), brought(stage.last)], [false, "Bearer third"]);
});

test("a 401 of somebody else is not denied, and each attempt has another token", async (t) => {
  const stage = play(t);
  const { asked, log } = await watchWith(stage, "first", "second", "third");
  for (const delay of [1_500, 3_000]) {
    await stage.last.status(401, "", "text/html");
    await stage.pass(delay - 1);
    const { length } = stage.requests;
    await stage.pass(1);
    assert.equal(stage.requests.length, length + 1);
  }
  assert.deepEqual([log, asked], [["stale", "stale"], [undefined, "first", "second"]]);
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

/** Opens and rests for an hour, one check-in each ten seconds; `life` is the server's own, in milliseconds. */
async function anHour(stage, life) {
  let since = 0;
  for (let at = 0; at < 3_600_000; at += 10_000) {
    const before = brought(stage.requests.at(-2) ?? { headers: {} });
    if (brought(stage.last) !== before) since = at;
    const isOver = at - since >= life - 10_000;
    await stage.last.open(hello("0", 10_000), ready("0"), isOver ? expired("0") : rest(10_000, "0"));
    await stage.pass(10_000);
  }
}

for (const minutes of [-1_440, -20, -10, 0, 9, 9.7, 20, 1_440]) {
  for (const hasIat of [true, false]) {
    test(`with a clock ${minutes} minutes ahead${hasIat ? "" : ", and tokens without iat"}`, async (t) => {
      const stage = play(t);
      stage.setClock(minutes * 60_000);
      let [asked, now] = [0, NOW];
      const token = () => {
        asked += 1;
        now = Date.now() - minutes * 60_000;
        const [iat, exp] = [now / 1_000, now / 1_000 + 600];
        return jwt(0, `${asked}`, hasIat ? { iat, exp } : { exp });
      };
      const { log } = await watch(stage, ["A"], { token });
      await anHour(stage, 600_000);
      assert.equal(stage.requests.length, 361, "each check-in opens once");
      assert.deepEqual(log, ["live"]);
      // A clock that makes ten minutes seem to be less than one may ask each half a minute.
      const most = hasIat || minutes <= 0 || minutes >= 10 ? 8 : 360 / 2;
      assert.ok(asked >= 6 && asked <= most, `${asked} tokens`);
    });
  }
}

test("a clock that is set while a token is in hand", async (t) => {
  const stage = play(t);
  const { asked, log } = await watchWith(stage, ...Array.from({ length: 9 }, (_, n) => jwt(600, `${n}`, { iat: NOW / 1_000 })));
  stage.setClock(1_200_000);
  await anHour(stage, Infinity);
  assert.ok(asked.length <= 8, `${asked.length} tokens`);
  assert.deepEqual(log, ["live"]);
});

test("tokens that expire as soon as they are used are no endless loop", async (t) => {
  const stage = play(t);
  const { asked, log } = await watchWith(stage, ..."abcdefgh");
  await stage.last.open(hello(), ready("0"), expired("0"));
  await stage.pass(1_180);
  for (const delay of [1_500, 3_000, 6_000, 12_000]) {
    const { length } = asked;
    await stage.last.open(hello(), ready("0"), expired("0"));
    await stage.pass(delay - 1);
    assert.equal(asked.length, length);
    await stage.pass(1);
    assert.equal(asked.length, length + 1);
  }
  assert.equal(log.at(-1), "stale");
});

test("asked twice at once, the page is asked for one token", async (t) => {
  const stage = play(t);
  const { promise, resolve } = withResolvers();
  let asked = 0;
  await watch(stage, ["A"], { token: () => ((asked += 1), promise) });
  await stage.happens("online");
  await stage.happens("online");
  await stage.show("hidden");
  await stage.show("visible");
  assert.equal(asked, 1);
  resolve("only");
  await settle();
  assert.deepEqual([stage.requests.length, brought(stage.last)], [1, "Bearer only"]);
});

test("so it is when a token is exchanged, and when the page then cannot", async (t) => {
  const stage = play(t);
  const questions = [];
  const token = ({ rejected }) => {
    const question = { rejected, ...withResolvers() };
    questions.push(question);
    return question.promise;
  };
  await watch(stage, ["A"], { token });
  questions[0].resolve("first");
  await settle();
  await stage.last.status(401);
  await stage.pass(0);
  await stage.happens("online");
  assert.deepEqual(questions.map(({ rejected }) => rejected), [undefined, "first"]);
  questions[1].resolve(Promise.reject(new Error("the shop is down")));
  await settle();
  await stage.pass(1_500);
  assert.deepEqual(questions.map(({ rejected }) => rejected), [undefined, "first", "first"]);
});

test("a token that comes after the page was asked again is no step back", async (t) => {
  const stage = play(t);
  const questions = [];
  const token = () => {
    questions.push(withResolvers());
    return questions.at(-1).promise;
  };
  await watch(stage, ["A"], { token });
  await stage.pass(31_500);
  assert.equal(questions.length, 2);
  questions[1].resolve("newer");
  await settle();
  questions[0].resolve("older");
  await settle();
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  assert.deepEqual([brought(stage.last), questions.length], ["Bearer newer", 2]);
});

test("a page that gives no token, for a cookie does, is asked again where that is refused", async (t) => {
  const stage = play(t);
  const { asked, log } = await watchWith(stage, undefined, undefined);
  await stage.last.open(hello(), ready("0"), rest(1_000, "0"));
  await stage.pass(1_000);
  assert.equal(asked.length, 1);
  await stage.last.status(401);
  await stage.pass(0);
  await stage.last.open(hello(), ready("0"));
  assert.deepEqual([asked.length, log], [2, ["live"]]);
});

test("closed while it is asked", async (t) => {
  const stage = play(t);
  const abort = new AbortController();
  await watch(stage, ["A"], { signal: abort.signal, token: () => (abort.abort(), "first") });
  await stage.pass(1_000_000);
  assert.equal(stage.requests.length, 0);
});

test("a denial is known by its media type, however that is written", async (t) => {
  for (const type of ["Application/Problem+JSON", "application/problem+json; charset=utf-8", "application/problem+json ;x=y"]) {
    await t.test(type, async (t) => {
      const stage = play(t);
      const { log } = await watch(stage);
      await stage.last.status(404, "null", type);
      assert.deepEqual(log, ["denied"]);
    });
  }
});

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
