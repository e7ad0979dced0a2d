//! Recognizes the names that protect a server against DNS rebinding.
//!
//! A hostile web page, open in a browser on the operator's network, must not be able to read what a server there says
//! by resolving a name of the attacker to the server's address. Such a name always has a dot and a public top-level
//! domain. So a server that is not for the public answers only requests whose `Host` is [private](Host::is_private).

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderValue;

/// Top-level domains in which no name can be registered: RFC 6761, RFC 6762, and ICANN's `internal`.
const PRIVATE_DOMAINS: [&str; 3] = ["localhost", "local", "internal"];

/// The name or address of a `Host` field, without its port, in lower case and without a final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// Parses the value of a `Host` field; `None` if it names no host.
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?.to_ascii_lowercase();
        let name = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, _port) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                address
            }
            None => {
                let name = text.split_once(':').map_or(text.as_str(), |(name, _port)| name);
                name.strip_suffix('.').unwrap_or(name)
            }
        };
        (!name.is_empty()).then(|| Self(name.to_owned()))
    }

    /// The name or address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no attacker can own it: an address, a name without a dot (`localhost`, the name of a service), or a name
    /// below a top-level domain in which none can be registered.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self.0.rsplit_once('.') {
            None => true,
            Some((_, top)) => {
                // RFC 8375: the domain of home networks, which many routers hand out.
                let is_home = self.0.ends_with(".home.arpa");
                is_home || PRIVATE_DOMAINS.contains(&top) || self.0.parse::<IpAddr>().is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_private(text: &'static str) -> bool {
        Host::parse(&HeaderValue::from_static(text)).is_some_and(|host| host.is_private())
    }

    #[test]
    fn addresses_and_names_that_no_attacker_can_own_are_private() {
        for host in [
            "127.0.0.1",
            "10.0.0.1:8080",
            "[::1]:8080",
            "[2001:db8::1]",
            "localhost:8080",
            "watch.home.arpa:8080",
            "watch",
            "watch.internal:8080",
            "node.Local",
            "x.LocalHost.",
            "[::ffff:1.2.3.4]",
        ] {
            assert!(is_private(host), "{host}");
        }
        for host in
            ["evil.example:8080", "127.0.0.1.evil.com", "[evil.com]", "[::1", "", ":80", ".", "tasks.watch", "1.2.3"]
        {
            assert!(!is_private(host), "{host}");
        }
    }
}
