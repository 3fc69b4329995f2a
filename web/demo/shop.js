/** Requests to the demo shop, and what a page says if one fails. */

import { $, setText } from "../dom.js";
import { announce } from "../view.js";

/** Whether a button caused the failure that is shown. Then it stays until a button succeeds, because a visitor must be able to read it. */
let isOfButton = false;

/** The answer, or undefined if the request failed. Then the page says so. */
export async function ask(method, path) {
  return answered(method, path, false);
}

/** As `ask`, for a button. */
export async function press(path) {
  return answered("POST", path, true);
}

/** A token from the page's own server. It gives one to everybody, because it is a demo. Throws if the request failed. */
export async function tokenFor(query) {
  return (await send("GET", `/token?${query}`)).token;
}

async function answered(method, path, isButton) {
  try {
    const answer = await send(method, path);
    if (isButton || !isOfButton) $("shop-trouble").hidden = true;
    return answer;
  } catch (error) {
    showTrouble(error, isButton);
  }
}

/** The shop answers 409 if the order is finished already. */
async function send(method, path) {
  const response = await fetch(path, { method, headers: { accept: "application/json" } });
  if (response.status === 409) return { finished: true };
  if (!response.ok) throw new Error(`The shop answered ${method} ${path} with ${response.status}.`);
  return response.json();
}

function showTrouble(error, isButton) {
  const noAnswer = error instanceof TypeError;
  // If the shop does not answer, its next answer says enough.
  isOfButton = isButton && !noAnswer;
  const title = noAnswer ? "The shop does not answer" : "The shop could not do that";
  // Announces only the first of several failures in a row.
  if ($("shop-trouble").hidden) announce(`${title}.`);
  setText($("shop-trouble-title"), title);
  setText($("shop-trouble-text"), noAnswer ? "Start it with “make run”. This page tries again by itself." : error.message);
  $("shop-trouble").hidden = false;
}
