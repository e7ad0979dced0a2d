//! Parses single values; the command line and the file share these functions.
//!
//! Each function returns the typed value of a text, or a message that states the fault and the fix. [`settings::value`]
//! has the parsers that all programs use, [`super::address`] those for addresses and host names.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use http::{HeaderName, HeaderValue, Method, header::HOST, uri::PathAndQuery};
pub(crate) use settings::value::{Parsed, duration, duration_or_zero, name, number};

use super::{AccessLog, Balance, Expect, HashKey, Protocol, SameSite};

/// Parses a size in bytes: a number alone or with one of the units B, KiB, MiB, GiB, kB, MB, GB.
pub(crate) fn size(text: &str) -> Parsed<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: Option<u64> = match unit.trim_start() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "kB" | "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is not a size: write bytes or a unit, such as 65536, \"64KiB\" or \"10MiB\""))
}

/// Formats a size in the largest unit that gives a whole number.
pub(crate) fn render_size(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// The longest path of a Unix socket, in bytes: `unix(7)` has room for 108 with the zero at the end.
pub(crate) const MAX_SOCKET_PATH: usize = 107;

/// Checks that a Unix socket can have this path.
pub(crate) fn socket_path(path: &Path) -> Parsed<()> {
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        let path = path.display();
        return Err(format!(
            "{path} has {length} bytes, and a Unix socket at most {MAX_SOCKET_PATH}: use a shorter path"
        ));
    }
    Ok(())
}

/// The least memory that a limit may allow, in bytes: below, not even a few requests fit.
pub(crate) const MIN_MEMORY: u64 = 8 << 20;

/// Parses a limit of memory; `None` is no limit.
pub(crate) fn memory(text: &str) -> Parsed<Option<u64>> {
    if text == "off" {
        return Ok(None);
    }
    match size(text) {
        Ok(bytes) if bytes >= MIN_MEMORY => Ok(Some(bytes)),
        Ok(_) => Err(format!("{text:?} is too little: write at least {:?}, or \"off\"", render_size(MIN_MEMORY))),
        Err(message) => Err(format!("{message}, or \"off\"")),
    }
}

/// The maximum number of worker threads.
pub(crate) const MAX_WORKERS: usize = 1024;

/// The maximum of a limit for each client.
pub(crate) const MAX_PER_CLIENT: u32 = 1_000_000;

/// Parses a boolean in any of the forms that are common in environment variables.
pub(crate) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{text:?} is not a boolean: write true or false")),
    }
}

/// Every [`Balance`] with its name.
pub(crate) const BALANCES: [(Balance, &str); 5] = [
    (Balance::RoundRobin, "round_robin"),
    (Balance::LeastRequests, "least_requests"),
    (Balance::PeakEwma, "peak_ewma"),
    (Balance::Random, "random"),
    (Balance::ConsistentHash, "consistent_hash"),
];

/// Returns the name of a balancing policy.
pub(crate) fn balance_name(balance: Balance) -> &'static str {
    BALANCES.iter().find(|(policy, _)| *policy == balance).map_or("round_robin", |(_, name)| name)
}

/// Parses a balancing policy; `-` may replace `_`.
pub(crate) fn balance(text: &str) -> Parsed<Balance> {
    let policy = BALANCES.iter().find(|(_, name)| *name == text.replace('-', "_"));
    policy.map(|&(balance, _)| balance).ok_or_else(|| {
        let names: Vec<_> = BALANCES.iter().map(|(_, name)| format!("{name:?}")).collect();
        let (last, others) = names.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
        format!("{text:?} is not a balancing policy: write {} or {last}", others.join(", "))
    })
}

/// Parses what consistent hashing distributes requests by.
pub(crate) fn hash_key(text: &str) -> Parsed<HashKey> {
    let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a name"));
    match text.split_once(':') {
        None if text == "client" => Ok(HashKey::Client),
        None if text == "path" => Ok(HashKey::Path),
        Some(("header", header)) => Ok(HashKey::Header(name(header)?.as_str().to_owned())),
        Some(("cookie", cookie)) => cookie_name(cookie).map(HashKey::Cookie),
        _ => Err(format!(
            "{text:?} is not a key to distribute requests by: write \"client\", \"path\", \"header:NAME\" or \
             \"cookie:NAME\""
        )),
    }
}

/// Formats a [`HashKey`] as [`hash_key`] parses it.
pub(crate) fn render_hash_key(key: &HashKey) -> String {
    match key {
        HashKey::Client => "client".to_owned(),
        HashKey::Path => "path".to_owned(),
        HashKey::Header(name) => format!("header:{name}"),
        HashKey::Cookie(name) => format!("cookie:{name}"),
    }
}

/// Every [`SameSite`] with its name.
const SAME_SITES: [(SameSite, &str); 3] =
    [(SameSite::Lax, "lax"), (SameSite::Strict, "strict"), (SameSite::None, "none")];

