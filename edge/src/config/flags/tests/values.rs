//! The configuration that flags and variables result in.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use clap::CommandFactory;

use super::{MINIMAL, command, config, loaded, settings};
use crate::config::{
    AccessLog, BACKUP, Balance, CertificateFiles, Config, Expect, HashKey, HealthCheck, Interval, Listener, NameServer,
    Pool, Source, Sticky, Transport, UpstreamTimeouts, file,
    flags::{Cli, Command, given::variable},
    problem::{ConfigError, Loaded},
};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Returns the flags of a command, without their dashes.
fn flags_of(name: &str) -> Vec<String> {
    let command = Cli::command();
    let arguments = command.find_subcommand(name).unwrap().get_arguments();
    arguments.filter_map(clap::Arg::get_long).map(str::to_owned).collect()
}

fn with_minimal(args: &str) -> Config {
    config(&format!("{MINIMAL} {args}"), &[])
}

#[test]
fn an_address_and_an_endpoint_are_enough() {
    let pool = Pool::new("default", vec![Source::Address(address("10.0.0.1:8000"))]);
    let expected = Config::simple(vec![Listener::plain(address("[::]:80"))], pool);
    assert_eq!(loaded(MINIMAL, &[]), Loaded { config: expected, warnings: Vec::new() });
}

#[test]
fn a_list_is_separated_by_commas_or_spaces_or_repeats_the_flag() {
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
fn statuses_eject_unless_endpoints_get_different_requests() {
    for (args, expected) in
        [("", 0.5), ("--sticky", 0.0), ("--balance consistent_hash", 0.0), ("--sticky --error-share 0.9", 0.9)]
    {
        let share = with_minimal(args).pools[0].ejection.error_share;
        assert!((share - expected).abs() < 1e-9, "{share} with {args:?}");
    }
}

#[test]
fn mesh_nodes_come_before_endpoints() {
    let stack = [("EDGE_LISTEN", ":1"), ("EDGE_TO", "tasks.web"), ("EDGE_TO_PORT", "8000"), ("EDGE_TO_MESH", "")];
    let tasks = config("", &stack);
    assert_eq!(tasks.pools[0].sources, [Source::Name { host: "tasks.web".into(), port: 8000 }]);
    assert_eq!(tasks.pools[0].health, Some(HealthCheck::default()));

    let nodes = config("--to-mesh 10.0.0.1,10.0.0.2:9000", &stack);
    let backup = Source::Name { host: "tasks.web".into(), port: 8000 };
    let expected = ["10.0.0.1:8000", "10.0.0.2:9000"].map(|node| Source::Address(address(node)));
    assert_eq!(nodes.pools[0].sources, [&expected[..], std::slice::from_ref(&backup)].concat());
    assert_eq!(nodes.pools[0].options_of(&backup).tier, BACKUP);
    assert_eq!(nodes.pools[0].options_of(&expected[0]).tier, 1);
    assert!(nodes.pools[0].mesh && !tasks.pools[0].mesh);
    assert_eq!(nodes.pools[0].health, Some(HealthCheck::default()), "the connections are checked");
    let names = ["--to-mesh 10.0.0.1", "--to-mesh 10.0.0.1 --replica-header X-Replica"];
    let names = names.map(|args| config(args, &stack).pools[0].replica_header.clone());
    assert_eq!(names, ["x-served-by", "x-replica"]);
    assert_eq!(config("--to-mesh off", &stack), tasks);

    // A mesh leads to published ports only.
    let port = |args: &str| {
        config(args, &[&stack[..], &[("EDGE_HEALTH_PORT", "9900")]].concat()).pools[0].health.clone().unwrap().port
    };
    assert_eq!((port(""), port("--to-mesh 10.0.0.1")), (Some(9900), None));

    let strict = config("--to-mesh 10.0.0.1 --health-path /x --health-expect 200", &stack);
    assert_eq!(strict.pools[0].health.as_ref().unwrap().expect, Expect::Statuses(vec![(200, 200)]));
}

#[test]
fn flags_that_tie_clients_to_endpoints_are_also_variables() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "secret\n").unwrap();
    let key = key.to_str().unwrap();
    let flags =
        format!("{MINIMAL} --balance consistent_hash --hash-key header:X-User --sticky --sticky-key-file {key}");
    let variables = [
        ("EDGE_BALANCE", "consistent_hash"),
        ("EDGE_HASH_KEY", "header:X-User"),
        ("EDGE_STICKY", "true"),
        ("EDGE_STICKY_KEY_FILE", key),
    ];
    let config = config(&flags, &[]);
    assert_eq!(loaded(MINIMAL, &variables), Loaded { config: config.clone(), warnings: Vec::new() });
    assert_eq!(config.pools[0].balance, Balance::ConsistentHash);
    assert_eq!(config.pools[0].hash_key, HashKey::Header("x-user".to_owned()));
    let sticky = Sticky { key_file: Some(key.into()), ..Sticky::new("default") };
    assert_eq!(config.pools[0].sticky, Some(sticky));
}

