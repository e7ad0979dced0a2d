//! The configuration, parsed and validated once.

mod error;
mod flags;
mod setting;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use net::HostPort;
use process::Errors;
use redis_config::Location;
use settings::address;
use tracing_subscriber::EnvFilter;

use self::setting::{
    EDGES, FRESH, GRACE, MAX_CONNECTIONS, MAX_STREAMS, MAX_STREAMS_PER_CLIENT, PASSWORD_FILE, PEERS, TOKEN_FILE,
};
pub use self::{
    error::ConfigError,
    flags::{Command, Flags},
};
use crate::{
    alert,
    fetch::Place,
    http::{Access, AccessError, BasePath, Hosts, Limits},
};

/// Maximum grace period; orchestrators kill a process long before.
const MAX_GRACE: Duration = Duration::from_secs(60 * 60);

/// Bounds of `--fresh`: the engine is polled each second, and less often while its responses take long.
const MIN_FRESH: Duration = Duration::from_secs(2);
const MAX_FRESH: Duration = Duration::from_secs(10 * 60);

/// Maximum of `--max-connections`: the default limit of open files per process in the kernel.
const MAX_NUMBER: usize = 1_000_000;

/// The configuration of the process.
#[derive(Debug)]
pub struct Config {
    /// Address of the page.
    pub listen: SocketAddr,
    /// Address of the engine.
    pub engine: Place,
    /// Status pages of the edges.
    pub edges: Vec<HostPort>,
    /// Other instances.
    pub peers: Vec<HostPort>,
    /// Alert settings.
    pub alerts: alert::Settings,
    /// The file with the alert settings, which SIGHUP reloads.
    pub alerts_file: Option<PathBuf>,
    /// A folder on the file system to report.
    pub disk: PathBuf,
    /// The counter's Redis, if configured.
    pub redis: Option<Location>,
    /// Access control.
    pub access: Access,
    /// The names by which the page may be requested.
    pub hosts: Hosts,
    /// The path below which a proxy serves the page.
    pub base_path: BasePath,
    /// Limits of the HTTP interface.
    pub limits: Limits,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Grace period for responses in progress at shutdown.
    pub grace: Duration,
    /// Log filter.
    pub log: EnvFilter,
}

