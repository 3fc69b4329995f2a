// A client of npm follows the test's orders: `node watch.js CLIENT SERVER`. docs/clients.md has these lines for readers.

import { fetchEventSource } from "@microsoft/fetch-event-source";
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";
import launchdarkly from "launchdarkly-eventsource";
import { filled, recipes } from "./recipes.js";
import { reopened, run } from "./story.js";

const [client, server] = process.argv.slice(2);

// It takes a page for granted.
globalThis.window ??= globalThis;
globalThis.document ??= { addEventListener() {}, removeEventListener() {} };

// As it stands in docs/clients.md.
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
      // It takes an id as soon as its line is there, before the event is whole: the cursor is kept here instead.
      fetch(url, { headers, ...init }) {
        const { "last-event-id": _, ...others } = headers;
        return fetch(url, { ...init, headers: cursor ? { ...others, "last-event-id": cursor } : others });
      },
      onmessage({ event, data, id }) {
        cursor = id;
        if (take(event || "message", data)) ended.abort();
      },
      // It takes a response's end for the stream's: an error makes it come back.
      onclose() {
        throw new Error("the response has ended");
      },
    });
  },
};

await run(server, clients[client]);
