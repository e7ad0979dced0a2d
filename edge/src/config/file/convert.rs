//! Builds the typed configuration from the sections of the file.
//!
//! After a problem the conversion continues with a default or without the value, to find further problems; the caller
//! then discards the result.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use settings::{Section, address::overlap, into_values, nearest};
use toml::Spanned;

use super::{discovery, duplicates::report_duplicates, head_size::head_size, kind, pool, rules::rules};
use crate::config::{
    AccessLog, CertificateFiles, Config, HostMatch, Limits, Listener, Pool, Route, Source, Swarm, Timeouts, Tls,
    defaults, value,
};

/// Converts the whole file. Paths in it are relative to `folder`.
pub(super) fn config(root: &mut Section<'_>, folder: &Path) -> Config {
    let workers = root.get("workers", &kind::WORKERS);
    let drain = root.get("drain", &kind::DURATION_OR_ZERO);
    let drain_delay = root.get("drain_delay", &kind::DURATION_OR_ZERO);
    let takeover = root.get("takeover", &kind::FILE).map(|file| folder.join(file));
    let takeover = takeover.filter(|path| match value::socket_path(path) {
        Ok(()) => true,
        Err(problem) => {
            root.problem("takeover", problem);
            false
        }
    });
    let admin = root.get("admin", &kind::ADMIN).unwrap_or(Some(defaults::ADMIN));
    let admin_token_file = root.get("admin_token_file", &kind::FILE).map(|file| folder.join(file));
    if admin_token_file.is_some() && admin.is_none() {
        root.warning("admin_token_file", "has no effect, because admin is off");
    }
    let access_log = root.get("access_log", &kind::ACCESS_LOG).map(|log| absolute_log(log, folder));
    let trusted_proxies = root.list("trusted_proxies", &kind::NETWORK).map(into_values);
    let listeners: Vec<_> = root.tables("listener", |section| listener(section, folder)).concat();
    let dns = root.table("dns", |section| discovery::dns(section, folder));
    let resolvers = root.named("resolver", |name, section| {
        discovery::check_name(name, section);
        Ok((name.to_owned(), discovery::dns(section, folder)))
    });
    let resolver_names: Vec<_> = resolvers.iter().map(|(name, _)| name.clone()).collect();
    let swarm = root.table("swarm", |section| swarm(section, folder));
    let limits = root.table("limits", limits);
    let timeouts = root.table("timeouts", timeouts);
    let pools = root.named("pool", |name, section| {
        Ok(Spanned::new(section.span(), pool::pool(name, section, folder, &resolver_names)))
    });
    let routes = root.tables("route", |section| route(section, folder, &pools)).concat();
    let uses_swarm = |pool: &Spanned<Pool>| pool.get_ref().sources.iter().any(Source::is_swarm);
    if swarm.token_file.is_some() && !pools.iter().any(uses_swarm) {
        let message = "has no effect: no pool has an endpoint such as \"swarm://watch:8080?port=8000\"";
        root.warning_at(&root.span_of("swarm"), "swarm.token_file", message);
    }

    if !root.has("listener") {
        root.problem("listener", "there is no listener: add [[listener]] with address = \":80\"");
    }
    check_listeners(root, &listeners, admin);
    let routes = check_routes(root, routes, &pools);

    let defaults = Config::simple(Vec::new(), Pool::new("", Vec::new()));
    Config {
        workers: workers.unwrap_or(defaults.workers),
        drain: drain.unwrap_or(defaults.drain),
        drain_delay: drain_delay.unwrap_or(defaults.drain_delay),
        takeover,
        admin,
        admin_token_file,
        access_log: access_log.unwrap_or(defaults.access_log),
        dns,
        resolvers: resolvers.into_iter().collect(),
        swarm,
        listeners: into_values(listeners),
        routes,
        pools: pools.into_iter().map(|pool| Arc::new(pool.into_inner())).collect(),
        limits,
        timeouts,
        trusted_proxies: trusted_proxies.unwrap_or(defaults.trusted_proxies),
    }
}

