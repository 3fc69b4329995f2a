import { useCustomerOrders } from "order-status-stream/react";

export function CustomerOrders({ url, customer, token, snapshot, share }) {
  const { state, orders, error } = useCustomerOrders(url, customer, { token, share, ...snapshot });
  return (
    <section className={state} title={error?.reason}>
      {orders.map(({ orderId, status }) => (
        <p key={orderId}>
          {orderId}: {status}
        </p>
      ))}
      {orders.length === 0 && <p>No orders</p>}
    </section>
  );
}
