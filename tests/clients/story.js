// What every JavaScript client is tested with, in pages and in Node.

const AT_A_TIME = 64;

/**
 * Has a client follow each order that the test names, many at a time, and reports what each has come to show.
 *
 * `follow(url, take)` resolves once `take(type, data)` has returned true: the order's end was told. Should the client give
 * up before, it resolves with a reason.
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

/** An `EventSource` with nothing around it. */
export const plain = (EventSource) => (url, take) => new Promise((resolve) => {
  const source = new EventSource(url);
  for (const type of ["message", "reset", "end"]) {
    source.addEventListener(type, ({ data }) => {
      if (take(type, data)) resolve(source.close());
    });
  }
  source.onerror = () => {
    if (source.readyState === 2) resolve("readyState 2");
  };
});
