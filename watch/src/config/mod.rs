//! The configuration, parsed once: what is in a [`Config`] can be used.

mod error;
mod flags;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use redis_config::Location;
use tracing_subscriber::EnvFilter;

pub use self::{
    error::ConfigError,
    flags::{Command, Flags},
};
use crate::{
    alert,
    fetch::Place,
    host_port::Name,
    http::{Access, Limits},
};

// The names of the settings, as errors tell them.
const LISTEN: &str = "--listen (WATCH_LISTEN)";
const DOCKER: &str = "--docker (DOCKER_HOST)";
const FRESH: &str = "--fresh (WATCH_FRESH)";
const EDGES: &str = "--edges (WATCH_EDGES)";
const PEERS: &str = "--peers (WATCH_PEERS)";
const DISK: &str = "--disk (WATCH_DISK)";
const PASSWORD_FILE: &str = "--password-file (WATCH_PASSWORD_FILE)";
const TOKEN_FILE: &str = "--token-file (WATCH_TOKEN_FILE)";
const MAX_CONNECTIONS: &str = "--max-connections (WATCH_MAX_CONNECTIONS)";
const MAX_STREAMS: &str = "--max-streams (WATCH_MAX_STREAMS)";
const GRACE: &str = "--grace (WATCH_GRACE)";

/// The longest that a stop may be told to take; orchestrators kill long before.
const LONGEST_STOP: Duration = Duration::from_secs(60 * 60);

/// Bounds of what counts as fresh: the engine is asked each second, and more rarely while that takes long.
const FRESHEST: Duration = Duration::from_secs(2);
const STALEST: Duration = Duration::from_secs(10 * 60);

/// As many as a kernel allows a process to have open, by default.
const MOST_CONNECTIONS: usize = 1_000_000;

/// All that the process needs to know.
#[derive(Debug)]
pub struct Config {
    /// Where the page is.
    pub listen: SocketAddr,
    /// The engine.
    pub engine: Place,
    /// The edges' status pages.
    pub edges: Vec<Name>,
    /// The other instances.
    pub peers: Vec<Name>,
    /// What is told to whom.
    pub alerts: alert::Settings,
    /// The file that says so, to be read again.
    pub alerts_file: Option<PathBuf>,
    /// A folder on the disk that is told about.
    pub disk: PathBuf,
    /// The count's servers, where there are some.
    pub redis: Option<Location>,
    /// Who may look.
    pub access: Access,
    /// Bounds of the interface.
    pub limits: Limits,
    /// Connections at once.
    pub max_connections: usize,
    /// How long answers may take at the end.
    pub grace: Duration,
    /// What to log.
    pub log: EnvFilter,
}

/// Reads the file that a setting names.
type Read<'a> = &'a dyn Fn(&'static str, &Path) -> Result<String, ConfigError>;

impl Config {
    /// Parses `flags`; `read` reads the files that they name.
    ///
    /// # Errors
    /// A setting is wrong. The error names it, and what would be right.
    pub fn parse(flags: &Flags, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Self, ConfigError> {
        let redis = redis_settings(flags).load(&read)?;
        let read = |setting, path: &Path| {
            let bytes = read(path).map_err(|error| ConfigError::Read(setting, path.to_owned(), error))?;
            String::from_utf8(bytes).map_err(|_| ConfigError::Secret(setting))
        };
        let max_connections = number(MAX_CONNECTIONS, &flags.max_connections)?;
        let streams = number(MAX_STREAMS, &flags.max_streams)?;
        // A stream, a wait, and somebody who asks whether all is well.
        if streams.saturating_mul(2) >= max_connections {
            return Err(ConfigError::Streams(streams, max_connections));
        }
        let fresh = duration(FRESH, &flags.fresh, STALEST)?;
        if fresh < FRESHEST {
            return Err(ConfigError::TooFresh(flags.fresh.clone()));
        }
        if flags.disk.is_empty() {
            return Err(ConfigError::EmptyDisk);
        }
        Ok(Self {
            listen: listen(flags)?,
            engine: engine(&flags.docker)?,
            edges: names(EDGES, flags.edges.as_deref())?,
            peers: names(PEERS, flags.peers.as_deref())?,
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
            grace: duration(GRACE, &flags.grace, LONGEST_STOP)?,
            log: log(flags)?,
        })
    }
}

/// What is in force, a line for each; without secrets.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[Name]| match names {
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
            [] => writeln!(f, "alerts           on the page alone")?,
            channels => writeln!(f, "alerts           on the page, {}", channels.join(", "))?,
        }
        writeln!(f, "disk             {}", self.disk.display())?;
        writeln!(f, "who may look     {}", self.access)?;
        writeln!(f, "connections      {}", self.max_connections)?;
        writeln!(f, "streams          {}", self.limits.streams)?;
        write!(f, "grace            {}", humantime::format_duration(self.grace))
    }
}

/// The address to listen on: all that the health check needs.
///
/// # Errors
/// It is none.
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
    let name = Name::parse(rest.trim_end_matches('/'), None).ok_or_else(wrong)?;
    Ok(Place::Tcp(name.host, name.port))
}

fn names(setting: &'static str, list: Option<&str>) -> Result<Vec<Name>, ConfigError> {
    Name::list(list.unwrap_or_default(), None).map_err(|wrong| ConfigError::Name(setting, wrong))
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

/// The one line of a secret, without its end.
fn line<'a>(setting: &'static str, text: &'a str) -> Result<&'a str, ConfigError> {
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(['\r', '\n']) { Err(ConfigError::Secret(setting)) } else { Ok(line) }
}

fn duration(setting: &'static str, text: &str, longest: Duration) -> Result<Duration, ConfigError> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|error| ConfigError::Duration(setting, text.to_owned(), error))?;
    if duration > longest {
        return Err(ConfigError::TooLong(setting, text.to_owned(), humantime::format_duration(longest)));
    }
    Ok(duration)
}

fn number(setting: &'static str, text: &str) -> Result<usize, ConfigError> {
    let number: usize = text.parse().map_err(|error| ConfigError::Number(setting, text.to_owned(), error))?;
    match number {
        1..=MOST_CONNECTIONS => Ok(number),
        _ => Err(ConfigError::OutOfRange(setting, number, MOST_CONNECTIONS)),
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
