//! The flags and variables as the user writes them; their comments are the help texts. [`super::Config`] parses
//! the values.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use process::{Completions, Man};

/// The text after the flags.
const AFTER_HELP: &str = "\
Examples:
  watch
  watch --redis-sentinels tasks.sentinel:26379 --edges tasks.edge:9901 --peers tasks.watch:8080
  watch check --config watch.toml

Every flag is also a variable: WATCH_ and its name in capitals, so --max-streams is WATCH_MAX_STREAMS;
without WATCH_ for Redis, the sentinels and the log: REDIS_URL, SENTINEL_USER_FILE, LOG. --docker is DOCKER_HOST.
A flag wins over its variable; an empty variable counts as not set.";

const PAGE: &str = "The page and the API";
const SOURCES: &str = "What it polls";
const REDIS: &str = "The counter's Redis";
const ALERTS: &str = "Alerts";
const PROCESS: &str = "The process";

/// The swarm on a live page, and alerts when a node goes down.
#[derive(Clone, Debug, Parser)]
#[command(name = "watch", version, after_help = AFTER_HELP)]
pub struct Flags {
    /// What to do; without a command, watch
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Serve the page here: IP:port, or :port for every address
    #[arg(long, env = "WATCH_LISTEN", hide_env = true, value_name = "ADDR", default_value = "0.0.0.0:8080", help_heading = PAGE, global = true)]
    pub listen: String,

    /// File with USER:PASSWORD, which browsers then ask for
    #[arg(long, env = "WATCH_PASSWORD_FILE", hide_env = true, value_name = "FILE", help_heading = PAGE, global = true)]
    pub password_file: Option<OsString>,

    /// File with a token that programs send instead: Authorization: Bearer TOKEN
    #[arg(long, env = "WATCH_TOKEN_FILE", hide_env = true, value_name = "FILE", help_heading = PAGE, global = true)]
    pub token_file: Option<OsString>,

    /// Let everyone who can reach the page read it; without this, a password or a token, only clients on this machine may
    #[arg(long, env = "WATCH_OPEN", hide_env = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "yes", help_heading = PAGE, global = true)]
    pub open: Option<String>,

    /// Names by which browsers may request the page, separated by commas, in addition to addresses, names without a dot, and names below .internal, .local and .localhost
    #[arg(long, env = "WATCH_HOSTS", hide_env = true, value_name = "NAME", help_heading = PAGE, global = true)]
    pub hosts: Option<String>,

    /// Path below which a proxy serves the page, such as /watch, if the proxy does not remove it
    #[arg(long, env = "WATCH_BASE_PATH", hide_env = true, value_name = "PATH", help_heading = PAGE, global = true)]
    pub base_path: Option<String>,

    /// Maximum age of the engine's last response for this instance to be ready and to serve nodes, 2s to 10m
    #[arg(long, env = "WATCH_FRESH", hide_env = true, value_name = "TIME", default_value = "10s", help_heading = PAGE, global = true)]
    pub fresh: String,

    /// Maximum number of open connections; one more replaces the one idle for longest
    #[arg(long, env = "WATCH_MAX_CONNECTIONS", hide_env = true, value_name = "NUMBER", default_value = "512", help_heading = PAGE, global = true)]
    pub max_connections: String,

    /// Maximum number of open pages, and of clients that wait for a change of the nodes
    #[arg(long, env = "WATCH_MAX_STREAMS", hide_env = true, value_name = "NUMBER", default_value = "128", help_heading = PAGE, global = true)]
    pub max_streams: String,

    /// The same for one client address; all clients of a proxy have its address
    #[arg(long, env = "WATCH_MAX_STREAMS_PER_CLIENT", hide_env = true, value_name = "NUMBER", default_value = "16", help_heading = PAGE, global = true)]
    pub max_streams_per_client: String,

    /// Engine of this machine, which must be a manager: unix:///path/to/socket or tcp://host:port
    #[arg(long, env = "DOCKER_HOST", hide_env = true, value_name = "URL", default_value = "unix:///var/run/docker.sock", help_heading = SOURCES, global = true)]
    pub docker: String,

    /// Status pages of the edges, separated by commas: host:port; a host stands for all its addresses
    #[arg(long, env = "WATCH_EDGES", hide_env = true, value_name = "ADDR", help_heading = SOURCES, global = true)]
    pub edges: Option<String>,

    /// Other instances, which report the disk space of their nodes, separated by commas: host:port
    #[arg(long, env = "WATCH_PEERS", hide_env = true, value_name = "ADDR", help_heading = SOURCES, global = true)]
    pub peers: Option<String>,

    /// Folder on the file system whose free space is reported
    #[arg(long, env = "WATCH_DISK", hide_env = true, value_name = "DIR", default_value = "/", help_heading = SOURCES, global = true)]
    pub disk: OsString,

