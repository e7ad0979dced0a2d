//! The configuration, parsed once: every value of a [`Config`] is valid.

use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    num::{NonZeroUsize, ParseIntError},
    path::{Path, PathBuf},
    time::Duration,
};

use process::Errors;
use redis_config::{Location, SettingsError};
use settings::address;
use tracing_subscriber::{EnvFilter, filter};

use super::flags::Flags;
use crate::{
    Limits, Options, RedisConfig, StoreConfig,
    counter::{Degraded, Durability},
};

/// The count's file within the data folder.
const FILE: &str = "hits.redb";

// The names of the settings, as errors show them.
const LISTEN: &str = "--listen (APP_LISTEN)";
const ADMIN: &str = "--admin (APP_ADMIN)";
const REDIS_URL: &str = "--redis-url (REDIS_URL)";
const REDIS_URL_FILE: &str = "--redis-url-file (REDIS_URL_FILE)";
const REDIS_SENTINELS: &str = "--redis-sentinels (REDIS_SENTINELS)";
const DURABILITY: &str = "--durability (APP_DURABILITY)";
const DEGRADED: &str = "--degraded (APP_DEGRADED)";
const DATA: &str = "--data (APP_DATA)";
const DEADLINE: &str = "--deadline (APP_DEADLINE)";
const DRAIN_DELAY: &str = "--drain-delay (APP_DRAIN_DELAY)";
const GRACE: &str = "--grace (APP_GRACE)";
const MAX_CONNECTIONS: &str = "--max-connections (APP_MAX_CONNECTIONS)";

/// The maximum of each duration of the shutdown; orchestrators kill the process much sooner.
const LONGEST_STOP: Duration = Duration::from_secs(60 * 60);

/// The maximum number of files that a kernel allows a process to have open, by default.
const MOST_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_000_000 - 1);

/// The configuration of the process.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    /// Where readiness and metrics are, if not on `listen`.
    pub(crate) admin: Option<SocketAddr>,
    /// The name of this replica.
    pub(crate) replica: Option<String>,
    pub(crate) store: StoreConfig,
    pub(crate) limits: Limits,
    pub(crate) options: Options,
    pub(crate) log: EnvFilter,
}

impl Config {
    /// Parses `flags`; `read` reads a file that they name.
    pub(crate) fn parse(
        flags: &Flags,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, Errors<ConfigError>> {
        let mut errors = Errors::default();
        let listen = errors.keep(listen(flags));
        let admin = errors.keep(admin(flags));
        let store = errors.keep_all(store(flags, read));
        let deadline = errors.keep(deadline(flags));
        let drain_delay = errors.keep(duration(DRAIN_DELAY, &flags.process.drain_delay, LONGEST_STOP));
        let grace = errors.keep(duration(GRACE, &flags.process.grace, LONGEST_STOP));
        let max_connections = errors.keep(max_connections(flags));
        let log = errors.keep(log(flags));
        // If a value is missing, its error was kept.
        let complete = || {
            Some(Self {
                listen: listen?,
                admin: admin?,
                replica: flags.replica.clone(),
                store: store?,
                limits: Limits { deadline: deadline?, ..Limits::default() },
                options: Options {
                    max_connections: max_connections?,
                    drain_delay: drain_delay?,
                    grace: grace?,
                    ..Options::default()
                },
                log: log?,
            })
        };
        complete().ok_or(errors)
    }
}

/// The address to listen on: all that the health check needs.
pub(crate) fn listen(flags: &Flags) -> Result<SocketAddr, ConfigError> {
    address::listen(&flags.listen).map_err(|message| ConfigError::Listen(LISTEN, message))
}

fn admin(flags: &Flags) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(text) = &flags.admin else { return Ok(None) };
    let admin = address::listen(text).map_err(|message| ConfigError::Listen(ADMIN, message))?;
    match address::listen(&flags.listen) {
        Ok(listen) if listen == admin && admin.port() != 0 => Err(ConfigError::SameAddress(admin)),
        Ok(listen) if address::overlap(listen, admin) => Err(ConfigError::Overlap(listen, admin)),
        _ => Ok(Some(admin)),
    }
}

fn deadline(flags: &Flags) -> Result<Duration, ConfigError> {
    let deadline = duration(DEADLINE, &flags.process.deadline, Limits::LONGEST)?;
    if deadline.is_zero() { Err(ConfigError::NoTime(DEADLINE)) } else { Ok(deadline) }
}

fn store(flags: &Flags, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<StoreConfig, Errors<ConfigError>> {
    let mut errors = Errors::default();
    let location = errors.keep_all(redis_settings(flags).load(read));
    let durability = errors.keep(durability(flags));
    let degraded = errors.keep(degraded(flags));
    let place = location.and_then(|location| errors.keep_all(place(flags, location)));
    let complete = || {
        Some(match place? {
            Place::Redis(location) => {
                let redis = RedisConfig::from(location).degraded(degraded?);
                StoreConfig::Redis(match durability? {
                    Some(durability) => redis.durability(durability),
                    None => redis,
                })
            }
            Place::Folder(folder) => StoreConfig::File(folder.join(FILE)),
        })
    };
    complete().ok_or(errors)
}

/// Where to count.
enum Place<'a> {
    Redis(Location),
    Folder(&'a Path),
}

fn place(flags: &Flags, location: Option<Location>) -> Result<Place<'_>, Errors<ConfigError>> {
    match (location, flags.store.data.as_deref().map(Path::new)) {
        (Some(_), Some(_)) => Err(ConfigError::DataBesideRedis.into()),
        (Some(location), None) => Ok(Place::Redis(location)),
        (None, None) => Err(ConfigError::NoStore.into()),
        (None, Some(folder)) => {
            let mut errors = Errors::default();
            if folder.as_os_str().is_empty() {
                errors.push(ConfigError::EmptyData);
            }
            let redis_only = [(DURABILITY, &flags.store.durability), (DEGRADED, &flags.store.degraded)];
            for (setting, _) in redis_only.into_iter().filter(|(_, value)| value.is_some()) {
                errors.push(ConfigError::WithoutRedis(setting));
            }
            if errors.is_empty() { Ok(Place::Folder(folder)) } else { Err(errors) }
        }
    }
}

