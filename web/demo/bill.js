/**
 * The bill of the last minute. All numbers come from the server, which counts requests, seconds and reads.
 *
 * @typedef {{requests: number, held: number, reads: number, total: number}} Price in USD
 * @typedef {{requests: number, heldMs: number, readUnits: number, watchedMs: number, perMillionMinutes: Price | null}} Usage
 * @typedef {Usage & {cut: boolean}} CustomerUsage `cut`: whether the server cuts the customer's connection
 * @typedef {{customers: Record<string, CustomerUsage>, total: Usage, heldAlways: number}} Bill
 */

import { $, element, setText } from "../dom.js";

const PARTS = ["requests", "held", "reads"];
const NONE = "–";

const dollars = (usd) => (usd === undefined ? NONE : usd.toFixed(2));

/** The rows of the table: a label, its unit, and the value of a customer. */
const ROWS = [
  ["Requests", "", ({ requests }) => String(requests)],
  ["Held", "s", ({ heldMs }) => (heldMs / 1_000).toFixed(1)],
  ["Read units", "", ({ readUnits }) => readUnits.toFixed(1)],
  ["Watched", "min", ({ watchedMs }) => (watchedMs / 60_000).toFixed(2)],
  ["USD per million minutes", "", ({ perMillionMinutes }) => dollars(perMillionMinutes?.total)],
];

/** Makes the table for these customers. @param {[string, string][]} customers id and name */
export function prepareBill(customers) {
  const columns = [...customers, ["", customers.length === 2 ? "Both" : "All"]];
  const head = element("tr");
  head.append(element("td"), ...columns.map(([, name]) => element("th", { scope: "col", textContent: name })));
  $("usage-head").replaceChildren(head);
  $("usage").replaceChildren(
    ...ROWS.map(([label, unit]) => {
      const row = element("tr");
      const header = element("th", { scope: "row", textContent: label });
      if (unit) header.append(" ", element("span", { className: "soft", textContent: unit }));
      row.append(header, ...columns.map(([id]) => cellOf(id)));
      return row;
    }),
  );
}

function cellOf(id) {
  const cell = element("td", { textContent: NONE });
  cell.dataset.customer = id;
  return cell;
}

/** @param {Bill} bill */
export function showBill({ customers, total, heldAlways }) {
  const price = total.perMillionMinutes;
  setText($("price"), dollars(price?.total));
  for (const part of PARTS) {
    setText($(`price-${part}`), dollars(price?.[part]));
    const share = price?.total > 0 ? (price[part] / price.total) * 100 : 0;
    $("shares").querySelector(`[data-part="${part}"]`).style.flexGrow = share;
  }
  setText($("scale"), `A response that is held all the time costs ${dollars(heldAlways)} for its seconds alone.`);
  const rows = [...$("usage").rows];
  for (const [nth, [, , value]] of ROWS.entries()) {
    for (const cell of rows[nth].querySelectorAll("td")) {
      const usage = cell.dataset.customer ? customers[cell.dataset.customer] : total;
      setText(cell, usage ? value(usage) : NONE);
    }
  }
}