/// Reads the secret in the file named by a setting.
type Read<'a> = &'a dyn Fn(&'static str, &Path) -> Result<String, ConfigError>;

impl Config {
    /// Parses `flags`; `read` reads the files they name.
    ///
    /// # Errors
    /// Every setting that is invalid. Each error names one and says what would be valid.
    pub fn parse(flags: &Flags, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Self, Errors<ConfigError>> {
        let mut errors = Errors::default();
        let listen = errors.keep(listen(flags));
        let engine = errors.keep(engine(&flags.docker));
        let fresh = errors.keep(fresh(flags));
        let edges = errors.keep(hosts(EDGES, flags.edges.as_deref()));
        let peers = errors.keep(hosts(PEERS, flags.peers.as_deref()));
        let disk = errors.keep(disk(flags));
        let redis = errors.keep_all(redis_settings(flags).load(&read));
        let alerts = errors.keep(alerts(flags));
        let access = errors.keep_all(access(flags, &|setting, path| secret(setting, path, &read)));
        let names = errors.keep(Hosts::parse(flags.hosts.as_deref().unwrap_or_default()).map_err(ConfigError::Hosts));
        let base_path = errors.keep(base_path(flags));
        let max_connections = errors.keep(number(MAX_CONNECTIONS, &flags.max_connections));
        let streams = errors.keep(number(MAX_STREAMS, &flags.max_streams));
        let streams = streams.and_then(|streams| errors.keep(leave_room(streams, max_connections)));
        let streams_per_client = errors.keep(number(MAX_STREAMS_PER_CLIENT, &flags.max_streams_per_client));
        let grace = errors.keep(duration(GRACE, &flags.grace, MAX_GRACE));
        let log = errors.keep(log(flags));
        // If a value is missing, its error was kept.
        let complete = || {
            Some(Self {
                listen: listen?,
                engine: engine?,
                edges: edges?,
                peers: peers?,
                alerts: alerts?,
                alerts_file: flags.config.as_ref().map(PathBuf::from),
                disk: disk?,
                redis: redis?,
                access: access?,
                hosts: names?,
                base_path: base_path?,
                limits: Limits { streams: streams?, streams_per_client: streams_per_client?, fresh: fresh? },
                max_connections: max_connections?,
                grace: grace?,
                log: log?,
            })
        };
        complete().ok_or(errors)
    }
}

/// The settings in effect, one per line, without secrets.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[HostPort]| match names {
            [] => "none".to_owned(),
            names => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        writeln!(f, "page             http://{}", self.listen)?;
        writeln!(f, "engine           {}", self.engine)?;
        writeln!(f, "fresh            {}", humantime::format_duration(self.limits.fresh))?;
        writeln!(f, "redis            {}", self.redis.as_ref().map_or("none".to_owned(), ToString::to_string))?;
        writeln!(f, "edges            {}", list(&self.edges))?;
        writeln!(f, "other instances  {}", list(&self.peers))?;
        let channels: Vec<_> = self.alerts.channels.iter().map(|channel| channel.name.as_str()).collect();
        match channels.as_slice() {
            [] => writeln!(f, "alerts           on the page only")?,
            channels => writeln!(f, "alerts           on the page, {}", channels.join(", "))?,
        }
        writeln!(f, "disk             {}", self.disk.display())?;
        writeln!(f, "access           {}", self.access)?;
        writeln!(f, "names            {}", self.hosts)?;
        writeln!(f, "connections      {}", self.max_connections)?;
        let Limits { streams, streams_per_client, .. } = self.limits;
        writeln!(f, "streams          {streams}, {} for each client", streams_per_client.min(streams))?;
        write!(f, "grace            {}", humantime::format_duration(self.grace))
    }
}

/// Parses the address to listen on, the only setting that the health check needs.
///
/// # Errors
/// It is not an address with a port.
pub fn listen(flags: &Flags) -> Result<SocketAddr, ConfigError> {
    address::listen(&flags.listen).map_err(ConfigError::Listen)
}

fn engine(url: &str) -> Result<Place, ConfigError> {
    let wrong = || ConfigError::Docker(url.to_owned());
    if let Some(path) = url.strip_prefix("unix://") {
        return if path.starts_with('/') { Ok(Place::Unix(path.into())) } else { Err(wrong()) };
    }
    let rest = url.strip_prefix("tcp://").or_else(|| url.strip_prefix("http://")).ok_or_else(wrong)?;
    HostPort::parse(rest.trim_end_matches('/'), None).map(Place::Tcp).ok_or_else(wrong)
}

fn hosts(setting: &'static str, list: Option<&str>) -> Result<Vec<HostPort>, ConfigError> {
    HostPort::list(list.unwrap_or_default(), None).map_err(|malformed| ConfigError::Name(setting, malformed))
}

fn fresh(flags: &Flags) -> Result<Duration, ConfigError> {
    let fresh = duration(FRESH, &flags.fresh, MAX_FRESH)?;
    if fresh < MIN_FRESH { Err(ConfigError::TooFresh(flags.fresh.clone())) } else { Ok(fresh) }
}

fn disk(flags: &Flags) -> Result<PathBuf, ConfigError> {
    if flags.disk.is_empty() { Err(ConfigError::EmptyDisk) } else { Ok(PathBuf::from(&flags.disk)) }
}

fn alerts(flags: &Flags) -> Result<alert::Settings, ConfigError> {
    let loaded = flags.config.as_ref().map(|path| alert::Settings::load(path.as_ref())).transpose()?;
    Ok(loaded.unwrap_or_default())
}

/// Returns `streams` if they leave room for other connections.
fn leave_room(streams: usize, max_connections: Option<usize>) -> Result<usize, ConfigError> {
    match max_connections {
        // Each page may hold a stream and a wait; one more connection is needed for probes.
        Some(max) if streams.saturating_mul(2) >= max => Err(ConfigError::Streams(streams, max)),
        _ => Ok(streams),
    }
}

