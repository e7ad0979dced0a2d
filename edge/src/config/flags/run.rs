//! Builds the configuration from the flags of `edge run` and `edge check`.

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{self, Path, PathBuf},
    sync::Arc,
};

use settings::address::overlap;
use tracing_subscriber::EnvFilter;

use super::{
    cli::{self, Flags},
    given::{Given, Reader, items},
};
use crate::config::{
    AccessLog, BACKUP, Balance, CertificateFiles, Config, EndpointOptions, Limits, Listener, Pool, Source, Sticky, Tls,
    address, defaults, file,
    pool::{NO_SLOW_START, TIES_TO_REPLICAS, is_comparable, ties_to_replicas},
    problem::{ConfigError, Loaded, Problem},
    token,
    value::{self, Parsed},
};

/// The name of the pool that the flags configure.
const POOL_NAME: &str = "default";

/// The value of `--to-mesh` that turns it off, for a stack file that turns it on.
const OFF: &str = "off";

/// The flags of `edge run` and `edge check`, not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub(super) flags: Flags,
    pub(super) given: Given,
}

impl Settings {
    /// Returns the level or filter of the edge's own log. Default `info`.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.flags.process.log
    }

    /// Loads the configuration from the flags, or from the file that `--config` names; `--admin`, `--admin-token-file`,
    /// `--access-log`, `--zone`, `--workers`, `--memory`, `--min-rate`, `--drain`, `--drain-delay` and `--takeover` then
    /// override the file. Every call reads the files again.
    ///
    /// # Errors
    /// A file cannot be read, or the configuration is invalid; the error then lists every problem.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let reader = Reader::new(&self.given);
        let loaded = match &self.flags.config {
            Some(path) => {
                self.reject_traffic_flags(&reader);
                match file::load(Path::new(path)) {
                    Ok(loaded) => Some(loaded),
                    Err(ConfigError::Invalid(problems)) => {
                        reader.extend(problems);
                        None
                    }
                    Err(error) => return Err(error),
                }
            }
            None => Some(self.build_from_flags(&reader)),
        };
        let loaded = loaded.map(|loaded| self.apply_process_flags(loaded, &reader));
        if let Err(error) = EnvFilter::try_new(self.log()) {
            reader.problem("log", error.to_string());
        }
        match (loaded, reader.into_problems()) {
            (Some(mut loaded), problems) if problems.is_empty() => {
                loaded.warnings.extend(self.given.misspelled.iter().cloned());
                Ok(loaded)
            }
            (_, problems) => Err(ConfigError::Invalid(problems)),
        }
    }

    /// Reports each flag that cannot be combined with `--config`.
    fn reject_traffic_flags(&self, reader: &Reader<'_>) {
        let traffic = cli::traffic();
        for (flag, name) in &self.given.flags {
            if traffic.contains(flag) {
                let config = self.given.flags.get("config").map_or("--config", String::as_str);
                reader.problem(flag, format!("cannot be combined with {config}: set it in the file, or remove {name}"));
            }
        }
    }

    /// Overrides settings with the flags that may be combined with `--config`.
    fn apply_process_flags(&self, mut loaded: Loaded, reader: &Reader<'_>) -> Loaded {
        let config = &mut loaded.config;
        if let Some(admin) = reader.one("admin", self.flags.process.admin.as_deref(), address::listen_or_off) {
            config.admin = admin;
        }
        let token = self.flags.process.admin_token_file.as_deref();
        if let Some(token) = reader.one("admin-token-file", token, token_file) {
            config.admin_token_file = token;
            if config.admin_token_file.is_some() && config.admin.is_none() {
                let message = "has no effect, because the admin listener is off";
                loaded.warnings.push(self.given.problem("admin-token-file", message));
            }
        }
        if let Some(log) = reader.one("access-log", self.flags.process.access_log.as_deref(), value::access_log) {
            config.access_log = match log {
                AccessLog::File(path) => AccessLog::File(absolute(path)),
                other => other,
            };
        }
        if let Some(workers) = reader.one("workers", self.flags.process.workers.as_deref(), workers) {
            config.workers = workers;
        }
        if let Some(zone) = reader.one("zone", self.flags.process.zone.as_deref(), value::zone) {
            for pool in &mut config.pools {
                Arc::make_mut(pool).zone = Some(zone.clone());
            }
        }
        if let Some(memory) = reader.one("memory", self.flags.process.memory.as_deref(), value::memory) {
            config.limits.memory = memory;
        }
        if let Some(min_rate) = reader.one("min-rate", self.flags.process.min_rate.as_deref(), value::size) {
            config.limits.min_rate = min_rate;
        }
        if let Some(drain) = reader.one("drain", self.flags.process.drain.as_deref(), value::duration_or_zero) {
            config.drain = drain;
        }
        let delay = self.flags.process.drain_delay.as_deref();
        if let Some(delay) = reader.one("drain-delay", delay, value::duration_or_zero) {
            config.drain_delay = delay;
        }
        if let Some(path) = reader.one("takeover", self.flags.process.takeover.as_deref(), socket) {
            config.takeover = Some(path);
        }
        let mut addresses = config.listeners.iter().map(|listener| listener.address);
        if config.admin.is_some_and(|admin| addresses.any(|address| overlap(address, admin))) {
            reader.problem("admin", "is also the address of a listener: write another port, or \"off\"");
        }
        loaded
    }

    /// Builds the configuration from the flags that replace a file.
    fn build_from_flags(&self, reader: &Reader<'_>) -> Loaded {
        let flags = &self.flags.traffic;
        let mut warnings = Vec::new();
        let mut listeners = self.listeners(reader, &mut warnings);
        let to_port = reader.one("to-port", flags.to_port.as_deref(), |text| value::number(text, 10, 1, u16::MAX));
        // An invalid port is replaced by any valid one, so that endpoints without a port are not reported as well.
        let to_port = to_port.or(flags.to_port.as_ref().map(|_| u16::MAX));
        let (to, endpoints) = if self.is_mesh() { ("to-mesh", &flags.to_mesh) } else { ("to", &flags.to) };
        let default_port = to_port.ok_or(", or set one for all endpoints with --to-port");
        let endpoint = |text: &str| match address::endpoint(text, default_port)? {
            Source::File(path) => Ok(Source::File(absolute(path))),
            source => Ok(source),
        };
        let mut sources = reader.many(to, endpoints, endpoint);
        reader.report_duplicates(to, &sources, ToString::to_string);
        let mut backups = reader.many("backup", &flags.backup, endpoint);
        if self.is_mesh() {
            // While no node is known or usable, the endpoints themselves are better than none.
            backups.extend(reader.many("to", &flags.to, endpoint));
        }
        reader.report_duplicates("backup", &backups, ToString::to_string);
        for both in backups.iter().filter(|backup| sources.contains(backup)) {
            reader.problem("backup", format!("{both} is also given with --{to}: remove one of them"));
        }
        self.report_missing(reader);
        sources.extend(backups.iter().cloned());

        let token_file = reader.one("swarm-token-file", flags.swarm_token_file.as_deref(), token_file).flatten();
        if token_file.is_some() && !sources.iter().any(Source::is_swarm) {
            let message = "has no effect without an endpoint such as swarm://watch:8080";
            warnings.push(self.given.problem("swarm-token-file", message));
        }

        let mut pool = Pool::new(POOL_NAME, sources);
        let options = EndpointOptions { tier: BACKUP, ..EndpointOptions::default() };
        pool.options = backups.into_iter().map(|source| (source, options.clone())).collect();
        pool.balance = reader.one("balance", flags.balance.as_deref(), value::balance).unwrap_or(pool.balance);
        pool.hash_key = reader.one("hash-key", flags.hash_key.as_deref(), value::hash_key).unwrap_or(pool.hash_key);
        if flags.hash_key.is_some() && pool.balance != Balance::ConsistentHash {
            warnings.push(self.given.problem("hash-key", "has no effect without --balance consistent_hash"));
        }
        pool.sticky = self.sticky(reader, &mut warnings);
        pool.via = reader.one("no-via", flags.no_via.as_deref(), value::boolean).map_or(pool.via, |without| !without);
        pool.health = self.health(reader, &mut warnings);
        pool.mesh |= self.is_mesh();
        ties_to_replicas(&pool).for_each(|flag| reader.problem(flag, TIES_TO_REPLICAS));
        let replica_header = reader.one("replica-header", flags.replica_header.as_deref(), value::field);
        pool.replica_header = replica_header.unwrap_or(pool.replica_header);
        if !is_comparable(&pool) {
            pool.ejection.error_share = 0.0;
        }
        let share = reader.one("error-share", flags.error_share.as_deref(), settings::value::share);
        pool.ejection.error_share = share.unwrap_or(pool.ejection.error_share);
        pool.slow_start = reader.one("slow-start", flags.slow_start.as_deref(), settings::value::duration);
        if pool.mesh && pool.slow_start.take().is_some() {
            warnings.push(self.given.problem("slow-start", NO_SLOW_START));
        }
        self.retries(reader, &mut pool);
        pool.drain.header = reader.one("drain-header", flags.drain_header.as_deref(), value::drain_header);
        self.flags.timeouts.apply_to_pool(reader, &mut pool);
        if reader.one("freebind", flags.freebind.as_deref(), value::boolean) == Some(true) {
            listeners.iter_mut().for_each(|listener| listener.freebind = true);
        }
        if reader.one("reuse-port", flags.reuse_port.as_deref(), value::boolean) == Some(true) {
            listeners.iter_mut().for_each(|listener| listener.reuse_port = true);
        }
        let mut config = Config::simple(listeners, pool);
        self.flags.timeouts.apply_to_config(reader, &mut config);
        self.set_resolver(reader, &mut config.dns, &mut warnings);
        config.swarm.token_file = token_file;
        config.trusted_proxies = reader.many("trusted-proxies", &flags.trusted_proxies, address::network);
        self.limit_clients(reader, &mut config.limits);
        Loaded { config, warnings }
    }

    /// Sets which requests of `pool` are sent again.
    fn retries(&self, reader: &Reader<'_>, pool: &mut Pool) {
        let flags = &self.flags.traffic;
        let statuses = reader.one("retry-statuses", flags.retry_statuses.as_deref(), value::retry_statuses);
        pool.retry_statuses = statuses.unwrap_or_default();
        let buffer = reader.one("replay-buffer", flags.replay_buffer.as_deref(), value::replay_buffer);
        pool.replay_buffer = buffer.unwrap_or(pool.replay_buffer);
        let budget = reader.one("retry-budget", flags.retry_budget.as_deref(), settings::value::share);
        pool.retry_budget = budget.unwrap_or(pool.retry_budget);
        let suspicion = reader.one("suspicion", flags.suspicion.as_deref(), value::duration_or_zero);
        pool.suspicion = suspicion.unwrap_or(pool.suspicion);
        pool.hedge = reader.one("hedge", flags.hedge.as_deref(), settings::value::share).unwrap_or(pool.hedge);
    }

    /// Sets the limits for each client that are given.
    fn limit_clients(&self, reader: &Reader<'_>, limits: &mut Limits) {
        let flags = &self.flags.traffic;
        for (flag, text, least, limit) in [
            ("connections-per-client", &flags.connections_per_client, 0, &mut limits.connections_per_client),
            ("handshakes-per-client", &flags.handshakes_per_client, 0, &mut limits.handshakes_per_client),
            ("requests-per-client", &flags.requests_per_client, 0, &mut limits.requests_per_client),
            ("request-rate-per-client", &flags.request_rate_per_client, 0, &mut limits.request_rate_per_client),
            ("request-burst-per-client", &flags.request_burst_per_client, 1, &mut limits.request_burst_per_client),
        ] {
            let number = |text: &str| value::number(text, 10, least, value::MAX_PER_CLIENT);
            *limit = reader.one(flag, text.as_deref(), number).unwrap_or(*limit);
        }
    }

    /// Returns whether the endpoints are nodes of a routing mesh. A stack file may set both variables; those of `--to` are
    /// then backups.
    pub(super) fn is_mesh(&self) -> bool {
        items(&self.flags.traffic.to_mesh).any(|node| node != OFF)
    }

    /// Returns the cookie that ties clients to endpoints, if it is turned on.
    fn sticky(&self, reader: &Reader<'_>, warnings: &mut Vec<Problem>) -> Option<Sticky> {
        let flags = &self.flags.traffic;
        let is_on = reader.one("sticky", flags.sticky.as_deref(), value::boolean) == Some(true);
        let key_file = reader.one("sticky-key-file", flags.sticky_key_file.as_deref(), key_file);
        if key_file.is_some() && !is_on {
            warnings.push(self.given.problem("sticky-key-file", "has no effect without --sticky"));
        }
        is_on.then(|| Sticky { key_file: key_file.flatten(), ..Sticky::new(POOL_NAME) })
    }

    /// Reports missing listeners and endpoints.
    fn report_missing(&self, reader: &Reader<'_>) {
        let flags = &self.flags.traffic;
        let no_listener = items(&flags.listen).chain(items(&flags.listen_tls)).next().is_none();
        let no_endpoint = items(&flags.to).next().is_none() && !self.is_mesh();
        let (flag, message) = match (no_listener, no_endpoint) {
            (true, true) => ("config", "is missing: write --config edge.toml, or --listen :80 --to 10.0.0.1:8000"),
            (true, false) => ("listen", "is missing: write an address to listen on, such as --listen :80"),
            (false, true) => ("to", "is missing: write the endpoints, such as --to 10.0.0.1:8000,10.0.0.2:8000"),
            (false, false) => return,
        };
        reader.problem(flag, message);
    }

    fn listeners(&self, reader: &Reader<'_>, warnings: &mut Vec<Problem>) -> Vec<Listener> {
        let plain = reader.many("listen", &self.flags.traffic.listen, address::listen);
        let with_tls = reader.many("listen-tls", &self.flags.traffic.listen_tls, address::listen);
        let tls = self.tls(reader);
        if with_tls.is_empty() {
            for flag in ["tls-cert-file", "server-name"].iter().filter(|flag| self.given.flags.contains_key(**flag)) {
                warnings.push(self.given.problem(flag, "has no effect without --listen-tls"));
            }
        }
        let has_fixed_port = |address: &&SocketAddr| address.port() != 0;
        let fixed: Vec<_> = plain.iter().chain(&with_tls).filter(has_fixed_port).copied().collect();
        let flag = if with_tls.is_empty() { "listen" } else { "listen-tls" };
        reader.report_duplicates(flag, &fixed, ToString::to_string);
        let with_tls =
            with_tls.into_iter().map(|address| Listener { tls: Some(tls.clone()), ..Listener::plain(address) });
        plain.into_iter().map(Listener::plain).chain(with_tls).collect()
    }

    /// Returns the certificate files, or the names for a self-signed certificate if there are none.
    fn tls(&self, reader: &Reader<'_>) -> Tls {
        let files = self.certificate_files(reader);
        let names = reader.many("server-name", &self.flags.traffic.server_name, address::server_name);
        match files {
            Some(files) => Tls { certificates: vec![files], self_signed: names },
            None if names.is_empty() => Tls { certificates: Vec::new(), self_signed: defaults::self_signed() },
            None => Tls { certificates: Vec::new(), self_signed: names },
        }
    }

    /// Returns both TLS files; `None` if neither is given. They may be blank until there is a certificate.
    fn certificate_files(&self, reader: &Reader<'_>) -> Option<CertificateFiles> {
        let file = |flag, text: Option<&str>| reader.one(flag, text, |text| readable(Path::new(text)));
        let certificate = file("tls-cert-file", self.flags.traffic.tls_cert_file.as_deref());
        let key = file("tls-key-file", self.flags.traffic.tls_key_file.as_deref());
        match (&self.flags.traffic.tls_cert_file, &self.flags.traffic.tls_key_file) {
            (Some(_), None) => reader.problem("tls-key-file", "is missing: a certificate needs its key"),
            (None, Some(_)) => reader.problem("tls-cert-file", "is missing: a key needs its certificate"),
            _ => {}
        }
        Some(CertificateFiles { certificate: certificate?, key: key? })
    }
}

