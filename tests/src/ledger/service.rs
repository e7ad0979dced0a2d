//! The endpoints behind a proxy, and the name server that knows them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::Ledger;
use super::endpoint::{self, Endpoint};
use super::proxy::{Backend, NAME};
use crate::dns::{Answer, Dns};
use crate::port;

/// Endpoints on one port, each at an address of 127.0.0.0/8 that no other service has.
pub(super) struct Service {
    pub(super) endpoints: Vec<Endpoint>,
    ledger: Arc<Ledger>,
    dns: Option<Dns>,
    port: u16,
    /// The second byte of the addresses.
    network: u8,
    /// The last byte of the next address. Tasks of a swarm do not get the address of one that has just ended either.
    next: u8,
}

impl Service {
    /// Starts `count` endpoints, and a name server if the proxy finds them by name.
    pub(super) async fn start(ledger: &Arc<Ledger>, count: u8, by_name: bool) -> Self {
        static NETWORK: AtomicU8 = AtomicU8::new(0);
        let network = 1 + NETWORK.fetch_add(1, Relaxed) % 250;
        let dns = if by_name { Some(Dns::start().await) } else { None };
        let (ledger, endpoints) = (Arc::clone(ledger), Vec::new());
        let mut service = Self { endpoints, ledger, dns, port: port::free(), network, next: 1 };
        for _ in 0..count {
            service.add().await;
        }
        service.publish();
        service
    }

    /// Where a proxy finds the endpoints.
    pub(super) fn backend(&self) -> Backend {
        match &self.dns {
            Some(dns) => Backend::Name { dns: dns.address(), port: self.port },
            None => Backend::Addresses(self.endpoints.iter().map(Endpoint::address).collect()),
        }
    }

    /// Starts another endpoint, at the end of the list.
    pub(super) async fn add(&mut self) {
        let address = SocketAddr::from((Ipv4Addr::new(127, self.network, 0, self.next), self.port));
        self.next = self.next.wrapping_add(1).max(1);
        let endpoint = Endpoint::start(address, &self.ledger).await;
        self.endpoints.push(endpoint);
    }

    /// Makes the name server answer with all endpoints.
    pub(super) fn publish(&self) {
        let addresses: Vec<IpAddr> = self.endpoints.iter().map(|endpoint| endpoint.address().ip()).collect();
        self.answer(if addresses.is_empty() { Answer::Empty } else { Answer::addresses(addresses) });
    }

    /// Makes the name server answer like this.
    pub(super) fn answer(&self, answer: Answer) {
        if let Some(dns) = &self.dns {
            dns.set(NAME, answer);
        }
    }

    /// The number of queries so far.
    pub(super) fn queries(&self) -> usize {
        self.dns.as_ref().map_or(0, |dns| dns.queries(NAME))
    }

    /// Ends all endpoints. From then on the ledger is complete.
    pub(super) async fn end(mut self) {
        endpoint::end(&mut self.endpoints).await;
    }
}
