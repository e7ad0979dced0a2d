//! What the operator orders for the endpoints of a pool: the administrative states of HAProxy's `set server state`.
//!
//! Pure: time is an argument. An order belongs to an address of a pool, not to an endpoint: it outlives a reload and an
//! answer of a name server in which the address is missing.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use tokio::time::Instant;

/// How long an order outlives its endpoint. A machine that reboots is still in maintenance when it returns; later the
/// address may belong to another program, which must not inherit the order unnoticed.
pub const KEPT: Duration = Duration::from_secs(60 * 60);

/// What the operator orders for an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// It gets requests unless its checks, an ejection or the endpoint itself forbid that.
    #[default]
    Ready,
    /// It gets no new requests, is checked, and is used only if no other endpoint is left.
    Drain,
    /// It gets no requests at all, is not checked, and its idle connections are closed.
    Maintenance,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Maintenance];

    /// Returns its name in paths, logs and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }

    /// Returns the order with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.label() == name)
    }
}

/// The orders for the addresses of one pool. Holds only orders other than [`Order::Ready`].
#[derive(Clone, Debug, Default)]
pub struct Orders(BTreeMap<SocketAddr, Kept>);

#[derive(Clone, Copy, Debug)]
struct Kept {
    order: Order,
    /// When the address left the pool; `None` while it is there.
    left: Option<Instant>,
}

impl Orders {
    /// Returns the order for an address.
    #[must_use]
    pub fn of(&self, address: &SocketAddr) -> Order {
        self.0.get(address).map(|kept| kept.order).unwrap_or_default()
    }

    /// Replaces the order for an address, and returns the previous one.
    pub fn set(&mut self, address: SocketAddr, order: Order) -> Order {
        let before = self.of(&address);
        if order == Order::Ready {
            self.0.remove(&address);
        } else {
            let left = self.0.get(&address).and_then(|kept| kept.left);
            self.0.insert(address, Kept { order, left });
        }
        before
    }

    /// Notes which addresses are in the pool, and forgets the orders for those that left long ago.
    pub fn update(&mut self, is_present: impl Fn(&SocketAddr) -> bool, now: Instant) {
        self.0.retain(|address, kept| {
            kept.left = if is_present(address) { None } else { Some(kept.left.unwrap_or(now)) };
            kept.left.is_none_or(|left| now.saturating_duration_since(left) < KEPT)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 80).into()
    }

    #[test]
    fn every_order_has_a_name_of_its_own() {
        for order in Order::ALL {
            assert_eq!(Order::named(order.label()), Some(order));
        }
        assert_eq!(Order::named("Drain"), None);
    }

    #[test]
    fn setting_an_order_returns_the_previous_one() {
        let mut orders = Orders::default();
        assert_eq!(orders.set(address(1), Order::Drain), Order::Ready);
        assert_eq!(orders.set(address(1), Order::Maintenance), Order::Drain);
        assert_eq!((orders.of(&address(1)), orders.of(&address(2))), (Order::Maintenance, Order::Ready));
        assert_eq!(orders.set(address(1), Order::Ready), Order::Maintenance);
        assert!(orders.0.is_empty());
    }

    #[test]
    fn order_outlives_its_endpoint_for_an_hour() {
        let (mut orders, start) = (Orders::default(), Instant::now());
        orders.set(address(1), Order::Drain);
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        orders.update(|_| false, start);
        orders.update(|_| false, minutes(59));
        assert_eq!(orders.of(&address(1)), Order::Drain);
        // It returns, and leaves again.
        orders.update(|_| true, minutes(59));
        orders.update(|_| true, minutes(200));
        orders.update(|_| false, minutes(201));
        // A new order does not restart the hour.
        orders.set(address(1), Order::Maintenance);
        orders.update(|_| false, minutes(260));
        assert_eq!(orders.of(&address(1)), Order::Maintenance);
        orders.update(|_| false, minutes(261));
        assert_eq!(orders.of(&address(1)), Order::Ready);
    }
}