fn swarm(section: &mut Section<'_>, folder: &Path) -> Swarm {
    Swarm { token_file: section.get("token_file", &kind::FILE).map(|file| folder.join(file)) }
}

fn limits(section: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    Limits {
        max_connections: section.get("max_connections", &kind::POSITIVE).unwrap_or(default.max_connections),
        connections_per_client: section
            .get("connections_per_client", &kind::PER_CLIENT)
            .unwrap_or(default.connections_per_client),
        handshakes_per_client: section
            .get("handshakes_per_client", &kind::PER_CLIENT)
            .unwrap_or(default.handshakes_per_client),
        requests_per_client: section
            .get("requests_per_client", &kind::PER_CLIENT)
            .unwrap_or(default.requests_per_client),
        request_rate_per_client: section
            .get("request_rate_per_client", &kind::PER_CLIENT)
            .unwrap_or(default.request_rate_per_client),
        request_burst_per_client: section
            .get("request_burst_per_client", &kind::BURST)
            .unwrap_or(default.request_burst_per_client),
        max_head: head_size(section, "max_head").unwrap_or(default.max_head),
        max_headers: section.get("max_headers", &kind::HEADERS).unwrap_or(default.max_headers),
        max_streams: section.get("max_streams", &kind::STREAMS).unwrap_or(default.max_streams),
        memory: section.get("memory", &kind::MEMORY).unwrap_or(default.memory),
        min_rate: section.get("min_rate", &kind::SIZE).unwrap_or(default.min_rate),
    }
}

fn timeouts(section: &mut Section<'_>) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        handshake: section.get("handshake", &kind::DURATION).unwrap_or(default.handshake),
        head: section.get("head", &kind::DURATION).unwrap_or(default.head),
        keep_alive: section.get("keep_alive", &kind::DURATION).unwrap_or(default.keep_alive),
        body_idle: section.get("body_idle", &kind::DURATION).unwrap_or(default.body_idle),
    }
}

/// Creates one listener for each address of the section.
fn listener(section: &mut Section<'_>, folder: &Path) -> Vec<Spanned<Listener>> {
    let addresses = section.required_list("address", &kind::LISTEN);
    let freebind = section.get("freebind", &kind::BOOLEAN).unwrap_or_default();
    let reuse_port = section.get("reuse_port", &kind::BOOLEAN).unwrap_or_default();
    let tls = section.optional("tls", |section| tls(section, folder));
    let listener = |address: Spanned<_>| {
        let span = address.span();
        Spanned::new(span, Listener { address: address.into_inner(), freebind, reuse_port, tls: tls.clone() })
    };
    addresses.into_iter().map(listener).collect()
}

fn tls(section: &mut Section<'_>, folder: &Path) -> Tls {
    let certificates = section.tables("certificates", |section| {
        let certificate = section.required("certificate", &kind::FILE)?;
        let key = section.required("key", &kind::FILE)?;
        Some(CertificateFiles { certificate: folder.join(certificate), key: folder.join(key) })
    });
    let self_signed = section.list("self_signed", &kind::SERVER_NAME).map(into_values);
    let is_empty = certificates.is_empty() && self_signed.is_none();
    Tls {
        certificates: certificates.into_iter().flatten().collect(),
        self_signed: if is_empty { defaults::self_signed() } else { self_signed.unwrap_or_default() },
    }
}

/// Creates one route for each host of the section.
fn route(section: &mut Section<'_>, folder: &Path, pools: &[Spanned<Pool>]) -> Vec<Spanned<Route>> {
    let default = Route::to(0);
    let span = section.span();
    let hosts = section.list("host", &kind::HOST).unwrap_or_else(|| vec![Spanned::new(span, default.host)]);
    let path = section.get("path", &kind::ROUTE_PATH).unwrap_or(default.path);
    let max_body = section.get("max_body", &kind::SIZE);
    let rules = rules(section, folder);
    let answers_everything = rules.as_ref().is_some_and(|rules| rules.answer_everything());
    if answers_everything && section.has("pool") {
        section.problem("pool", "gets no request, because the route answers all of them: remove pool");
    }
    let pool = if answers_everything && !section.has("pool") { 0 } else { pool_index(section, pools) };
    let route = |host: Spanned<HostMatch>| {
        let span = host.span();
        let (path, rules) = (path.clone(), rules.clone());
        Spanned::new(span, Route { host: host.into_inner(), path, pool, max_body, rules })
    };
    hosts.into_iter().map(route).collect()
}

