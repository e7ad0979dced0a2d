//! Renders a configuration as a file with every setting, including defaults. [`super::parse`] parses it to the same
//! configuration.

use http::{HeaderName, HeaderValue};

use super::{
    document::{Document, duration, list, path, string},
    render_rules::render_rules,
};
use crate::config::{
    AccessLog, BACKUP, Config, Dns, EndpointOptions, Expect, HealthCheck, HostMatch, Interval, Listener, Pool, Route,
    Source, Sticky, Tls, TlsCheck, Trust, address, value,
};

/// Returns the text of a configuration file that is equivalent to `config`.
#[must_use]
pub fn render(config: &Config) -> String {
    let mut document = Document::default();
    document.key("workers", config.workers);
    document.key("drain", duration(config.drain));
    document.key("drain_delay", duration(config.drain_delay));
    if let Some(socket) = &config.takeover {
        document.key("takeover", path(socket));
    }
    document.key("admin", config.admin.map_or_else(|| string("off"), |address| string(&address.to_string())));
    if let Some(file) = &config.admin_token_file {
        document.key("admin_token_file", path(file));
    }
    document.key(
        "access_log",
        match &config.access_log {
            AccessLog::Off => string("off"),
            AccessLog::Stdout => string("stdout"),
            AccessLog::File(file) => path(file),
        },
    );
    document.key("trusted_proxies", list(&config.trusted_proxies, |network| string(&network.to_string())));
    for item in &config.listeners {
        listener(&mut document, item);
    }

    document.heading("[dns]");
    resolver(&mut document, &config.dns);
    for (name, settings) in &config.resolvers {
        document.heading(&format!("[resolver.{name}]"));
        resolver(&mut document, settings);
    }

    if let Some(file) = &config.swarm.token_file {
        document.heading("[swarm]");
        document.key("token_file", path(file));
    }

    document.heading("[limits]");
    document.key("max_connections", config.limits.max_connections);
    document.key("connections_per_client", config.limits.connections_per_client);
    document.key("handshakes_per_client", config.limits.handshakes_per_client);
    document.key("requests_per_client", config.limits.requests_per_client);
    document.key("request_rate_per_client", config.limits.request_rate_per_client);
    document.key("request_burst_per_client", config.limits.request_burst_per_client);
    document.key("max_head", size(config.limits.max_head));
    document.key("max_headers", config.limits.max_headers);
    document.key("max_streams", config.limits.max_streams);
    let memory = config.limits.memory.map_or_else(|| "off".to_owned(), value::render_size);
    document.key("memory", string(&memory));
    document.key("min_rate", string(&value::render_size(config.limits.min_rate)));

    document.heading("[timeouts]");
    document.key("handshake", duration(config.timeouts.handshake));
    document.key("head", duration(config.timeouts.head));
    document.key("keep_alive", duration(config.timeouts.keep_alive));
    document.key("body_idle", duration(config.timeouts.body_idle));

    for item in &config.routes {
        route(&mut document, item, config.pools.get(item.pool).map_or("", |pool| pool.name.as_str()));
    }
    for item in &config.pools {
        pool(&mut document, item);
    }
    document.0
}

fn resolver(document: &mut Document, settings: &Dns) {
    document.key("servers", list(&settings.servers, |server| string(&server.to_string())));
    if let Some(name) = &settings.tls_name {
        document.key("tls_name", string(name));
    }
    if let Some(file) = &settings.ca_file {
        document.key("ca_file", path(file));
    }
    interval(document, settings.interval);
    document.key("timeout", duration(settings.timeout));
}

fn interval(document: &mut Document, interval: Interval) {
    match interval {
        Interval::Fixed(interval) => document.key("interval", duration(interval)),
        Interval::Ttl { min, max } => {
            document.key("interval", string("ttl"));
            document.key("min_interval", duration(min));
            document.key("max_interval", duration(max));
        }
    }
}

