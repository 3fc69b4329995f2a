/** Small helpers for elements, and for times and numbers in words. They do not know orders. */

export const $ = (id) => document.getElementById(id);

/** Makes `items` the children of `list`. Does not move the one with the focus, because an element that is moved loses it. */
export function arrange(list, items) {
  const kept = new Set(items);
  for (const child of [...list.children]) if (!kept.has(child)) child.remove();
  const focused = [...list.children].find((child) => child.contains(list.ownerDocument.activeElement));
  let place = list.firstElementChild;
  for (const item of items) {
    // Moves to the end each element that is before the focused one, but must come after it.
    while (item === focused && place !== focused) {
      const later = place;
      place = place.nextElementSibling;
      list.append(later);
    }
    if (item === place) place = place.nextElementSibling;
    else list.insertBefore(item, place);
  }
}

/** @returns whether the text has changed */
export function setText(node, text) {
  if (node.textContent === text) return false;
  node.textContent = text;
  return true;
}

export function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

export function iconOf(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  showIcon(svg, name);
  return svg;
}

export function showIcon(svg, name) {
  const href = `icons.svg#${name}`;
  const use = svg.querySelector("use");
  if (use.getAttribute("href") !== href) use.setAttribute("href", href);
}

/** Restarts the animation of a class. */
export function replay(node, name) {
  node.classList.remove(name);
  void node.offsetWidth; // forces a layout: without it the browser does not notice the removal
  node.classList.add(name);
}

const units = { short: {}, long: {} };

/** A duration in words: `short` 12 s, 4 min; `long` 12 seconds, 4 minutes. */
export function span(ms, unitDisplay) {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const [amount, unit] =
    seconds < 60
      ? [seconds, "second"]
      : seconds < 3_600
        ? [Math.round(seconds / 60), "minute"]
        : seconds < 86_400
          ? [Math.round(seconds / 3_600), "hour"]
          : [Math.round(seconds / 86_400), "day"];
  units[unitDisplay][unit] ??= new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay });
  return units[unitDisplay][unit].format(amount);
}

/** A number of things in words: 1 change, 2 changes. */
export const count = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;

const hours = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const days = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

/** The time of day, with the date if it is not today. A text that is not a date is returned unchanged. */
export function clock(at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return String(at);
  const today = date.toDateString() === new Date().toDateString();
  return today ? hours.format(date) : `${days.format(date)}, ${hours.format(date)}`;
}

export function time(at) {
  return element("time", { dateTime: at, textContent: clock(at) });
}
