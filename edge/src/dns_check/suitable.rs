//! Which addresses clients can use at all.

use std::net::{IpAddr, Ipv4Addr};

use super::facts::{Resolver, SYSTEM};
use crate::upstream::discovery::AddressSet;

/// Why clients cannot use an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsuitable {
    /// An IPv4 address in an AAAA record (RFC 4291 section 2.5.5.2): clients do not send to it.
    Mapped(Ipv4Addr),
    /// Each client would connect to itself (127.0.0.0/8, ::1).
    Loopback,
    /// Valid on one network only (169.254.0.0/16, fe80::/10).
    LinkLocal,
    /// Not the address of a machine: 0.0.0.0, multicast, broadcast, reserved.
    NoMachine,
}

/// Returns why clients cannot use an address that a resolver returned, or `None` if they can.
pub(super) fn unsuitable(resolver: &Resolver, address: &IpAddr) -> Option<Unsuitable> {
    if let IpAddr::V6(v6) = address
        && let Some(mapped) = v6.to_ipv4_mapped()
    {
        return Some(Unsuitable::Mapped(mapped));
    }
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    // 240.0.0.0/4 (RFC 1112 section 4).
    let is_reserved = matches!(address, IpAddr::V4(v4) if v4.octets()[0] >= 240);
    if address.is_loopback() {
        (!is_trial(resolver)).then_some(Unsuitable::Loopback)
    } else if is_link_local {
        Some(Unsuitable::LinkLocal)
    } else {
        (is_reserved || !AddressSet::is_usable(address)).then_some(Unsuitable::NoMachine)
    }
}

/// Returns the addresses of a resolver that clients can use.
pub(super) fn usable(resolver: &Resolver) -> impl Iterator<Item = IpAddr> {
    resolver.addresses().filter(|address| unsuitable(resolver, address).is_none())
}

/// Whether the operator named a name server on this machine: then edges on this machine are what is tried. Many systems
/// have a resolver of their own on 127.0.0.53, which does not mean that.
fn is_trial(resolver: &Resolver) -> bool {
    resolver.label != SYSTEM && resolver.servers.iter().all(|server| server.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns_check::testing::resolver;

    fn why(label: &str, server: &str, address: &str) -> Option<Unsuitable> {
        unsuitable(&resolver(label, server, "", ""), &address.parse().unwrap())
    }

    #[test]
    fn addresses_that_no_client_reaches_are_distinguished() {
        for (address, expected) in [
            ("203.0.113.7", None),
            ("10.0.0.1", None),
            ("2001:db8::7", None),
            ("::ffff:203.0.113.7", Some(Unsuitable::Mapped(Ipv4Addr::new(203, 0, 113, 7)))),
            ("127.1.2.3", Some(Unsuitable::Loopback)),
            ("::1", Some(Unsuitable::Loopback)),
            ("169.254.0.1", Some(Unsuitable::LinkLocal)),
            ("fe80::1", Some(Unsuitable::LinkLocal)),
            ("0.0.0.0", Some(Unsuitable::NoMachine)),
            ("::", Some(Unsuitable::NoMachine)),
            ("224.0.0.1", Some(Unsuitable::NoMachine)),
            ("240.0.0.1", Some(Unsuitable::NoMachine)),
            ("255.255.255.255", Some(Unsuitable::NoMachine)),
        ] {
            assert_eq!(why("203.0.113.53:53", "203.0.113.53", address), expected, "{address}");
        }
    }

    #[test]
    fn loopback_is_suitable_only_from_a_name_server_that_was_named_on_this_machine() {
        assert_eq!(why("127.0.0.1:5353", "127.0.0.1", "127.0.0.1"), None);
        assert_eq!(why(SYSTEM, "127.0.0.53", "127.0.0.1"), Some(Unsuitable::Loopback));
    }
}
