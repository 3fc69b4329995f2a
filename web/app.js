/** The demo page: two customers and their orders, and the bill of the last minute. `order.js` is the page of one order. */

import { prepareBill, showBill } from "./demo/bill.js";
import { Customer } from "./demo/customer.js";
import { $, setText } from "./dom.js";
import { announce } from "./view.js";

/** How often the page asks for the bill, and says that it is open. In milliseconds. */
const BILL_INTERVAL = 1_000;
const RENDER_INTERVAL = 250;

/** Names this window, because each window watches by itself. */
const visit = crypto.randomUUID();

/** @type {Customer[]} */
let customers = [];

async function ask(method, path) {
  const response = await fetch(path, { method, headers: { accept: "application/json" } });
  if (response.status === 409) return { finished: true };
  if (!response.ok) throw new Error(`The shop answered ${method} ${path} with ${response.status}.`);
  return response.json();
}

function fail(error) {
  const noAnswer = error instanceof TypeError;
  const title = noAnswer ? "The shop does not answer" : "The shop could not do that";
  // Once, and not with each attempt.
  if ($("trouble").hidden) announce(`${title}.`);
  setText($("trouble-title"), title);
  setText($("trouble-text"), noAnswer ? "Start it with “make run”. This page goes on by itself." : error.message);
  $("trouble").hidden = false;
}

const shop = {
  /** The answer, or undefined if the request failed. Then the page says so. */
  async post(path) {
    try {
      const answer = await ask("POST", path);
      $("trouble").hidden = true;
      return answer;
    } catch (error) {
      fail(error);
    }
  },

  /** A token from the page's own server. It gives one to everybody, because it is a demo. */
  async token(customer) {
    return (await ask("GET", `/token?customer=${customer}`)).token;
  },
};

async function start() {
  const config = await ask("GET", "/config.json");
  customers = config.customers.map((id) => new Customer(id, shop));
  $("customers").replaceChildren(...customers.map(({ panel }) => panel));
  prepareBill(customers.map(({ id, name }) => [id, name]));
  for (const customer of customers) customer.watch(`/connections/${customer.id}/stream`);
  setInterval(() => customers.forEach((customer) => customer.render(Date.now())), RENDER_INTERVAL);
}

/** Fetches the bill. The request also says which customers this page watches: a hidden page watches none and asks for nothing. */
async function refresh() {
  if (document.hidden) return;
  if (customers.length === 0) await start();
  const watching = customers.filter(({ isWatching }) => isWatching).map(({ id }) => id);
  const bill = await ask("POST", `/bill?visit=${visit}&watching=${watching}`);
  showBill(bill);
  for (const customer of customers) customer.showSwitch(bill.customers[customer.id].cut);
}

let failed = false;

async function tick() {
  try {
    await refresh();
    // An error that a button caused stays.
    if (failed) $("trouble").hidden = true;
    failed = false;
  } catch (error) {
    failed = true;
    fail(error);
  }
  setTimeout(tick, BILL_INTERVAL);
}

// Addresses of an earlier version of this page.
const order = new URLSearchParams(location.search).get("order");
if (order) location.replace(`order.html?order=${encodeURIComponent(order)}`);
else tick();
