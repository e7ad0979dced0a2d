//! The client that a trusted proxy names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::protocol::{h1::head::Field, headers::Name};

/// The most proxies that are skipped, since a client can send any number of addresses.
const MAX_PROXIES: usize = 32;

/// Returns the client of a request that a trusted proxy passed on: the last address in `X-Forwarded-For` that is not of
/// a trusted proxy itself. Each proxy appends the address that it sees, so the client can only choose what precedes its
/// own address. `None` if there is no such address.
#[must_use]
pub fn named_client(fields: &[Field<'_>], trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let is_chain = |field: &&Field<'_>| Name::of(field.name.as_bytes()) == Name::XForwardedFor;
    // Several fields are one list (RFC 9110 section 5.3).
    let elements = fields.iter().rev().filter(is_chain).flat_map(|field| field.value.rsplit(|byte| *byte == b','));
    for element in elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()).take(MAX_PROXIES) {
        let address = address(element)?;
        if !trusted_proxies.iter().any(|network| network.contains(&address)) {
            return Some(address);
        }
    }
    None
}

/// Parses an address, with or without brackets and a port.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(in_brackets).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::headers::tests::fields;

    fn client(values: &[&str]) -> Option<String> {
        let pairs: Vec<_> = values.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        let trusted: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        named_client(&fields(&pairs), &trusted).map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        for (values, expected) in [
            (&["192.0.2.7"][..], Some("192.0.2.7")),
            (&["198.51.100.9, 192.0.2.7, 10.0.0.1, fd00::1"], Some("192.0.2.7")),
            (&["198.51.100.9", "192.0.2.7", "10.0.0.1"], Some("192.0.2.7")),
            (&["192.0.2.7:4711"], Some("192.0.2.7")),
            (&["2001:db8::7"], Some("2001:db8::7")),
            (&["[2001:db8::7]:4711"], Some("2001:db8::7")),
            (&["[2001:db8::7]"], Some("2001:db8::7")),
            (&["::ffff:192.0.2.7 , ::ffff:10.0.0.1,, "], Some("192.0.2.7")),
            (&["10.0.0.2, 10.0.0.1"], None),
            (&["192.0.2.7, unknown"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(client(values).as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn only_a_bounded_number_of_proxies_is_skipped() {
        let proxies = |count| format!("192.0.2.7{}", ", 10.0.0.1".repeat(count));
        assert_eq!(client(&[&proxies(MAX_PROXIES - 1)]).as_deref(), Some("192.0.2.7"));
        assert_eq!(client(&[&proxies(MAX_PROXIES)]), None);
    }
}
