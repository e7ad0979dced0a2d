//! Parses single values; the command line and the file share these functions.
//!
//! Each function returns the typed value of a text, or a message that states the fault and the fix. [`settings::value`]
//! has the parsers that all programs use, [`super::address`] those for addresses and host names.

use std::{path::PathBuf, str::FromStr};

use http::{HeaderName, HeaderValue, uri::PathAndQuery};
pub(crate) use settings::value::{Parsed, duration, duration_or_zero, name, number};

use super::{AccessLog, Balance, Expect};

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
pub(crate) const BALANCES: [(Balance, &str); 3] =
    [(Balance::RoundRobin, "round_robin"), (Balance::LeastRequests, "least_requests"), (Balance::Random, "random")];

/// Parses a balancing policy; `-` may replace `_`.
pub(crate) fn balance(text: &str) -> Parsed<Balance> {
    let policy = BALANCES.iter().find(|(_, name)| *name == text.replace('-', "_"));
    policy.map(|&(balance, _)| balance).ok_or_else(|| {
        format!("{text:?} is not a balancing policy: write \"round_robin\", \"least_requests\" or \"random\"")
    })
}

/// Parses the responses that pass a health check: `any`, or statuses and ranges separated by commas.
pub(crate) fn expect(text: &str) -> Parsed<Expect> {
    if text.trim() == "any" {
        return Ok(Expect::Any);
    }
    let ranges = text.split(',').map(|part| status_range(text, part.trim())).collect::<Parsed<Vec<_>>>()?;
    Ok(Expect::Statuses(ranges))
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
                route_path(&text).is_ok(),
            ];
            prop_assert_eq!(results.len(), 5);
        }
    }
}