/// Returns the index of the pool that a route names; if it names none, the index of the only pool.
fn pool_index(section: &mut Section<'_>, pools: &[Spanned<Pool>]) -> usize {
    let name = section.get("pool", &kind::POOL_NAME);
    let names = || pools.iter().map(|pool| pool.get_ref().name.as_str());
    match name {
        Some(name) => names().position(|other| other == name).unwrap_or_else(|| {
            let fix = match nearest(&name, names()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None if pools.is_empty() => format!("add [pool.{name}] with endpoints = [\"10.0.0.1:8000\"]"),
                None => format!("known pools: {}", quoted(names())),
            };
            section.problem("pool", format!("no pool is named {name:?}; {fix}"));
            0
        }),
        None => {
            if pools.len() != 1 && !section.has("pool") {
                let names = if pools.is_empty() { "\"web\"".to_owned() } else { quoted(names()) };
                section.problem("pool", format!("is missing: name the pool that receives the requests, {names}"));
            }
            0
        }
    }
}

/// Checks the routes against each other and the pools, and adds the implicit route if there is none.
fn check_routes(root: &Section<'_>, routes: Vec<Spanned<Route>>, pools: &[Spanned<Pool>]) -> Vec<Route> {
    report_duplicates(
        root,
        "route.host",
        "host and path",
        routes.iter().map(|route| {
            let Route { host, path, .. } = route.get_ref();
            ((host, path), route.span())
        }),
    );
    if pools.is_empty() {
        if !root.has("pool") {
            root.problem("pool", "there is no pool: add [pool.web] with endpoints = [\"10.0.0.1:8000\"]");
        }
        return into_values(routes);
    }
    if !root.has("route") {
        if pools.len() > 1 {
            let names = quoted(pools.iter().map(|pool| pool.get_ref().name.as_str()));
            root.problem(
                "route",
                format!("is missing, but there are several pools, {names}: add a [[route]] for each"),
            );
        }
        return vec![Route::to(0)];
    }
    for (index, pool) in pools.iter().enumerate() {
        if routes.iter().all(|route| route.get_ref().pool != index || route.get_ref().answers_everything()) {
            let key = format!("pool.{}", pool.get_ref().name);
            root.warning_at(&pool.span(), &key, "no route names this pool, so it gets no requests");
        }
    }
    into_values(routes)
}

/// Checks that no two listeners have the same address, and none that of the admin listener.
fn check_listeners(root: &Section<'_>, listeners: &[Spanned<Listener>], admin: Option<SocketAddr>) {
    // The kernel chooses a different port for each port 0.
    let with_fixed_port = || listeners.iter().filter(|listener| listener.get_ref().address.port() != 0);
    report_duplicates(
        root,
        "listener.address",
        "address",
        with_fixed_port().map(|listener| (listener.get_ref().address, listener.span())),
    );
    let is_admins =
        |listener: &&Spanned<Listener>| admin.is_some_and(|admin| overlap(listener.get_ref().address, admin));
    if let Some(listener) = listeners.iter().find(is_admins) {
        let message = "is also the address of admin: change one of the two ports, or write admin = \"off\"";
        root.problem_at(&listener.span(), "listener.address", message);
    }
}

fn absolute_log(log: AccessLog, folder: &Path) -> AccessLog {
    match log {
        AccessLog::File(path) => AccessLog::File(folder.join::<PathBuf>(path)),
        other => other,
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
