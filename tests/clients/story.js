// The test of every JavaScript client, in pages and in Node.

const CONCURRENCY = 48;

/**
 * Follows each order that the test names with the client, many at the same time, and reports the changes of each.
 *
 * `follow(url, take)` resolves once `take(type, data)` has returned true, which it does at `end`. It may resolve to the
 * number of times that the client gave up and was opened again.
 */
export async function run(server, follow) {
  const urls = await (await fetch(`${server}/stories`)).json();
  const one = async () => {
    for (let url; (url = urls.shift()); ) {
      // This entry stands for an earlier visit with an unknown cursor. Only `reset` removes it.
      let changes = ["stale"];
      const gaveUp = await follow(url, (type, data) => {
        if (type === "reset") changes = [];
        if (type === "message") changes.push(JSON.parse(data));
        return type === "end";
      });
      const report = JSON.stringify({ url, changes, gaveUp });
      await fetch(`${server}/report`, { method: "POST", body: report });
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, one));
}

/** An `EventSource` that is opened again at its cursor after it gave up. docs/clients.md shows the same code. */
export const reopened = (EventSource) => (url, take) => new Promise((resolve) => {
  let gaveUp = 0;
  function open(url) {
    const source = new EventSource(url);
    for (const type of ["hello", "message", "ready", "reset", "end", "rest"]) {
      source.addEventListener(type, ({ data, lastEventId }) => {
        url.searchParams.set("lastEventId", lastEventId);
        if (take(type, data)) {
          source.close();
          resolve(gaveUp);
        }
      });
    }
    source.onerror = () => {
      if (source.readyState !== 2) return;
      gaveUp += 1;
      setTimeout(open, 1000, url);
    };
  }
  open(new URL(url));
});
