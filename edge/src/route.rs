//! Which pool a request goes to: by host, then by the longest path prefix.
//!
//! The table is built once from the configuration and is pure. An exact host takes precedence over a wildcard, a longer
//! wildcard over a shorter one, and a route without a host comes last. The first of these groups with a matching path
//! decides.

use std::collections::HashMap;

use crate::config::{HostMatch, Route};

/// All routes, indexed by host.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    exact: HashMap<Box<str>, Paths>,
    suffix: HashMap<Box<str>, Paths>,
    any: Paths,
}

impl RouteTable {
    /// Indexes `routes`. Of two with the same host and path, the first is used.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let mut table = Self::default();
        for route in routes {
            match &route.host {
                HostMatch::Any => &mut table.any,
                HostMatch::Exact(host) => table.exact.entry(host.as_str().into()).or_default(),
                HostMatch::Suffix(host) => table.suffix.entry(host.as_str().into()).or_default(),
            }
            .insert(route.clone());
        }
        table
    }

    /// Returns the route of a request. `host` may have a port, a final dot and any case.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<&Route> {
        if self.exact.is_empty() && self.suffix.is_empty() {
            return self.any.find(path);
        }
        let host = without_port(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        let lower;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            &lower
        } else {
            host
        };
        self.exact
            .get(host)
            .and_then(|paths| paths.find(path))
            .or_else(|| {
                let parents = host.match_indices('.').map(|(dot, _)| &host[dot + 1..]);
                parents.filter_map(|parent| self.suffix.get(parent)).find_map(|paths| paths.find(path))
            })
            .or_else(|| self.any.find(path))
    }
}

/// The routes of one host, longest prefix first.
#[derive(Clone, Debug, Default)]
struct Paths(Vec<Route>);

impl Paths {
    fn insert(&mut self, route: Route) {
        // After equal ones, so that the first of two equal routes is used.
        let position = self.0.partition_point(|other| other.path.len() >= route.path.len());
        self.0.insert(position, route);
    }

    fn find(&self, path: &str) -> Option<&Route> {
        self.0.iter().find(|route| is_prefix(&route.path, path))
    }
}

/// Returns whether `prefix` matches `path` on whole segments.
fn is_prefix(prefix: &str, path: &str) -> bool {
    prefix == "/"
        || path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

/// Returns the host without its port; an IPv6 literal keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: HostMatch, path: &str, pool: usize) -> Route {
        Route { host, path: path.to_owned(), pool, max_body: None }
    }

    fn table() -> RouteTable {
        RouteTable::new(&[
            route(HostMatch::Any, "/", 0),
            route(HostMatch::Exact("www.example.com".into()), "/api", 1),
            route(HostMatch::Exact("www.example.com".into()), "/api/v2", 2),
            route(HostMatch::Suffix("example.com".into()), "/", 3),
            route(HostMatch::Suffix("b.example.com".into()), "/", 4),
            route(HostMatch::Exact("[::1]".into()), "/", 5),
        ])
    }

    #[test]
    fn the_most_specific_host_and_then_the_longest_prefix_win() {
        for (host, path, pool) in [
            ("elsewhere.org", "/api", 0),
            ("", "/", 0),
            ("www.example.com", "/api", 1),
            ("www.example.com", "/api/v1", 1),
            ("www.example.com", "/api/v2/x", 2),
            ("WWW.Example.com:8443", "/api/v2", 2),
            ("www.example.com.", "/api", 1),
            ("www.example.com", "/apix", 3),
            ("example.com", "/", 0),
            ("a.b.example.com", "/", 4),
            ("[::1]:80", "/", 5),
        ] {
            let found = table().find(host, path).map(|route| route.pool);
            assert_eq!(found, Some(pool), "{host} {path}");
        }
    }

    #[test]
    fn a_request_that_matches_no_route_has_none() {
        let table = RouteTable::new(&[route(HostMatch::Exact("a.example".into()), "/x", 0)]);
        assert_eq!(table.find("a.example", "/"), None);
        assert_eq!(table.find("b.example", "/x"), None);
    }

    #[test]
    fn of_two_equal_routes_the_first_wins() {
        let table = RouteTable::new(&[route(HostMatch::Any, "/", 7), route(HostMatch::Any, "/", 8)]);
        assert_eq!(table.find("", "/").map(|route| route.pool), Some(7));
    }

    proptest::proptest! {
        #[test]
        fn no_host_or_path_panics(host in ".*", path in "/.*") {
            let table = table();
            let found = table.find(&host, &path);
            proptest::prop_assert!(found.is_none() || path.starts_with(&found.unwrap().path));
        }
    }
}
