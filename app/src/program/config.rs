//! The configuration, parsed once: every value of a [`Config`] is valid.

use std::{
    io,
    net::SocketAddr,
    num::{NonZeroUsize, ParseIntError},
    path::Path,
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

/// The longest that a stop may take; orchestrators kill long before.
const LONGEST_STOP: Duration = Duration::from_secs(60 * 60);

/// The maximum number of files that a kernel allows a process to have open, by default.
const MOST_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_000_000 - 1);

/// The configuration of the process.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    /// Where readiness and metrics are, if not on `listen`.
    pub(crate) admin: Option<SocketAddr>,
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
        // Each that is missing has left its error.
        let complete = || {
            Some(Self {
                listen: listen?,
                admin: admin?,
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
    if admin.port() != 0 && Ok(admin) == address::listen(&flags.listen) {
        return Err(ConfigError::SameAddress(admin));
    }
    Ok(Some(admin))
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

fn redis_settings(flags: &Flags) -> redis_config::Settings<'_> {
    redis_config::Settings {
        url: flags.store.redis_url.as_deref(),
        url_file: flags.store.redis_url_file.as_deref().map(Path::new),
        ca_file: flags.store.redis_ca_file.as_deref().map(Path::new),
        sentinels: flags.store.redis_sentinels.as_deref(),
        master: &flags.store.redis_master,
        user_file: flags.store.redis_user_file.as_deref().map(Path::new),
        password_file: flags.store.redis_password_file.as_deref().map(Path::new),
        sentinel_user_file: flags.store.sentinel_user_file.as_deref().map(Path::new),
        sentinel_password_file: flags.store.sentinel_password_file.as_deref().map(Path::new),
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
    #[error("{DATA} is set beside a Redis, and the count can only be in one of them: unset the other")]
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
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    /// Parses without this process's variables.
    fn parse(args: &[&str]) -> Result<Config, Errors<ConfigError>> {
        let command = Flags::command().mut_args(|arg| arg.env(None));
        let matches = command.try_get_matches_from(["app"].iter().chain(args));
        let flags = Flags::from_arg_matches(&matches.unwrap()).unwrap();
        Config::parse(&flags, |path| match path.to_str() {
            Some("url") => Ok(b"redis://:s3cret@from-file\n".to_vec()),
            Some("secret") => Ok(b"s3cret\n".to_vec()),
            Some("lines") => Ok(b"s3cret\ns3cret\n".to_vec()),
            Some("pem") => Ok(b"not pem".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    #[test]
    fn the_store_is_redis_when_given_and_else_a_file() {
        let table: [(&[&str], &str); 5] = [
            (&["--redis-url", "redis://redis"], "Redis(RedisConfig(redis:6379))"),
            (&["--redis-url-file", "url"], "Redis(RedisConfig(from-file:6379))"),
            (&["--redis-url", "unix:///r.sock"], "Redis(RedisConfig(/r.sock))"),
            (
                &["--redis-sentinels=a:1,b", "--redis-master=m", "--redis-password-file=secret"],
                "Redis(RedisConfig(m by a:1,b:26379))",
            ),
            (&["--data", "d"], "File(\"d/hits.redb\")"),
        ];
        for (args, store) in table {
            assert_eq!(format!("{:?}", parse(args).unwrap().store), store);
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let config = parse(&["--data", "d"]).unwrap();
        assert_eq!(config.listen, "0.0.0.0:8000".parse().unwrap());
        assert_eq!(config.admin, None);
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.options, Options::default());
        assert_eq!(config.log.to_string(), "info");
    }

    #[test]
    fn values_are_used() {
        let args = [
            "--data=d",
            "--listen=[::1]:81",
            "--admin=:82",
            "--deadline=500ms",
            "--drain-delay=3s",
            "--grace=1m",
            "--max-connections=7",
            "--log=debug",
        ];
        let config = parse(&args).unwrap();
        assert_eq!(config.listen, "[::1]:81".parse().unwrap());
        assert_eq!(config.admin, Some("[::]:82".parse().unwrap()));
        assert_eq!(config.limits.deadline, Duration::from_millis(500));
        assert_eq!(config.options.max_connections.get(), 7);
        assert_eq!(config.options.drain_delay, Duration::from_secs(3));
        assert_eq!(config.options.grace, Duration::from_secs(60));
        assert_eq!(config.log.to_string(), "debug");
        let every_address = parse(&["--data=d", "--listen=:8000"]).unwrap();
        assert_eq!(every_address.listen, "[::]:8000".parse().unwrap());
    }

    #[test]
    fn every_error_is_reported_and_each_once() {
        let args = [
            "--listen=8000",
            "--admin=x",
            "--redis-url=redis://:s3cret@redis/x",
            "--durability=two",
            "--degraded=so",
            "--deadline=0s",
            "--drain-delay=soon",
            "--grace=2h",
            "--max-connections=0",
            "--log=app=loud",
        ];
        let text = parse(&args).unwrap_err().to_string();
        assert_eq!(text.lines().count(), args.len(), "{text}");
        for name in args.map(|arg| arg.split('=').next().unwrap_or_default()) {
            assert_eq!(text.matches(&format!("{name} (")).count(), 1, "{name}: {text}");
        }
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn errors_name_the_setting_and_never_the_password() {
        let table: [(&[&str], &str); 38] = [
            (&[], "there is nowhere to count: set --redis-url (REDIS_URL)"),
            (&["--data", ""], "--data (APP_DATA) is empty"),
            (&["--redis-url", ""], "--redis-url (REDIS_URL) cannot be used: write redis://"),
            (&["--redis-url=http://:s3cret@redis"], "--redis-url (REDIS_URL) cannot be used: write redis://"),
            (&["--redis-url=redis://:s3cret@redis/x"], "--redis-url (REDIS_URL) cannot be used: the URL"),
            (&["--redis-url=redis://r", "--redis-url-file=url"], "are both set"),
            (&["--redis-url-file=redis://:s3cret@redis"], "--redis-url-file (REDIS_URL_FILE) is a URL"),
            (&["--redis-url-file=gone"], "--redis-url-file (REDIS_URL_FILE) names \"gone\""),
            (&["--redis-url=redis://r", "--redis-ca-file=pem"], "--redis-ca-file (REDIS_CA_FILE) cannot"),
            (&["--redis-url=rediss://r", "--redis-ca-file=pem"], "--redis-ca-file (REDIS_CA_FILE) cannot"),
            (&["--data=d", "--redis-ca-file=pem"], "--redis-ca-file (REDIS_CA_FILE) is set without"),
            (&["--redis-sentinels=a", "--redis-url=redis://r"], "--redis-sentinels (REDIS_SENTINELS) is set beside"),
            (&["--redis-sentinels=a", "--redis-ca-file=pem"], "--redis-ca-file (REDIS_CA_FILE) cannot be used with"),
            (&["--redis-sentinels=a:x"], "--redis-sentinels (REDIS_SENTINELS) cannot be used: \"a:x\" is no sentinel"),
            (&["--redis-sentinels=a", "--redis-master="], "--redis-master (REDIS_MASTER) cannot be used: it is empty"),
            (
                &["--redis-sentinels=a", "--redis-password-file=lines"],
                "--redis-password-file (REDIS_PASSWORD_FILE) names a file that holds no line",
            ),
            (
                &["--redis-sentinels=a", "--sentinel-user-file=gone"],
                "--sentinel-user-file (SENTINEL_USER_FILE) names \"gone\"",
            ),
            (
                &["--redis-url=redis://r", "--redis-user-file=secret"],
                "--redis-user-file (REDIS_USER_FILE) is set without",
            ),
            (&["--data=d", "--sentinel-password-file=secret"], "(SENTINEL_PASSWORD_FILE) is set without"),
            (&["--redis-url=redis://r", "--durability=two"], "--durability (APP_DURABILITY) is \"two\""),
            (&["--redis-url=redis://r", "--degraded=so"], "--degraded (APP_DEGRADED) is \"so\""),
            (&["--redis-url=redis://r", "--data=d"], "--data (APP_DATA) is set beside a Redis"),
            (&["--redis-sentinels=a", "--data="], "--data (APP_DATA) is set beside a Redis"),
            (&["--data=d", "--durability=local"], "--durability (APP_DURABILITY) is set, but the count is in a file"),
            (&["--data=d", "--degraded=go-on"], "--degraded (APP_DEGRADED) is set, but the count is in a file"),
            (&["--data=d", "--listen=8000"], "--listen (APP_LISTEN): \"8000\" is only a port: write \":8000\""),
            (&["--data=d", "--admin=9900"], "--admin (APP_ADMIN): \"9900\" is only a port: write \":9900\""),
            (
                &["--data=d", "--listen=:1", "--admin=[::]:1"],
                "--listen (APP_LISTEN) and --admin (APP_ADMIN) are both [::]:1",
            ),
            (&["--data=d", "--deadline=2"], "--deadline (APP_DEADLINE) is \"2\""),
            (&["--data=d", "--deadline=0s"], "--deadline (APP_DEADLINE) leaves no time"),
            (
                &["--data=d", "--deadline=61s"],
                "--deadline (APP_DEADLINE) is \"61s\", which is too long: write at most 1m",
            ),
            (&["--data=d", "--deadline=500000000000y"], "--deadline (APP_DEADLINE) is"),
            (&["--data=d", "--drain-delay=61m"], "--drain-delay (APP_DRAIN_DELAY) is \"61m\", which is too long"),
            (&["--data=d", "--grace=500000000000y"], "--grace (APP_GRACE) is"),
            (&["--data=d", "--max-connections="], "--max-connections (APP_MAX_CONNECTIONS) is \"\""),
            (&["--data=d", "--max-connections=0"], "--max-connections (APP_MAX_CONNECTIONS) is \"0\""),
            (&["--data=d", "--max-connections=many"], "--max-connections (APP_MAX_CONNECTIONS) is \"many\""),
            (&["--data=d", "--max-connections=1000001"], "which is too many: write at most 1000000"),
        ];
        for (args, part) in table {
            let text = parse(args).unwrap_err().to_string();
            assert!(text.contains(part), "{args:?}: {text}");
            assert!(!text.contains("s3cret"), "{text}");
        }
        let error = parse(&["--data=d", "--log=app=loud"]).unwrap_err();
        assert!(error.to_string().contains("--log (LOG) is \"app=loud\""), "{error}");
    }
}
