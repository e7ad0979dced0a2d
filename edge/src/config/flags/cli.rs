//! Defines the command line. Doc comments of commands and flags are the help texts.

use std::collections::BTreeSet;

use clap::{Args, CommandFactory, Parser, Subcommand};
use process::{Completions, Man};

use super::timeouts::TimeoutFlags;

/// Joins a command's examples and the rules for variables, to print after the flags.
macro_rules! after_help {
    ($examples:literal) => {
        concat!(
            $examples,
            "Every flag is also a variable: EDGE_ and its name in capitals, so --listen-tls is EDGE_LISTEN_TLS.\n",
            "A flag wins over its variable; an empty variable counts as not set."
        )
    };
}

/// A reverse proxy: forwards HTTP requests to healthy endpoints.
#[derive(Debug, Parser)]
#[command(name = "edge", version, arg_required_else_help = true, after_help = after_help!(
    "\
Examples:
  edge run --listen :80 --to 10.0.0.1:8000,10.0.0.2:8000
  edge check --config edge.toml
  edge healthcheck
  edge dns www.example.com

"
))]
pub(super) struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub(super) action: Action,
}

impl Cli {
    /// Returns the flags of all commands, without their dashes.
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
    /// Check the configuration and print it in full, including defaults
    ///
    /// Accepts the flags of `edge run`. The output is a configuration file.
    #[command(after_help = after_help!(
        "\
Examples:
  edge check --config edge.toml
  edge check --listen :80 --to 10.0.0.1:8000 > edge.toml

"
    ))]
    Check(Flags),
    /// Ask the edge on this machine whether it is alive; exit code 0 if it is
    #[command(after_help = after_help!(
        "\
Examples:
  edge healthcheck
  edge healthcheck --config /etc/edge/edge.toml

"
    ))]
    Healthcheck(HealthcheckFlags),
    /// Check whether a name resolves to edges, and report what is wrong if not
    ///
    /// Queries name servers for all addresses of the name, and checks whether an edge answers at each address with a
    /// valid certificate for the name. Exit code 0: no problem; 1: at least one problem; 2: wrong usage.
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

/// The flags of `edge run` and `edge check`. All values are texts, which are parsed later so that all problems are
/// reported at once.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// Configuration file, which defines listeners, routes and pools
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<String>,
    #[command(flatten)]
    pub(super) traffic: Traffic,
    #[command(flatten)]
    pub(super) timeouts: TimeoutFlags,
    #[command(flatten)]
    pub(super) process: Process,
}

