/**
 * Calls back when the page is shown, when it is hidden, and when the network is back. Returns a
 * function that stops this. Without a page (in Node.js) it counts as shown.
 *
 * @param {{shown(): void, hidden(): void, online(): void}} on
 * @returns {() => void}
 */
export function followPage(on) {
  const { document, window } = globalThis;
  const update = () => (document?.visibilityState === "hidden" ? on.hidden() : on.shown());
  const listening = [
    [document, "visibilitychange", update],
    // A page enters the back/forward cache with `pagehide` and leaves it with `pageshow`. Some
    // browsers do not cache a page that has an open response.
    [window, "pagehide", on.hidden],
    [window, "pageshow", update],
    [window, "online", on.online],
  ];
  for (const [target, type, listener] of listening) target?.addEventListener(type, listener);
  update();
  return () => {
    for (const [target, type, listener] of listening) target?.removeEventListener(type, listener);
  };
}
