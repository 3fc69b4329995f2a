// What the demo page says about a connection: `demo/history.js` and `demo/words.js`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../demo/history.js";
import { cameBack, line, sentence, stateOf, summary } from "../demo/words.js";

const frame = (event, data = {}) => ({ event, data: JSON.stringify(data), id: "" });
const message = (seq, orderId = "A") => frame("message", { orderId, seq, status: "PAID" });
const rest = (retry) => frame("rest", { retry });
const cut = (retryAt) => ({ state: "stale", reason: "Failed to fetch", retryAt });

/** A history of `[time, frame or state]`. */
function historyOf(...steps) {
  const history = new History(0);
  for (const [now, what] of steps) "event" in what ? history.frame(what, now) : history.state(what, now);
  return history;
}

/** A visitor who has seen everything, and rests. */
const VISIT = [
  [100, frame("hello")],
  [110, message(4)],
  [120, frame("ready")],
  [120, { state: "live" }],
  [130, rest(2_000)],
];

const segments = ({ segments }) => segments.map(({ is, from, to }) => [is, from, to]);
const counters = ({ shown, missing, twice }) => [shown, missing, twice];

test("a response that ends at once is a check-in within a rest, and a longer one is held", () => {
  const history = historyOf(...VISIT, [2_130, frame("hello")]);
  assert.equal(stateOf(history, 2_140), "rest");
  assert.equal(stateOf(history, 2_700), "open");
  assert.equal(sentence(history, 5_130), "The response is held for 3 s: a change is due.");
  history.frame(frame("ready"), 2_150);
  history.frame(rest(4_000), 8_130);
  assert.equal(sentence(history, 9_130), "The response has ended. The page asks again in 3 s.");
  assert.deepEqual(segments(history), [["connecting", 0, 100], ["open", 100, 130], ["rest", 130, 2_130], ["open", 2_130, 8_130], ["rest", 8_130, undefined]]);
  assert.deepEqual(history.entries.map(line), ["Rested for 4.0 s", "Held open for 6.0 s", "Rested for 2.0 s"]);
});

test("a cut is seen, attempts are counted, and what came meanwhile is caught up", () => {
  const history = historyOf(...VISIT, [2_130, frame("hello")], [2_140, frame("ready")], [5_000, cut(6_500)]);
  assert.equal(sentence(history, 6_000), "No connection for 1 s. Next attempt in 1 s.");
  history.state(cut(9_000), 6_500);
  assert.equal(sentence(history, 9_100), "No connection for 4 s. Next attempt now.");
  history.frame(frame("hello"), 9_200);
  for (const [seq, id] of [[5, "A"], [1, "B"], [6, "A"]]) history.frame(message(seq, id), 9_210);
  history.frame(frame("ready"), 9_220);
  assert.equal(stateOf(history, 9_300), "back");
  assert.equal(sentence(history, 9_300), "Back after 4 s: 3 changes caught up, no change missed.");
  assert.deepEqual(counters(history), [4, 0, 0]);
  assert.deepEqual(history.marks.map(({ kind }) => kind), ["try", "late", "late", "late"]);
  assert.equal(line(history.entries[0]), "Back after 4.2 s, 3 changes caught up");
  assert.equal(stateOf(history, 20_000), "open");
  assert.equal(summary(history, 10_000), "The last minute: 3 responses, open for 3.7 s in all, 3 changes, cut off for 4.2 s.");
});

test("a rest does not notice a cut until the next check-in fails", () => {
  const history = historyOf(...VISIT);
  assert.equal(stateOf(history, 2_000), "rest");
  history.state(cut(4_000), 2_130);
  assert.equal(stateOf(history, 2_140), "cut");
});

test("a second cut while it catches up belongs to the first one", () => {
  const history = historyOf(...VISIT, [2_000, cut(3_000)], [3_000, frame("hello")], [3_010, message(5)], [3_020, cut(5_000)]);
  history.frame(frame("hello"), 5_000);
  history.frame(message(6), 5_010);
  history.frame(frame("ready"), 5_020);
  assert.deepEqual(history.back, { at: 5_020, ms: 3_020, changes: 2, missing: 0 });
  assert.equal(history.entries.filter(({ kind }) => kind === "cut").length, 1);
});

