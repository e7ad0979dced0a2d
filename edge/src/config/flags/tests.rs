use std::{ffi::OsString, fs, net::SocketAddr, path::Path};

use clap::{CommandFactory, error::ErrorKind};

use super::{Cli, Command, Settings, parse};
use crate::config::{
    AccessLog, Balance, CertificateFiles, Config, Expect, HealthCheck, Listener, Pool, Source, file,
    problem::{ConfigError, Loaded},
};

/// What a command line and an environment start. Both as in a shell: words with spaces between.
fn command(args: &str, environment: &[(&str, &str)]) -> Result<Command, clap::Error> {
    let args = std::iter::once("edge").chain(args.split_whitespace()).map(OsString::from);
    parse(args, environment.iter().map(|(name, value)| (name.into(), value.into())))
}

fn settings(args: &str, environment: &[(&str, &str)]) -> Settings {
    match command(&format!("run {args}"), environment) {
        Ok(Command::Run(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

fn loaded(args: &str, environment: &[(&str, &str)]) -> Loaded {
    settings(args, environment).load().unwrap_or_else(|error| panic!("{error}"))
}

fn config(args: &str, environment: &[(&str, &str)]) -> Config {
    loaded(args, environment).config
}

/// What is wrong.
fn told(args: &str, environment: &[(&str, &str)]) -> String {
    settings(args, environment).load().unwrap_err().to_string()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The flags of a command, without their dashes.
fn flags_of(name: &str) -> Vec<String> {
    let command = Cli::command();
    let arguments = command.find_subcommand(name).unwrap().get_arguments();
    arguments.filter_map(clap::Arg::get_long).map(str::to_owned).collect()
}

/// What a test needs that is about something else.
const REST: &str = "--listen :80 --to 10.0.0.1:8000";

fn with_rest(args: &str) -> Config {
    config(&format!("{REST} {args}"), &[])
}

#[test]
fn an_address_and_an_endpoint_are_enough() {
    let pool = Pool::new("default", vec![Source::Address(address("10.0.0.1:8000"))]);
    let expected = Config::simple(vec![Listener::plain(address("[::]:80"))], pool);
    assert_eq!(loaded(REST, &[]), Loaded { config: expected, warnings: Vec::new() });
}

#[test]
fn lists_have_commas_spaces_or_the_flag_again() {
    let expected = config("--listen :1 --listen :2 --to a:1 --to b:2", &[]);
    for (args, environment) in [
        ("--listen :1,:2 --to a:1,b:2", vec![]),
        ("--listen :1 :2 --to a:1 b:2", vec![]),
        ("--listen :1, ,:2, --to=a:1,,b:2", vec![]),
        ("", vec![("EDGE_LISTEN", ":1 ,\n:2"), ("EDGE_TO", " a:1, b:2 ,")]),
    ] {
        assert_eq!(config(args, &environment), expected, "{args} {environment:?}");
    }
}

#[test]
fn nodes_of_a_mesh_take_the_place_of_endpoints_and_any_answer_of_theirs_is_good() {
    let stack = [("EDGE_LISTEN", ":1"), ("EDGE_TO", "tasks.web"), ("EDGE_TO_PORT", "8000"), ("EDGE_TO_MESH", "")];
    let tasks = config("", &stack);
    assert_eq!(tasks.pools[0].sources, [Source::Name { host: "tasks.web".into(), port: 8000 }]);
    assert_eq!(tasks.pools[0].health, Some(HealthCheck::default()));

    let nodes = config("--to-mesh 10.0.0.1,10.0.0.2:9000", &stack);
    let expected = ["10.0.0.1:8000", "10.0.0.2:9000"].map(|node| Source::Address(address(node)));
    assert_eq!(nodes.pools[0].sources, expected);
    assert_eq!(nodes.pools[0].health.as_ref().unwrap().expect, Expect::Any);

    let strict = config("--to-mesh 10.0.0.1 --health-path /x --health-expect 200", &stack);
    assert_eq!(strict.pools[0].health.as_ref().unwrap().expect, Expect::Statuses(vec![(200, 200)]));
}

#[test]
fn every_flag_is_also_a_variable() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("both.pem");
    fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let pem = pem.to_str().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    let token = token.to_str().unwrap();
    let flags = [
        ("listen", ":80"),
        ("listen-tls", ":443"),
        ("to", "10.0.0.1,web:9000,swarm://watch:8080"),
        ("to-mesh", ""),
        ("to-port", "8000"),
        ("balance", "least_requests"),
        ("health-path", "/readyz"),
        ("health-expect", "200-299,404"),
        ("no-health", "false"),
        ("tls-cert-file", pem),
        ("tls-key-file", pem),
        ("server-name", "www.example.com"),
        ("freebind", "yes"),
        ("dns", "127.0.0.11"),
        ("swarm-token-file", token),
        ("trusted-proxies", "10.0.0.0/8"),
        ("admin", "off"),
        ("access-log", "stdout"),
        ("workers", "3"),
        ("drain", "5s"),
        ("log", "debug"),
    ];
    let args: Vec<_> = flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
    let variables: Vec<_> = flags.iter().map(|(flag, value)| (super::given::variable(flag), *value)).collect();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let config = config(&args.join(" "), &[]);
    assert_eq!(loaded("", &variables), Loaded { config: config.clone(), warnings: Vec::new() });
    assert_eq!(settings("", &variables).log(), "debug");

    let certificate = CertificateFiles { certificate: pem.into(), key: pem.into() };
    assert_eq!(config.listeners[1].tls.as_ref().unwrap().certificates, [certificate]);
    assert!(config.listeners.iter().all(|listener| listener.freebind));
    let expected = [
        Source::Address(address("10.0.0.1:8000")),
        Source::Name { host: "web".into(), port: 9000 },
        Source::Swarm { host: "watch".into(), host_port: 8080, port: 8000 },
    ];
    assert_eq!(config.pools[0].sources, expected);
    assert_eq!(config.pools[0].balance, Balance::LeastRequests);
    let health = HealthCheck {
        path: Some("/readyz".parse().unwrap()),
        expect: Expect::Statuses(vec![(200, 299), (404, 404)]),
        ..HealthCheck::default()
    };
    assert_eq!(config.pools[0].health, Some(health));
    assert_eq!(config.swarm.token_file.as_deref(), Some(Path::new(token)));
    assert_eq!(config.dns.servers, [address("127.0.0.11:53")]);
    assert_eq!(config.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(config.admin, None);
    assert_eq!(config.access_log, AccessLog::Stdout);
    assert_eq!(config.workers.get(), 3);
    assert_eq!(config.drain.as_secs(), 5);

    // A flag that was added without a line above would go untested.
    let tested: Vec<_> = flags.iter().map(|(flag, _)| (*flag).to_owned()).chain(["config".to_owned()]).collect();
    let known = flags_of("run");
    assert!(known.iter().all(|flag| tested.contains(flag)), "{known:?}");
}

#[test]
fn a_flag_replaces_its_variable() {
    let config =
        config("--to a:1 --admin off", &[("EDGE_LISTEN", ":1"), ("EDGE_TO", "b:2"), ("EDGE_ADMIN", "nonsense")]);
    assert_eq!(config.pools[0].sources, [Source::Name { host: "a".into(), port: 1 }]);
    assert_eq!(config.admin, None);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let empty = ["CONFIG", "LISTEN_TLS", "HEALTH_PATH", "ADMIN", "TLS_CERT_FILE", "WORKERS", "FREEBIND", "LOG"]
        .map(|name| (format!("EDGE_{name}"), " "));
    let empty: Vec<_> = empty.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(loaded(REST, &empty), loaded(REST, &[]));
}

#[test]
fn a_variable_that_is_nearly_ours_is_a_warning_and_others_are_not_ours() {
    let environment = [("EDGE_DRIAN", "1s"), ("EDGE_PORT_80_TCP", "x"), ("HOME", "/"), ("EDGE_TO_PORT", "1")];
    let warnings = loaded(REST, &environment).warnings;
    insta::assert_snapshot!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @"EDGE_DRIAN: is not a variable of the edge; did you mean EDGE_DRAIN?");
}

#[test]
fn a_switch_needs_no_value() {
    assert_eq!(with_rest("--no-health").pools[0].health, None);
    assert_ne!(with_rest("--no-health=false").pools[0].health, None);
    assert!(with_rest("--freebind").listeners[0].freebind);
}

#[test]
fn all_mistakes_are_told_at_once_by_the_name_they_were_given() {
    let args = "--listen 80 --to web http://a:1 --workers 0 --health-path readyz --no-health";
    let environment =
        [("EDGE_LISTEN_TLS", "localhost:443"), ("EDGE_DRAIN", "30"), ("EDGE_FREEBIND", "maybe"), ("EDGE_BALANCE", "x")];
    insta::assert_snapshot!(told(args, &environment), @r#"
    --listen: "80" is only a port: write ":80" for every address of this host
    EDGE_LISTEN_TLS: "localhost:443" is a name and listening takes an address: write "127.0.0.1:443"
    --to: "web" has no port: write it behind a colon, such as "web:8000", or for all of them with --to-port
    --to: "http://a:1" is a URL: write only host:port; the edge speaks plain HTTP/1.1 to endpoints
    EDGE_BALANCE: "x" is not a way to balance: write "round_robin", "least_requests" or "random"
    --health-path: "readyz" is not a path to ask for: write it from the first slash on, such as "/readyz"
    --health-path: is given and checks are turned off: leave one of the two out
    EDGE_FREEBIND: "maybe" is neither yes nor no: write true or false
    --workers: 0 is not allowed here: write a whole number from 1 to 1024
    EDGE_DRAIN: "30" is not a duration: write a number and its unit, such as "500ms", "2s" or "5min"
    "#);
}

#[test]
fn what_is_missing_is_told_with_an_example() {
    let told = ["", "--listen :80", "--to a:1", "--listen , --to ,"].map(|args| told(args, &[]));
    insta::assert_snapshot!(told.join("\n"), @"
    --config: is missing: write --config edge.toml, or --listen :80 --to 10.0.0.1:8000
    --to: is missing: write the endpoints, such as --to 10.0.0.1:8000,10.0.0.2:8000
    --listen: is missing: write where to serve requests, such as --listen :80
    --config: is missing: write --config edge.toml, or --listen :80 --to 10.0.0.1:8000
    ");
}

#[test]
fn repeats_are_told() {
    insta::assert_snapshot!(told("--listen :80 --listen-tls :80 --admin :80 --to a:1,A:1", &[]), @r#"
    --listen-tls: [::]:80 is there twice: take one of them out
    --to: a:1 is there twice: take one of them out
    --admin: is also an address that requests are served on: write another port, or "off"
    "#);
    assert_eq!(config("--listen 127.0.0.1:0 127.0.0.1:0 --to a:1", &[]).listeners.len(), 2);
}

#[test]
fn a_file_is_not_mixed_with_flags_that_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml");
    fs::write(&path, "listener = { address = \":80\" }\npool.web.endpoints = \"web:80\"\naccess_log = \"off\"")
        .unwrap();
    let file = path.to_str().unwrap();
    let told = told("--listen :80", &[("EDGE_TO", "a:1"), ("EDGE_CONFIG", file)]);
    insta::assert_snapshot!(told, @"
    --listen: cannot be used with EDGE_CONFIG: write it in the file, or leave --listen out
    EDGE_TO: cannot be used with EDGE_CONFIG: write it in the file, or leave EDGE_TO out
    ");

    let over = "--admin off --workers 1 --drain 0s --access-log stdout --log warn";
    let config = config(&format!("--config {file} {over}"), &[]);
    assert_eq!((config.admin, config.workers.get(), config.drain.as_secs()), (None, 1, 0));
    assert_eq!(config.access_log, AccessLog::Stdout);
}

#[test]
fn a_placeholder_instead_of_a_certificate_means_self_signed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let none = file("none", "no certificate yet\n");
    let pem = file("pem", "-----BEGIN PRIVATE KEY-----\n");
    let load = |certificate: &str, key: &str| {
        let args = format!("--listen-tls :443 --to a:1 --tls-cert-file {certificate} --tls-key-file {key}");
        settings(&args, &[("EDGE_SERVER_NAME", "www.example.com")]).load()
    };
    let tls = load(&none, &none).unwrap().config.listeners[0].tls.clone().unwrap();
    assert!(tls.certificates.is_empty());
    assert_eq!(tls.self_signed, ["www.example.com"]);
    assert_eq!(load(&pem, &pem).unwrap().config.listeners[0].tls.as_ref().unwrap().certificates.len(), 1);

    let told = [(&*pem, &*none), (&none, &pem), ("/nowhere/a.pem", &pem)]
        .map(|(certificate, key)| load(certificate, key).unwrap_err().to_string());
    insta::assert_snapshot!(told.join("\n"), @"
    --tls-key-file: has nothing in PEM in it, but there is a certificate: give its key
    --tls-cert-file: has nothing in PEM in it, but there is a key: give its certificate
    --tls-cert-file: /nowhere/a.pem cannot be read: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(self::told(&format!("{REST} --tls-cert-file {pem}"), &[]), @"--tls-key-file: is missing: a certificate needs its key");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let warnings = loaded(&format!("{REST} --health-expect any --server-name a.example"), &[]).warnings;
    insta::assert_snapshot!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @"
    --server-name: has no effect without --listen-tls
    --health-expect: has no effect without --health-path
    ");
}

#[test]
fn a_stack_may_ask_a_swarm_for_its_nodes_and_have_a_token_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
    fs::write(&empty, "\n").unwrap();
    fs::write(&full, "secret").unwrap();
    let stack = |nodes: &str, token: &Path| {
        let fixed = [("EDGE_LISTEN", ":1"), ("EDGE_TO", "tasks.web"), ("EDGE_TO_PORT", "8000")];
        let variables = [("EDGE_TO_MESH", nodes), ("EDGE_SWARM_TOKEN_FILE", token.to_str().unwrap())];
        settings("", &[&fixed[..], &variables[..]].concat()).load()
    };
    let nodes = stack("swarm://tasks.watch:8080", &full).unwrap();
    let source = Source::Swarm { host: "tasks.watch".into(), host_port: 8080, port: 8000 };
    assert_eq!(nodes.config.pools[0].sources, [source]);
    assert_eq!(nodes.config.pools[0].health.as_ref().unwrap().expect, Expect::Any);
    assert_eq!((nodes.config.swarm.token_file, nodes.warnings), (Some(full.clone()), vec![]));
    let tasks = stack("", &empty).unwrap();
    assert_eq!((tasks.config.swarm.token_file, tasks.warnings), (None, vec![]));

    let warnings = stack("", &full).unwrap().warnings;
    insta::assert_snapshot!(warnings[0].to_string(), @"EDGE_SWARM_TOKEN_FILE: has no effect without an endpoint such as swarm://watch:8080");
    let told = stack("swarm://tasks.watch", Path::new("/nowhere/token")).unwrap_err();
    insta::assert_snapshot!(told.to_string(), @r#"
    EDGE_TO_MESH: "swarm://tasks.watch" has no port: write the one that watch serves HTTP on, "swarm://tasks.watch:8080"
    EDGE_SWARM_TOKEN_FILE: /nowhere/token: cannot be read: No such file or directory (os error 2)
    "#);
}

#[test]
fn what_check_prints_is_a_file_for_the_same_configuration() {
    let Ok(Command::Check(settings)) = command(&format!("check {REST} --listen-tls :443"), &[]) else { panic!() };
    let config = settings.load().unwrap().config;
    assert_eq!(file::parse(&file::render(&config), Path::new("edge.toml")).unwrap().config, config);
}

#[test]
fn health_is_asked_where_the_admin_listener_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml");
    fs::write(&path, "admin = \"0.0.0.0:7\"").unwrap();
    let file = path.to_str().unwrap();
    let ask = |args: &str, environment: &[(&str, &str)]| match command(&format!("healthcheck {args}"), environment) {
        Ok(Command::Healthcheck(healthcheck)) => healthcheck.address(),
        other => panic!("{other:?}"),
    };
    for (args, environment, expected) in [
        ("", vec![], "127.0.0.1:9901"),
        ("--admin 127.0.0.1:1", vec![("EDGE_ADMIN", ":2")], "127.0.0.1:1"),
        ("", vec![("EDGE_ADMIN", ":2"), ("EDGE_CONFIG", file), ("EDGE_LISTEN", "nonsense")], "[::1]:2"),
        ("", vec![("EDGE_ADMIN", ""), ("EDGE_CONFIG", file)], "127.0.0.1:7"),
    ] {
        assert_eq!(ask(args, &environment).unwrap(), address(expected), "{args} {environment:?}");
    }
    insta::assert_snapshot!(ask("", &[("EDGE_ADMIN", "off")]).unwrap_err(), @"EDGE_ADMIN: the admin listener is off, so the edge cannot be checked: give it an address");
    assert!(matches!(ask("--config /nowhere/edge.toml", &[]), Err(ConfigError::Read { .. })));
}

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
