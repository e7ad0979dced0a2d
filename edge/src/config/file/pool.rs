//! Builds a pool from its section of the file.

use std::path::Path;

use settings::{Section, into_values};

use super::{duplicates::report_duplicates, head_size::head_size, health::health, kind};
use crate::config::{
    BACKUP, Balance, Drain, Ejection, EndpointOptions, Pool, SameSite, Source, Sticky, UpstreamTimeouts, behind_mesh,
    pool::TIES_TO_REPLICAS, ties_requests, value,
};

/// Converts the section of the pool `name`.
pub(super) fn pool(name: &str, section: &mut Section<'_>, folder: &Path) -> Pool {
    check_name(name, section);
    let endpoints = section.required_items("endpoints", &kind::ENDPOINT_ALONE, endpoint);
    report_duplicates(
        section,
        "endpoints",
        "endpoint",
        endpoints.iter().map(|endpoint| (&endpoint.get_ref().0, endpoint.span())),
    );
    let endpoints = into_values(endpoints);
    let sources = endpoints.iter().map(|(source, _)| source.clone()).collect();
    let default = Pool::new(name, sources);
    let health = section.switch("health", |section| health(section, folder));
    // Unlike health checks, it is off unless the section is there.
    let has_sticky = section.has("sticky");
    let sticky = section.switch("sticky", |section| sticky(name, section, folder)).filter(|_| has_sticky);
    let balance = section.get("balance", &kind::BALANCE).unwrap_or(default.balance);
    for key in ["hash_key", "hash_bound"] {
        if section.has(key) && balance != Balance::ConsistentHash {
            section.warning(key, "has no effect without balance = \"consistent_hash\"");
        }
    }
    let mesh = section.get("mesh", &kind::BOOLEAN).unwrap_or(default.mesh);
    let replica_header = section.get("replica_header", &kind::FIELD);
    if replica_header.is_some() && !mesh {
        section.warning("replica_header", "has no effect without mesh = true");
    }
    for (key, is_on) in [("sticky", sticky.is_some()), ("balance", balance == Balance::ConsistentHash)] {
        if mesh && is_on {
            section.problem(key, TIES_TO_REPLICAS);
        }
    }
    let is_comparable =
        mesh || !(ties_requests(balance, sticky.as_ref()) || behind_mesh(&default.sources, health.as_ref()));
    Pool {
        options: endpoints.into_iter().filter(|(_, options)| *options != EndpointOptions::default()).collect(),
        balance,
        hash_key: section.get("hash_key", &kind::HASH_KEY).unwrap_or(default.hash_key),
        hash_bound: section.get("hash_bound", &kind::HASH_BOUND).unwrap_or(default.hash_bound),
        sticky,
        health,
        mesh,
        replica_header: replica_header.unwrap_or(default.replica_header),
        ejection: section.table("ejection", |section| ejection(section, is_comparable)),
        drain: section.table("drain", drain),
        panic_threshold: section.get("panic_threshold", &kind::SHARE).unwrap_or(default.panic_threshold),
        tier_threshold: section.get("tier_threshold", &kind::SHARE).unwrap_or(default.tier_threshold),
        zone: section.get("zone", &kind::ZONE),
        zone_threshold: section.get("zone_threshold", &kind::SHARE).unwrap_or(default.zone_threshold),
        via: section.get("via", &kind::BOOLEAN).unwrap_or(default.via),
        attempts: section.get("attempts", &kind::ATTEMPTS).unwrap_or(default.attempts),
        max_connections: section.get("max_connections", &kind::POSITIVE).unwrap_or(default.max_connections),
        max_queue: section.get("max_queue", &kind::COUNT).unwrap_or(default.max_queue),
        max_idle: section.get("max_idle", &kind::COUNT).unwrap_or(default.max_idle),
        max_response_head: head_size(section, "max_response_head").unwrap_or(default.max_response_head),
        max_response_headers: section
            .get("max_response_headers", &kind::HEADERS)
            .unwrap_or(default.max_response_headers),
        timeouts: section.table("timeouts", upstream_timeouts),
        ..default
    }
}

