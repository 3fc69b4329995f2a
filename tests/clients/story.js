// What every JavaScript client is tested with, in pages and in Node.

const AT_A_TIME = 48;

/**
 * Has a client follow each order that the test names, many at a time, and reports what each has come to show.
 *
 * `follow(url, take)` resolves once `take(type, data)` has returned true: the order's end was told. It may tell how many
 * times the client gave up and was opened anew.
 */
export async function run(server, follow) {
  const urls = await (await fetch(`${server}/stories`)).json();
  const one = async () => {
    for (let url; (url = urls.shift()); ) {
      // Left from an earlier visit, whose cursor nobody knows: only `reset` takes it away.
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
  await Promise.all(Array.from({ length: AT_A_TIME }, one));
}

/** An `EventSource` that is opened anew, where it was, when it has given up. docs/clients.md has these lines for readers. */
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
