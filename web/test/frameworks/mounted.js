/** Components of each framework in a page that jsdom simulates. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";

import { createHarness, replaceGlobals, settle } from "../harness.js";

/** Each framework with `render`, for a server, and `mount`, for its `page`. It is empty if npm has not installed them. CI must have them. */
export async function loadFrameworks() {
  const isInstalled = existsSync(new URL("../../node_modules/jsdom", import.meta.url));
  if (!isInstalled && !process.env.CI) {
    console.error("NOT TESTED: React, Vue and Svelte, because npm has not installed them");
    return [];
  }
  const { FRAMEWORKS, client, load, server } = await import("./bundles.js");
  const { JSDOM } = await import("jsdom");
  const loaded = [];
  // All of them before the first test, because both replace globals.
  for (const framework of FRAMEWORKS) {
    const { render } = await load(await server(framework));
    const page = new JSDOM("", { url: "https://shop.example/orders/" }).window;
    const restore = [];
    // Frameworks look at `window` and `document` when they are imported.
    replaceGlobals({ after: (undo) => restore.push(undo) }, interfaces(page));
    const { mount } = await load(await client(framework));
    for (const undo of restore) undo();
    loaded.push({ framework, render, page, mount });
  }
  return loaded;
}

/**
 * A page without components.
 *
 * @param {object} defaults the props of a component, unless it has others
 */
export function openPage(t, { page, mount }, defaults) {
  const shown = new Set();
  // Also if the test fails: components with the same orders share a stream. It needs the page's globals, so it comes before the harness.
  t.after(() => shown.forEach((component) => component.unmount()));
  const harness = createHarness(t, { page });
  replaceGlobals(t, interfaces(page));
  page.document.body.innerHTML = "";
  const complaints = [];
  for (const level of ["error", "warn"]) t.mock.method(console, level, (...what) => complaints.push(String(what[0])));
  t.after(() => assert.deepEqual(complaints, []));
  return {
    harness,
    async show(props, { html = "", ...options } = {}) {
      const target = page.document.createElement("div");
      target.innerHTML = html;
      page.document.body.append(target);
      const error = (what) => complaints.push(String(what));
      const mounted = mount(target, { ...defaults, ...props }, { error, ...options });
      shown.add(mounted);
      await rendered(harness);
      return {
        text: () => [...target.querySelectorAll("p")].map(({ textContent }) => textContent).join(", "),
        state: () => target.querySelector("section").className,
        error: () => target.querySelector("section").getAttribute("title"),
        async set(changed) {
          mounted.set(changed);
          await rendered(harness);
        },
        async unmount() {
          shown.delete(mounted);
          mounted.unmount();
          await rendered(harness);
        },
      };
    },
  };
}

/** The globals of a page that frameworks use. */
function interfaces(window) {
  const { document, navigator, Node, Element, SVGElement, Text, Comment, HTMLElement } = window;
  return { window, document, navigator, Node, Element, SVGElement, Text, Comment, HTMLElement };
}

/** Lets the frameworks render, and runs timers that are due. */
export async function rendered(harness) {
  for (let turn = 0; turn < 5; turn += 1) {
    await settle();
    await harness.advance(0);
  }
}
