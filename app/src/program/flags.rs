//! The flags and variables as the user writes them; their comments are the help texts. [`super::config`] parses
//! the values.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use process::{Completions, Man};

/// The text after the flags.
const AFTER_HELP: &str = "\
Examples:
  app --data ./data
  app --redis-url redis://127.0.0.1:6379
  app --redis-sentinels tasks.sentinel:26379 --durability replica
  app healthcheck --listen 127.0.0.1:8000

Every flag is also a variable: APP_ and its name in capitals, so --max-connections is APP_MAX_CONNECTIONS;
without APP_ for Redis, the sentinels and the log: REDIS_URL, SENTINEL_USER_FILE, LOG.
A flag wins over its variable; an empty variable counts as not set.";

/// A hit counter: answers every GET of / with the number of the visit.
#[derive(Clone, Debug, Parser)]
#[command(name = "app", version, after_help = AFTER_HELP)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Serve HTTP here: IP:port, or :port for every address
    #[arg(
        long,
        env = "APP_LISTEN",
        hide_env = true,
        value_name = "ADDR",
        default_value = "0.0.0.0:8000",
        global = true
    )]
    pub(crate) listen: String,

    /// Serve /metrics here instead, and /readyz with its reason, so that visitors cannot read them: IP:port or :port; /healthz is on both
    #[arg(long, env = "APP_ADMIN", hide_env = true, value_name = "ADDR")]
    pub(crate) admin: Option<String>,

    /// Name of this replica, for the field x-replica of every response
    #[arg(long, env = "APP_REPLICA", hide_env = true, value_name = "NAME")]
    pub(crate) replica: Option<String>,

    #[command(flatten)]
    pub(crate) store: Store,

    #[command(flatten)]
    pub(crate) process: Process,
}

/// Where the count is kept, and when a number is returned.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where the count is kept")]
pub(crate) struct Store {
    /// Folder of the file hits.redb, where the count is kept without Redis
    #[arg(long, env = "APP_DATA", hide_env = true, value_name = "DIR")]
    pub(crate) data: Option<OsString>,

    /// Redis: redis://, rediss:// or redis+unix://; put a URL with a password into a file instead, since flags are visible on the whole machine
    #[arg(long, env = "REDIS_URL", hide_env = true, value_name = "URL")]
    pub(crate) redis_url: Option<String>,

    /// File that holds the URL of Redis, such as a secret of the swarm
    #[arg(long, env = "REDIS_URL_FILE", hide_env = true, value_name = "FILE")]
    pub(crate) redis_url_file: Option<OsString>,

    /// Certificate of a rediss:// server or of its authority, PEM [default: the system's authorities]
    #[arg(long, env = "REDIS_CA_FILE", hide_env = true, value_name = "FILE")]
    pub(crate) redis_ca_file: Option<OsString>,

    /// Sentinels that name the master, separated by commas: host:port; a host stands for all its addresses
    #[arg(long, env = "REDIS_SENTINELS", hide_env = true, value_name = "ADDR")]
    pub(crate) redis_sentinels: Option<String>,

    /// Name of the master in the sentinels' configuration
    #[arg(long, env = "REDIS_MASTER", hide_env = true, value_name = "NAME", default_value = "counter")]
    pub(crate) redis_master: String,

    /// With sentinels: file with the user of Redis
    #[arg(long, env = "REDIS_USER_FILE", hide_env = true, value_name = "FILE")]
    pub(crate) redis_user_file: Option<OsString>,

    /// With sentinels: file with the password of Redis
    #[arg(long, env = "REDIS_PASSWORD_FILE", hide_env = true, value_name = "FILE")]
    pub(crate) redis_password_file: Option<OsString>,

    /// File with the user of the sentinels
    #[arg(long, env = "SENTINEL_USER_FILE", hide_env = true, value_name = "FILE")]
    pub(crate) sentinel_user_file: Option<OsString>,

    /// File with the password of the sentinels
    #[arg(long, env = "SENTINEL_PASSWORD_FILE", hide_env = true, value_name = "FILE")]
    pub(crate) sentinel_password_file: Option<OsString>,

    /// When to return a number: local (Redis has counted), replica (its replicas, too) or fsync (their disks, too; Redis 7.2) [default: replica with sentinels, else local]
    #[arg(long, env = "APP_DURABILITY", hide_env = true, value_name = "LEVEL")]
    pub(crate) durability: Option<String>,

    /// Without a replica or enough sentinels: refuse, or go-on with numbers that the loss of one more machine may roll back [default: refuse]
    #[arg(long, env = "APP_DEGRADED", hide_env = true, value_name = "WAY")]
    pub(crate) degraded: Option<String>,
}

/// How the process serves and stops.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The process")]
pub(crate) struct Process {
    /// Longest wait of a visit for its number, before it is answered 503; at most 60s
    #[arg(long, env = "APP_DEADLINE", hide_env = true, value_name = "DURATION", default_value = "1.8s")]
    pub(crate) deadline: String,

    /// How long to keep accepting connections after SIGTERM, while /readyz fails; at most 1h. A swarm needs none; where /readyz alone controls the traffic, use more than the prober needs to notice
    #[arg(long, env = "APP_DRAIN_DELAY", hide_env = true, value_name = "DURATION", default_value = "0s")]
    pub(crate) drain_delay: String,

    /// How long open requests may take to finish after that; at most 1h
    #[arg(long, env = "APP_GRACE", hide_env = true, value_name = "DURATION", default_value = "10s")]
    pub(crate) grace: String,

    /// Maximum number of open connections; one more closes the one that has been idle for longest
    #[arg(long, env = "APP_MAX_CONNECTIONS", hide_env = true, value_name = "NUMBER", default_value = "2048")]
    pub(crate) max_connections: String,

    /// What to log: a level, or a filter such as app=debug,info; one line per request at debug [default: info]
    #[arg(long, env = "LOG", hide_env = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    #[arg(long, env = "RUST_LOG", hide = true)]
    pub(crate) rust_log: Option<String>,
}

impl Flags {
    /// Parses the arguments and this process's variables. `problems` returns what is wrong with the values of flags.
    pub(crate) fn of_process(
        arguments: Vec<OsString>,
        problems: impl FnOnce(&Self) -> Vec<String>,
    ) -> Result<Self, clap::Error> {
        process::parse_flags(arguments, problems)
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the app on this machine whether it is alive; exit code 0 if it is
    Healthcheck,
    /// Print a script that completes commands and flags in a shell
    Completions(Completions),
    /// Write the manual pages into a folder
    Man(Man),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
