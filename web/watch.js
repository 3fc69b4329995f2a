/**
 * One order's stream, through the browser's own EventSource, with the few lines of care that a bare one lacks: it gives
 * up for good on any answer but 200, and goes on checking in from a hidden tab.
 *
 * @typedef {{orderId: string, seq: number, status: string, previous?: string, at: string,
 *            attributes?: Record<string, unknown>}} Change
 * @typedef {{is: "connecting" | "live" | "resting" | "reconnecting" | "refused" | "ended",
 *            tries?: number, until?: number}} State
 *   `tries`: failures in a row; `until`: when the next attempt is due, epoch ms, where that is known.
 * @typedef {{event: string, id: string, data: string, note?: string}} Frame
 * @typedef {{
 *   state(state: State): void,
 *   change(change: Change): void,
 *   ready(): void,
 *   reset(): void,
 *   frame(frame: Frame): void,
 * }} Listener
 */

const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;

/**
 * Watches until `end` or `close()`.
 *
 * @param {string} url the order's events, with a query
 * @param {Listener} on
 */
export function watch(url, on) {
  let cursor = "";
  let seen = 0;
  let tries = 0;
  let ended = false;
  /** `rest` was read: the end of the response that follows is no failure. */
  let goodbye = false;
  /** @type {EventSource | undefined} */
  let source;
  /** @type {number | undefined} */
  let timer;

  function open() {
    drop();
    on.state({ is: "connecting" });
    source = new EventSource(cursor ? `${url}&lastEventId=${encodeURIComponent(cursor)}` : url);
    source.onopen = () => {
      tries = 0;
      note("open", cursor ? `from ${cursor}` : "from the start");
    };
    source.onerror = failed;
    source.onmessage = changed;
    source.addEventListener("hello", told);
    source.addEventListener("expired", told);
    source.addEventListener("ready", (event) => {
      told(event);
      on.ready();
      on.state({ is: "live" });
    });
    source.addEventListener("reset", (event) => {
      told(event);
      seen = 0;
      on.reset();
    });
    source.addEventListener("rest", (event) => {
      told(event);
      goodbye = true;
      on.state({ is: "resting", until: Date.now() + (parsed(event.data)?.retry ?? 0) });
    });
    source.addEventListener("end", (event) => {
      told(event);
      ended = true;
      drop();
      on.state({ is: "ended" });
    });
  }

  /** Only an event that arrived whole moves the cursor: the browser dispatches no other. */
  function told(event) {
    cursor = event.lastEventId;
    on.frame({ event: event.type, id: cursor, data: event.data });
  }

  function changed(event) {
    const change = parsed(event.data);
    if (!Number.isInteger(change?.seq) || typeof change.status !== "string") {
      on.frame({ event: "message", id: event.lastEventId, data: event.data, note: "unreadable" });
      return;
    }
    cursor = event.lastEventId;
    const repeated = change.seq <= seen;
    on.frame({ event: "message", id: cursor, data: event.data, note: repeated ? "seen before" : undefined });
    if (!repeated) {
      seen = change.seq;
      on.change(change);
    }
  }

  function failed() {
    if (source?.readyState === EventSource.CLOSED) {
      // Jittered, so that the tabs that were refused together do not come back together.
      const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** tries);
      const delay = longest * (0.5 + Math.random() / 2);
      tries += 1;
      note("refused", "any answer but 200 ends an EventSource: it is opened again by hand");
      timer = setTimeout(open, delay);
      on.state({ is: "refused", tries, until: Date.now() + delay });
    } else if (goodbye) {
      goodbye = false;
    } else {
      tries += 1;
      note("lost", "the EventSource comes back by itself");
      on.state({ is: "reconnecting", tries });
    }
  }

  function note(event, data) {
    on.frame({ event, id: "", data });
  }

  function drop() {
    clearTimeout(timer);
    source?.close();
    source = undefined;
    goodbye = false;
  }

  function shownOrHidden() {
    if (ended) return;
    if (document.hidden) {
      drop();
      note("closed", "the page is hidden");
    } else {
      open();
    }
  }

  document.addEventListener("visibilitychange", shownOrHidden);
  if (!document.hidden) open();

  return {
    retry: open,
    close() {
      document.removeEventListener("visibilitychange", shownOrHidden);
      drop();
    },
  };
}

/** The value of a JSON text, or undefined: a half of one must not stop the page. */
function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
