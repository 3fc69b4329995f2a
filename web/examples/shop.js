/** What a page needs to know from its own server. Here that is the demo shop of `make run`. */
export async function shop() {
  const get = async (path) => (await fetch(path)).json();
  const { streamUrl } = await get("/config.json");
  // `?order=A&order=B`, or the newest order.
  const named = new URLSearchParams(location.search).getAll("order");
  const ids = named.length > 0 ? named : (await get("/orders")).orders.slice(0, 1).map(({ orderId }) => orderId);
  const token = async () => (await get(`/token?orders=${ids.map(encodeURIComponent)}`)).token;
  return { url: streamUrl, ids, token };
}
