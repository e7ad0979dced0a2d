//! Hosts and ports as settings write them, and the addresses that they stand for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{net::lookup_host, time::timeout};

/// The longest that a look-up may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most addresses that are asked, so that a name server that has gone mad does not make us go mad.
const MOST: usize = 256;

/// A host, which may stand for several addresses, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Name {
    /// Parses `host:port`, `[address]:port`, and without a port where there is a usual one.
    #[must_use]
    pub fn parse(text: &str, usual: Option<u16>) -> Option<Self> {
        let (host, port) = if text.parse::<std::net::Ipv6Addr>().is_ok() {
            (text, usual?)
        } else if let Some((host, port)) = text.rsplit_once(':') {
            (host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok().filter(|port| *port > 0)?)
        } else {
            (text, usual?)
        };
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
        is_host.then(|| Self { host: host.to_owned(), port })
    }

    /// Parses several, with commas between. The error is the one that is none.
    ///
    /// # Errors
    /// One of them cannot be understood.
    pub fn list(text: &str, usual: Option<u16>) -> Result<Vec<Self>, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| Self::parse(part, usual).ok_or_else(|| part.to_owned())).collect()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Names and the addresses last found for each. One that cannot be found keeps those it had.
#[derive(Clone, Debug)]
pub struct Directory {
    names: Vec<Name>,
    found: BTreeMap<Name, BTreeSet<SocketAddr>>,
}

impl Directory {
    /// Nothing is found yet.
    #[must_use]
    pub fn new(names: Vec<Name>) -> Self {
        Self { names, found: BTreeMap::new() }
    }

    /// As [`Directory::new`], from hosts and ports.
    #[must_use]
    pub fn of_hosts(hosts: &[(String, u16)]) -> Self {
        Self::new(hosts.iter().map(|(host, port)| Name { host: host.clone(), port: *port }).collect())
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// Looks all names up, at the same time, and returns all addresses.
    pub async fn look_up(&mut self) -> BTreeSet<SocketAddr> {
        let mut found: FuturesUnordered<_> = self
            .names
            .iter()
            .map(|name| async move { (name, timeout(PATIENCE, lookup_host((name.host.as_str(), name.port))).await) })
            .collect();
        while let Some((name, result)) = found.next().await {
            if let Ok(Ok(addresses)) = result {
                self.found.insert(name.clone(), addresses.collect());
            }
        }
        self.found.values().flatten().copied().take(MOST).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_and_addresses_is_read() {
        let shown = |text: &str, usual| -> Vec<String> {
            Name::list(text, usual).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(shown("tasks.edge:9901, 10.0.0.1:80,", None), ["tasks.edge:9901", "10.0.0.1:80"]);
        assert_eq!(shown("[::1]:5,::1,a", Some(26379)), ["[::1]:5", "[::1]:26379", "a:26379"]);
        for bad in ["a", "a:", "a:0", ":1", "a:x", "http://a:1", "a b:1", "a:65536"] {
            assert_eq!(Name::list(bad, None).unwrap_err(), bad);
        }
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_found_keeps_its_addresses() {
        let name = Name { host: "127.0.0.1".to_owned(), port: 7 };
        let lost = Name { host: "no-such-name.invalid".to_owned(), port: 7 };
        let mut directory = Directory::new(vec![name, lost.clone()]);
        directory.found.insert(lost, BTreeSet::from(["192.0.2.1:7".parse().unwrap()]));
        let found = directory.look_up().await;
        assert_eq!(found, BTreeSet::from(["127.0.0.1:7".parse().unwrap(), "192.0.2.1:7".parse().unwrap()]));
    }
}
