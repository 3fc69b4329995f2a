/** The picture of a connection's last minute: what was held, what rested, what was cut off, and when changes came. */

import { arrange, element } from "../dom.js";
import { CHECK_IN, KEPT } from "./history.js";

const DRAWN = ["open", "rest", "cut"];

/**
 * @param {HTMLElement} lane keeps the elements of the last drawing
 * @param {import("./history.js").History} history
 * @param {number} now
 */
export function draw(lane, history, now) {
  const left = (at) => Math.max(0, 100 - ((now - at) / KEPT) * 100);
  const old = new Map([...lane.children].map((child) => [child.dataset.key, child]));
  const piece = (key, is) => {
    const item = old.get(key) ?? element("span");
    item.dataset.key = key;
    item.dataset.is = is;
    return item;
  };
  const segments = history.segments
    .filter(({ is }) => DRAWN.includes(is))
    .map(({ is, from, to = now }) => {
      const item = piece(`${is} ${from}`, is === "open" && to - from < CHECK_IN ? "check" : is);
      item.style.left = `${left(from)}%`;
      item.style.width = `${left(to) - left(from)}%`;
      return item;
    });
  const marks = history.marks.map(({ id, at, kind }) => {
    const item = piece(`mark ${id}`, kind);
    item.style.left = `${left(at)}%`;
    return item;
  });
  arrange(lane, [...segments, ...marks]);
}
