//! Builds a pool from its section of the file.

use std::path::Path;

use settings::{Section, into_values};
use toml::Spanned;

use super::{
    discovery::{discovery, resolver},
    duplicates::report_duplicates,
    head_size::head_size,
    health::health,
    kind,
};
use crate::config::{
    BACKUP, Balance, Discovery, Drain, Ejection, EndpointOptions, Pool, SameSite, Source, Sticky, UpstreamTimeouts,
    pool::{NO_SLOW_START, NO_SUSPICION, TIES_TO_REPLICAS, is_comparable, ties_to_replicas},
    value,
};

/// Converts the section of the pool `name`, which may name one of `resolvers`.
pub(super) fn pool(name: &str, section: &mut Section<'_>, folder: &Path, resolvers: &[String]) -> Pool {
    check_name(name, section);
    let read = |section: &mut Section<'_>| endpoint(section, resolvers);
    let endpoints = section.required_items("endpoints", &kind::ENDPOINT_ALONE, read);
    let in_folder = |item: Spanned<Endpoint>| {
        let span = item.span();
        let (source, options, resolver) = item.into_inner();
        Spanned::new(span, (source.in_folder(folder), options, resolver))
    };
    let endpoints: Vec<_> = endpoints.into_iter().map(in_folder).collect();
    report_duplicates(
        section,
        "endpoints",
        "endpoint",
        endpoints.iter().map(|endpoint| (&endpoint.get_ref().0, endpoint.span())),
    );
    let endpoints = into_values(endpoints);
    let sources = endpoints.iter().map(|(source, ..)| source.clone()).collect();
    let own_resolvers =
        endpoints.iter().filter_map(|(source, _, resolver)| Some((source.clone(), resolver.clone()?))).collect();
    let options = endpoints.into_iter().map(|(source, options, _)| (source, options));
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
    let slow_start = section.get("slow_start", &kind::DURATION);
    if mesh && slow_start.is_some() {
        section.warning("slow_start", NO_SLOW_START);
    }
    let suspicion = section.get("suspicion", &kind::DURATION_OR_ZERO);
    if mesh && suspicion.is_some() {
        section.warning("suspicion", NO_SUSPICION);
    }
    let default = Pool { balance, sticky, health, mesh, ..default };
    ties_to_replicas(&default).for_each(|key| section.problem(key, TIES_TO_REPLICAS));
    let is_comparable = is_comparable(&default);
    Pool {
        options: options.filter(|(_, options)| *options != EndpointOptions::default()).collect(),
        discovery: Discovery {
            resolvers: own_resolvers,
            ..section.table("discovery", |section| discovery(section, resolvers))
        },
        hash_key: section.get("hash_key", &kind::HASH_KEY).unwrap_or(default.hash_key),
        hash_bound: section.get("hash_bound", &kind::HASH_BOUND).unwrap_or(default.hash_bound),
        replica_header: replica_header.unwrap_or(default.replica_header),
        ejection: section.table("ejection", |section| ejection(section, is_comparable, mesh)),
        slow_start: slow_start.filter(|_| !mesh),
        drain: section.table("drain", drain),
        panic_threshold: section.get("panic_threshold", &kind::SHARE).unwrap_or(default.panic_threshold),
        tier_threshold: section.get("tier_threshold", &kind::SHARE).unwrap_or(default.tier_threshold),
        zone: section.get("zone", &kind::ZONE),
        zone_threshold: section.get("zone_threshold", &kind::SHARE).unwrap_or(default.zone_threshold),
        via: section.get("via", &kind::BOOLEAN).unwrap_or(default.via),
        attempts: section.get("attempts", &kind::ATTEMPTS).unwrap_or(default.attempts),
        retry_statuses: section.get("retry_statuses", &kind::RETRY_STATUSES).unwrap_or(default.retry_statuses),
        replay_buffer: section.get("replay_buffer", &kind::REPLAY_BUFFER).unwrap_or(default.replay_buffer),
        retry_budget: section.get("retry_budget", &kind::SHARE).unwrap_or(default.retry_budget),
        suspicion: suspicion.filter(|_| !mesh).unwrap_or(default.suspicion),
        hedge: section.get("hedge", &kind::SHARE).unwrap_or(default.hedge),
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

/// A source with its options, and with its resolver if it has one of its own.
type Endpoint = (Source, EndpointOptions, Option<String>);

/// Converts an endpoint with options.
fn endpoint(section: &mut Section<'_>, resolvers: &[String]) -> Option<Endpoint> {
    let default = EndpointOptions::default();
    let address = section.required("address", &kind::ENDPOINT);
    let mut resolver = resolver(section, resolvers);
    if resolver.is_some() && address.as_ref().is_some_and(|source| !source.is_resolved()) {
        section.warning("resolver", "has no effect: the address is not resolved");
        resolver = None;
    }
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
    Some((address?, options, resolver))
}

/// Converts the section about ejection. `is_comparable` says whether the endpoints' shares of server errors are.
fn ejection(section: &mut Section<'_>, is_comparable: bool, mesh: bool) -> Ejection {
    let default = Ejection::default();
    let consecutive_errors = section.get("consecutive_errors", &kind::COUNT_U32);
    if mesh && consecutive_errors.is_some() {
        section.warning("consecutive_errors", "has no effect behind a mesh: any replica may have answered");
    }
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
        consecutive_errors: consecutive_errors.filter(|_| !mesh).unwrap_or(default.consecutive_errors),
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
        one_try: section.get("try", &kind::DURATION),
        request: section.get("request", &kind::DURATION),
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
