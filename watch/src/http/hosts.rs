//! The names by which the page may be requested. See [`net::host`] for the attack that this prevents.

use std::fmt;

use http::{HeaderMap, header};
use net::host::Host;

/// Names that a `Host` field may have in addition to addresses and private names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Parses a comma-separated list of names.
    ///
    /// # Errors
    /// Returns the items that are not names, quoted and with commas between.
    pub fn parse(list: &str) -> Result<Self, String> {
        let (mut names, mut malformed) = (Vec::new(), Vec::new());
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let name = item.strip_suffix('.').unwrap_or(item);
            let is_label =
                |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            if name.split('.').all(is_label) {
                names.push(name.to_ascii_lowercase());
            } else {
                malformed.push(format!("{item:?}"));
            }
        }
        if malformed.is_empty() { Ok(Self(names)) } else { Err(malformed.join(", ")) }
    }

    /// Whether a request is addressed to an expected name. One without `Host` is not from a browser.
    pub(super) fn expect(&self, headers: &HeaderMap) -> bool {
        let is_expected = |host: Host| host.is_private() || self.0.iter().any(|name| name == host.as_str());
        headers.get_all(header::HOST).iter().all(|value| Host::parse(value).is_some_and(is_expected))
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("addresses, private names")?;
        self.0.iter().try_for_each(|name| write!(f, ", {name}"))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_private_and_listed_names_are_expected() {
        let hosts = Hosts::parse("Watch.Example.com., tasks.watch").unwrap();
        let expect = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::HOST, HeaderValue::from_static(value));
            }
            hosts.expect(&headers)
        };
        for good in ["watch.example.com", "WATCH.example.com.:443", "tasks.watch:8080", "10.0.0.1:8080", "watch:8080"] {
            assert!(expect(&[good]), "{good}");
        }
        for bad in ["example.com", "x.watch.example.com", "watch.example.com.evil.com", ""] {
            assert!(!expect(&[bad]), "{bad}");
            assert!(!expect(&["watch", bad]), "{bad} as a second one");
        }
        assert!(expect(&[]));
    }

    #[test]
    fn a_list_has_names_without_a_scheme_or_a_port() {
        let malformed = Hosts::parse("https://a.example, b.example:443,c.example,*.d.example").unwrap_err();
        assert_eq!(malformed, "\"https://a.example\", \"b.example:443\", \"*.d.example\"");
        assert_eq!(Hosts::parse(" , ").unwrap(), Hosts::default());
    }
}