/// The flags that cannot be combined with a file, because it has keys for them.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Where requests go (not with --config)")]
pub(super) struct Traffic {
    /// Serve HTTP here: IP:port, or :port for every address of this host
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) listen: Vec<String>,
    /// Serve HTTPS here
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) listen_tls: Vec<String>,
    /// Endpoints, separated by commas: IP:port, name:port, srv://NAME for SRV records or file://PATH for a list in a file; a name stands for all its addresses
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) to: Vec<String>,
    /// Nodes whose routing mesh leads to the service; swarm://watch:8080 gets them from watch. Those of --to are then backups, and "off" is none. Health and balance concern connections
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) to_mesh: Vec<String>,
    /// Endpoints that get requests only while none of --to or --to-mesh is usable
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) backup: Vec<String>,
    /// Field of responses that names the replica; with --to-mesh [default: x-served-by]
    #[arg(long, value_name = "FIELD")]
    pub(super) replica_header: Option<String>,
    /// Port of endpoints given without one
    #[arg(long, value_name = "PORT")]
    pub(super) to_port: Option<String>,
    /// How the next endpoint is picked: round_robin, least_requests, peak_ewma, random or consistent_hash [default: round_robin]
    #[arg(long, value_name = "NAME")]
    pub(super) balance: Option<String>,
    /// What consistent_hash distributes requests by: client, path, header:NAME or cookie:NAME [default: client]
    #[arg(long, value_name = "KEY")]
    pub(super) hash_key: Option<String>,
    /// Tie each client to the endpoint that answered it first, by a cookie
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) sticky: Option<String>,
    /// File with the key of that cookie, the same on every edge; an empty file counts as none
    #[arg(long, value_name = "FILE")]
    pub(super) sticky_key_file: Option<String>,
    /// Statuses after which an idempotent request is sent to another endpoint, such as 502-504, or "none" [default: none]
    #[arg(long, value_name = "STATUSES")]
    pub(super) retry_statuses: Option<String>,
    /// How much of a request body is kept, so that an idempotent request can be sent again; 0 for none [default: 16KiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) replay_buffer: Option<String>,
    /// Requests that are sent again after an endpoint received them, as a share of all; and ten a second [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    pub(super) retry_budget: Option<String>,
    /// How long a failure keeps requests that cannot be sent again from an endpoint; 0 for not at all [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(super) suspicion: Option<String>,
    /// Quantile of the response times, such as 0.95, after which an idempotent request without a body is sent to a second endpoint as well; 0 for never [default: 0]
    #[arg(long, value_name = "SHARE")]
    pub(super) hedge: Option<String>,
    /// Send no Via field: nginx compresses no response to a request with one, unless gzip_proxied allows it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) no_via: Option<String>,
    /// Path that health checks request [default: only connect]
    #[arg(long, value_name = "PATH")]
    pub(super) health_path: Option<String>,
    /// Port that health checks connect to; not of the nodes of --to-mesh [default: the endpoint's]
    #[arg(long, value_name = "PORT")]
    pub(super) health_port: Option<String>,
    /// Host of health checks: a name or an address [default: the endpoint's]
    #[arg(long, value_name = "HOST")]
    pub(super) health_host: Option<String>,
    /// Method of health checks by HTTP: any but CONNECT [default: GET]
    #[arg(long, value_name = "METHOD")]
    pub(super) health_method: Option<String>,
    /// Further fields of health checks, by HTTP or grpc: NAME=VALUE; no place for secrets [default: none]
    #[arg(long, value_name = "FIELD", num_args = 1..)]
    pub(super) health_header: Vec<String>,
    /// Responses that pass a health check: "any", or statuses such as 200-399,404 [default: 200-399]
    #[arg(long, value_name = "STATUSES")]
    pub(super) health_expect: Option<String>,
    /// What health checks send: tcp, which only connects, http, or grpc, the gRPC health protocol [default: http with --health-path, otherwise tcp]
    #[arg(long, value_name = "NAME")]
    pub(super) health_protocol: Option<String>,
    /// Service that health checks by gRPC ask about [default: the server as a whole]
    #[arg(long, value_name = "NAME")]
    pub(super) health_service: Option<String>,
    /// Turn off health checks
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) no_health: Option<String>,
    /// Share of 5xx responses that ejects an endpoint, or a replica behind --to-mesh, if it is at least twice the others' share; 0 turns that off [default: 0.5; with --sticky or consistent_hash 0]
    #[arg(long, value_name = "SHARE")]
    pub(super) error_share: Option<String>,
    /// How long the weight of an endpoint that is new or recovered grows from a tenth to all of it; not with --to-mesh [default: it has all of it at once]
    #[arg(long, value_name = "DURATION")]
    pub(super) slow_start: Option<String>,
    /// Response field by which an endpoint announces that it drains: it then gets no new requests; clients do not get the field [default: none]
    #[arg(long, value_name = "NAME")]
    pub(super) drain_header: Option<String>,
    /// Certificate chain for HTTPS, PEM; without one the edge generates a self-signed one, which browsers warn about
    #[arg(long, value_name = "FILE")]
    pub(super) tls_cert_file: Option<String>,
    /// Key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) tls_key_file: Option<String>,
    /// Names in the self-signed certificate [default: localhost]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(super) server_name: Vec<String>,
    /// Listen even on addresses that this host does not have yet
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) freebind: Option<String>,
    /// Listen even while another edge of the same user does, to replace it without a refused connection
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) reuse_port: Option<String>,
    /// Name servers to query: IP, IP:port, tcp://IP or tls://IP [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub(super) dns: Vec<String>,
    /// Name or address for which the certificates of tls:// name servers must be [default: the server's address]
    #[arg(long, value_name = "NAME")]
    pub(super) dns_tls_name: Option<String>,
    /// Certificate authorities to trust for tls:// name servers, PEM [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    pub(super) dns_ca_file: Option<String>,
    /// Interval between two lookups of a name or a file, or "ttl" to follow the answers, from 1s to 1m [default: 1s]
    #[arg(long, value_name = "DURATION")]
    pub(super) dns_interval: Option<String>,
    /// File with the token to send to the watch of swarm://; an empty file counts as none
    #[arg(long, value_name = "FILE")]
    pub(super) swarm_token_file: Option<String>,
    /// Networks of proxies in front of the edge, whose X-Forwarded-* fields are trusted [default: none]
    #[arg(long, value_name = "NETWORK", num_args = 1..)]
    pub(super) trusted_proxies: Vec<String>,
    /// Open connections that one client may have, an IPv4 address or the /64 of an IPv6 address; 0 for any number [default: 10000]
    #[arg(long, value_name = "N")]
    pub(super) connections_per_client: Option<String>,
    /// Unfinished TLS handshakes that one client may have; 0 for any number [default: 1000]
    #[arg(long, value_name = "N")]
    pub(super) handshakes_per_client: Option<String>,
    /// Requests in progress that one client may have; 0 for any number [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) requests_per_client: Option<String>,
    /// Requests per second that one client may send; 0 for any number [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) request_rate_per_client: Option<String>,
    /// How many of them may arrive at once [default: 100]
    #[arg(long, value_name = "N")]
    pub(super) request_burst_per_client: Option<String>,
}

