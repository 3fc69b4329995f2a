/** What a connection did, in words. */

import { count } from "../dom.js";
import { label } from "../view.js";
import { CHECK_IN } from "./history.js";

/** @typedef {import("./history.js").History} History */

const seconds = (ms) => `${Math.max(0, Math.round(ms / 1_000))} s`;
const until = (at, now) => (at > now ? `in ${Math.ceil((at - now) / 1_000)} s` : "now");
const exact = (ms) => `${(ms / 1_000).toFixed(1)} s`;

const NAMES = {
  connecting: "Connecting",
  open: "Held open",
  rest: "Resting",
  cut: "Cut off",
  back: "Back",
  hidden: "Paused",
  ended: "Ended",
  denied: "Refused",
};

/** The state that the page shows. A check-in is part of a rest, because it is over before anybody can read its name. */
export function stateOf(history, now) {
  const { is, from } = history.present;
  if (history.isBack(now)) return "back";
  const isCheckIn = is === "open" && now - from < CHECK_IN && history.segments.at(-2)?.is === "rest";
  return isCheckIn ? "rest" : is;
}

/** The state in one or two words. */
export const name = (state) => NAMES[state];

/**
 * The state in a sentence.
 *
 * @param {History} history
 * @param {number} now
 */
export function sentence(history, now) {
  const { from, until: due = now } = history.present;
  switch (stateOf(history, now)) {
    case "back":
      return cameBack(history.back);
    case "open":
      return `The response is held for ${seconds(now - from)}: a change is due.`;
    case "rest":
      return `The response has ended. The page asks again ${until(due, now)}.`;
    case "cut":
      return `No connection for ${seconds(now - from)}. Next attempt ${until(due, now)}.`;
    case "hidden":
      return "A hidden page asks for nothing.";
    case "denied":
      return "The stream refused to open.";
    case "ended":
      return "Nothing more is expected.";
    default:
      return "Opening the stream.";
  }
}

/** @param {{ms: number, changes: number, missing: number}} back */
export function cameBack({ ms, changes, missing }) {
  const away = `Back after ${seconds(ms)}`;
  if (missing > 0) return `${away}: ${count(missing, "change")} missing.`;
  if (changes === 0) return `${away}: no change came meanwhile.`;
  return `${away}: ${count(changes, "change")} caught up, no change missed.`;
}

/** A line of the journal. @param {import("./history.js").Entry} entry */
export function line({ kind, ms, changes, missing, orderId, status, times = 1 }) {
  if (kind === "change") return `${orderId}: ${label(status)}`;
  if (kind === "held") return `Held open for ${exact(ms)}`;
  if (kind === "rest") return times > 1 ? `Rested ${times} times, ${exact(ms)} in all` : `Rested for ${exact(ms)}`;
  if (kind === "cut") return "Cut off";
  return missing > 0 ? `Back after ${exact(ms)}, ${missing} missing` : `Back after ${exact(ms)}, ${count(changes, "change")} caught up`;
}

/** The past minute in a sentence, instead of its picture. */
export function summary(history, now) {
  const { responses, held, cuts, cut, changes } = history.summary(now);
  const parts = [count(responses, "response"), `open for ${exact(held)} in all`, count(changes, "change")];
  if (cuts > 0) parts.push(`cut off for ${exact(cut)}`);
  return `The last minute: ${parts.join(", ")}.`;
}