    /// Redis: redis://, rediss:// or redis+unix://; put a URL with a password into a file instead, since flags are visible on the whole machine
    #[arg(long, env = "REDIS_URL", hide_env = true, value_name = "URL", help_heading = REDIS, global = true)]
    pub redis_url: Option<String>,

    /// File that holds the URL of Redis, such as a secret of the swarm
    #[arg(long, env = "REDIS_URL_FILE", hide_env = true, value_name = "FILE", help_heading = REDIS, global = true)]
    pub redis_url_file: Option<OsString>,

    /// Certificate of a rediss:// server or of its authority, PEM [default: the system's authorities]
    #[arg(long, env = "REDIS_CA_FILE", hide_env = true, value_name = "FILE")]
    pub redis_ca_file: Option<OsString>,

    /// Sentinels that name the master, separated by commas: host:port; a host stands for all its addresses
    #[arg(long, env = "REDIS_SENTINELS", hide_env = true, value_name = "ADDR", help_heading = REDIS, global = true)]
    pub redis_sentinels: Option<String>,

    /// Name of the master in the sentinels' configuration
    #[arg(long, env = "REDIS_MASTER", hide_env = true, value_name = "NAME", default_value = "counter", help_heading = REDIS, global = true)]
    pub redis_master: String,

    /// With sentinels: file with the user of Redis
    #[arg(long, env = "REDIS_USER_FILE", hide_env = true, value_name = "FILE", help_heading = REDIS, global = true)]
    pub redis_user_file: Option<OsString>,

    /// With sentinels: file with the password of Redis
    #[arg(long, env = "REDIS_PASSWORD_FILE", hide_env = true, value_name = "FILE", help_heading = REDIS, global = true)]
    pub redis_password_file: Option<OsString>,

    /// File with the user of the sentinels
    #[arg(long, env = "SENTINEL_USER_FILE", hide_env = true, value_name = "FILE", help_heading = REDIS, global = true)]
    pub sentinel_user_file: Option<OsString>,

    /// File with the password of the sentinels
    #[arg(long, env = "SENTINEL_PASSWORD_FILE", hide_env = true, value_name = "FILE", help_heading = REDIS, global = true)]
    pub sentinel_password_file: Option<OsString>,

    /// File with alerts, channels and silences; SIGHUP reloads it [default: alerts on the page only]
    #[arg(long, env = "WATCH_CONFIG", hide_env = true, value_name = "FILE", help_heading = ALERTS, global = true)]
    pub config: Option<OsString>,

    /// After SIGTERM, how long responses in progress may take, at most 1h
    #[arg(long, env = "WATCH_GRACE", hide_env = true, value_name = "TIME", default_value = "5s", help_heading = PROCESS, global = true)]
    pub grace: String,

    /// What to log, such as info, debug or watch=debug,info; also read from RUST_LOG [default: info]
    #[arg(long, env = "LOG", hide_env = true, value_name = "FILTER", help_heading = PROCESS, global = true)]
    pub log: Option<String>,

    /// Read after `log`
    #[arg(long, env = "RUST_LOG", hide = true, global = true)]
    pub rust_log: Option<String>,
}

impl Flags {
    /// Parses the arguments, of which the first is the program's name, and the environment. `problems` returns what is
    /// wrong with the values of flags.
    ///
    /// # Errors
    /// The usage is wrong, or the arguments ask for help.
    pub fn of_process(
        arguments: Vec<OsString>,
        problems: impl FnOnce(&Self) -> Vec<String>,
    ) -> Result<Self, clap::Error> {
        process::parse_flags(arguments, problems)
    }
}

/// A command other than serving the page.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Check all settings and print those in effect; exit code 2 if one is invalid
    Check,
    /// Ask the watch on this machine whether it is alive; exit code 0 if it is, else 1
    Healthcheck,
    /// Send a test message through every channel; exit code 1 if one fails
    TestAlert,
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
        let docs = include_str!("../../../docs/watch.md");
        let command = Flags::command();
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let (Some(flag), Some(variable)) = (arg.get_long(), arg.get_env()) else { continue };
            let start = format!("| `--{flag}` | `{}`", variable.to_string_lossy());
            let row = docs.lines().find(|line| line.starts_with(&start));
            let row = row.unwrap_or_else(|| panic!("docs/watch.md has no row that starts with {start}"));
            for default in arg.get_default_values() {
                let end = format!("| `{}` |", default.to_string_lossy());
                assert!(row.ends_with(&end), "{row} should end with {end}");
            }
        }
        for command in command.get_subcommands() {
            let line = format!("watch {}", command.get_name());
            assert!(docs.contains(&line), "docs/watch.md does not describe `{line}`");
        }
    }
}
