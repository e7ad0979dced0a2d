//! The shape of the command line; its comments are the help texts.

use std::collections::BTreeSet;

use clap::{Args, CommandFactory, Parser, Subcommand};
use process::{Completions, Man};

/// How flags and variables go together, behind the examples of a command.
macro_rules! after_help {
    ($examples:literal) => {
        concat!(
            $examples,
            "Every flag is also a variable: EDGE_ and its name in capitals, so --listen-tls is EDGE_LISTEN_TLS.\n",
            "A flag wins over its variable; an empty variable counts as not set."
        )
    };
}

/// A reverse proxy: passes HTTP on to those endpoints that answer.
#[derive(Debug, Parser)]
#[command(name = "edge", version, arg_required_else_help = true, after_help = after_help!(""))]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) action: Action,
}

impl Cli {
    /// The flags of all commands, without their dashes.
    pub(super) fn all_flags() -> BTreeSet<String> {
        let command = Self::command();
        let flags = |command: &clap::Command| {
            command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned).collect::<Vec<_>>()
        };
        command.get_subcommands().flat_map(flags).collect()
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Forward requests
    #[command(after_help = after_help!(
        "\
Examples:
  edge run --listen :80 --to 10.0.0.1:8000,10.0.0.2:8000
  edge run --listen :80 --listen-tls :443 --to tasks.web:8000 --health-path /readyz
  edge run --config edge.toml

"
    ))]
    Run(Flags),
    /// Check the configuration and print all of it, defaults included
    ///
    /// Takes what `edge run` takes. What it prints is a configuration file.
    #[command(after_help = after_help!(
        "\
Examples:
  edge check --config edge.toml
  edge check --listen :80 --to 10.0.0.1:8000 > edge.toml

"
    ))]
    Check(Flags),
    /// Ask the edge on this machine whether it is alive; exit code 0 if it is
    #[command(after_help = after_help!(""))]
    Healthcheck(HealthcheckFlags),
    /// Find out whether a name leads to edges, and what is wrong if it does not
    ///
    /// Asks name servers for all addresses of the name, and each address whether an edge answers there with a
    /// certificate for the name. Exit code 0: all is well; 1: something is wrong; 2: wrong usage.
    #[command(after_help = after_help!(
        "\
Examples:
  edge dns www.example.com
  edge dns www.example.com --resolver 192.0.2.53 --resolver 198.51.100.53 --json

"
    ))]
    Dns(DnsFlags),
    /// Print a script that completes commands and flags in a shell
    #[command(after_help = "\
Examples:
  edge completions bash > /etc/bash_completion.d/edge
  edge completions zsh > \"${fpath[1]}/_edge\"
  edge completions fish > ~/.config/fish/completions/edge.fish")]
    Completions(Completions),
    /// Write the manual pages into a folder
    #[command(after_help = "\
Examples:
  edge man /usr/local/share/man/man1")]
    Man(Man),
}

/// As typed: what the texts mean is found out later, to tell all that is wrong with them at once.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// Configuration file, which then says where requests go
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<String>,
    #[command(flatten)]
    pub(super) traffic: Traffic,
    #[command(flatten)]
    pub(super) process: Process,
}

