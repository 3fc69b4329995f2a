// What the demo page shows of the answers of its own server: the bill, and failures. In a page that jsdom simulates.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { replaceGlobals } from "./harness.js";

// `make test` installs it. CI must have it.
const isInstalled = existsSync(new URL("../node_modules/jsdom", import.meta.url));
if (!isInstalled && !process.env.CI) console.error("NOT TESTED: the demo page's bill, because npm has not installed jsdom");
else {
  const { JSDOM } = await import("jsdom");
  const pages = await Promise.all(["index.html", "order.html"].map((name) => readFile(new URL(`../${name}`, import.meta.url), "utf8")));
  const { prepareBill, showBill } = await import("../demo/bill.js");
  const { ask, press, tokenFor } = await import("../demo/shop.js");

  const REFUSAL = "The shop could not do that";
  const SILENCE = "The shop does not answer";

  /** A page whose shop answers each request with `server.status`, or not at all without one. */
  function open(t, html) {
    const { document } = new JSDOM(html).window;
    const server = { status: 200 };
    const fetch = async () => {
      if (!server.status) throw new TypeError("Failed to fetch");
      return Response.json({ token: "t" }, { status: server.status });
    };
    replaceGlobals(t, { document, fetch });
    const text = (id) => document.getElementById(id).textContent;
    return {
      server,
      text,
      trouble: () => (document.getElementById("shop-trouble").hidden ? undefined : text("shop-trouble-title")),
      said: () => [...document.querySelectorAll("#announcements p")].map(({ textContent }) => textContent),
    };
  }

  for (const [nth, page] of ["the demo page", "the page of one order"].entries()) {
    test(`${page} shows a failure until the shop answers, and a button's refusal until a button succeeds`, async (t) => {
      const { server, trouble, said } = open(t, pages[nth]);
      const poll = () => ask("GET", "/orders");
      const button = () => press("/orders");
      const seen = [];
      for (const [request, status] of [
        [poll, undefined], [poll, undefined], [poll, 200],
        [poll, 500], [poll, 200],
        [button, undefined], [poll, 200],
        [button, 500], [poll, 200], [button, 200],
      ]) {
        server.status = status;
        await request();
        seen.push(trouble());
      }
      const none = undefined;
      assert.deepEqual(seen, [SILENCE, SILENCE, none, REFUSAL, none, SILENCE, none, REFUSAL, REFUSAL, none]);
      assert.deepEqual(said(), [SILENCE, REFUSAL, SILENCE, REFUSAL].map((title) => `${title}.`));
    });
  }

  test("an answer is what the shop sent, a finished order, or nothing", async (t) => {
    const { server, text } = open(t, pages[0]);
    assert.deepEqual(await press("/orders/A/advance"), { token: "t" });
    server.status = 409;
    assert.deepEqual(await press("/orders/A/advance"), { finished: true });
    server.status = 503;
    assert.equal(await press("/orders/A/advance"), undefined);
    assert.equal(text("shop-trouble-text"), "The shop answered POST /orders/A/advance with 503.");
  });

  test("a request for a token throws if it fails, and the page does not say so", async (t) => {
    const { server, trouble } = open(t, pages[0]);
    assert.equal(await tokenFor("customer=ada"), "t");
    server.status = 500;
    await assert.rejects(tokenFor("customer=ada"), { message: "The shop answered GET /token?customer=ada with 500." });
    assert.equal(trouble(), undefined);
  });

  test("the bill shows what the server counted", (t) => {
    const { text } = open(t, pages[0]);
    const rows = () => [...document.querySelectorAll(".usage tr")].map((row) => [...row.cells].map(({ textContent }) => textContent));
    const price = { requests: 4.2, held: 41.236, reads: 3.54, total: 48.976 };
    const ada = { requests: 21, heldMs: 24_180, readUnits: 31.5, watchedMs: 60_000, perMillionMinutes: price };
    const ben = { requests: 0, heldMs: 0, readUnits: 0, watchedMs: 0, perMillionMinutes: null };
    prepareBill([["ada", "Ada"], ["ben", "Ben"]]);
    showBill({ customers: { ada, ben }, total: ada, heldAlways: 100.0005 });
    assert.equal(text("price"), "48.98");
    assert.deepEqual(["requests", "held", "reads"].map((part) => text(`price-${part}`)), ["4.20", "41.24", "3.54"]);
    assert.deepEqual(rows(), [
      ["", "Ada", "Ben", "Both"],
      ["Requests", "21", "0", "21"],
      ["Held s", "24.2", "0.0", "24.2"],
      ["Read units", "31.5", "0.0", "31.5"],
      ["Watched min", "1.00", "0.00", "1.00"],
      ["USD per million minutes", "48.98", "–", "48.98"],
    ]);
    showBill({ customers: { ada: ben, ben }, total: ben, heldAlways: 100 });
    assert.equal(text("price"), "–");
  });
}
