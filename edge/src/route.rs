//! Which pool a request goes to: by host, then by the longest path prefix.
//!
//! The table is built once from the configuration and is pure. An exact host takes precedence over a wildcard, a longer
//! wildcard over a shorter one, and a route without a host comes last. The first of these groups with a matching path
//! decides. Paths are compared in their normalized form; see [`path`](crate::protocol::path).

use std::{borrow::Cow, collections::HashMap, ptr};

use crate::{
    config::{HostMatch, Route},
    error::Kind,
    protocol::path::{Normalized, normalize},
};

/// All routes, indexed by host and path.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    exact: HashMap<Box<str>, Paths>,
    suffix: HashMap<Box<str>, Paths>,
    any: Paths,
    /// Some route is not for every path, or has rules, so that the meaning of a path matters.
    reads_paths: bool,
}

/// What a route is found by.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The host; may have a port, a final dot and any case.
    pub host: &'a str,
    /// The path as received.
    pub path: &'a str,
}

/// The route of a request.
#[derive(Debug)]
pub struct Found<'t, 'a> {
    /// The route; `None` if none matches.
    pub route: Option<&'t Route>,
    /// The normalized path, by which it was found.
    pub path: Cow<'a, str>,
}

impl RouteTable {
    /// Indexes `routes`. Of two with the same host and path, the first is used.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let reads_paths = routes.iter().any(|route| route.path != "/" || route.rules.is_some());
        let mut table = Self { reads_paths, ..Self::default() };
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

