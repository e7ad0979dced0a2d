//! Who is at the other end of a client connection, and what the edge tells an endpoint about it.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;

/// What the edge itself saw of a client, with the text made of it once per connection.
#[derive(Debug)]
pub struct Client {
    /// The other end of the connection; an IPv4 client of a dual-stack socket shows as IPv4.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether what it says in `X-Forwarded-*` and `Forwarded` is kept.
    pub(super) trusted: bool,
    /// `Forwarded` up to the host, which is the request's.
    forwarded: Box<str>,
}

/// What stands before the address in `forwarded`.
const FOR: &str = "for=";
/// What stands before an IPv6 address there: it is bracketed, and so it is quoted (RFC 7239 section 6).
const FOR_IPV6: &str = "for=\"[";

impl Client {
    /// Notes who is at the other end.
    #[must_use]
    pub fn new(address: SocketAddr, tls: bool, trusted_proxies: &[IpNet]) -> Self {
        let ip = address.ip().to_canonical();
        let mut forwarded = String::with_capacity(64);
        let (before, behind) = if ip.is_ipv4() { (FOR, "") } else { (FOR_IPV6, "]\"") };
        let proto = if tls { "https" } else { "http" };
        // Writing to a `String` cannot fail.
        write!(forwarded, "{before}{ip}{behind};proto={proto};host=").ok();
        Self {
            address: SocketAddr::new(ip, address.port()),
            tls,
            trusted: trusted_proxies.iter().any(|net| net.contains(&ip)),
            forwarded: forwarded.into(),
        }
    }

    /// Its address as text, without a port.
    pub(super) fn ip(&self) -> &str {
        let (start, end) = match self.address.ip() {
            IpAddr::V4(_) => (FOR.len(), ';'),
            IpAddr::V6(_) => (FOR_IPV6.len(), ']'),
        };
        self.forwarded.get(start..).and_then(|rest| rest.split(end).next()).unwrap_or_default()
    }

    pub(super) fn proto(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Writes the edge's own element of `Forwarded` (RFC 7239).
    pub(super) fn write_forwarded(&self, out: &mut Vec<u8>, host: &[u8]) {
        out.extend_from_slice(self.forwarded.as_bytes());
        // A port or a bracket makes the host more than a token (RFC 7239 section 4).
        if host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(byte)) {
            out.extend_from_slice(host);
        } else {
            out.push(b'"');
            out.extend_from_slice(host);
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(address: &str, tls: bool, host: &str) -> (String, String) {
        let client = Client::new(address.parse().unwrap(), tls, &[]);
        let mut out = Vec::new();
        client.write_forwarded(&mut out, host.as_bytes());
        (client.ip().to_owned(), String::from_utf8(out).unwrap())
    }

    #[test]
    fn addresses_are_written_as_each_field_wants_them() {
        for (address, tls, host, ip, expected) in [
            ("192.0.2.7:1234", false, "a.example", "192.0.2.7", "for=192.0.2.7;proto=http;host=a.example"),
            ("[::ffff:192.0.2.7]:1", true, "a:80", "192.0.2.7", "for=192.0.2.7;proto=https;host=\"a:80\""),
            ("[2001:db8::1]:1", true, "[::1]", "2001:db8::1", "for=\"[2001:db8::1]\";proto=https;host=\"[::1]\""),
        ] {
            assert_eq!(forwarded(address, tls, host), (ip.to_owned(), expected.to_owned()));
        }
    }
}
