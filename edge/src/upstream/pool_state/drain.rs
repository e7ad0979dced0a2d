//! Drains and maintenance of a pool's endpoints: by order of the operator, and announced by responses. Checks that
//! announce a drain arrive as the outcomes of other checks do.

use std::{net::SocketAddr, sync::Arc};

use tokio::time::Instant;

use super::{PoolState, Timestamp};
use crate::{
    config,
    observe::decisions::{Decision, Note},
    upstream::{endpoint::Endpoint, health::HealthStatus, order::Order},
};

impl PoolState {
    /// Returns when the time of a drain that the endpoint announced is over; the outer `None` if it has left the pool.
    pub(super) fn drains_until(&self, endpoint: &Endpoint) -> Option<Option<Instant>> {
        self.member(endpoint).map(|member| member.drains_until)
    }

    /// Applies a response that announced a drain. With health checks the endpoint returns when they pass, without them
    /// after a time. An unhealthy endpoint stays unhealthy.
    pub(super) fn drain_announced(&mut self, endpoint: &Endpoint, now: Timestamp) {
        let handle = Arc::clone(&self.handle);
        let config::Drain { header, time } = &handle.config.drain;
        let until = handle.config.health.is_none().then(|| now.instant + *time);
        let Some(member) = self.member_mut(endpoint) else { return };
        if member.health.status() == HealthStatus::Unhealthy || member.order == Order::Maintenance {
            return;
        }
        let before = member.state();
        if member.drain(until) {
            endpoint.checks.announced_drains.add(1);
        }
        if member.state() != before {
            let reason = format!("a response with {}", header.as_deref().unwrap_or_default());
            member.record_state(&reason, now.wall_clock);
            handle.note(Decision::Draining, Some(endpoint.address), &reason);
            self.publish();
        }
    }

    /// Applies the end of the time of a drain that the endpoint announced, in a pool without health checks.
    pub(super) fn drain_expired(&mut self, endpoint: &Endpoint, now: Timestamp) {
        let handle = Arc::clone(&self.handle);
        let Some(member) = self.member_mut(endpoint) else { return };
        let before = member.state();
        member.end_drain();
        if member.state() != before {
            let reason = "the time of its drain is over";
            member.record_state(reason, now.wall_clock);
            handle.note(Decision::Healthy, Some(endpoint.address), reason);
            self.publish();
        }
    }

    /// Applies an order of the operator to an address, and returns the previous order; `None` if the address is not in
    /// the pool and no order for it is known. `client` is the operator's address, for the log.
    pub(in crate::upstream) fn order(
        &mut self,
        address: SocketAddr,
        order: Order,
        client: Option<SocketAddr>,
        now: Timestamp,
    ) -> Option<Order> {
        let health = self.initial_health();
        let member = self.members.get_mut(&address);
        if member.is_none() && self.orders.of(&address) == Order::Ready {
            return None;
        }
        let before = self.orders.set(address, order);
        if before == order {
            return Some(before);
        }
        let decision = match order {
            Order::Ready => Decision::OrderedReady,
            Order::Drain => Decision::OrderedDrain,
            Order::Maintenance => Decision::OrderedMaintenance,
        };
        let reason = client.map(|client| format!("ordered from {}", client.ip())).unwrap_or_default();
        let note = Note::at(decision, address, &reason);
        self.handle.note_with(&Note { order: Some((order.label(), before.label(), client)), ..note });
        if let Some(member) = member {
            if order != Order::Ready {
                member.endpoint.checks.ordered_drains.add(1);
            }
            member.obey(order, health, now.instant);
            member.record_order(now.wall_clock);
            // Checks begin or end with maintenance.
            self.changed.notify_one();
            self.publish();
        }
        Some(before)
    }
}
