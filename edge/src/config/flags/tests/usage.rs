//! The shape of the command line and its help.

use clap::{CommandFactory, error::ErrorKind};

use super::command;
use crate::config::flags::Cli;

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    for (args, kind, code) in [
        ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, 2),
        ("--help", ErrorKind::DisplayHelp, 0),
        ("run --help", ErrorKind::DisplayHelp, 0),
        ("--version", ErrorKind::DisplayVersion, 0),
        ("walk", ErrorKind::InvalidSubcommand, 2),
        ("run --lissten :80", ErrorKind::UnknownArgument, 2),
        ("run 80", ErrorKind::UnknownArgument, 2),
    ] {
        let error = command(args, &[]).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, code), "{args}");
    }
}

#[test]
fn help_has_all_that_a_newcomer_needs() {
    insta::assert_snapshot!(command("run --help", &[]).unwrap_err(), @r#"
    Forward requests

    Usage: edge run [OPTIONS]

    Options:
          --config <FILE>  Configuration file, which then says where requests go
      -h, --help           Print help

    Where requests go (not with --config):
          --listen <ADDR>...              Serve HTTP here: IP:port, or :port for every address of this host
          --listen-tls <ADDR>...          Serve HTTPS here
          --to <ADDR>...                  Endpoints, with commas between: IP:port or name:port; a name stands for all its addresses
          --to-mesh <ADDR>...             Nodes whose routing mesh leads to the service, in place of --to: any answer to a check is good; swarm://watch:8080 asks watch for them
          --to-port <PORT>                Port of endpoints that are given without one
          --balance <NAME>                Who gets the next request: round_robin, least_requests or random [default: round_robin]
          --health-path <PATH>            Ask endpoints for this path to see whether they work [default: only connect]
          --health-expect <STATUSES>      Which answers to that are good: "any", or statuses such as 200-399,404 [default: 200-399, with --to-mesh any]
          --no-health[=<BOOL>]            Do not check endpoints at all
          --tls-cert-file <FILE>          Certificate chain for HTTPS, PEM; without one the edge makes itself one that browsers warn about
          --tls-key-file <FILE>           Key of the certificate, PEM
          --server-name <NAME>...         Names in the certificate that the edge makes itself [default: localhost]
          --freebind[=<BOOL>]             Listen on addresses even while this host does not have them
          --dns <ADDR>...                 Name servers to ask [default: those of /etc/resolv.conf]
          --swarm-token-file <FILE>       File with the token for the watch that swarm:// asks; an empty one counts as none
          --trusted-proxies <NETWORK>...  Networks of proxies in front of the edge, whose X-Forwarded-* are believed [default: none]

    The process:
          --admin <ADDR>        Status page, metrics and health of the edge: address, or "off" [default: 127.0.0.1:9901]
          --access-log <WHERE>  One line for each request: "off", "stdout" or a file [default: off]
          --workers <NUMBER>    Threads that forward requests [default: number of cores]
          --drain <DURATION>    How long open requests may take to finish when the edge stops [default: 30s]
          --log <LEVEL>         What the edge logs about itself: error, warn, info, debug or trace [default: info]

    Examples:
      edge run --listen :80 --to 10.0.0.1:8000,10.0.0.2:8000
      edge run --listen :80 --listen-tls :443 --to tasks.web:8000 --health-path /readyz
      edge run --config edge.toml

    Every flag is also a variable: EDGE_ and its name in capitals, so --listen-tls is EDGE_LISTEN_TLS.
    A flag wins over its variable; an empty variable counts as not set.
    "#);
}

#[test]
fn the_commands_are_well_formed() {
    Cli::command().debug_assert();
}
