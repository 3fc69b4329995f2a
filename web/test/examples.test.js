// The pages of `examples/`, each from its entry. `tests/frameworks.rs` shows them in real browsers.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { createHarness, replaceGlobals, settle } from "./harness.js";

const folder = new URL("../examples/", import.meta.url);
const NO_ORDER = "The shop has no orders yet. Place one, or add ?order=ID to the address of this page.";

// `make test` installs them. CI must have them.
const isInstalled = existsSync(new URL("../node_modules/jsdom", import.meta.url));
if (!isInstalled && !process.env.CI) console.error("NOT TESTED: the pages of examples/, because npm has not installed what they need");
else {
  const { ENTRIES, bundle } = await import("../examples/build.js");
  const { load } = await import("./frameworks/bundles.js");
  const { JSDOM } = await import("jsdom");
  for (const [name, entry] of Object.entries({ ...ENTRIES, plain: undefined })) {
    const options = entry ? { entryPoints: [fileURLToPath(new URL(entry, folder))] } : { stdin: await inlineScript() };
    const script = await bundle(options);
    for (const [query, orders, text, requested] of [
      ["", [], NO_ORDER, undefined],
      ["?order=", [], NO_ORDER, undefined],
      ["", ["N"], "Looking it up", "order=N"],
      ["?order=A&order=B", ["N"], "Looking it up", "order=A&order=B"],
    ]) {
      test(`${name}: with ${query || "no order"} in the address, and ${orders.length} in the shop`, async (t) => {
        const page = new JSDOM(`<div id="root"></div>`, { url: `https://shop.example/examples/${query}` }).window;
        const harness = createHarness(t, { page });
        const { document, navigator, location, Node, Element, SVGElement, Text, Comment, HTMLElement } = page;
        replaceGlobals(t, { document, navigator, location, Node, Element, SVGElement, Text, Comment, HTMLElement, fetch: shop(orders) });
        await load(script);
        for (let turn = 0; turn < 5; turn += 1) {
          await settle();
          await harness.advance(0);
        }
        assert.equal(document.getElementById("root").textContent.trim(), text);
        assert.deepEqual(harness.requests.map(({ url }) => url.split("?")[1]), requested ? [requested] : []);
      });

      /** The shop's server. Other requests are those of the stream. */
      function shop(ids) {
        const { fetch } = globalThis;
        const answers = { "/config.json": { streamUrl: "https://stream.example/" }, "/orders": { orders: ids.map((orderId) => ({ orderId })) } };
        return async (url, options) => {
          const path = String(url).split("?")[0];
          const answer = path === "/token" ? { token: "t" } : answers[path];
          return answer ? new Response(JSON.stringify(answer)) : fetch(url, options);
        };
      }
    }
  }
}

/** The script of the page without a framework. */
async function inlineScript() {
  const page = await readFile(new URL("plain/index.html", folder), "utf8");
  const [, contents] = /<script type="module">(.*)<\/script>/s.exec(page);
  return { contents: contents.replace('"/order-stream.js"', '"../../order-stream.js"'), resolveDir: fileURLToPath(new URL("plain", folder)) };
}