#[test]
fn slow_start_is_a_flag_and_a_variable_but_not_for_nodes_of_a_mesh() {
    let of_pool = |loaded: &Loaded| loaded.config.pools[0].slow_start;
    let by_flag = loaded(&format!("{MINIMAL} --slow-start 24s"), &[]);
    assert_eq!((of_pool(&by_flag), by_flag.warnings.len()), (Some(Duration::from_secs(24)), 0));
    assert_eq!(of_pool(&loaded(MINIMAL, &[("EDGE_SLOW_START", "24s")])), Some(Duration::from_secs(24)));
    assert_eq!(of_pool(&loaded(MINIMAL, &[])), None);
    let of_mesh = loaded(&format!("{MINIMAL} --to-mesh 10.0.0.1:80 --slow-start 24s"), &[]);
    assert_eq!(of_pool(&of_mesh), None);
    assert!(of_mesh.warnings[0].to_string().starts_with("--slow-start: has no effect behind a mesh"));
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
        ("replica-header", "x-replica"),
        ("backup", "10.0.0.9"),
        ("to-port", "8000"),
        ("balance", "peak_ewma"),
        // Nodes of a swarm have no sessions and no keys; their flags are in the test above.
        ("sticky", "false"),
        ("no-via", "true"),
        ("health-path", "/readyz"),
        ("health-port", "9900"),
        ("health-host", "www.example.com"),
        ("health-method", "HEAD"),
        ("health-header", "x-probe=edge,x-zone=a"),
        ("health-expect", "200-299,404"),
        ("health-protocol", "http"),
        // It has no effect on HTTP; the test below has it.
        ("health-service", ""),
        ("no-health", "false"),
        ("error-share", "0.25"),
        ("drain-header", "X-Drain"),
        ("tls-cert-file", pem),
        ("tls-key-file", pem),
        ("server-name", "www.example.com"),
        ("freebind", "yes"),
        ("reuse-port", "yes"),
        ("dns", "127.0.0.11,tls://10.0.0.53"),
        ("dns-tls-name", "dns.example"),
        ("dns-ca-file", pem),
        ("dns-interval", "ttl"),
        ("swarm-token-file", token),
        ("trusted-proxies", "10.0.0.0/8"),
        ("handshake-timeout", "11s"),
        ("head-timeout", "12s"),
        ("keep-alive-timeout", "13s"),
        ("request-body-timeout", "14s"),
        ("connect-timeout", "15s"),
        ("queue-timeout", "0"),
        ("unacknowledged-timeout", "16s"),
        ("response-timeout", "17s"),
        ("try-timeout", "24s"),
        ("request-timeout", "25s"),
        ("retry-statuses", "502-504"),
        ("replay-buffer", "8KiB"),
        ("retry-budget", "0.1"),
        ("suspicion", "26s"),
        ("hedge", "0.95"),
        ("response-body-timeout", "18s"),
        ("tunnel-timeout", "19s"),
        ("idle-timeout", "20s"),
        ("max-age", "21s"),
        ("health-timeout", "22s"),
        ("dns-timeout", "23s"),
        ("connections-per-client", "500"),
        ("handshakes-per-client", "50"),
        ("requests-per-client", "40"),
        ("request-rate-per-client", "30"),
        ("request-burst-per-client", "20"),
        ("admin", "127.0.0.1:7"),
        ("admin-token-file", token),
        ("access-log", "stdout"),
        ("zone", "zurich-1"),
        ("workers", "3"),
        ("memory", "100MiB"),
        ("min-rate", "700"),
        ("drain", "5s"),
        ("drain-delay", "4s"),
        ("takeover", "/run/edge/takeover.sock"),
        ("log", "debug"),
    ];
    let args: Vec<_> = flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
    let variables: Vec<_> = flags.iter().map(|(flag, value)| (variable(flag), *value)).collect();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let config = config(&args.join(" "), &[]);
    assert_eq!(loaded("", &variables), Loaded { config: config.clone(), warnings: Vec::new() });
    assert_eq!(settings("", &variables).log(), "debug");

    let certificate = CertificateFiles { certificate: pem.into(), key: pem.into() };
    assert_eq!(config.listeners[1].tls.as_ref().unwrap().certificates, [certificate]);
    assert!(config.listeners.iter().all(|listener| listener.freebind && listener.reuse_port));
    let expected = [
        Source::Address(address("10.0.0.1:8000")),
        Source::Name { host: "web".into(), port: 9000 },
        Source::Swarm { host: "watch".into(), host_port: 8080, port: 8000 },
        Source::Address(address("10.0.0.9:8000")),
    ];
    assert_eq!(config.pools[0].sources, expected);
    let tiers = expected.each_ref().map(|source| config.pools[0].options_of(source).tier);
    assert_eq!(tiers, [1, 1, 1, BACKUP]);
    assert_eq!(config.pools[0].balance, Balance::PeakEwma);
    assert_eq!(config.pools[0].zone.as_deref(), Some("zurich-1"));
    assert!(!config.pools[0].via);
    let health = HealthCheck {
        path: Some("/readyz".parse().unwrap()),
        port: Some(9900),
        method: http::Method::HEAD,
        headers: ["x-probe", "x-zone"]
            .into_iter()
            .zip(["edge", "a"])
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect(),
        host: Some("www.example.com".to_owned()),
        expect: Expect::Statuses(vec![(200, 299), (404, 404)]),
        timeout: Duration::from_secs(22),
        ..HealthCheck::default()
    };
    assert_eq!(config.pools[0].health, Some(health));
    assert!((config.pools[0].ejection.error_share - 0.25).abs() < 1e-9);
    assert_eq!(config.swarm.token_file.as_deref(), Some(Path::new(token)));
    let dns_over_tls = NameServer { transport: Transport::Tls, address: address("10.0.0.53:853") };
    assert_eq!(config.dns.servers, [address("127.0.0.11:53").into(), dns_over_tls]);
    assert_eq!(
        (config.dns.tls_name.as_deref(), config.dns.ca_file.as_deref()),
        (Some("dns.example"), Some(Path::new(pem)))
    );
    assert_eq!(config.dns.interval, Interval::Ttl { min: Duration::from_secs(1), max: Duration::from_secs(60) });
    let clients = &config.timeouts;
    let of_clients = [clients.handshake, clients.head, clients.keep_alive, clients.body_idle];
    assert_eq!(of_clients.map(|timeout| timeout.as_secs()), [11, 12, 13, 14]);
    let UpstreamTimeouts {
        connect,
        unacknowledged,
        response,
        body_idle,
        idle,
        max_age,
        tunnel_idle,
        queue,
        one_try,
        request,
    } = config.pools[0].timeouts;
    let of_endpoints = [connect, unacknowledged, response, body_idle, tunnel_idle, idle, max_age];
    assert_eq!(of_endpoints.map(|timeout| timeout.as_secs()), [15, 16, 17, 18, 19, 20, 21]);
    assert!(queue.is_zero());
    assert_eq!([one_try, request].map(|timeout| timeout.unwrap().as_secs()), [24, 25]);
    let Pool { retry_statuses, replay_buffer, retry_budget, suspicion, hedge, .. } = &*config.pools[0];
    assert_eq!((&retry_statuses[..], *replay_buffer), (&[(502, 504)][..], 8192));
    assert_eq!(suspicion.as_secs(), 26);
    assert!((retry_budget - 0.1).abs() < 1e-9 && (hedge - 0.95).abs() < 1e-9);
    assert_eq!(config.dns.timeout.as_secs(), 23);
    assert_eq!(config.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!((config.limits.connections_per_client, config.limits.handshakes_per_client), (500, 50));
    assert_eq!(config.limits.requests_per_client, 40);
    assert_eq!((config.limits.request_rate_per_client, config.limits.request_burst_per_client), (30, 20));
    assert_eq!(config.pools[0].drain.header.as_deref(), Some("x-drain"));
    assert_eq!(config.admin, Some(address("127.0.0.1:7")));
    assert_eq!(config.admin_token_file.as_deref(), Some(Path::new(token)));
    assert_eq!(config.access_log, AccessLog::Stdout);
    assert_eq!(config.workers.get(), 3);
    assert_eq!((config.limits.memory, config.limits.min_rate), (Some(100 << 20), 700));
    assert_eq!((config.drain.as_secs(), config.drain_delay.as_secs()), (5, 4));
    assert_eq!(config.takeover.as_deref(), Some(Path::new("/run/edge/takeover.sock")));

    // Fails for a new flag that the list above does not test.
    let tested: Vec<_> =
        flags.iter().map(|(flag, _)| *flag).chain(["config", "hash-key", "sticky-key-file", "slow-start"]).collect();
    let known = flags_of("run");
    assert!(known.iter().all(|flag| tested.contains(&flag.as_str())), "{known:?}");
}

