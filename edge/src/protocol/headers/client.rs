//! The client of a connection, and what the edge reports about it to an endpoint.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;

/// What the edge knows about a client, as text that is formatted once per connection.
#[derive(Debug)]
pub struct Client {
    /// The address of the client; an IPv4 client of a dual-stack socket has an IPv4 address.
    pub address: SocketAddr,
    /// Whether it connected over TLS.
    pub tls: bool,
    /// The name for which it asked in its TLS handshake (SNI); `None` without TLS.
    pub server_name: Option<Box<str>>,
    /// Whether its `X-Forwarded-*` and `Forwarded` fields are kept.
    pub(super) trusted: bool,
    /// `Forwarded` up to the host, which differs between requests.
    forwarded: Box<str>,
}

/// What precedes the address in `forwarded`.
const FOR: &str = "for=";
/// What precedes an IPv6 address in `forwarded`: the address has brackets and so must be quoted (RFC 7239 section 6).
const FOR_IPV6: &str = "for=\"[";

impl Client {
    /// Describes the client at `address`.
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
            server_name: None,
            trusted: trusted_proxies.iter().any(|net| net.contains(&ip)),
            forwarded: forwarded.into(),
        }
    }

    /// Whether it is a trusted proxy.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The address as text, without the port.
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
    fn addresses_have_the_format_of_each_field() {
        for (address, tls, host, ip, expected) in [
            ("192.0.2.7:1234", false, "a.example", "192.0.2.7", "for=192.0.2.7;proto=http;host=a.example"),
            ("[::ffff:192.0.2.7]:1", true, "a:80", "192.0.2.7", "for=192.0.2.7;proto=https;host=\"a:80\""),
            ("[2001:db8::1]:1", true, "[::1]", "2001:db8::1", "for=\"[2001:db8::1]\";proto=https;host=\"[::1]\""),
        ] {
            assert_eq!(forwarded(address, tls, host), (ip.to_owned(), expected.to_owned()));
        }
    }
}
