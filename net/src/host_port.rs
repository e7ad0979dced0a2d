//! Hosts with ports, as written in settings.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
};

/// A host, which may resolve to several addresses, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl HostPort {
    /// Parses `host:port` or `[address]:port`; the port may be omitted if there is a default.
    #[must_use]
    pub fn parse(text: &str, default_port: Option<u16>) -> Option<Self> {
        let (host, port) = if text.parse::<Ipv6Addr>().is_ok() {
            (text, default_port?)
        } else if let Some((host, port)) = text.rsplit_once(':') {
            (host, port.parse().ok().filter(|port| *port > 0)?)
        } else {
            (text, default_port?)
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
        // RFC 1035 section 2.3.4. A longer text is something else, perhaps an encoded secret, and must not be displayed.
        let fits = host.len() <= 253 && host.split('.').all(|label| label.len() <= 63);
        (is_host && fits).then(|| Self { host: host.to_owned(), port })
    }

    /// Parses a comma-separated list.
    ///
    /// # Errors
    /// Some entries are malformed.
    pub fn list(text: &str, default_port: Option<u16>) -> Result<Vec<Self>, Malformed> {
        let (mut hosts, mut malformed) = (Vec::new(), Vec::new());
        for (part, number) in text.split(',').map(str::trim).filter(|part| !part.is_empty()).zip(1..) {
            match Self::parse(part, default_port) {
                Some(host) => hosts.push(host),
                None => malformed.push(number),
            }
        }
        if malformed.is_empty() { Ok(hosts) } else { Err(Malformed(malformed)) }
    }
}

/// The malformed entries of a list, by their positions from 1. Their text is not repeated: an entry that was copied
/// from a URL may contain a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(Vec<usize>);

/// `entry 2`, or `entries 2 and 3`.
impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "entry " } else { "entries " })?;
        for (index, number) in self.0.iter().enumerate() {
            let before = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(f, "{before}{number}")?;
        }
        Ok(())
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_and_addresses_is_parsed() {
        let parse = |text: &str, default_port| -> Vec<String> {
            HostPort::list(text, default_port).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(parse("tasks.edge:9901, 10.0.0.1:80,", None), ["tasks.edge:9901", "10.0.0.1:80"]);
        assert_eq!(parse("[::1]:5,::1,a", Some(26379)), ["[::1]:5", "[::1]:26379", "a:26379"]);
        for bad in ["a", "a:", "a:0", ":1", "a:x", "http://a:1", "a b:1", "a:65536", "[::1:5", "a]:5"] {
            assert_eq!(HostPort::list(bad, None).unwrap_err().to_string(), "entry 1", "{bad}");
        }
    }

    #[test]
    fn a_name_is_at_most_253_characters_long_and_each_label_63() {
        let label = "a".repeat(63);
        let name = [label.as_str(), &label, &label, &label[..61]].join(".");
        assert!(HostPort::parse(&name, Some(1)).is_some() && name.len() == 253);
        assert_eq!(HostPort::parse(&format!("{name}a"), Some(1)), None);
        assert_eq!(HostPort::parse(&format!("{label}a.example"), Some(1)), None);
    }

    #[test]
    fn malformed_entries_are_numbered_and_not_repeated() {
        let error = |list| HostPort::list(list, None).unwrap_err().to_string();
        assert_eq!(error("b:1, user:s3cret@a:1"), "entry 2");
        assert_eq!(error("a, b:1, c:"), "entries 1 and 3");
        assert_eq!(error("a,b,,c"), "entries 1, 2 and 3");
    }
}