fn sticky(pool: &str, section: &mut Section<'_>, folder: &Path) -> Sticky {
    let default = Sticky::new(pool);
    let secure = section.get("secure", &kind::BOOLEAN);
    let same_site = section.get("same_site", &kind::SAME_SITE).unwrap_or(default.same_site);
    if same_site == SameSite::None && secure == Some(false) {
        section.problem(
            "secure",
            "is needed for same_site = \"none\", or browsers reject the cookie: remove one of the two",
        );
    }
    Sticky {
        cookie: section.get("cookie", &kind::COOKIE).unwrap_or(default.cookie),
        path: section.get("path", &kind::COOKIE_PATH).unwrap_or(default.path),
        same_site,
        secure,
        http_only: section.get("http_only", &kind::BOOLEAN).unwrap_or(default.http_only),
        max_age: section.get("max_age", &kind::DURATION),
        key_file: section.get("key_file", &kind::FILE).map(|file| folder.join(file)),
    }
}

/// Converts an endpoint with options.
fn endpoint(section: &mut Section<'_>) -> Option<(Source, EndpointOptions)> {
    let default = EndpointOptions::default();
    let address = section.required("address", &kind::ENDPOINT);
    let tier = section.get("tier", &kind::TIER);
    let is_backup = section.get("backup", &kind::BOOLEAN).unwrap_or_default();
    if is_backup && tier.is_some() {
        section.problem("tier", "contradicts backup, which is a tier of its own: remove one of the two");
    }
    let options = EndpointOptions {
        weight: section.get("weight", &kind::WEIGHT).unwrap_or(default.weight),
        tier: if is_backup { BACKUP } else { tier.unwrap_or(default.tier) },
        zone: section.get("zone", &kind::ZONE),
    };
    Some((address?, options))
}

/// Converts the section about ejection. `is_comparable` says whether the endpoints' shares of server errors are.
fn ejection(section: &mut Section<'_>, is_comparable: bool) -> Ejection {
    let default = Ejection::default();
    let error_share = if is_comparable { default.error_share } else { 0.0 };
    let base = section.get("base", &kind::DURATION);
    let max = section.get("max", &kind::DURATION);
    if let (Some(base), Some(max)) = (base, max)
        && base > max
    {
        section.problem("base", format!("is longer than max: write at most {}", humantime::format_duration(max)));
    }
    Ejection {
        consecutive_failures: section
            .get("consecutive_failures", &kind::COUNT_U32)
            .unwrap_or(default.consecutive_failures),
        error_share: section.get("error_share", &kind::SHARE).unwrap_or(error_share),
        base: base.unwrap_or(max.map_or(default.base, |max| default.base.min(max))),
        max: max.unwrap_or(base.map_or(default.max, |base| default.max.max(base))),
        max_share: section.get("max_share", &kind::SHARE).unwrap_or(default.max_share),
    }
}

fn drain(section: &mut Section<'_>) -> Drain {
    let default = Drain::default();
    Drain {
        header: section.get("header", &kind::DRAIN_HEADER),
        time: section.get("time", &kind::DURATION).unwrap_or(default.time),
    }
}

fn upstream_timeouts(section: &mut Section<'_>) -> UpstreamTimeouts {
    let default = UpstreamTimeouts::default();
    UpstreamTimeouts {
        connect: section.get("connect", &kind::DURATION).unwrap_or(default.connect),
        queue: section.get("queue", &kind::DURATION_OR_ZERO).unwrap_or(default.queue),
        unacknowledged: section.get("unacknowledged", &kind::DURATION).unwrap_or(default.unacknowledged),
        response: section.get("response", &kind::DURATION).unwrap_or(default.response),
        body_idle: section.get("body_idle", &kind::DURATION).unwrap_or(default.body_idle),
        idle: section.get("idle", &kind::DURATION).unwrap_or(default.idle),
        max_age: section.get("max_age", &kind::DURATION).unwrap_or(default.max_age),
        tunnel_idle: section.get("tunnel_idle", &kind::DURATION).unwrap_or(default.tunnel_idle),
    }
}

fn check_name(name: &str, section: &Section<'_>) {
    if let Err(message) = value::name(name, "a pool") {
        section.problem_at(&section.span(), "", message);
    }
}