fn durability(flags: &Flags) -> Result<Option<Durability>, ConfigError> {
    Ok(Some(match flags.store.durability.as_deref() {
        None => return Ok(None),
        Some("local") => Durability::Local,
        Some("replica") => Durability::Replica,
        Some("fsync") => Durability::Fsync,
        Some(other) => return Err(ConfigError::Durability(other.to_owned())),
    }))
}

fn degraded(flags: &Flags) -> Result<Degraded, ConfigError> {
    match flags.store.degraded.as_deref() {
        None | Some("refuse") => Ok(Degraded::Refuse),
        Some("go-on") => Ok(Degraded::GoOn),
        Some(other) => Err(ConfigError::Degraded(other.to_owned())),
    }
}

fn redis_settings(flags: &Flags) -> redis_config::Settings {
    let store = &flags.store;
    let file = |path: &Option<OsString>| path.as_ref().map(PathBuf::from);
    redis_config::Settings {
        url: store.redis_url.clone(),
        url_file: file(&store.redis_url_file),
        ca_file: file(&store.redis_ca_file),
        sentinels: store.redis_sentinels.clone(),
        master: store.redis_master.clone(),
        user_file: file(&store.redis_user_file),
        password_file: file(&store.redis_password_file),
        sentinel_user_file: file(&store.sentinel_user_file),
        sentinel_password_file: file(&store.sentinel_password_file),
    }
}

fn duration(setting: &'static str, text: &str, longest: Duration) -> Result<Duration, ConfigError> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|error| ConfigError::Duration(setting, text.to_owned(), error))?;
    if duration > longest {
        return Err(ConfigError::TooLong(setting, text.to_owned(), humantime::format_duration(longest)));
    }
    Ok(duration)
}

fn max_connections(flags: &Flags) -> Result<NonZeroUsize, ConfigError> {
    let text = &flags.process.max_connections;
    let number: NonZeroUsize = text.parse().map_err(|error| ConfigError::Connections(text.clone(), error))?;
    if number > MOST_CONNECTIONS {
        return Err(ConfigError::TooManyConnections(number));
    }
    Ok(number)
}

fn log(flags: &Flags) -> Result<EnvFilter, ConfigError> {
    let (setting, text) = match (&flags.process.log, &flags.process.rust_log) {
        (Some(text), _) => ("--log (LOG)", text.as_str()),
        (None, Some(text)) => ("RUST_LOG", text.as_str()),
        (None, None) => ("", "info"),
    };
    EnvFilter::try_new(text).map_err(|error| ConfigError::Log(setting, text.to_owned(), error))
}

/// A setting that cannot be used, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{0}: {1}")]
    Listen(&'static str, String),
    #[error("{LISTEN} and {ADMIN} are both {0}: choose another port for one of them")]
    SameAddress(SocketAddr),
    #[error(
        "{LISTEN} is {0} and {ADMIN} is {1}, which is the same on some address: choose another port for one of them"
    )]
    Overlap(SocketAddr, SocketAddr),
    #[error(transparent)]
    Redis(#[from] SettingsError),
    #[error(
        "there is nowhere to count: set {REDIS_URL}, {REDIS_URL_FILE} or {REDIS_SENTINELS} for Redis, \
         or {DATA} for a file in that folder"
    )]
    NoStore,
    #[error("{DURABILITY} is {0:?}: write local, replica or fsync")]
    Durability(String),
    #[error("{DEGRADED} is {0:?}: write refuse or go-on")]
    Degraded(String),
    #[error("{DATA} is empty: name a folder, such as ./data")]
    EmptyData,
    #[error("{DATA} cannot be combined with a Redis, since the count is in one place: unset one of them")]
    DataBesideRedis,
    #[error("{0} is set, but the count is in a file: unset it, or set {REDIS_URL} or {REDIS_SENTINELS}")]
    WithoutRedis(&'static str),
    #[error("{0} is {1:?}: write a time with its unit, such as 500ms, 2s or 1m")]
    Duration(&'static str, String, #[source] humantime::DurationError),
    #[error("{0} leaves no time to answer: write at least 1ms, usually 1.8s")]
    NoTime(&'static str),
    #[error("{0} is {1:?}, which is too long: write at most {2}")]
    TooLong(&'static str, String, humantime::FormattedDuration),
    #[error("{MAX_CONNECTIONS} is {0:?}: write a number of at least 1, usually 2048")]
    Connections(String, #[source] ParseIntError),
    #[error("{MAX_CONNECTIONS} is {0}, which is too many: write at most {MOST_CONNECTIONS}")]
    TooManyConnections(NonZeroUsize),
    #[error("{0} is {1:?}: write a level (error, warn, info, debug, trace) or app=debug,info")]
    Log(&'static str, String, #[source] filter::ParseError),
}

#[cfg(test)]
mod tests;
