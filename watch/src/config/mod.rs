//! The configuration, parsed and validated once.

mod error;
mod flags;
mod setting;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use net::HostPort;
use redis_config::Location;
use tracing_subscriber::EnvFilter;

use self::setting::{EDGES, FRESH, GRACE, MAX_CONNECTIONS, MAX_STREAMS, PASSWORD_FILE, PEERS, TOKEN_FILE};
pub use self::{
    error::ConfigError,
    flags::{Command, Flags},
};
use crate::{
    alert,
    fetch::Place,
    http::{Access, Limits},
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
    /// Limits of the HTTP interface.
    pub limits: Limits,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Grace period for responses in progress at shutdown.
    pub grace: Duration,
    /// Log filter.
    pub log: EnvFilter,
}

/// Reads the file named by a setting.
type Read<'a> = &'a dyn Fn(&'static str, &Path) -> Result<String, ConfigError>;

impl Config {
    /// Parses `flags`; `read` reads the files they name.
    ///
    /// # Errors
    /// A setting is invalid. The error names it and says what would be valid.
    pub fn parse(flags: &Flags, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Self, ConfigError> {
        let redis = redis_settings(flags).load(&read)?;
        let read = |setting, path: &Path| {
            let bytes = read(path).map_err(|error| ConfigError::Read(setting, path.to_owned(), error))?;
            String::from_utf8(bytes).map_err(|_| ConfigError::Secret(setting))
        };
        let max_connections = number(MAX_CONNECTIONS, &flags.max_connections)?;
        let streams = number(MAX_STREAMS, &flags.max_streams)?;
        // Each page may hold a stream and a wait; one more connection is needed for probes.
        if streams.saturating_mul(2) >= max_connections {
            return Err(ConfigError::Streams(streams, max_connections));
        }
        let fresh = duration(FRESH, &flags.fresh, MAX_FRESH)?;
        if fresh < MIN_FRESH {
            return Err(ConfigError::TooFresh(flags.fresh.clone()));
        }
        if flags.disk.is_empty() {
            return Err(ConfigError::EmptyDisk);
        }
        Ok(Self {
            listen: listen(flags)?,
            engine: engine(&flags.docker)?,
            edges: hosts(EDGES, flags.edges.as_deref())?,
            peers: hosts(PEERS, flags.peers.as_deref())?,
            alerts: flags
                .config
                .as_ref()
                .map(|path| alert::Settings::load(path.as_ref()))
                .transpose()?
                .unwrap_or_default(),
            alerts_file: flags.config.as_ref().map(PathBuf::from),
            disk: PathBuf::from(&flags.disk),
            redis,
            access: access(flags, &read)?,
            limits: Limits { streams, fresh },
            max_connections,
            grace: duration(GRACE, &flags.grace, MAX_GRACE)?,
            log: log(flags)?,
        })
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
        writeln!(f, "connections      {}", self.max_connections)?;
        writeln!(f, "streams          {}", self.limits.streams)?;
        write!(f, "grace            {}", humantime::format_duration(self.grace))
    }
}

/// Parses the address to listen on, the only setting that the health check needs.
///
/// # Errors
/// It is not an address with a port.
pub fn listen(flags: &Flags) -> Result<SocketAddr, ConfigError> {
    let listen = &flags.listen;
    listen.parse().map_err(|error| ConfigError::Listen(listen.clone(), error))
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
    HostPort::list(list.unwrap_or_default(), None).map_err(|wrong| ConfigError::Name(setting, wrong))
}

fn redis_settings(flags: &Flags) -> redis_config::Settings<'_> {
    redis_config::Settings {
        url: flags.redis_url.as_deref(),
        url_file: flags.redis_url_file.as_deref().map(Path::new),
        ca_file: None,
        sentinels: flags.redis_sentinels.as_deref(),
        master: &flags.redis_master,
        user_file: flags.redis_user_file.as_deref().map(Path::new),
        password_file: flags.redis_password_file.as_deref().map(Path::new),
        sentinel_user_file: flags.sentinel_user_file.as_deref().map(Path::new),
        sentinel_password_file: flags.sentinel_password_file.as_deref().map(Path::new),
    }
}

fn access(flags: &Flags, read: Read<'_>) -> Result<Access, ConfigError> {
    let mut access = Access::default();
    if let Some(path) = &flags.password_file {
        let text = read(PASSWORD_FILE, path.as_ref())?;
        access =
            access.password(line(PASSWORD_FILE, &text)?).map_err(|error| ConfigError::Access(PASSWORD_FILE, error))?;
    }
    if let Some(path) = &flags.token_file {
        let text = read(TOKEN_FILE, path.as_ref())?;
        access = access.token(line(TOKEN_FILE, &text)?).map_err(|error| ConfigError::Access(TOKEN_FILE, error))?;
    }
    Ok(access)
}

/// Returns the only line of a secret, without its line break.
fn line<'a>(setting: &'static str, text: &'a str) -> Result<&'a str, ConfigError> {
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(['\r', '\n']) { Err(ConfigError::Secret(setting)) } else { Ok(line) }
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
