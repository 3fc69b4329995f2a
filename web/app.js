/** The demo page: two customers and their orders, and the bill of the last minute. `order.js` is the page of one order. */

import { prepareBill, showBill } from "./demo/bill.js";
import { Customer } from "./demo/customer.js";
import { ask, press, tokenFor } from "./demo/shop.js";
import { $ } from "./dom.js";

/** How often the page asks for the bill, and says that it is open. In milliseconds. */
const BILL_INTERVAL = 1_000;
const RENDER_INTERVAL = 250;

/** Names this window, because each window watches by itself. */
const visit = crypto.randomUUID();

/** @type {Customer[]} */
let customers = [];

/** @type {ConstructorParameters<typeof Customer>[1]} */
const shop = { post: press, token: (customer) => tokenFor(`customer=${customer}`) };

async function start() {
  const config = await ask("GET", "/config.json");
  if (!config) return;
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
  if (customers.length === 0) return;
  const watching = customers.filter(({ isWatching }) => isWatching).map(({ id }) => id);
  const bill = await ask("POST", `/bill?visit=${visit}&watching=${watching}`);
  if (!bill) return;
  showBill(bill);
  for (const customer of customers) customer.showSwitch(bill.customers[customer.id].cut);
}

async function tick() {
  try {
    await refresh();
  } finally {
    setTimeout(tick, BILL_INTERVAL);
  }
}

tick();