#[test]
fn checks_are_by_the_protocol_that_a_flag_names_or_a_path_implies() {
    let check = |args: &str| config(&format!("{MINIMAL} {args}"), &[]).pools[0].health.clone().unwrap();
    let path = |path: &str| HealthCheck { path: Some(path.parse().unwrap()), ..HealthCheck::default() };
    assert_eq!(check("--health-protocol tcp"), HealthCheck::default());
    assert_eq!(check("--health-path /x"), path("/x"));
    assert_eq!(check("--health-protocol http"), path("/"));
    let headers =
        vec![("x-probe".parse().unwrap(), "a=b".parse().unwrap()), ("x-zone".parse().unwrap(), "".parse().unwrap())];
    let posted = HealthCheck { method: http::Method::POST, headers, ..path("/x") };
    assert_eq!(check("--health-path /x --health-method post --health-header x-probe=a=b X-Zone="), posted);
    let host = Some("cart.example".to_owned());
    let grpc = HealthCheck { grpc: Some("shop.Cart".to_owned()), host, ..HealthCheck::default() };
    assert_eq!(check("--health-protocol grpc --health-service shop.Cart --health-host cart.example"), grpc);
    let server = HealthCheck { grpc: Some(String::new()), ..HealthCheck::default() };
    assert_eq!(check("--health-protocol grpc"), server);
}

