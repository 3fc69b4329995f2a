// Follows the test's orders with a client from npm: `node watch.js CLIENT SERVER`. docs/clients.md shows the same code.

import { fetchEventSource } from "@microsoft/fetch-event-source";
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";
import launchdarkly from "launchdarkly-eventsource";
import { filled, recipes } from "./recipes.js";
import { reopened, run } from "./story.js";

const [client, server] = process.argv.slice(2);

// `fetchEventSource` expects a page.
globalThis.window ??= globalThis;
globalThis.document ??= { addEventListener() {}, removeEventListener() {} };

// Read from docs/clients.md, so that the test runs what a reader copies.
const [{ code }] = await recipes("docs/clients.md", "`launchdarkly-eventsource`");
const launchdarklyRecipe = new Function("EventSource", "url", "take", filled(code, "take(type, data);"));

const clients = {
  "eventsource": reopened(EventSource),

  "eventsource-client": (url, take) => new Promise((resolve) => {
    const source = createEventSource({
      url,
      onMessage({ event, data }) {
        if (take(event ?? "message", data)) resolve(source.close());
      },
    });
  }),

  "launchdarkly-eventsource": (url, take) => new Promise((resolve) => {
    launchdarklyRecipe(launchdarkly.EventSource, url, (type, data) => take(type, data) && resolve());
  }),

  "fetch-event-source": (url, take) => {
    const ended = new AbortController();
    let cursor;
    return fetchEventSource(url, {
      signal: ended.signal,
      openWhenHidden: true,
      // The client applies an id before its event is complete. So this code keeps the cursor itself.
      fetch(url, { headers, ...init }) {
        const { "last-event-id": _, ...others } = headers;
        return fetch(url, { ...init, headers: cursor ? { ...others, "last-event-id": cursor } : others });
      },
      onmessage({ event, data, id }) {
        cursor = id;
        if (take(event || "message", data)) ended.abort();
      },
      // The client stops at the end of a response. The error makes it reconnect.
      onclose() {
        throw new Error("the response has ended");
      },
    });
  },
};

await run(server, clients[client]);
