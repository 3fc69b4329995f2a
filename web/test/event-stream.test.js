import assert from "node:assert/strict";
import { test } from "node:test";

import { EventStream } from "../order-stream/event-stream.js";

const utf8 = new TextEncoder();

/** Reads a stream in these chunks. */
function read(chunks, lastEventId) {
  const stream = new EventStream(lastEventId);
  const frames = chunks.flatMap((chunk) => [...stream.push(chunk)]);
  return { frames, lastEventId: stream.lastEventId, retry: stream.retry };
}

const message = (data, id = "") => ({ event: "message", data, id });

/** Most cases come from the web platform tests, `eventsource/format-*`. */
const TABLE = [
  ["one event", "data: a\n\n", [message("a")]],
  ["no space after the colon", "data:a\n\n", [message("a")]],
  ["one space of two", "data:  a\n\n", [message(" a")]],
  ["a tab is not a space", "data:\ta\n\n", [message("\ta")]],
  ["a byte order mark", "\ufeffdata: a\n\n", [message("a")]],
  ["a second byte order mark is text", "\ufeff\ufeffdata: a\n\ndata: b\n\n", [message("b")]],
  ["a byte order mark in the middle is text", "data: a\n\n\ufeffdata: b\n\n", [message("a")]],
  ["comments", "data: a\n:\r:: data: x\ndata: b\n:data: c\n\n", [message("a\nb")]],
  ["a comment of 2 KB", `data: a\n:${"x".repeat(2_048)}\ndata: b\n\n`, [message("a\nb")]],
  ["data without a colon", "data\n\ndata\ndata\n\ndata: a\n\n", [message(""), message("\n"), message("a")]],
  ["without data there is no event", "event: a\n\nid: 1\n\ndata: b\n\n", [message("b", "1")]],
  ["a type", "event: a\ndata: b\n\ndata: c\n\n", [{ ...message("b"), event: "a" }, message("c")]],
  ["an empty type", "event: a\nevent:\ndata: b\n\n", [message("b")]],
  ["an id applies to later events", "id: 1\ndata: a\n\ndata: b\n\n", [message("a", "1"), message("b", "1")]],
  ["an empty id resets it", "id: 1\ndata: a\n\nid\ndata: b\n\n", [message("a", "1"), message("b", "")]],
  ["an id with NUL is ignored", "id: 1\nid: 2\0\ndata: a\n\n", [message("a", "1")]],
  ["NUL in data is kept", "data: \0\n\n", [message("\0")]],
  ["unknown fields", "data: a\nDATA: b\n data: c\ndata : d\ndatas: e\n\n", [message("a")]],
  ["a colon in the value", "data: a: b\n\n", [message("a: b")]],
  ["every kind of line end", "data: a\rdata: b\ndata: c\r\n\r\rdata: d\n\ndata: e\r\n\r\n", ["a\nb\nc", "d", "e"].map((of) => message(of))],
  ["UTF-8", "data: ü🚚\n\n", [message("ü🚚")]],
  ["an incomplete event is not dispatched", "data: a\n\ndata: b\n", [message("a")]],
];

for (const [name, text, frames] of TABLE) {
  test(name, () => assert.deepEqual(read([utf8.encode(text)]).frames, frames));
}

test("only digits set the reconnection time", () => {
  const retry = (value) => read([utf8.encode(`retry: 7\nretry${value}\n`)]).retry;
  assert.deepEqual(
    [": 1180", ":1180", ": 01180", "", ":", ": 1180x", ": -1", ": 1.5", ": 1e3", ": ١"].map(retry),
    [1180, 1180, 1180, 7, 7, 7, 7, 7, 7, 7],
  );
  assert.equal(read([utf8.encode("data: a\n\n")]).retry, undefined);
});

test("bytes that are not UTF-8 become replacement characters", () => {
  assert.deepEqual(read([Uint8Array.of(...utf8.encode("data: "), 0xff, ...utf8.encode("\n\n"))]).frames, [message("\ufffd")]);
});

test("an id counts once its empty line has arrived", () => {
  const stream = new EventStream("1");
  assert.deepEqual([...stream.push(utf8.encode("data: a\nid: 2\n"))], []);
  assert.equal(stream.lastEventId, "1");
  assert.deepEqual([...stream.push(utf8.encode("\n"))], [message("a", "2")]);
  assert.equal(stream.lastEventId, "2");
});

test("CR ends an event without waiting for the next character", () => {
  const stream = new EventStream();
  assert.deepEqual([...stream.push(utf8.encode("data: a\r\r"))], [message("a")]);
  assert.deepEqual([...stream.push(utf8.encode("\ndata: b\r"))], []);
  assert.deepEqual([...stream.push(new Uint8Array())], []);
  assert.deepEqual([...stream.push(utf8.encode("\n"))], []);
  assert.deepEqual([...stream.push(utf8.encode("\r"))], [message("b")]);
});

test("each of several events in a chunk is returned with its own id", () => {
  const stream = new EventStream();
  const ids = [];
  for (const { id } of stream.push(utf8.encode("data: a\nid: 1\n\ndata: b\nid: 2\n\n"))) ids.push([id, stream.lastEventId]);
  assert.deepEqual(ids, [["1", "1"], ["2", "2"]]);
});

/** A reference implementation of the standard's text, on a whole stream: slow, but easy to check. */
function referenceParse(bytes) {
  const text = new TextDecoder().decode(bytes).replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  const lines = text.split("\n").slice(0, -1);
  const frames = [];
  let [data, event, id, lastEventId, retry] = ["", "", "", "", undefined];
  for (const line of lines) {
    if (line === "") {
      lastEventId = id;
      if (data !== "") frames.push({ event: event === "" ? "message" : event, data: data.slice(0, -1), id: lastEventId });
      data = event = "";
      continue;
    }
    const [, name, value] = /^([^:]*)(?::\x20?(.*))?$/su.exec(line);
    if (name === "data") data += `${value ?? ""}\n`;
    if (name === "event") event = value ?? "";
    if (name === "id" && !(value ?? "").includes("\0")) id = value ?? "";
    if (name === "retry" && value !== undefined && value !== "" && [...value].every((digit) => "0123456789".includes(digit))) retry = Number(value);
  }
  return { frames, lastEventId, retry };
}

/** mulberry32. A failed assertion prints its seed. */
function random(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const PIECES = ["data", "event", "id", "retry", ":", ": ", " ", "\n", "\r", "\r\n", "\n\n", "1180", "a", "\0", "ü", "🚚", "\ufeff", "data: {}\n"];

test("chunk boundaries do not change what is read", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  for (let run = 0; run < 5_000; run += 1) {
    const pick = random(seed + run);
    const text = Array.from({ length: pick(40) }, () => PIECES[pick(PIECES.length)]).join("");
    const bytes = utf8.encode(text);
    const chunks = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + pick(6);
      chunks.push(bytes.subarray(at, end));
      at = end;
    }
    assert.deepEqual(read(chunks), referenceParse(bytes), `SEED=${seed + run} ${JSON.stringify(text)}`);
  }
});