test("a gap counts as missing, and a repetition as double", () => {
  for (const [messages, expected] of [
    [[[5, "A"], [6, "A"]], [3, 0, 0]],
    [[[6, "A"]], [2, 1, 0]],
    [[[4, "A"]], [2, 0, 1]],
    [[[5, "A"], [5, "A"], [6, "A"]], [4, 0, 1]],
    [[[1, "B"], [2, "B"]], [3, 0, 0]],
    // An order that was another customer's before.
    [[[3, "B"], [4, "B"]], [3, 0, 0]],
    [[[3, "B"], [5, "B"]], [3, 1, 0]],
  ]) {
    const history = historyOf(...VISIT, [2_130, frame("hello")]);
    for (const [seq, id] of messages) history.frame(message(seq, id), 2_140);
    assert.deepEqual(counters(history), expected, JSON.stringify(messages));
  }
});

test("what is missing after a cut is said", () => {
  const history = historyOf(...VISIT, [2_130, cut(3_000)], [3_000, frame("hello")], [3_010, message(7)], [3_020, frame("ready")]);
  assert.equal(sentence(history, 3_030), "Back after 1 s: 2 changes missing.");
  assert.equal(cameBack({ ms: 7_000, changes: 0, missing: 0 }), "Back after 7 s: no change came meanwhile.");
});

test("after a reset or a gone order, a replay is neither missing nor double", () => {
  const again = [[2_130, frame("hello")]];
  for (const forgotten of [frame("reset", { orders: ["A"] }), frame("reset", { orders: "*" }), frame("gone", { orderId: "A", seq: 4 })]) {
    for (const seq of [2, 9]) {
      const history = historyOf(...VISIT, ...again, [2_140, forgotten], [2_150, message(seq)], [2_160, frame("ready")]);
      assert.deepEqual(counters(history), [2, 0, 0], `${forgotten.data} ${seq}`);
    }
  }
});

test("a response that is only late goes on", () => {
  const history = historyOf(...VISIT, [2_130, frame("hello")], [7_130, { state: "stale", reason: "late" }], [7_500, message(5)], [7_510, frame("ready")]);
  assert.equal(stateOf(history, 20_000), "open");
  assert.deepEqual(counters(history), [2, 0, 0]);
});

test("a rest that the server asks for is no cut", () => {
  for (const reason of ["rest", "unavailable", "expired"]) {
    assert.equal(stateOf(historyOf(...VISIT, [131, { state: "stale", reason, retryAt: 3_000 }]), 140), "rest");
  }
  assert.equal(stateOf(historyOf(...VISIT, [2_130, frame("hello")], [2_140, frame("expired")]), 2_150), "rest");
});

test("a hidden page asks for nothing, and final states stay", () => {
  const history = historyOf(...VISIT, [1_000, { state: "connecting" }]);
  assert.equal(sentence(history, 9_000), "A hidden page asks for nothing.");
  history.frame(frame("hello"), 10_000);
  assert.equal(stateOf(history, 11_000), "open");
  assert.equal(sentence(historyOf([1, { state: "denied" }]), 2), "The stream refused to open.");
  assert.equal(sentence(historyOf(...VISIT, [200, { state: "ended" }]), 300), "Nothing more is expected.");
});

test("what is older than a minute is forgotten, and the journal has five lines", () => {
  const history = historyOf(...VISIT);
  for (let nth = 0; nth < 100; nth += 1) {
    history.frame(frame("hello"), 3_000 + nth * 2_000);
    history.frame(message(5 + nth), 3_000 + nth * 2_000);
    history.frame(frame("ready"), 3_000 + nth * 2_000);
    history.frame(rest(1_500), 3_010 + nth * 2_000);
  }
  history.trim(201_000);
  assert.equal(history.entries.length, 5);
  assert.equal(history.marks.length, 30);
  assert.ok(history.segments.length < 70);
  assert.equal(history.shown, 101);
});
