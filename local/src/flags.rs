//! The flags as the user writes them; their comments are the help texts. They are parsed here and not by clap, which
//! reports only the first that is wrong.

use std::{num::NonZeroUsize, path::PathBuf};

use app::{RedisConfig, StoreConfig};
use clap::Parser;
use local::{MAX_REPLICAS, Options};
use process::{Errors, chain};
use redis_config::{Settings, SettingsError};
use settings::{address, value};
use tracing_subscriber::EnvFilter;

/// The folder in the user's state directory (XDG Base Directory Specification).
const FOLDER: &str = "stackdemo";

/// Runs the whole stack on this machine: replicas of the hit counter, and an edge in front of them.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Flags {
    /// Address of the first replica, IP:port or :port; each further one listens on the next port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    listen: String,
    /// Address of the edge.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8088")]
    edge: String,
    /// Address of the edge's status page.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9901")]
    admin: String,
    /// Number of replicas.
    #[arg(long, value_name = "NUMBER", default_value = "3")]
    replicas: String,
    /// Store the count in this Redis instead of a file: redis://, rediss:// or redis+unix://.
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    redis_url: Option<String>,
    /// File that holds the URL of Redis, for one with a password.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "redis_url"])]
    redis_url_file: Option<PathBuf>,
    /// Certificate of a rediss:// server or of its authority, PEM [default: the system's authorities]
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    redis_ca_file: Option<PathBuf>,
    /// Folder of the file that stores the count [default: stackdemo in the user's state directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Log level, or filters such as `edge=debug,info`.
    #[arg(long, value_name = "FILTER", env = "LOG", default_value = "warn")]
    log: String,
}

/// A flag that cannot be used, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("{0}: {1}")]
    Value(&'static str, String),
    #[error(transparent)]
    Addresses(#[from] local::Error),
    #[error("{0}")]
    Redis(String),
    #[error("neither XDG_STATE_HOME nor HOME is set: give a folder for the count with --data DIR")]
    NoFolder,
}

impl FlagError {
    /// Returns an error about Redis without the variables, which only the other programs read.
    fn redis(error: &SettingsError) -> Self {
        let text = chain(error).to_string();
        let variables = [" (REDIS_URL)", " (REDIS_URL_FILE)", " (REDIS_CA_FILE)"];
        Self::Redis(variables.iter().fold(text, |text, variable| text.replace(variable, "")))
    }
}

impl Flags {
    /// Parses the arguments and this process's variables.
    pub(crate) fn of_process() -> Result<Self, clap::Error> {
        process::parse_flags(std::env::args_os().collect(), Self::problems)
    }

    /// Returns what is wrong with the values of flags beside wrong usage.
    fn problems(&self) -> Vec<String> {
        self.options().err().into_iter().flatten().map(|error| chain(&error).to_string()).collect()
    }

    /// Returns what to start and what to log, or everything that is wrong with the flags.
    pub(crate) fn options(&self) -> Result<(Options, EnvFilter), Errors<FlagError>> {
        let mut errors = Errors::default();
        let mut listen =
            |flag, text: &str| errors.keep(address::listen(text).map_err(|message| FlagError::Value(flag, message)));
        let app = listen("--listen", &self.listen);
        let edge = listen("--edge", &self.edge);
        let admin = listen("--admin", &self.admin);
        let replicas = errors.keep(self.replicas());
        let store = errors.keep_all(self.store());
        let log = EnvFilter::try_new(format!("h2=error,{}", self.log));
        let log = errors.keep(log.map_err(|error| FlagError::Value("--log", error.to_string())));
        // If a value is missing, its error was kept.
        let complete = || {
            let (replicas, app, edge, admin, store) = (replicas?, app?, edge?, admin?, store?);
            let options = Options { replicas, app, edge, admin, store };
            errors.keep(options.replica_addresses().map_err(FlagError::from))?;
            Some((options, log?))
        };
        complete().ok_or(errors)
    }

    fn replicas(&self) -> Result<NonZeroUsize, FlagError> {
        let number = value::number(&self.replicas, 10, 1, MAX_REPLICAS);
        let number = number.map_err(|message| FlagError::Value("--replicas", message))?;
        Ok(NonZeroUsize::MIN.saturating_add(number - 1))
    }

    fn store(&self) -> Result<StoreConfig, Errors<FlagError>> {
        let redis = Settings {
            url: self.redis_url.clone(),
            url_file: self.redis_url_file.clone(),
            ca_file: self.redis_ca_file.clone(),
            ..Settings::default()
        };
        match redis.load(|path| std::fs::read(path)) {
            Ok(Some(location)) => return Ok(StoreConfig::Redis(RedisConfig::from(location))),
            Ok(None) => {}
            Err(found) => {
                let mut errors = Errors::default();
                found.iter().for_each(|error| errors.push(FlagError::redis(error)));
                return Err(errors);
            }
        }
        let folder = self.data.clone().or_else(state_folder).ok_or_else(|| Errors::from(FlagError::NoFolder))?;
        Ok(StoreConfig::File(folder.join("hits.redb")))
    }
}

fn state_folder() -> Option<PathBuf> {
    let from = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join(FOLDER))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    fn parse(arguments: &[&str]) -> Result<(Options, EnvFilter), String> {
        let command = Flags::command().mut_args(|arg| arg.env(None));
        let matches = command.try_get_matches_from(["local", "--data", "d"].iter().chain(arguments));
        let flags = Flags::from_arg_matches(&matches.unwrap()).unwrap();
        flags.options().map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_port_alone_listens_on_every_address() {
        let (options, _) = parse(&["--listen", ":8000", "--edge", ":80", "--admin", ":0"]).unwrap();
        assert_eq!(
            [options.app, options.edge, options.admin],
            ["[::]:8000", "[::]:80", "[::]:0"].map(|a| a.parse().unwrap())
        );
    }

    #[test]
    fn every_error_is_reported() {
        let wrong = ["--listen=8000", "--edge=x", "--admin=1.2.3.4", "--replicas=99999", "--log=edge=loud"];
        let text = parse(&wrong).unwrap_err();
        assert_eq!(text.lines().count(), wrong.len(), "{text}");
        for flag in wrong.map(|arg| arg.split('=').next().unwrap_or_default()) {
            assert_eq!(text.lines().filter(|line| line.starts_with(&format!("{flag}: "))).count(), 1, "{text}");
        }
    }

    #[test]
    fn an_error_about_redis_names_the_flag_and_no_variable() {
        let command = Flags::command().mut_args(|arg| arg.env(None));
        let parse = |arguments: &[&str]| {
            let matches = command.clone().try_get_matches_from(["local"].iter().chain(arguments)).unwrap();
            Flags::from_arg_matches(&matches).unwrap().options().unwrap_err().to_string()
        };
        let text = parse(&["--redis-url=http://redis"]);
        assert!(text.starts_with("--redis-url cannot be used: write redis://"), "{text}");
        let text = parse(&["--redis-url-file=/nonexistent", "--redis-ca-file=/nonexistent"]);
        assert!(text.starts_with("--redis-url-file names \"/nonexistent\", which cannot be read"), "{text}");
        assert_eq!(
            parse(&["--redis-ca-file=x"]),
            "--redis-ca-file is set without --redis-url or --redis-url-file: set one, or unset it"
        );
    }

    #[test]
    fn one_address_for_two_parts_names_both_flags() {
        let text = parse(&["--listen=127.0.0.1:8088"]).unwrap_err();
        assert_eq!(text, "--listen and --edge are both 127.0.0.1:8088: choose another port for one of them");
    }
}