    /// Finds the route of a request.
    ///
    /// # Errors
    /// [`Kind::BadPath`] if the path has no meaning, or servers disagree about it and so about the route.
    pub fn find<'a>(&self, asked: &Asked<'a>) -> Result<Found<'_, 'a>, Kind> {
        if !self.reads_paths {
            return Ok(Found { route: self.lookup(asked.host, "/"), path: Cow::Borrowed(asked.path) });
        }
        let Normalized { path, others } = normalize(asked.path).map_err(|_| Kind::BadPath)?;
        let route = self.lookup(asked.host, &path);
        if others.iter().any(|other| !same(route, self.lookup(asked.host, other))) {
            return Err(Kind::BadPath);
        }
        Ok(Found { route, path })
    }

    fn lookup(&self, host: &str, path: &str) -> Option<&Route> {
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

fn same(one: Option<&Route>, other: Option<&Route>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => ptr::eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// The routes of one host, by their prefix. A path is looked up by each of its own prefixes that ends with a segment,
/// longest first, so that the number of routes costs nothing.
#[derive(Clone, Debug, Default)]
struct Paths {
    by_prefix: HashMap<Box<str>, Route>,
    /// The length of the longest prefix.
    longest: usize,
}

impl Paths {
    fn insert(&mut self, route: Route) {
        self.longest = self.longest.max(route.path.len());
        self.by_prefix.entry(route.path.as_str().into()).or_insert(route);
    }

    fn find(&self, path: &str) -> Option<&Route> {
        if self.longest <= 1 {
            return self.by_prefix.get("/");
        }
        let whole = self.get(path);
        // Behind a slash and before it: `/api/` and `/api` are different prefixes.
        let shorter = || {
            let within = path.get(..self.longest.saturating_add(1)).unwrap_or(path);
            let slashes = within.match_indices('/').rev().map(|(slash, _)| slash);
            slashes
                .flat_map(|slash| [path.get(..=slash), path.get(..slash)])
                .flatten()
                .find_map(|start| self.get(start))
        };
        whole.or_else(shorter).or_else(|| self.by_prefix.get("/"))
    }

    fn get(&self, prefix: &str) -> Option<&Route> {
        if prefix.len() > self.longest { None } else { self.by_prefix.get(prefix) }
    }
}

/// Returns the host without its port; an IPv6 literal keeps its brackets.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: HostMatch, path: &str, pool: usize) -> Route {
        Route { host, path: path.to_owned(), ..Route::to(pool) }
    }

    fn pool_of(table: &RouteTable, host: &str, path: &str) -> Result<Option<usize>, Kind> {
        table.find(&Asked { host, path }).map(|found| found.route.map(|route| route.pool))
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
            assert_eq!(pool_of(&table(), host, path), Ok(Some(pool)), "{host} {path}");
        }
    }

    #[test]
    fn a_request_that_matches_no_route_has_none() {
        let table = RouteTable::new(&[route(HostMatch::Exact("a.example".into()), "/x", 0)]);
        assert_eq!(pool_of(&table, "a.example", "/"), Ok(None));
        assert_eq!(pool_of(&table, "b.example", "/x"), Ok(None));
    }

    #[test]
    fn of_two_equal_routes_the_first_wins() {
        let table = RouteTable::new(&[route(HostMatch::Any, "/", 7), route(HostMatch::Any, "/", 8)]);
        assert_eq!(pool_of(&table, "", "/"), Ok(Some(7)));
    }

    #[test]
    fn every_spelling_of_a_path_finds_the_same_route() {
        let table = RouteTable::new(&[route(HostMatch::Any, "/", 0), route(HostMatch::Any, "/admin", 1)]);
        for path in ["/admin", "//admin", "/%61dmin", "/admin/x", "/./admin//", "/admin/x/../y"] {
            assert_eq!(pool_of(&table, "", path), Ok(Some(1)), "{path}");
        }
    }

    #[test]
    fn a_path_whose_readings_lead_to_different_routes_is_refused() {
        let table = RouteTable::new(&[route(HostMatch::Any, "/", 0), route(HostMatch::Any, "/admin", 1)]);
        for path in [
            "/x/..;/admin",
            "/%2fadmin",
            "/x%2f..%2fadmin",
            "/admin;x",
            "/admin/..;/",
            "/x%2f..%2fadmin%2f..;%2f..%2fx",
            "/admin/x\\..\\..\\public",
            "/\\admin",
            "/admin//../secret",
            "/admin/a/../../public",
            "/x/../admin",
            "/%",
            "/%00",
        ] {
            assert_eq!(pool_of(&table, "", path), Err(Kind::BadPath), "{path}");
        }
        for path in ["/a%2Fb", "/a;x=1/b", "/group%2Fproject/x"] {
            assert_eq!(pool_of(&table, "", path), Ok(Some(0)), "{path}");
        }
    }

    #[test]
    fn a_path_means_nothing_while_every_route_is_for_all_paths() {
        let table = RouteTable::new(&[route(HostMatch::Any, "/", 0)]);
        assert_eq!(pool_of(&table, "", "/%"), Ok(Some(0)));
    }

    #[test]
    fn a_prefix_with_a_final_slash_is_for_what_is_below_it() {
        let table = RouteTable::new(&[route(HostMatch::Any, "/api/", 1), route(HostMatch::Any, "/api/v2", 2)]);
        for (path, pool) in [("/api", None), ("/api/", Some(1)), ("/api/x/y/z", Some(1)), ("/api/v2/", Some(2))] {
            assert_eq!(pool_of(&table, "", path), Ok(pool), "{path}");
        }
    }

    /// What the table does, one route after the other.
    fn slowly<'t>(routes: &'t [Route], path: &str) -> Option<&'t Route> {
        let matches = |route: &&Route| {
            let rest = path.strip_prefix(&*route.path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || route.path.ends_with('/'))
        };
        routes.iter().rev().filter(matches).max_by_key(|route| route.path.len())
    }

    proptest::proptest! {
        #[test]
        fn no_host_or_path_panics(host in ".*", path in "/.*") {
            let table = table();
            if let Ok(found) = table.find(&Asked { host: &host, path: &path }) {
                proptest::prop_assert!(found.route.is_none_or(|route| found.path.starts_with(&route.path)));
            }
        }

        #[test]
        fn the_index_finds_what_a_search_finds(
            prefixes in proptest::collection::hash_set("/([ab]{1,2}/?){0,4}", 0..6),
            path in "/([ab]{1,2}/?){0,6}",
        ) {
            let prefixes = prefixes.into_iter().enumerate();
            let routes: Vec<_> = prefixes.map(|(pool, prefix)| route(HostMatch::Any, &prefix, pool)).collect();
            let found = pool_of(&RouteTable::new(&routes), "", &path).unwrap();
            let expected = slowly(&routes, &path).map(|route| route.pool);
            // A route for all paths alone is found without a look at the path.
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