fn workers(text: &str) -> Parsed<NonZeroUsize> {
    let number = value::number(text, 10, 1, value::MAX_WORKERS)?;
    Ok(NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN))
}

/// Returns the absolute path of a file that can be opened.
pub(super) fn readable(path: &Path) -> Parsed<PathBuf> {
    fs::File::open(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok(absolute(path.to_owned()))
}

/// Returns the absolute path of a Unix socket.
fn socket(text: &str) -> Parsed<PathBuf> {
    let path = absolute(PathBuf::from(text));
    value::socket_path(&path)?;
    Ok(path)
}

/// Returns the absolute path of a file if it contains a token. A stack must name its secret even if that is empty.
fn token_file(text: &str) -> Parsed<Option<PathBuf>> {
    let token = token::read(Path::new(text)).map_err(|error| error.to_string())?;
    Ok(token.map(|_| absolute(PathBuf::from(text))))
}

/// Returns the absolute path of a file if it contains a key. A stack must name its secret even if that is empty.
fn key_file(text: &str) -> Parsed<Option<PathBuf>> {
    let key = token::read_line(Path::new(text)).map_err(|error| error.to_string())?;
    Ok(key.map(|_| absolute(PathBuf::from(text))))
}

/// Returns an absolute path, independent of the working directory.
fn absolute(path: PathBuf) -> PathBuf {
    path::absolute(&path).unwrap_or(path)
}