/// The flags that may be combined with a file, and override it.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "The process")]
pub(super) struct Process {
    /// Serve the status page, metrics and health here: IP:port, or "off" [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// File with the token for drain, ready and maintenance on the admin listener, which are refused without one; an empty file counts as none
    #[arg(long, value_name = "FILE")]
    pub(super) admin_token_file: Option<String>,
    /// Access log, one line per request: "off", "stdout" or a file [default: off]
    #[arg(long, value_name = "WHERE")]
    pub(super) access_log: Option<String>,
    /// Zone of this edge, in all pools: endpoints of the same zone get its requests [default: from the file]
    #[arg(long, value_name = "NAME")]
    pub(super) zone: Option<String>,
    /// Threads that forward requests [default: number of cores]
    #[arg(long, value_name = "NUMBER")]
    pub(super) workers: Option<String>,
    /// Memory that clients may make the edge hold, such as 150MiB, or "off" [default: 60 % of the process's limit, or 25 % of the machine's memory]
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<String>,
    /// Bytes per second below which a client that sends a body or reads a response times out; 0 for no minimum [default: 500]
    #[arg(long, value_name = "SIZE")]
    pub(super) min_rate: Option<String>,
    /// How long open requests may take to finish when the edge stops [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub(super) drain: Option<String>,
    /// How long the edge serves on when it is stopped, while it already reports that it is not ready [default: 0s]
    #[arg(long, value_name = "DURATION")]
    pub(super) drain_delay: Option<String>,
    /// Unix socket by which a new edge takes over the listening sockets of the one that runs [default: none]
    #[arg(long, value_name = "FILE")]
    pub(super) takeover: Option<String>,
    /// What to log: a level, or a filter such as edge=debug,info
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(super) log: String,
}

/// The flags of `edge healthcheck`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HealthcheckFlags {
    /// Address of the admin listener [default: from the configuration file, else 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// Configuration file of the edge
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<String>,
}

/// The flags of `edge dns`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DnsFlags {
    /// Name to check, such as www.example.com
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Name servers to query in addition to those of this machine: IP or IP:port
    // One value per flag, so that the name may follow it.
    #[arg(long, value_name = "ADDR")]
    pub(crate) resolver: Vec<String>,
    /// Do not query the name servers of this machine
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_system: Option<String>,
    /// Port on which edges serve HTTP, or "off" [default: 80]
    #[arg(long, value_name = "PORT")]
    pub(crate) http_port: Option<String>,
    /// Port on which edges serve HTTPS, or "off" [default: 443]
    #[arg(long, value_name = "PORT")]
    pub(crate) https_port: Option<String>,
    /// Certificate authorities to trust in addition to those of this machine, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<String>,
    /// How long each query and each request may take [default: 5s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
    /// Print the report as JSON
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) json: Option<String>,
}

/// Returns the flags of [`Traffic`] and [`TimeoutFlags`], without their dashes.
pub(super) fn traffic() -> BTreeSet<String> {
    let command = TimeoutFlags::augment_args(Traffic::augment_args(clap::Command::new("traffic")));
    command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned).collect()
}

/// Returns the flags of a command as rows of a table: flag, variable, meaning.
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