fn redis_settings(flags: &Flags) -> redis_config::Settings {
    let file = |path: &Option<OsString>| path.as_ref().map(PathBuf::from);
    redis_config::Settings {
        url: flags.redis_url.clone(),
        url_file: file(&flags.redis_url_file),
        ca_file: file(&flags.redis_ca_file),
        sentinels: flags.redis_sentinels.clone(),
        master: flags.redis_master.clone(),
        user_file: file(&flags.redis_user_file),
        password_file: file(&flags.redis_password_file),
        sentinel_user_file: file(&flags.sentinel_user_file),
        sentinel_password_file: file(&flags.sentinel_password_file),
    }
}

/// Adds the secret of a file to those that are accepted.
type Accept = fn(Access, &str) -> Result<Access, AccessError>;

fn access(flags: &Flags, read: Read<'_>) -> Result<Access, Errors<ConfigError>> {
    let mut errors = Errors::default();
    let open = errors.keep(open(flags)).unwrap_or_default();
    let mut access = if open { Access::everyone() } else { Access::default() };
    if open && (flags.password_file.is_some() || flags.token_file.is_some()) {
        errors.push(ConfigError::OpenWithSecret);
    }
    let files: [(_, _, Accept); 2] =
        [(PASSWORD_FILE, &flags.password_file, Access::password), (TOKEN_FILE, &flags.token_file, Access::token)];
    for (setting, path, accept) in files {
        let Some(path) = path else { continue };
        let accepted = read(setting, path.as_ref())
            .and_then(|secret| accept(access.clone(), &secret).map_err(|error| ConfigError::Access(setting, error)));
        access = errors.keep(accepted).unwrap_or(access);
    }
    if errors.is_empty() { Ok(access) } else { Err(errors) }
}

fn base_path(flags: &Flags) -> Result<BasePath, ConfigError> {
    let Some(text) = &flags.base_path else { return Ok(BasePath::default()) };
    BasePath::parse(text).ok_or_else(|| ConfigError::BasePath(text.clone()))
}

/// Whether everyone may read the page.
fn open(flags: &Flags) -> Result<bool, ConfigError> {
    match flags.open.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("no" | "false" | "off" | "0") => Ok(false),
        Some("yes" | "true" | "on" | "1") => Ok(true),
        Some(text) => Err(ConfigError::Open(text.to_owned())),
    }
}

/// Reads a file that holds a secret, and returns its only line.
fn secret(
    setting: &'static str,
    path: &Path,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<String, ConfigError> {
    let bytes = read(path).map_err(|error| ConfigError::Read(setting, path.to_owned(), error))?;
    let text = String::from_utf8(bytes).map_err(|_| ConfigError::Secret(setting))?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(['\r', '\n']) { Err(ConfigError::Secret(setting)) } else { Ok(line.to_owned()) }
}

fn duration(setting: &'static str, text: &str, max: Duration) -> Result<Duration, ConfigError> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|error| ConfigError::Duration(setting, text.to_owned(), error))?;
    if duration > max {
        return Err(ConfigError::TooLong(setting, text.to_owned(), humantime::format_duration(max)));
    }
    Ok(duration)
}

fn number(setting: &'static str, text: &str) -> Result<usize, ConfigError> {
    let number: usize = text.parse().map_err(|error| ConfigError::Number(setting, text.to_owned(), error))?;
    match number {
        1..=MAX_NUMBER => Ok(number),
        _ => Err(ConfigError::OutOfRange(setting, number, MAX_NUMBER)),
    }
}

fn log(flags: &Flags) -> Result<EnvFilter, ConfigError> {
    let (setting, text) = match (&flags.log, &flags.rust_log) {
        (Some(text), _) => ("--log (LOG)", text.as_str()),
        (None, Some(text)) => ("RUST_LOG", text.as_str()),
        (None, None) => ("", "info"),
    };
    EnvFilter::try_new(text).map_err(|error| ConfigError::Log(setting, text.to_owned(), error))
}
