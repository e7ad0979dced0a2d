//! Limits how many of something, such as event streams, may be open: in total, and for each client.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The limits, and what is open.
#[derive(Debug)]
pub(super) struct Quota {
    total: usize,
    per_client: usize,
    /// The number of open ones of each client; a client without any has no entry.
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// The limit that does not allow one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// The limit for all clients together.
    Total,
    /// The limit for this client.
    Client,
}

/// Permits one to be open. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Permit {
    quota: Arc<Quota>,
    client: IpAddr,
}

impl Quota {
    /// Allows at most `total`, and at most `per_client` for each client.
    pub(super) fn new(total: usize, per_client: usize) -> Self {
        Self { total, per_client, open: Mutex::default() }
    }

    /// Opens one for the client with the address `client`.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn open(self: &Arc<Self>, client: IpAddr) -> Result<Permit, Exceeded> {
        let client = host(client);
        let mut open = self.lock();
        let of_client = open.get(&client).copied().unwrap_or(0);
        if open.values().sum::<usize>() >= self.total {
            return Err(Exceeded::Total);
        }
        if of_client >= self.per_client {
            return Err(Exceeded::Client);
        }
        open.insert(client, of_client + 1);
        Ok(Permit { quota: Arc::clone(self), client })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.quota.lock();
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

/// Returns what identifies a client: an IPv4 address, or the /64 network of an IPv6 address, in which a host may choose
/// any address.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_client_holds_only_its_share() {
        let quota = Arc::new(Quota::new(3, 2));
        let first = quota.open(ip("10.0.0.1")).unwrap();
        let _second = quota.open(ip("::ffff:10.0.0.1")).unwrap();
        assert_eq!(quota.open(ip("10.0.0.1")).unwrap_err(), Exceeded::Client);
        let _other = quota.open(ip("10.0.0.2")).unwrap();
        assert_eq!(quota.open(ip("10.0.0.2")).unwrap_err(), Exceeded::Total);
        drop(first);
        let _again = quota.open(ip("10.0.0.1")).unwrap();
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let quota = Arc::new(Quota::new(9, 1));
        let _first = quota.open(ip("2001:db8::1")).unwrap();
        assert_eq!(quota.open(ip("2001:db8::ffff:1")).unwrap_err(), Exceeded::Client);
        let _other = quota.open(ip("2001:db8:0:1::1")).unwrap();
    }

    #[test]
    fn a_client_without_any_is_forgotten() {
        let quota = Arc::new(Quota::new(1, 1));
        for last in 0..100 {
            drop(quota.open(IpAddr::from([10, 0, 0, last])).unwrap());
        }
        assert!(quota.lock().is_empty());
    }
}
