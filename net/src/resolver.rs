//! Resolution of hosts to addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{net::lookup_host, time::timeout};

use crate::host_port::HostPort;

/// Default time limit for one look-up.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum number of addresses used, to bound the work if a name server returns too many.
const MAX_ADDRESSES: usize = 256;

/// Resolves hosts, and remembers the last addresses of each: a host that cannot be resolved keeps them.
#[derive(Clone, Debug)]
pub struct Resolver {
    hosts: Vec<HostPort>,
    /// Time limit for one look-up.
    timeout: Duration,
    resolved: BTreeMap<HostPort, BTreeSet<SocketAddr>>,
}

impl Resolver {
    /// Creates a resolver that has not resolved anything yet. Each look-up may take 1 s.
    #[must_use]
    pub fn new(hosts: Vec<HostPort>) -> Self {
        Self { hosts, timeout: TIMEOUT, resolved: BTreeMap::new() }
    }

    /// Limits each look-up to `timeout`.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Returns the configured hosts.
    #[must_use]
    pub fn hosts(&self) -> &[HostPort] {
        &self.hosts
    }

    /// Resolves all hosts concurrently and returns all addresses.
    pub async fn resolve(&mut self) -> BTreeSet<SocketAddr> {
        let limit = self.timeout;
        let mut lookups: FuturesUnordered<_> = self
            .hosts
            .iter()
            .map(|host| async move { (host, timeout(limit, lookup_host((host.host.as_str(), host.port))).await) })
            .collect();
        while let Some((host, result)) = lookups.next().await {
            if let Ok(Ok(addresses)) = result {
                self.resolved.insert(host.clone(), addresses.collect());
            }
        }
        self.resolved.values().flatten().copied().take(MAX_ADDRESSES).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_cannot_be_resolved_keeps_its_addresses() {
        let known = HostPort { host: "127.0.0.1".to_owned(), port: 7 };
        let lost = HostPort { host: "no-such-name.invalid".to_owned(), port: 7 };
        let mut resolver = Resolver::new(vec![known, lost.clone()]);
        resolver.resolved.insert(lost, BTreeSet::from(["192.0.2.1:7".parse().unwrap()]));
        let addresses = resolver.resolve().await;
        assert_eq!(addresses, BTreeSet::from(["127.0.0.1:7".parse().unwrap(), "192.0.2.1:7".parse().unwrap()]));
    }
}
