/**
 * Tells when the page is shown, hidden, or on the network again; returns how to stop. Where there
 * is no page, it is shown.
 *
 * @param {{shown(): void, hidden(): void, online(): void}} on
 * @returns {() => void}
 */
export function followPage(on) {
  const { document, window } = globalThis;
  const look = () => (document?.visibilityState === "hidden" ? on.hidden() : on.shown());
  const listening = [
    [document, "visibilitychange", look],
    // Into the back/forward cache and out of it: an open response would keep some browsers from
    // caching the page.
    [window, "pagehide", on.hidden],
    [window, "pageshow", look],
    [window, "online", on.online],
  ];
  for (const [target, type, listener] of listening) target?.addEventListener(type, listener);
  look();
  return () => {
    for (const [target, type, listener] of listening) target?.removeEventListener(type, listener);
  };
}