/// Parses the attribute of a cookie.
pub(crate) fn same_site(text: &str) -> Parsed<SameSite> {
    let found = SAME_SITES.iter().find(|(_, name)| *name == text.to_ascii_lowercase());
    let message = || format!("{text:?} is not a value of SameSite: write \"lax\", \"strict\" or \"none\"");
    found.map(|&(same_site, _)| same_site).ok_or_else(message)
}

/// Formats the attribute of a cookie.
pub(crate) fn render_same_site(same_site: SameSite) -> &'static str {
    SAME_SITES.iter().find(|(one, _)| *one == same_site).map_or("lax", |(_, name)| name)
}

/// Parses the name of a cookie.
pub(crate) fn cookie_name(text: &str) -> Parsed<String> {
    // Both are tokens (RFC 6265 section 4.1.1), but the case of a cookie's name counts.
    let is_name = HeaderName::from_bytes(text.as_bytes()).is_ok();
    let message = "is not the name of a cookie: write letters, digits, - and _, such as \"server\"";
    if is_name { Ok(text.to_owned()) } else { Err(format!("{text:?} {message}")) }
}

/// Parses the path of a cookie.
pub(crate) fn cookie_path(text: &str) -> Parsed<String> {
    let path = route_path(text)?;
    if path.contains(';') {
        Err(format!("{text:?} has a semicolon, which ends the path of a cookie"))
    } else {
        Ok(path)
    }
}

/// Parses the name of a zone.
pub(crate) fn zone(text: &str) -> Parsed<String> {
    name(text, "a zone")
}

/// Parses how many times its share an endpoint may have.
pub(crate) fn hash_bound(text: &str) -> Parsed<f64> {
    let bound = text.replace('_', "").parse().ok().filter(|bound| (1.0..=100.0).contains(bound));
    bound.ok_or_else(|| format!("{text} is not a multiple of the share: write a number from 1.0 to 100.0"))
}

/// Parses the responses that pass a health check: `any`, or statuses and ranges separated by commas.
pub(crate) fn expect(text: &str) -> Parsed<Expect> {
    if text.trim() == "any" {
        return Ok(Expect::Any);
    }
    let ranges = text.split(',').map(|part| status_range(text, part.trim())).collect::<Parsed<Vec<_>>>()?;
    Ok(Expect::Statuses(ranges))
}

/// Parses the statuses after which a request is sent again: `none`, or statuses and ranges separated by commas.
pub(crate) fn retry_statuses(text: &str) -> Parsed<Vec<(u16, u16)>> {
    if matches!(text.trim(), "" | "none") {
        return Ok(Vec::new());
    }
    let ranges = text.split(',').map(|part| status_range(text, part.trim())).collect::<Parsed<Vec<_>>>();
    ranges.ok().filter(|ranges| ranges.iter().all(|(first, _)| *first >= 400)).ok_or_else(|| {
        format!(
            "{text:?} is not a list of error statuses: write \"none\", \"503\" or \"502-504\", each from 400 to 599"
        )
    })
}

/// Formats the statuses as [`retry_statuses`] parses them.
pub(crate) fn render_retry_statuses(ranges: &[(u16, u16)]) -> String {
    if ranges.is_empty() { "none".to_owned() } else { render_expect(&Expect::Statuses(ranges.to_vec())) }
}

/// The largest part of a request body that may be kept, in bytes.
pub(crate) const MAX_REPLAY_BUFFER: usize = 1 << 20;

/// Parses how much of a request body is kept.
pub(crate) fn replay_buffer(text: &str) -> Parsed<usize> {
    let bytes = size(text)?;
    let allowed = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_REPLAY_BUFFER);
    allowed.ok_or_else(|| format!("{text:?} is too much for each request: write at most \"1MiB\""))
}

/// Parses one status or one range; `text` is the whole list, for the message.
fn status_range(text: &str, part: &str) -> Parsed<(u16, u16)> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    status(first).zip(status(last)).filter(|(first, last)| first <= last).ok_or_else(|| {
        format!("{text:?} is not a list of statuses: write \"any\", \"200\" or \"200-399,404\", each from 100 to 599")
    })
}

