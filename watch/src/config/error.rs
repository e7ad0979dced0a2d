//! Errors of settings.

use std::{io, num::ParseIntError, path::PathBuf};

use net::Malformed;
use redis_config::SettingsError;
use tracing_subscriber::filter;

use super::setting::{
    BASE_PATH, DISK, DOCKER, FRESH, HOSTS, LISTEN, MAX_CONNECTIONS, MAX_STREAMS, OPEN, PASSWORD_FILE, TOKEN_FILE,
};
use crate::{alert::settings::LoadError, http::AccessError};

/// Why a setting is invalid.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum ConfigError {
    #[error("{LISTEN}: {0}")]
    Listen(String),
    #[error("{DOCKER} is {0:?}: write unix:///var/run/docker.sock or tcp://host:port")]
    Docker(String),
    #[error("{0}: malformed {1}: write host:port,host:port,... such as tasks.edge:9901")]
    Name(&'static str, Malformed),
    #[error("{HOSTS} has {0}: write names without a scheme or a port, such as watch.example.com")]
    Hosts(String),
    #[error(transparent)]
    Alerts(#[from] LoadError),
    #[error("{DISK} is empty: name a folder, such as /")]
    EmptyDisk,
    #[error(transparent)]
    Redis(#[from] SettingsError),
    /// The content is not shown: it may be a password.
    #[error("{0} names a file that must contain exactly one line of text")]
    Secret(&'static str),
    #[error("{0} names a file that cannot be used")]
    Access(&'static str, #[source] AccessError),
    #[error("{BASE_PATH} is {0:?}: write a path of letters, digits and -._~ between slashes, such as /watch")]
    BasePath(String),
    #[error("{OPEN} is {0:?}: write yes or no")]
    Open(String),
    #[error("{OPEN} cannot be combined with {PASSWORD_FILE} or {TOKEN_FILE}: unset one of them")]
    OpenWithSecret,
    #[error("{0} names {1:?}, which cannot be read")]
    Read(&'static str, PathBuf, #[source] io::Error),
    #[error("{0} is {1:?}: write a duration with its unit, such as 500ms, 2s or 1m")]
    Duration(&'static str, String, #[source] humantime::DurationError),
    #[error("{0} is {1:?}, which is too long: write at most {2}")]
    TooLong(&'static str, String, humantime::FormattedDuration),
    #[error("{FRESH} is {0:?}, which is too short, because the engine is polled each second: write at least 2s")]
    TooFresh(String),
    #[error("{0} is {1:?}: write a number")]
    Number(&'static str, String, #[source] ParseIntError),
    #[error("{0} is {1}: write a number from 1 to {2}")]
    OutOfRange(&'static str, usize, usize),
    #[error(
        "{MAX_STREAMS} is {0}, which leaves no room for other connections: write less than half of {MAX_CONNECTIONS}, {1}"
    )]
    Streams(usize, usize),
    #[error("{0} is {1:?}: write a level (error, warn, info, debug, trace) or watch=debug,info")]
    Log(&'static str, String, #[source] filter::ParseError),
}
