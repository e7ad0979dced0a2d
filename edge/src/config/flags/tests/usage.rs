//! The shape of the command line and its help.

use clap::{CommandFactory, error::ErrorKind};

use super::command;
use crate::config::flags::Cli;

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
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
fn help_lists_every_flag_with_its_default_and_examples() {
    insta::assert_snapshot!(command("run --help", &[]).unwrap_err(), @r#"
    Forward requests

    Usage: edge run [OPTIONS]

    Options:
          --config <FILE>  Configuration file, which defines listeners, routes and pools
      -h, --help           Print help

    Where requests go (not with --config):
          --listen <ADDR>...              Serve HTTP here: IP:port, or :port for every address of this host
          --listen-tls <ADDR>...          Serve HTTPS here
          --to <ADDR>...                  Endpoints, separated by commas: IP:port, name:port, srv://NAME for SRV records or file://PATH for a list in a file; a name stands for all its addresses
          --to-mesh <ADDR>...             Nodes whose routing mesh leads to the service; swarm://watch:8080 gets them from watch. Those of --to are then backups, and "off" is none. Health and balance concern connections
          --backup <ADDR>...              Endpoints that get requests only while none of --to or --to-mesh is usable
          --replica-header <FIELD>        Field of responses that names the replica; with --to-mesh [default: x-served-by]
          --to-port <PORT>                Port of endpoints given without one
          --balance <NAME>                How the next endpoint is picked: round_robin, least_requests, peak_ewma, random or consistent_hash [default: round_robin]
          --hash-key <KEY>                What consistent_hash distributes requests by: client, path, header:NAME or cookie:NAME [default: client]
          --sticky[=<BOOL>]               Tie each client to the endpoint that answered it first, by a cookie
          --sticky-key-file <FILE>        File with the key of that cookie, the same on every edge; an empty file counts as none
          --retry-statuses <STATUSES>     Statuses after which an idempotent request is sent to another endpoint, such as 502-504, or "none" [default: none]
          --replay-buffer <SIZE>          How much of a request body is kept, so that an idempotent request can be sent again; 0 for none [default: 16KiB]
          --retry-budget <SHARE>          Requests that are sent again after an endpoint received them, as a share of all; and ten a second [default: 0.2]
          --suspicion <DURATION>          How long a failure keeps requests that cannot be sent again from an endpoint; 0 for not at all [default: 10s]
          --hedge <SHARE>                 Quantile of the response times, such as 0.95, after which an idempotent request without a body is sent to a second endpoint as well; 0 for never [default: 0]
          --no-via[=<BOOL>]               Send no Via field: nginx compresses no response to a request with one, unless gzip_proxied allows it
          --health-path <PATH>            Path that health checks request [default: only connect]
          --health-port <PORT>            Port that health checks connect to; not of the nodes of --to-mesh [default: the endpoint's]
          --health-host <HOST>            Host of health checks: a name or an address [default: the endpoint's]
          --health-method <METHOD>        Method of health checks by HTTP: any but CONNECT [default: GET]
          --health-header <FIELD>...      Further fields of health checks, by HTTP or grpc: NAME=VALUE; no place for secrets [default: none]
          --health-expect <STATUSES>      Responses that pass a health check: "any", or statuses such as 200-399,404 [default: 200-399]
          --health-protocol <NAME>        What health checks send: tcp, which only connects, http, or grpc, the gRPC health protocol [default: http with --health-path, otherwise tcp]
          --health-service <NAME>         Service that health checks by gRPC ask about [default: the server as a whole]
          --no-health[=<BOOL>]            Turn off health checks
          --error-share <SHARE>           Share of 5xx responses that ejects an endpoint, or a replica behind --to-mesh, if it is at least twice the others' share; 0 turns that off [default: 0.5; with --sticky or consistent_hash 0]
          --slow-start <DURATION>         How long the weight of an endpoint that is new or recovered grows from a tenth to all of it; not with --to-mesh [default: it has all of it at once]
          --drain-header <NAME>           Response field by which an endpoint announces that it drains: it then gets no new requests; clients do not get the field [default: none]
          --tls-cert-file <FILE>          Certificate chain for HTTPS, PEM; without one the edge generates a self-signed one, which browsers warn about
          --tls-key-file <FILE>           Key of the certificate, PEM
          --server-name <NAME>...         Names in the self-signed certificate [default: localhost]
          --freebind[=<BOOL>]             Listen even on addresses that this host does not have yet
          --reuse-port[=<BOOL>]           Listen even while another edge of the same user does, to replace it without a refused connection
          --dns <ADDR>...                 Name servers to query: IP, IP:port, tcp://IP or tls://IP [default: those of /etc/resolv.conf]
          --dns-tls-name <NAME>           Name or address for which the certificates of tls:// name servers must be [default: the server's address]
          --dns-ca-file <FILE>            Certificate authorities to trust for tls:// name servers, PEM [default: those of this machine]
          --dns-interval <DURATION>       Interval between two lookups of a name or a file, or "ttl" to follow the answers, from 1s to 1m [default: 1s]
          --swarm-token-file <FILE>       File with the token to send to the watch of swarm://; an empty file counts as none
          --trusted-proxies <NETWORK>...  Networks of proxies in front of the edge, whose X-Forwarded-* fields are trusted [default: none]
          --connections-per-client <N>    Open connections that one client may have, an IPv4 address or the /64 of an IPv6 address; 0 for any number [default: 10000]
          --handshakes-per-client <N>     Unfinished TLS handshakes that one client may have; 0 for any number [default: 1000]
          --requests-per-client <N>       Requests in progress that one client may have; 0 for any number [default: 0]
          --request-rate-per-client <N>   Requests per second that one client may send; 0 for any number [default: 0]
          --request-burst-per-client <N>  How many of them may arrive at once [default: 100]

    How long the edge waits (not with --config):
          --handshake-timeout <DURATION>
              For a client's TLS handshake [default: 10s]
          --head-timeout <DURATION>
              For the head of a request [default: 10s]
          --keep-alive-timeout <DURATION>
              For a client's next request [default: 1m]
          --request-body-timeout <DURATION>
              For more of a request body, or for a client to read more of the response [default: 30s]
          --connect-timeout <DURATION>
              For a connection to an endpoint [default: 1s]
          --queue-timeout <DURATION>
              For a connection while all endpoints have as many as allowed; 0 to refuse the request at once [default: 1s]
          --unacknowledged-timeout <DURATION>
              For the endpoint's host to acknowledge a request without a body [default: 3s]
          --response-timeout <DURATION>
              For the head of a response [default: 30s]
          --try-timeout <DURATION>
              For the head of a response, while the request may be sent to another endpoint [default: as --response-timeout]
          --request-timeout <DURATION>
              For the head of a response, over all attempts [default: none]
          --response-body-timeout <DURATION>
              For more of a response body whose length is declared [default: 30s]
          --tunnel-timeout <DURATION>
              For more of a response body without a length, or of a tunnel such as a WebSocket [default: 1h]
          --idle-timeout <DURATION>
              Until an idle connection to an endpoint is closed [default: 30s]
          --max-age <DURATION>
              Until a connection to an endpoint is no longer reused [default: 5m]
          --health-timeout <DURATION>
              For a health check, including the connection [default: 1s]
          --dns-timeout <DURATION>
              For the answer of the name servers [default: 2s]

    The process:
          --admin <ADDR>             Serve the status page, metrics and health here: IP:port, or "off" [default: 127.0.0.1:9901]
          --admin-token-file <FILE>  File with the token for drain, ready and maintenance on the admin listener, which are refused without one; an empty file counts as none
          --access-log <WHERE>       Access log, one line per request: "off", "stdout" or a file [default: off]
          --zone <NAME>              Zone of this edge, in all pools: endpoints of the same zone get its requests [default: from the file]
          --workers <NUMBER>         Threads that forward requests [default: number of cores]
          --memory <SIZE>            Memory that clients may make the edge hold, such as 150MiB, or "off" [default: 60 % of the process's limit, or 25 % of the machine's memory]
          --min-rate <SIZE>          Bytes per second below which a client that sends a body or reads a response times out; 0 for no minimum [default: 500]
          --drain <DURATION>         How long open requests may take to finish when the edge stops [default: 30s]
          --drain-delay <DURATION>   How long the edge serves on when it is stopped, while it already reports that it is not ready [default: 0s]
          --takeover <FILE>          Unix socket by which a new edge takes over the listening sockets of the one that runs [default: none]
          --log <FILTER>             What to log: a level, or a filter such as edge=debug,info [default: info]

    Examples:
      edge run --listen :80 --to 10.0.0.1:8000,10.0.0.2:8000
      edge run --listen :80 --listen-tls :443 --to tasks.web:8000 --health-path /readyz
      edge run --config edge.toml

    Every flag is also a variable: EDGE_ and its name in capitals, so --listen-tls is EDGE_LISTEN_TLS.
    A flag wins over its variable; an empty variable counts as not set.
    "#);
}

#[test]
fn the_definition_of_the_command_line_is_valid() {
    Cli::command().debug_assert();
}