/// Formats an [`Expect`] as [`expect`] parses it.
pub(crate) fn render_expect(expect: &Expect) -> String {
    let Expect::Statuses(ranges) = expect else { return "any".to_owned() };
    let render = |&(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(render).collect::<Vec<_>>().join(",")
}

/// Every [`Protocol`] with its name.
const PROTOCOLS: [(Protocol, &str); 3] = [(Protocol::Tcp, "tcp"), (Protocol::Http, "http"), (Protocol::Grpc, "grpc")];

/// Parses what a health check sends.
pub(crate) fn protocol(text: &str) -> Parsed<Protocol> {
    let found = PROTOCOLS.iter().find(|(_, name)| *name == text.to_ascii_lowercase());
    let message = || format!("{text:?} is not a protocol of health checks: write \"tcp\", \"http\" or \"grpc\"");
    found.map(|&(protocol, _)| protocol).ok_or_else(message)
}

/// Returns the name of what a health check sends.
pub(crate) fn protocol_name(protocol: Protocol) -> &'static str {
    PROTOCOLS.iter().find(|(one, _)| *one == protocol).map_or("tcp", |(_, name)| name)
}

/// Parses the method of a health check. Methods are case-sensitive (RFC 9110 section 9.1), but all in use are in
/// capitals.
pub(crate) fn check_method(text: &str) -> Parsed<Method> {
    match Method::from_bytes(text.to_ascii_uppercase().as_bytes()) {
        Ok(method) if method != Method::CONNECT => Ok(method),
        _ => Err(format!("{text:?} is not a method of health checks: write one such as \"GET\" or \"HEAD\"")),
    }
}

/// Fields that the edge writes itself, or that are about a body, which health checks do not have.
const FIXED_FIELDS: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parses a header field of a health check. The messages do not contain the value, which may be a secret.
pub(crate) fn check_field(name: &str, value: &str) -> Parsed<(HeaderName, HeaderValue)> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{name:?} is not the name of a field: write one such as \"x-probe\""))?;
    if FIXED_FIELDS.contains(&parsed.as_str()) {
        let message = match parsed {
            HOST => "is a key of its own: write host beside headers",
            _ => "cannot be set: the edge writes it, or it concerns a body, which health checks do not have",
        };
        return Err(message.to_owned());
    }
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| "contains a character that is not allowed in a field: write one line of ASCII".to_owned())?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// Parses a header field of a health check that is written as `NAME=VALUE`.
pub(crate) fn check_field_pair(text: &str) -> Parsed<(HeaderName, HeaderValue)> {
    let parts = text.split_once('=');
    let (name, value) = parts.ok_or_else(|| "lacks `=`: write NAME=VALUE, such as x-probe=edge".to_owned())?;
    if name.eq_ignore_ascii_case(HOST.as_str()) {
        return Err("is a flag of its own: write --health-host".to_owned());
    }
    check_field(name, value)
}

/// The maximum length of a text that a body must contain, and of the name of a service, in bytes.
const MAX_TEXT: usize = 1024;

/// Parses the text that the body of a response to a health check must contain.
pub(crate) fn check_body(text: &str) -> Parsed<String> {
    if (1..=MAX_TEXT).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("is {} bytes long: write a text of 1 to {MAX_TEXT} bytes", text.len()))
}

/// Parses the name of a service of gRPC; empty for the server as a whole.
pub(crate) fn service(text: &str) -> Parsed<String> {
    if text.len() <= MAX_TEXT && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not the name of a service: write one such as \"shop.Cart\", or \"\" for the server"))
}

/// Parses the request target of a health check.
pub(crate) fn check_path(text: &str) -> Parsed<PathAndQuery> {
    let invalid = || format!("{text:?} is not a request path: begin it with a slash, such as \"/readyz\"");
    if !text.starts_with('/') || text.contains('#') {
        return Err(invalid());
    }
    PathAndQuery::from_str(text).map_err(|_| invalid())
}

/// Parses the `Host` of a health check.
pub(crate) fn check_host(text: &str) -> Parsed<String> {
    match HeaderValue::from_str(text) {
        Ok(_) if !text.is_empty() && !text.contains(['/', ' ', '\t']) && text.is_ascii() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not a host: write a name or an address, such as \"www.example.com\"")),
    }
}

/// Fields that responses have anyway, so that none of them can announce a drain.
const ORDINARY_FIELDS: [&str; 15] = [
    "age",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "location",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parses the name of the response field that announces a drain, and returns it in lower case.
pub(crate) fn drain_header(text: &str) -> Parsed<String> {
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if ORDINARY_FIELDS.contains(&name.as_str()) => Err(format!(
            "{text:?} is in ordinary responses: write a field that only an endpoint that drains sends, such as \"x-drain\""
        )),
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err(format!("{text:?} is not the name of a field: write one such as \"x-drain\"")),
    }
}

/// Parses the name of a header field, and returns it in small letters.
pub(crate) fn field(text: &str) -> Parsed<String> {
    let name = HeaderName::from_str(text).map(|name| name.as_str().to_owned());
    name.map_err(|_| format!("{text:?} is not the name of a field: write one such as \"x-served-by\""))
}