#[test]
fn a_flag_overrides_its_variable() {
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
    assert_eq!(loaded(MINIMAL, &empty), loaded(MINIMAL, &[]));
}

#[test]
fn a_boolean_flag_needs_no_value() {
    assert_eq!(with_minimal("--no-health").pools[0].health, None);
    assert_ne!(with_minimal("--no-health=false").pools[0].health, None);
    assert!(with_minimal("--freebind").listeners[0].freebind);
}

#[test]
fn the_output_of_check_is_a_file_with_the_same_configuration() {
    let Ok(Command::Check(settings)) = command(&format!("check {MINIMAL} --listen-tls :443"), &[]) else { panic!() };
    let config = settings.load().unwrap().config;
    assert_eq!(file::parse(&file::render(&config), Path::new("edge.toml")).unwrap().config, config);
}

#[test]
fn the_health_check_connects_to_the_admin_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml");
    fs::write(&path, "admin = \"0.0.0.0:7\"").unwrap();
    let file = path.to_str().unwrap();
    let admin = |args: &str, environment: &[(&str, &str)]| match command(&format!("healthcheck {args}"), environment) {
        Ok(Command::Healthcheck(healthcheck)) => healthcheck.address(),
        other => panic!("{other:?}"),
    };
    for (args, environment, expected) in [
        ("", vec![], "127.0.0.1:9901"),
        ("--admin 127.0.0.1:1", vec![("EDGE_ADMIN", ":2")], "127.0.0.1:1"),
        ("", vec![("EDGE_ADMIN", ":2"), ("EDGE_CONFIG", file), ("EDGE_LISTEN", "nonsense")], "[::1]:2"),
        ("", vec![("EDGE_ADMIN", ""), ("EDGE_CONFIG", file)], "127.0.0.1:7"),
    ] {
        assert_eq!(admin(args, &environment).unwrap(), address(expected), "{args} {environment:?}");
    }
    insta::assert_snapshot!(admin("", &[("EDGE_ADMIN", "off")]).unwrap_err(), @"EDGE_ADMIN: the admin listener is off, so the edge cannot be checked: give it an address");
    assert!(matches!(admin("--config /nowhere/edge.toml", &[]), Err(ConfigError::Read { .. })));
}
