//! Addresses to listen on, as users write them.

use std::{
    net::{AddrParseError, IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use crate::value::Parsed;

/// Parses an address to listen on. `:80` is `[::]:80`, which accepts IPv6 and IPv4 on Linux.
///
/// # Errors
/// The text is not an address with a port.
pub fn listen(text: &str) -> Parsed<SocketAddr> {
    let text = text.trim();
    if let Ok(address) = SocketAddr::from_str(text) {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
    }
    if let Ok(address) = bare_ip(text) {
        return Err(format!("{text:?} has no port: write \"{}\"", SocketAddr::new(address, 80)));
    }
    if text.parse::<u16>().is_ok() {
        return Err(format!("{text:?} is only a port: write \":{text}\" for every address of this host"));
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok()) {
        return Err(format!("{text:?} is a name, but a listener needs an address: write \"127.0.0.1:{port}\""));
    }
    Err(format!(
        "{text:?} is not an address to listen on: write IP:port, such as \"192.0.2.1:80\", \"[::1]:80\" or \":80\""
    ))
}

/// Parses an IP address without a port; an IPv6 address may be in brackets.
///
/// # Errors
/// The text is not an IP address.
pub fn bare_ip(text: &str) -> Result<IpAddr, AddrParseError> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(inner) => Ipv6Addr::from_str(inner).map(IpAddr::V6),
        None => IpAddr::from_str(text),
    }
}

/// Whether connections to one address could arrive at a listener of the other, so that both cannot be bound by default.
/// Port 0 stands for a port of its own.
#[must_use]
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    // On Linux `[::]` stands for IPv4 as well, but `0.0.0.0` not for IPv6.
    let covers = |wide: IpAddr, ip: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || ip.is_ipv4());
    let same_port = one.port() != 0 && one.port() == other.port();
    same_port && (one_ip == other_ip || covers(one_ip, other_ip) || covers(other_ip, one_ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_if_one_stands_for_the_other() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("[::1]:80", "[::]:80", true),
            ("0.0.0.0:80", "[::]:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "0.0.0.0:81", false),
            ("127.0.0.1:0", "0.0.0.0:0", false),
        ] {
            let [one, other] = [one, other].map(|address| address.parse().unwrap());
            assert_eq!((overlap(one, other), overlap(other, one)), (expected, expected), "{one} {other}");
        }
    }
}
