//! The flags and variables as the user writes them. [`super::Config`] makes sense of them.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use process::{Completions, Man};

/// Shows the swarm on a live page, and tells somebody when a machine goes down.
///
/// It reads what a manager's engine knows of nodes, services and tasks, and never changes anything. A flag
/// wins over its variable, and a variable that is empty counts as not set.
#[derive(Clone, Debug, Parser)]
#[command(name = "watch", version)]
pub struct Flags {
    /// What to do; without one, to watch.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The address and port of the page.
    #[arg(long, env = "WATCH_LISTEN", value_name = "IP:PORT", default_value = "0.0.0.0:8080", global = true)]
    pub listen: String,

    /// The engine of this machine: unix:///path/to/socket or tcp://host:port. It must be a manager's.
    #[arg(long, env = "DOCKER_HOST", value_name = "URL", default_value = "unix:///var/run/docker.sock", global = true)]
    pub docker: String,

    /// How old the engine's last answer may be for this instance to be ready and to tell nodes. At
    /// least 2s, at most 10m.
    #[arg(long, env = "WATCH_FRESH", value_name = "TIME", default_value = "10s", global = true)]
    pub fresh: String,

    /// The edges' status pages: HOST:PORT,HOST:PORT,... A host may stand for several addresses.
    #[arg(long, env = "WATCH_EDGES", value_name = "LIST", global = true)]
    pub edges: Option<String>,

    /// The other instances, who tell how full their nodes' disks are: HOST:PORT,... as --edges.
    #[arg(long, env = "WATCH_PEERS", value_name = "LIST", global = true)]
    pub peers: Option<String>,

    /// What is told to whom: mail, SMS, webhooks, silences. Without it alerts are on the page alone. SIGHUP
    /// reads it again.
    #[arg(long, env = "WATCH_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<OsString>,

    /// A folder on the disk whose free room is told.
    #[arg(long, env = "WATCH_DISK", value_name = "DIR", default_value = "/", global = true)]
    pub disk: OsString,

    /// The Redis that counts: redis://, rediss:// or redis+unix://. Put a URL with a password into
    /// a file instead.
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true, global = true)]
    pub redis_url: Option<String>,

    /// A file that holds the URL of Redis, such as a secret of the swarm.
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE", hide_env_values = true, global = true)]
    pub redis_url_file: Option<OsString>,

    /// The sentinels of a replicated Redis: HOST:PORT,HOST:PORT,...
    #[arg(long, env = "REDIS_SENTINELS", value_name = "LIST", global = true)]
    pub redis_sentinels: Option<String>,

    /// What the sentinels call the master.
    #[arg(long, env = "REDIS_MASTER", value_name = "NAME", default_value = "counter", global = true)]
    pub redis_master: String,

    /// With sentinels: a file with the user to log in to Redis as.
    #[arg(long, env = "REDIS_USER_FILE", value_name = "FILE", global = true)]
    pub redis_user_file: Option<OsString>,

    /// With sentinels: a file with the password of Redis.
    #[arg(long, env = "REDIS_PASSWORD_FILE", value_name = "FILE", global = true)]
    pub redis_password_file: Option<OsString>,

    /// A file with the user to log in to the sentinels as.
    #[arg(long, env = "SENTINEL_USER_FILE", value_name = "FILE", global = true)]
    pub sentinel_user_file: Option<OsString>,

    /// A file with the password of the sentinels.
    #[arg(long, env = "SENTINEL_PASSWORD_FILE", value_name = "FILE", global = true)]
    pub sentinel_password_file: Option<OsString>,

    /// A file with USER:PASSWORD, for which a browser then asks whoever wants to see the page.
    #[arg(long, env = "WATCH_PASSWORD_FILE", value_name = "FILE", global = true)]
    pub password_file: Option<OsString>,

    /// A file with a token that programs send instead: Authorization: Bearer TOKEN.
    #[arg(long, env = "WATCH_TOKEN_FILE", value_name = "FILE", global = true)]
    pub token_file: Option<OsString>,

    /// Connections open at once. One more takes the place of the one that was idle for longest.
    #[arg(long, env = "WATCH_MAX_CONNECTIONS", value_name = "NUMBER", default_value = "512", global = true)]
    pub max_connections: String,

    /// Pages that are open at once; as many may wait for a change of the nodes.
    #[arg(long, env = "WATCH_MAX_STREAMS", value_name = "NUMBER", default_value = "128", global = true)]
    pub max_streams: String,

    /// After SIGTERM: how long answers that are under way may take to finish. At most 1h.
    #[arg(long, env = "WATCH_GRACE", value_name = "TIME", default_value = "5s", global = true)]
    pub grace: String,

    /// What to log, such as info, debug or watch=debug,info. Also read from RUST_LOG.
    #[arg(long, env = "LOG", value_name = "FILTER", global = true)]
    pub log: Option<String>,

    /// Read after `log`.
    #[arg(long, env = "RUST_LOG", hide = true, global = true)]
    pub rust_log: Option<String>,
}

impl Flags {
    /// Parses the arguments, of which the first is the program's name, and this process's variables.
    ///
    /// # Errors
    /// They are not understood, or ask for help.
    pub fn of_process(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let command = process::without_empty_variables(Self::command());
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }
}

/// What to do instead of watching.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Look at all settings, and print what is in force; exit with 2 if one is wrong.
    Check,
    /// Ask the watch of this machine whether it lives; exit with 0 if so, else 1.
    Healthcheck,
    /// Send a message through every channel of the configuration; exit with 1 if one does not take it.
    TestAlert,
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
            assert!(docs.contains(&line), "docs/watch.md does not say what `{line}` is");
        }
    }
}
