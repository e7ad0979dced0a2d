//! Builds the resolvers, and how a pool looks its sources up, from their sections of the file.

use std::path::Path;

use settings::{Section, into_values, nearest};

use super::kind;
use crate::config::{
    Discovery, Dns, Interval, Transport,
    defaults::{MAX_INTERVAL, MIN_INTERVAL},
    value,
};

/// Converts the section of a resolver: `dns`, or one with a name.
pub(super) fn dns(section: &mut Section<'_>, folder: &Path) -> Dns {
    let default = Dns::default();
    let servers = section.list("servers", &kind::DNS_SERVER).map_or(default.servers, into_values);
    let tls_name = section.get("tls_name", &kind::TLS_NAME);
    let ca_file = section.get("ca_file", &kind::FILE).map(|file| folder.join(file));
    for key in ["tls_name", "ca_file"] {
        if section.has(key) && servers.iter().all(|server| server.transport != Transport::Tls) {
            section.warning(key, "has no effect without a server such as \"tls://10.0.0.53\"");
        }
    }
    Dns {
        servers,
        tls_name,
        ca_file,
        interval: interval(section).unwrap_or(default.interval),
        timeout: section.get("timeout", &kind::DURATION).unwrap_or(default.timeout),
    }
}

/// Converts the section about the lookups of a pool, apart from the resolvers of single endpoints.
pub(super) fn discovery(section: &mut Section<'_>, resolvers: &[String]) -> Discovery {
    Discovery { resolver: resolver(section, resolvers), interval: interval(section), ..Discovery::default() }
}

/// Returns the resolver that a section names.
pub(super) fn resolver(section: &mut Section<'_>, resolvers: &[String]) -> Option<String> {
    let name = section.get("resolver", &kind::RESOLVER_NAME)?;
    let names = || resolvers.iter().map(String::as_str);
    if !resolvers.contains(&name) {
        let fix = match nearest(&name, names()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("add [resolver.{name}] with servers = [\"10.0.0.53\"]"),
        };
        section.problem("resolver", format!("no resolver is named {name:?}; {fix}"));
    }
    Some(name)
}

/// Reports a name that a resolver cannot have.
pub(super) fn check_name(name: &str, section: &Section<'_>) {
    if let Err(message) = value::name(name, "a resolver") {
        section.problem_at(&section.span(), "", message);
    }
}

fn interval(section: &mut Section<'_>) -> Option<Interval> {
    let interval = section.get("interval", &kind::INTERVAL);
    let min = section.get("min_interval", &kind::DURATION);
    let max = section.get("max_interval", &kind::DURATION);
    if interval != Some(None) {
        for key in ["min_interval", "max_interval"] {
            if section.has(key) {
                section.warning(key, "has no effect without interval = \"ttl\"");
            }
        }
        return interval.flatten().map(Interval::Fixed);
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let message = format!("is longer than max_interval: write at most {}", humantime::format_duration(max));
        section.problem("min_interval", message);
    }
    Some(Interval::Ttl {
        min: min.unwrap_or(max.map_or(MIN_INTERVAL, |max| MIN_INTERVAL.min(max))),
        max: max.unwrap_or(min.map_or(MAX_INTERVAL, |min| MAX_INTERVAL.max(min))),
    })
}
