// Uses the demo page as a visitor does, and reports what it shows. It runs before the page's own script.
const bills = [];
const originalFetch = window.fetch;
window.fetch = async (...request) => {
  const response = await originalFetch(...request);
  if (String(request[0]).startsWith("/bill")) bills.push(await response.clone().json());
  return response;
};

let queue = Promise.resolve();
const report = (what) => {
  queue = queue.then(() => originalFetch("REPORTS", { method: "POST", mode: "no-cors", body: JSON.stringify(what) }));
};
window.addEventListener("error", ({ message }) => report({ type: "error", message }));
window.addEventListener("unhandledrejection", ({ reason }) => report({ type: "error", message: String(reason) }));

/** Waits until the page shows something. The page renders several times a second. */
const until = (look) =>
  new Promise((resolve) => {
    const observer = new MutationObserver(() => check());
    const check = () => {
      const seen = look();
      if (!seen) return;
      observer.disconnect();
      resolve(seen);
    };
    observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
    check();
  });

const part = (customer, selector) => document.querySelector(`[data-customer="${customer}"] ${selector}`);
const text = (customer, selector) => part(customer, selector)?.textContent.trim();
const state = (customer) => document.querySelector(`article[data-customer="${customer}"]`)?.dataset.state;
const checked = (customer) => part(customer, ".switch").getAttribute("aria-checked");
const said = () => [...document.querySelectorAll("#announcements p")].map((line) => line.textContent);

async function place(customer) {
  part(customer, ".place").click();
  return (await until(() => part(customer, ".card"))).dataset.order;
}

async function visit() {
  await until(() => ["open", "rest"].includes(state("ada")) && ["open", "rest"].includes(state("ben")));
  const [ada, ben] = [await place("ada"), await place("ben")];
  report({ type: "placed", ada: text("ada", ".card .label"), ben: text("ben", ".card .label"), apart: ada !== ben });

  part("ada", ".switch").click();
  await until(() => state("ada") === "cut");
  report({ type: "cut", switch: checked("ada"), other: checked("ben"), pill: text("ada", ".pill-text") });
  // The shop goes on.
  for (const id of [ada, ada, ada, ben]) await originalFetch(`/orders/${id}/advance`, { method: "POST" });
  part("ada", ".place").click();
  await until(() => text("ben", ".card .label") === "Paid");
  const cards = document.querySelectorAll('[data-customer="ada"] .card').length;
  report({ type: "meanwhile", ada: text("ada", ".card .label"), cards, state: state("ada") });

  part("ada", ".switch").click();
  await until(() => state("ada") === "back");
  const labels = [...document.querySelectorAll('[data-customer="ada"] .card .label')].map((label) => label.textContent);
  const counters = [".shown", ".missing", ".twice"].map((name) => text("ada", name));
  report({ type: "back", sentence: text("ada", ".now"), labels, counters, switch: checked("ada"), said: said() });

  const row = (nth) => [...document.querySelectorAll(".usage tbody tr")[nth].querySelectorAll("td")].map(({ textContent }) => textContent);
  await until(() => Number(row(3)[2]) > 0 && Number(document.getElementById("price").textContent) > 0);
  const shown = { requests: row(0), held: row(1), reads: row(2), watched: row(3), price: row(4), total: document.getElementById("price").textContent };
  report({ type: "bill", shown, bills: bills.slice(-2) });
}

window.addEventListener("DOMContentLoaded", visit);
