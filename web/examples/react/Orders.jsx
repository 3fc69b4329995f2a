import { useOrderStatus } from "order-status-stream/react";

export function Orders({ url, ids, token, snapshot }) {
  const { state, orders, error } = useOrderStatus(url, ids, { token, ...snapshot });
  return (
    <section className={state} title={error?.reason}>
      {orders.map(({ orderId, status }) => (
        <p key={orderId}>
          {orderId}: {status}
        </p>
      ))}
      {orders.length === 0 && <p>Looking it up</p>}
    </section>
  );
}