fn listener(document: &mut Document, listener: &Listener) {
    document.heading("[[listener]]");
    document.key("address", string(&listener.address.to_string()));
    document.key("freebind", listener.freebind);
    document.key("reuse_port", listener.reuse_port);
    if let Some(Tls { certificates, self_signed }) = &listener.tls {
        document.heading("[listener.tls]");
        document.key(
            "certificates",
            list(certificates, |files| {
                format!("{{ certificate = {}, key = {} }}", path(&files.certificate), path(&files.key))
            }),
        );
        document.key("self_signed", list(self_signed, |name| string(name)));
    }
}

fn route(document: &mut Document, route: &Route, pool: &str) {
    document.heading("[[route]]");
    if route.host != HostMatch::Any {
        document.key("host", string(&address::render_host(&route.host)));
    }
    document.key("path", string(&route.path));
    if !route.answers_everything() {
        document.key("pool", string(pool));
    }
    if let Some(bytes) = route.max_body {
        document.key("max_body", string(&value::render_size(bytes)));
    }
    if let Some(rules) = &route.rules {
        render_rules(document, rules);
    }
}

fn size(bytes: usize) -> String {
    string(&value::render_size(bytes.try_into().unwrap_or(u64::MAX)))
}

fn pool(document: &mut Document, pool: &Pool) {
    let name = &pool.name;
    document.heading(&format!("[pool.{name}]"));
    document.key("endpoints", list(&pool.sources, |source| endpoint(source, pool)));
    document.key("balance", string(value::balance_name(pool.balance)));
    document.key("hash_key", string(&value::render_hash_key(&pool.hash_key)));
    document.key("hash_bound", format_args!("{:?}", pool.hash_bound));
    document.key("mesh", pool.mesh);
    // Without a mesh it has no effect, and parsing warns about it.
    if pool.mesh {
        document.key("replica_header", string(&pool.replica_header));
    }
    if let Some(time) = pool.slow_start {
        document.key("slow_start", duration(time));
    }
    document.key("panic_threshold", format_args!("{:?}", pool.panic_threshold));
    document.key("tier_threshold", format_args!("{:?}", pool.tier_threshold));
    if let Some(zone) = &pool.zone {
        document.key("zone", string(zone));
    }
    document.key("zone_threshold", format_args!("{:?}", pool.zone_threshold));
    document.key("via", pool.via);
    document.key("attempts", pool.attempts);
    document.key("retry_statuses", string(&value::render_retry_statuses(&pool.retry_statuses)));
    document.key("replay_buffer", size(pool.replay_buffer));
    document.key("retry_budget", format_args!("{:?}", pool.retry_budget));
    if !pool.mesh {
        document.key("suspicion", duration(pool.suspicion));
    }
    document.key("hedge", format_args!("{:?}", pool.hedge));
    document.key("max_connections", pool.max_connections);
    document.key("max_queue", pool.max_queue);
    document.key("max_idle", pool.max_idle);
    document.key("max_response_head", size(pool.max_response_head));
    document.key("max_response_headers", pool.max_response_headers);
    match &pool.health {
        Some(check) => health(document, name, check),
        None => document.key("health", false),
    }
    if let Some(cookie) = &pool.sticky {
        sticky(document, name, cookie);
    }

    document.heading(&format!("[pool.{name}.discovery]"));
    if let Some(name) = &pool.discovery.resolver {
        document.key("resolver", string(name));
    }
    if let Some(own) = pool.discovery.interval {
        interval(document, own);
    }

    document.heading(&format!("[pool.{name}.ejection]"));
    document.key("consecutive_failures", pool.ejection.consecutive_failures);
    // Behind a mesh it has no effect, and parsing warns about it.
    if !pool.mesh {
        document.key("consecutive_errors", pool.ejection.consecutive_errors);
    }
    document.key("error_share", format_args!("{:?}", pool.ejection.error_share));
    document.key("base", duration(pool.ejection.base));
    document.key("max", duration(pool.ejection.max));
    document.key("max_share", format_args!("{:?}", pool.ejection.max_share));

    document.heading(&format!("[pool.{name}.drain]"));
    if let Some(header) = &pool.drain.header {
        document.key("header", string(header));
    }
    document.key("time", duration(pool.drain.time));

    document.heading(&format!("[pool.{name}.timeouts]"));
    document.key("connect", duration(pool.timeouts.connect));
    document.key("queue", duration(pool.timeouts.queue));
    document.key("unacknowledged", duration(pool.timeouts.unacknowledged));
    document.key("response", duration(pool.timeouts.response));
    for (key, timeout) in [("try", pool.timeouts.one_try), ("request", pool.timeouts.request)] {
        if let Some(timeout) = timeout {
            document.key(key, duration(timeout));
        }
    }
    document.key("body_idle", duration(pool.timeouts.body_idle));
    document.key("idle", duration(pool.timeouts.idle));
    document.key("max_age", duration(pool.timeouts.max_age));
    document.key("tunnel_idle", duration(pool.timeouts.tunnel_idle));
}

