//! Writes a configuration as a file with every setting, defaults included. [`super::parse`] makes the
//! same configuration of it.

use std::{fmt::Display, net::SocketAddr, path::Path, time::Duration};

use toml::Value;

use crate::config::{
    AccessLog, Balance, Config, Expect, HealthCheck, HostMatch, Listener, Pool, Route, Tls, address, value,
};

/// The text of a file that means `config`.
#[must_use]
pub fn render(config: &Config) -> String {
    let mut page = Page::default();
    page.key("workers", config.workers);
    page.key("drain", time(config.drain));
    page.key("admin", config.admin.map_or_else(|| text("off"), |address| text(&address.to_string())));
    page.key(
        "access_log",
        match &config.access_log {
            AccessLog::Off => text("off"),
            AccessLog::Stdout => text("stdout"),
            AccessLog::File(file) => path(file),
        },
    );
    page.key("trusted_proxies", list(&config.trusted_proxies, |network| text(&network.to_string())));
    for item in &config.listeners {
        listener(&mut page, item);
    }

    page.heading("[dns]");
    page.key("servers", list(&config.dns.servers, |server: &SocketAddr| text(&server.to_string())));
    page.key("interval", time(config.dns.interval));
    page.key("timeout", time(config.dns.timeout));

    if let Some(file) = &config.swarm.token_file {
        page.heading("[swarm]");
        page.key("token_file", path(file));
    }

    page.heading("[limits]");
    page.key("max_connections", config.limits.max_connections);
    page.key("max_head", text(&value::render_size(config.limits.max_head.try_into().unwrap_or(u64::MAX))));
    page.key("max_headers", config.limits.max_headers);
    page.key("max_streams", config.limits.max_streams);

    page.heading("[timeouts]");
    page.key("handshake", time(config.timeouts.handshake));
    page.key("head", time(config.timeouts.head));
    page.key("keep_alive", time(config.timeouts.keep_alive));
    page.key("body_idle", time(config.timeouts.body_idle));

    for item in &config.routes {
        route(&mut page, item, &config.pools[item.pool].name);
    }
    for item in &config.pools {
        pool(&mut page, item);
    }
    page.0
}

fn listener(page: &mut Page, listener: &Listener) {
    page.heading("[[listener]]");
    page.key("address", text(&listener.address.to_string()));
    page.key("freebind", listener.freebind);
    if let Some(Tls { certificates, self_signed }) = &listener.tls {
        page.heading("[listener.tls]");
        page.key(
            "certificates",
            list(certificates, |files| {
                format!("{{ certificate = {}, key = {} }}", path(&files.certificate), path(&files.key))
            }),
        );
        page.key("self_signed", list(self_signed, |name| text(name)));
    }
}

fn route(page: &mut Page, route: &Route, pool: &str) {
    page.heading("[[route]]");
    if route.host != HostMatch::Any {
        page.key("host", text(&address::render_host(&route.host)));
    }
    page.key("path", text(&route.path));
    page.key("pool", text(pool));
    if let Some(bytes) = route.max_body {
        page.key("max_body", text(&value::render_size(bytes)));
    }
}

fn pool(page: &mut Page, pool: &Pool) {
    let name = &pool.name;
    page.heading(&format!("[pool.{name}]"));
    page.key("endpoints", list(&pool.sources, |source| text(&source.to_string())));
    page.key("balance", text(balance(pool.balance)));
    page.key("panic_threshold", format_args!("{:?}", pool.panic_threshold));
    page.key("attempts", pool.attempts);
    page.key("max_connections", pool.max_connections);
    page.key("max_idle", pool.max_idle);
    match &pool.health {
        Some(check) => health(page, name, check),
        None => page.key("health", false),
    }

    page.heading(&format!("[pool.{name}.ejection]"));
    page.key("consecutive_failures", pool.ejection.consecutive_failures);
    page.key("base", time(pool.ejection.base));
    page.key("max", time(pool.ejection.max));
    page.key("max_share", format_args!("{:?}", pool.ejection.max_share));

    page.heading(&format!("[pool.{name}.timeouts]"));
    page.key("connect", time(pool.timeouts.connect));
    page.key("unacknowledged", time(pool.timeouts.unacknowledged));
    page.key("response", time(pool.timeouts.response));
    page.key("body_idle", time(pool.timeouts.body_idle));
    page.key("idle", time(pool.timeouts.idle));
    page.key("max_age", time(pool.timeouts.max_age));
    page.key("tunnel_idle", time(pool.timeouts.tunnel_idle));
}

fn health(page: &mut Page, pool: &str, check: &HealthCheck) {
    page.heading(&format!("[pool.{pool}.health]"));
    if let Some(path) = &check.path {
        page.key("path", text(path.as_str()));
    }
    if let Some(host) = &check.host {
        page.key("host", text(host));
    }
    // A check that only connects expects no status.
    if check.path.is_some() || check.expect != Expect::default() {
        page.key("expect", text(&value::render_expect(&check.expect)));
    }
    page.key("interval", time(check.interval));
    page.key("fast_interval", time(check.fast_interval));
    page.key("timeout", time(check.timeout));
    page.key("rise", check.rise);
    page.key("fall", check.fall);
}

/// The file so far.
#[derive(Default)]
struct Page(String);

impl Page {
    fn heading(&mut self, heading: &str) {
        self.0.push_str(&format!("\n{heading}\n"));
    }

    fn key(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }
}

fn text(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn path(path: &Path) -> String {
    text(&path.to_string_lossy())
}

fn time(duration: Duration) -> String {
    text(&humantime::format_duration(duration).to_string())
}

fn list<T>(items: &[T], item: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
}

fn balance(balance: Balance) -> &'static str {
    value::BALANCES.iter().find(|(other, _)| *other == balance).map_or("round_robin", |(_, name)| name)
}