/// Parses the path prefix of a route.
pub(crate) fn route_path(text: &str) -> Parsed<String> {
    if let Some(prefix) = text.strip_suffix("/*") {
        let prefix = if prefix.is_empty() { "/" } else { prefix };
        return Err(format!("{text:?} needs no asterisk: a path matches as a prefix, so write {prefix:?}"));
    }
    let is_path = text.starts_with('/')
        && !text.contains(['?', '#', '*'])
        && text.chars().all(|c| c.is_ascii_graphic())
        && PathAndQuery::from_str(text).is_ok();
    if is_path {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not a path prefix: begin it with a slash, such as \"/api\", and write characters outside ASCII as \
         %XX"
    ))
}

/// Parses the destination of the access log; any other text is the path of a file.
pub(crate) fn access_log(text: &str) -> Parsed<AccessLog> {
    match text {
        "off" => Ok(AccessLog::Off),
        "stdout" => Ok(AccessLog::Stdout),
        _ => path(text).map(AccessLog::File),
    }
}

/// Parses the path of a file.
pub(crate) fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err(format!("{text:?} is not the path of a file"));
    }
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_accept_binary_and_decimal_units() {
        for (text, bytes) in [("0", 0), ("17", 17), ("64KiB", 65536), ("10 MiB", 10 << 20), ("2GB", 2_000_000_000)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5MiB", "10 mib", "99999999999999999999", "18446744073709551615KiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_a_size_that_is_large_enough_or_off() {
        assert_eq!(memory("off"), Ok(None));
        assert_eq!(memory("8MiB"), Ok(Some(MIN_MEMORY)));
        assert_eq!(memory("8388607").unwrap_err(), "\"8388607\" is too little: write at least \"8MiB\", or \"off\"");
        assert!(memory("much").unwrap_err().ends_with(", or \"off\""));
    }

    #[test]
    fn expected_statuses_are_codes_ranges_or_any() {
        assert_eq!(expect("any"), Ok(Expect::Any));
        assert_eq!(expect("200"), Ok(Expect::Statuses(vec![(200, 200)])));
        assert_eq!(expect("200-399, 404"), Ok(Expect::Statuses(vec![(200, 399), (404, 404)])));
        for text in ["", "200,", "99", "600", "399-200", "2xx", "200-"] {
            assert!(expect(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_route_path_is_a_prefix_that_starts_with_a_slash() {
        for text in ["/", "/api", "/api/", "/a%20b"] {
            assert_eq!(route_path(text).as_deref(), Ok(text));
        }
        for text in ["", "api", "/a b", "/a?b", "/a#b", "/ä"] {
            assert!(route_path(text).is_err(), "{text}");
        }
        insta::assert_snapshot!(route_path("/api/*").unwrap_err(), @r#""/api/*" needs no asterisk: a path matches as a prefix, so write "/api""#);
    }

    #[test]
    fn requests_are_distributed_by_the_client_the_path_a_field_or_a_cookie() {
        for (text, expected) in [
            ("client", HashKey::Client),
            ("path", HashKey::Path),
            ("header:X-User", HashKey::Header("x-user".to_owned())),
            ("cookie:SessionId", HashKey::Cookie("SessionId".to_owned())),
        ] {
            assert_eq!(hash_key(text), Ok(expected), "{text}");
        }
        for text in ["", "header", "header:", "cookie:a b", "query:a", "Client", "client:x"] {
            assert!(hash_key(text).is_err(), "{text}");
        }
        assert!(hash_bound("0.9").is_err() && hash_bound("nan").is_err() && hash_bound("101").is_err());
    }

    #[test]
    fn only_error_statuses_can_be_retried() {
        for (text, expected) in
            [("none", vec![]), ("", vec![]), ("503", vec![(503, 503)]), ("502-504, 429", vec![(502, 504), (429, 429)])]
        {
            assert_eq!(retry_statuses(text), Ok(expected.clone()), "{text}");
            assert_eq!(retry_statuses(&render_retry_statuses(&expected)), Ok(expected));
        }
        for text in ["200", "399-503", "503,", "any", "504-502", "600"] {
            assert!(retry_statuses(text).is_err(), "{text}");
        }
        assert_eq!((replay_buffer("0"), replay_buffer("1MiB")), (Ok(0), Ok(MAX_REPLAY_BUFFER)));
        assert!(replay_buffer("1025KiB").is_err());
    }

    proptest! {
        #[test]
        fn a_rendered_size_is_the_same_size(bytes: u64) {
            prop_assert_eq!(size(&render_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text: String) {
            // The results do not matter, only that no call panics.
            let results = [
                size(&text).is_ok(), expect(&text).is_ok(), check_path(&text).is_ok(), check_host(&text).is_ok(),
                route_path(&text).is_ok(), hash_key(&text).is_ok(), hash_bound(&text).is_ok(),
                cookie_path(&text).is_ok(), same_site(&text).is_ok(),
            ];
            prop_assert_eq!(results.len(), 9);
        }
    }
}
