//! The flags and variables as the user writes them. [`super::config`] makes sense of them.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use process::{Completions, Man};

/// Counts visits: every GET of / is answered with the number of the visit.
///
/// The count is kept in Redis when a URL is given, else in a file in the data folder. A flag wins
/// over its variable, and a variable that is empty counts as not set.
#[derive(Clone, Debug, Parser)]
#[command(name = "app", version)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The address and port to listen on.
    #[arg(long, env = "APP_LISTEN", value_name = "IP:PORT", default_value = "0.0.0.0:8000", global = true)]
    pub(crate) listen: String,

    /// Redis to count in: redis://, rediss:// or redis+unix://. Put a URL with a password into a
    /// file instead, since flags are seen by everybody on the machine.
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) redis_url: Option<String>,

    /// A file that holds the URL of Redis, such as a secret of the swarm.
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE", hide_env_values = true)]
    pub(crate) redis_url_file: Option<OsString>,

    /// A file with the certificate authority, in PEM, that signed the certificate of a rediss://
    /// server. Without it the system's authorities are trusted.
    #[arg(long, env = "REDIS_CA_FILE", value_name = "FILE")]
    pub(crate) redis_ca_file: Option<OsString>,

    /// The sentinels of a replicated Redis: HOST:PORT,HOST:PORT,... They name the master to count in,
    /// also after it was lost. A host may stand for several addresses.
    #[arg(long, env = "REDIS_SENTINELS", value_name = "LIST")]
    pub(crate) redis_sentinels: Option<String>,

    /// What the sentinels call the master.
    #[arg(long, env = "REDIS_MASTER", value_name = "NAME", default_value = "counter")]
    pub(crate) redis_master: String,

    /// With sentinels: a file with the user to log in to Redis as.
    #[arg(long, env = "REDIS_USER_FILE", value_name = "FILE")]
    pub(crate) redis_user_file: Option<OsString>,

    /// With sentinels: a file with the password of Redis.
    #[arg(long, env = "REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) redis_password_file: Option<OsString>,

    /// A file with the user to log in to the sentinels as.
    #[arg(long, env = "SENTINEL_USER_FILE", value_name = "FILE")]
    pub(crate) sentinel_user_file: Option<OsString>,

    /// A file with the password of the sentinels.
    #[arg(long, env = "SENTINEL_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) sentinel_password_file: Option<OsString>,

    /// When a number is told: local (Redis has counted), replica (its replicas have, too) or fsync (it
    /// is on their disks, too; Redis 7.2). Without it: replica with sentinels, else local.
    #[arg(long, env = "APP_DURABILITY", value_name = "LEVEL")]
    pub(crate) durability: Option<String>,

    /// What to do while no replica is left, or too few sentinels: refuse, or go-on with numbers that
    /// the loss of one more machine may take back.
    #[arg(long, env = "APP_DEGRADED", value_name = "WAY", default_value = "refuse")]
    pub(crate) degraded: String,

    /// The folder for the file hits.redb, where the count is kept when no Redis is given.
    #[arg(long, env = "APP_DATA", value_name = "DIR")]
    pub(crate) data: Option<OsString>,

    /// The longest a visit waits for its number before it is answered 503. At most 60s.
    #[arg(long, env = "APP_DEADLINE", value_name = "TIME", default_value = "1.8s")]
    pub(crate) deadline: String,

    /// After SIGTERM: how long to go on accepting connections while /readyz already fails.
    ///
    /// A swarm stops sending traffic two seconds before SIGTERM, so it needs none. Where traffic
    /// is steered by /readyz alone, use more than the prober needs to notice. At most 1h.
    #[arg(long, env = "APP_DRAIN_DELAY", value_name = "TIME", default_value = "0s")]
    pub(crate) drain_delay: String,

    /// After the drain delay: how long open requests may take to finish. At most 1h.
    #[arg(long, env = "APP_GRACE", value_name = "TIME", default_value = "10s")]
    pub(crate) grace: String,

    /// Connections open at once. One more takes the place of the one that was idle for longest.
    #[arg(long, env = "APP_MAX_CONNECTIONS", value_name = "NUMBER", default_value = "2048")]
    pub(crate) max_connections: String,

    /// What to log, such as info, debug or app=debug,info. One line per request at debug. Also
    /// read from RUST_LOG.
    #[arg(long, env = "LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,

    #[arg(long, env = "RUST_LOG", hide = true)]
    pub(crate) rust_log: Option<String>,
}

impl Flags {
    /// Parses the arguments and this process's variables.
    pub(crate) fn of_process(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let command = process::without_empty_variables(Self::command());
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the app that listens on this machine whether it lives; exit with 0 if so, else 1.
    Healthcheck,
    /// Print a script that completes commands and flags in a shell.
    Completions(Completions),
    /// Write the manual pages into a folder.
    Man(Man),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_flag_with_its_variable_and_default() {
        let docs = include_str!("../../../docs/app.md");
        let command = Flags::command();
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let (Some(flag), Some(variable)) = (arg.get_long(), arg.get_env()) else { continue };
            let start = format!("| `--{flag}` | `{}`", variable.to_string_lossy());
            let row = docs.lines().find(|line| line.starts_with(&start));
            let row = row.unwrap_or_else(|| panic!("docs/app.md has no row that starts with {start}"));
            for default in arg.get_default_values() {
                let end = format!("| `{}` |", default.to_string_lossy());
                assert!(row.ends_with(&end), "{row} should end with {end}");
            }
        }
    }
}