/// What a file says if there is one.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Where requests go (not with --config)")]
pub(super) struct Traffic {
    /// Serve HTTP here: IP:port, or :port for every address of this host
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) listen: Vec<String>,
    /// Serve HTTPS here
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) listen_tls: Vec<String>,
    /// Endpoints, with commas between: IP:port or name:port; a name stands for all its addresses
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) to: Vec<String>,
    /// Nodes whose routing mesh leads to the service, in place of --to: any answer to a check is good; swarm://watch:8080 asks watch for them
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) to_mesh: Vec<String>,
    /// Port of endpoints that are given without one
    #[arg(long, value_name = "PORT")]
    pub(super) to_port: Option<String>,
    /// Who gets the next request: round_robin, least_requests or random [default: round_robin]
    #[arg(long, value_name = "NAME")]
    pub(super) balance: Option<String>,
    /// Ask endpoints for this path to see whether they work [default: only connect]
    #[arg(long, value_name = "PATH")]
    pub(super) health_path: Option<String>,
    /// Which answers to that are good: "any", or statuses such as 200-399,404 [default: 200-399, with --to-mesh any]
    #[arg(long, value_name = "STATUSES")]
    pub(super) health_expect: Option<String>,
    /// Do not check endpoints at all
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) no_health: Option<String>,
    /// Certificate chain for HTTPS, PEM; without one the edge makes itself one that browsers warn about
    #[arg(long, value_name = "FILE")]
    pub(super) tls_cert_file: Option<String>,
    /// Key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) tls_key_file: Option<String>,
    /// Names in the certificate that the edge makes itself [default: localhost]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(super) server_name: Vec<String>,
    /// Listen on addresses even while this host does not have them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) freebind: Option<String>,
    /// Name servers to ask [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) dns: Vec<String>,
    /// File with the token for the watch that swarm:// asks; an empty one counts as none
    #[arg(long, value_name = "FILE")]
    pub(super) swarm_token_file: Option<String>,
    /// Networks of proxies in front of the edge, whose X-Forwarded-* are believed [default: none]
    #[arg(long, value_name = "NETWORK", num_args = 1..)]
    pub(super) trusted_proxies: Vec<String>,
}

/// What may stand beside a file, and wins over it.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "The process")]
pub(super) struct Process {
    /// Status page, metrics and health of the edge: address, or "off" [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// One line for each request: "off", "stdout" or a file [default: off]
    #[arg(long, value_name = "WHERE")]
    pub(super) access_log: Option<String>,
    /// Threads that forward requests [default: number of cores]
    #[arg(long, value_name = "NUMBER")]
    pub(super) workers: Option<String>,
    /// How long open requests may take to finish when the edge stops [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub(super) drain: Option<String>,
    /// What the edge logs about itself: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(super) log: String,
}

/// Like [`Flags`].
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HealthcheckFlags {
    /// Where its admin listener is [default: what the configuration file says, or 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// Configuration file of the edge
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<String>,
}

/// Like [`Flags`].
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DnsFlags {
    /// The name, such as www.example.com
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Name servers to ask beside those of this machine: IP or IP:port
    // One value each, so that the name may stand behind it.
    #[arg(long, value_name = "ADDR")]
    pub(crate) resolver: Vec<String>,
    /// Do not ask the name servers of this machine
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_system: Option<String>,
    /// Where edges serve HTTP: a port, or "off" [default: 80]
    #[arg(long, value_name = "PORT")]
    pub(crate) http_port: Option<String>,
    /// Where edges serve HTTPS: a port, or "off" [default: 443]
    #[arg(long, value_name = "PORT")]
    pub(crate) https_port: Option<String>,
    /// Certificates of authorities to trust beside those of this machine, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<String>,
    /// How long each question may take [default: 5s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
    /// Print JSON
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) json: Option<String>,
}

/// The flags of [`Traffic`], without their dashes.
pub(super) fn traffic() -> BTreeSet<String> {
    let command = Traffic::augment_args(clap::Command::new("traffic"));
    command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned).collect()
}

/// The flags of a command as rows of a table: flag, variable, meaning.
#[cfg(test)]
pub(in crate::config) fn table(name: &str) -> String {
    let command = Cli::command();
    let arguments = command.find_subcommand(name).map(clap::Command::get_arguments);
    let flags = arguments.into_iter().flatten().filter(|arg| !arg.is_positional());
    let row = |arg: &clap::Arg| {
        let flag = arg.get_long().unwrap_or_default();
        let value = arg.get_value_names().map_or("", |names| names[0].as_str());
        let default = arg
            .get_default_values()
            .first()
            .map_or_else(String::new, |value| format!(" [default: {}]", value.display()));
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let value = if arg.is_require_equals_set() { format!("[={value}]") } else { format!(" {value}") };
        format!("| `--{flag}{value}` | `{}` | {help}{default} |\n", super::given::variable(flag))
    };
    flags.map(row).collect()
}
