/**
 * What a page needs to know from its own server. Here that is the demo shop of `make run`. If there is no
 * order to watch, the page says what to add to its address, and the result is `undefined`.
 */
export async function shop() {
  const get = async (path) => (await fetch(path)).json();
  const { streamUrl } = await get("/config.json");
  // `?order=A&order=B`, or the newest order.
  const named = new URLSearchParams(location.search).getAll("order").filter(Boolean);
  const ids = named.length > 0 ? named : (await get("/orders")).orders.slice(0, 1).map(({ orderId }) => orderId);
  if (ids.length === 0) {
    document.getElementById("root").textContent = "The shop has no orders yet. Place one, or add ?order=ID to the address of this page.";
    return undefined;
  }
  const token = async () => (await get(`/token?orders=${ids.map(encodeURIComponent)}`)).token;
  return { url: streamUrl, ids, token };
}