/// Formats an endpoint: alone, or as a table if it has options.
fn endpoint(source: &Source, pool: &Pool) -> String {
    let address = string(&source.to_string());
    let (options, resolver) = (pool.options_of(source), pool.discovery.resolvers.get(source));
    let (default, EndpointOptions { weight, tier, zone }) = (EndpointOptions::default(), &options);
    if options == default && resolver.is_none() {
        return address;
    }
    let mut table = format!("{{ address = {address}");
    if let Some(resolver) = resolver {
        table.push_str(&format!(", resolver = {}", string(resolver)));
    }
    if *weight != default.weight {
        table.push_str(&format!(", weight = {weight}"));
    }
    match *tier {
        BACKUP => table.push_str(", backup = true"),
        tier if tier == default.tier => {}
        tier => table.push_str(&format!(", tier = {tier}")),
    }
    if let Some(zone) = zone {
        table.push_str(&format!(", zone = {}", string(zone)));
    }
    table + " }"
}

fn sticky(document: &mut Document, pool: &str, sticky: &Sticky) {
    document.heading(&format!("[pool.{pool}.sticky]"));
    document.key("cookie", string(&sticky.cookie));
    document.key("path", string(&sticky.path));
    document.key("same_site", string(value::render_same_site(sticky.same_site)));
    if let Some(secure) = sticky.secure {
        document.key("secure", secure);
    }
    document.key("http_only", sticky.http_only);
    if let Some(age) = sticky.max_age {
        document.key("max_age", duration(age));
    }
    if let Some(file) = &sticky.key_file {
        document.key("key_file", path(file));
    }
}

fn health(document: &mut Document, pool: &str, check: &HealthCheck) {
    document.heading(&format!("[pool.{pool}.health]"));
    document.key("protocol", string(value::protocol_name(check.protocol())));
    if let Some(path) = &check.path {
        document.key("path", string(path.as_str()));
        document.key("method", string(check.method.as_str()));
    }
    if let Some(service) = &check.grpc {
        document.key("service", string(service));
    }
    if let Some(port) = check.port {
        document.key("port", port);
    }
    if let Some(host) = &check.host {
        document.key("host", string(host));
    }
    if !check.headers.is_empty() {
        let field = |(name, value): &(HeaderName, HeaderValue)| {
            format!("{} = {}", string(name.as_str()), string(&String::from_utf8_lossy(value.as_bytes())))
        };
        document
            .key("headers", format_args!("{{ {} }}", check.headers.iter().map(field).collect::<Vec<_>>().join(", ")));
    }
    // Without a path, `expect` has no effect, and parsing warns about it.
    if check.path.is_some() || check.expect != Expect::default() {
        document.key("expect", string(&value::render_expect(&check.expect)));
    }
    if let Some(body) = &check.body {
        document.key("body", string(body));
    }
    document.key("interval", duration(check.interval));
    document.key("fast_interval", duration(check.fast_interval));
    if let Some(interval) = check.idle_interval {
        document.key("idle_interval", duration(interval));
    }
    document.key("timeout", duration(check.timeout));
    document.key("rise", check.rise);
    document.key("fall", check.fall);
    if let Some(TlsCheck { trust, server_name }) = &check.tls {
        document.heading(&format!("[pool.{pool}.health.tls]"));
        document.key("verify", *trust != Trust::Any);
        if let Trust::File(file) = trust {
            document.key("ca", path(file));
        }
        if let Some(name) = server_name {
            document.key("server_name", string(name));
        }
    }
}
