// Renders a page with the React recipe of docs/page.md: `node react.js STREAM SNAPSHOT` prints its HTML and its script as JSON.

import { reactPage } from "./recipes.js";

const [stream, snapshot] = process.argv.slice(2);
const page = `
  const given = { stream: ${JSON.stringify(stream)}, snapshot: ${snapshot} };
  function Page() {
    return <OrderStatus id="A" orders={useOrders(given.stream, ['A'], () => 'token', given.snapshot)} />;
  }`;
const forServer = `${page}
  import { renderToString } from 'react-dom/server';
  export const html = renderToString(<Page />);`;
const forBrowser = `${page}
  import { StrictMode } from 'react';
  import { hydrateRoot } from 'react-dom/client';
  let queue = Promise.resolve();
  const report = (what) => {
    queue = queue.then(() => fetch('/report', { method: 'POST', body: JSON.stringify(what) }));
  };
  const root = document.getElementById('root');
  const show = () => report({ type: 'shown', html: root.innerHTML });
  new MutationObserver(show).observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
  const error = (error) => report({ type: 'error', error: String(error) });
  hydrateRoot(root, <StrictMode><Page /></StrictMode>, { onRecoverableError: error, onUncaughtError: error });`;
const { html } = await import(`data:text/javascript,${encodeURIComponent(await reactPage(forServer, "node"))}`);
const body = `<!doctype html><meta charset="utf-8"><div id="root">${html}</div><script type="module" src="/script.js"></script>`;
console.log(JSON.stringify({ html, page: body, script: await reactPage(forBrowser, "browser") }));
