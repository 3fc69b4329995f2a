// The tests replace globals. After a test they are what they were before it, or the next test of the file would depend on it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createApp, createHarness, replaceGlobals } from "./harness.js";
import { createOrigin } from "./origin.js";

const properties = (object) => new Map(Object.entries(Object.getOwnPropertyDescriptors(object)).map(([name, { value, get }]) => [name, value ?? get]));

/** What a harness replaces, by identity. */
function globals() {
  const { Math, Date } = globalThis;
  return { globals: properties(globalThis), random: Math.random, now: Date.now };
}

for (const [name, use] of Object.entries({
  "a page": (t) => createHarness(t).setClock(1),
  "two pages": (t) => [1, 2].forEach(() => createHarness(t).setClock(1)),
  "an origin": (t) => void createOrigin(t),
  "an app": (t) => void createApp(t),
  "an app with a window": (t) => createApp(t) && replaceGlobals(t, { window: globalThis, URL: class {} }),
})) {
  test(`after a test with ${name}, the globals are as before`, async (t) => {
    const before = globals();
    await t.test("that test", use);
    const after = globals();
    assert.deepEqual([...after.globals.keys()].sort(), [...before.globals.keys()].sort());
    for (const [name, value] of before.globals) assert.ok(Object.is(after.globals.get(name), value), name);
    assert.deepEqual([after.random, after.now], [before.random, before.now]);
  });
}
