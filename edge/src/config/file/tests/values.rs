//! The configuration that a file results in.

use std::{fs, path::Path, time::Duration};

use super::{MINIMAL, config, loaded};
use crate::config::{
    AccessLog, Config, Discovery, Dns, Drain, EndpointOptions, HealthCheck, HostMatch, Interval, Listener, NameServer,
    Pool, Source, TlsCheck, Transport, Trust,
    file::admin,
    problem::{ConfigError, Loaded},
};

#[test]
fn an_address_and_an_endpoint_are_enough() {
    let pool = Pool::new("web", vec![Source::Address("10.0.0.1:8000".parse().unwrap())]);
    let expected = Config::simple(vec![Listener::plain("[::]:80".parse().unwrap())], pool);
    assert_eq!(loaded(MINIMAL), Loaded { config: expected, warnings: Vec::new() });
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let config = config(
        r#"
        access_log = "log/access"
        admin_token_file = "admin.token"
        takeover = "takeover.sock"
        listener = { address = ":443", tls = { certificates = [{ certificate = "a.pem", key = "/secret/a.key" }] } }
        pool.web.endpoints = "web:80"
        "#,
    );
    assert_eq!(config.access_log, AccessLog::File("/etc/log/access".into()));
    assert_eq!(config.admin_token_file.as_deref(), Some(Path::new("/etc/admin.token")));
    assert_eq!(config.takeover.as_deref(), Some(Path::new("/etc/takeover.sock")));
    let files = &config.listeners[0].tls.as_ref().unwrap().certificates[0];
    assert_eq!(files.certificate, Path::new("/etc/a.pem"));
    assert_eq!(files.key, Path::new("/secret/a.key"));
}

#[test]
fn a_list_of_hosts_becomes_one_route_per_host() {
    let config = config(&format!("{MINIMAL}[[route]]\nhost = [\"a.example\", \"*.b.example\"]\npath = \"/api\""));
    let hosts: Vec<_> = config.routes.iter().map(|route| (route.host.clone(), route.path.as_str())).collect();
    let expected = [(HostMatch::Exact("a.example".into()), "/api"), (HostMatch::Suffix("b.example".into()), "/api")];
    assert_eq!(hosts, expected);
}

#[test]
fn pools_and_endpoints_name_resolvers() {
    let text = r#"
        listener = { address = ":80" }
        [dns]
        servers = "127.0.0.11"
        [resolver.internal]
        servers = ["tls://10.0.0.53", "tcp://10.0.0.54"]
        tls_name = "dns.example"
        ca_file = "ca.pem"
        interval = "ttl"
        max_interval = "5min"
        timeout = "3s"
        [resolver.other]
        [pool.web]
        endpoints = ["a:80", { address = "b:80", resolver = "other" }, "srv://_http._tcp.c", "file://web.endpoints"]
        [pool.web.discovery]
        resolver = "internal"
        interval = "5s"
        [pool.api]
        endpoints = "d:80"
        [[route]]
        pool = "web"
        [[route]]
        path = "/api"
        pool = "api"
        "#;
    let config = config(text);
    let server = |transport, address: &str| NameServer { transport, address: address.parse().unwrap() };
    assert_eq!(config.dns.servers, [server(Transport::Udp, "127.0.0.11:53")]);
    let internal = Dns {
        servers: vec![server(Transport::Tls, "10.0.0.53:853"), server(Transport::Tcp, "10.0.0.54:53")],
        tls_name: Some("dns.example".to_owned()),
        ca_file: Some("/etc/ca.pem".into()),
        interval: Interval::Ttl { min: Duration::from_secs(1), max: Duration::from_secs(300) },
        timeout: Duration::from_secs(3),
    };
    assert_eq!(config.resolvers, [("internal".to_owned(), internal), ("other".to_owned(), Dns::default())].into());
    let [web, api] = [&config.pools[0], &config.pools[1]];
    assert_eq!(web.discovery.interval, Some(Interval::Fixed(Duration::from_secs(5))));
    let resolvers: Vec<_> = web.sources.iter().map(|source| web.discovery.resolver_of(source)).collect();
    assert_eq!(resolvers, [Some("internal"), Some("other"), Some("internal"), Some("internal")]);
    assert_eq!(web.sources[3], Source::File("/etc/web.endpoints".into()));
    assert_eq!(api.discovery, Discovery::default());
}

#[test]
fn an_endpoint_is_a_text_or_a_table_with_options() {
    let text = r#"
        listener = { address = ":80" }
        pool.web.endpoints = ["10.0.0.1:80", { address = "web:80", weight = 3 }, { address = "10.0.0.2:80" }]
        "#;
    let pool = &config(text).pools[0];
    let name = Source::Name { host: "web".into(), port: 80 };
    let addresses = [1, 2].map(|last| Source::Address(([10, 0, 0, last], 80).into()));
    assert_eq!(pool.sources, [addresses[0].clone(), name.clone(), addresses[1].clone()]);
    assert_eq!(pool.options, [(name, EndpointOptions { weight: 3, ..EndpointOptions::default() })].into());
    let sections = "listener = { address = \":80\" }\n[[pool.web.endpoints]]\naddress = \"web:80\"\nweight = 3\n";
    assert_eq!(config(sections).pools[0].options, pool.options);
}

#[test]
fn pools_keep_the_order_of_the_file() {
    let config = config(
        r#"
        listener = { address = ":80" }
        route = [{ pool = "b" }, { pool = "a", path = "/a" }]
        pool.b.endpoints = "b:80"
        pool.a.endpoints = "a:80"
        "#,
    );
    assert_eq!(config.pools[config.routes[0].pool].name, "b");
    assert_eq!(config.pools[0].name, "b");
}

#[test]
fn health_is_a_boolean_or_a_section() {
    let health = |text: &str| config(&format!("{MINIMAL}{text}")).pools[0].health.clone();
    assert_eq!(health("health = false"), None);
    assert_eq!(health("health = true"), Some(HealthCheck::default()));
    let path = Some("/readyz".parse().unwrap());
    assert_eq!(health("health.path = \"/readyz\""), Some(HealthCheck { path, ..HealthCheck::default() }));
    assert_eq!(health("health.port = 9900"), Some(HealthCheck { port: Some(9900), ..HealthCheck::default() }));
}

#[test]
fn a_check_has_the_request_that_the_file_describes() {
    let text = r#"[pool.web.health]
        path = "/ready"
        method = "head"
        headers = { X-Probe = "edge", accept = "*/*" }
        interval = "1s"
        idle_interval = "1min"
        tls = { ca = "ca.pem", server_name = "Web.Example" }
        "#;
    let field = |name: &str, value: &str| (name.parse().unwrap(), value.parse().unwrap());
    let expected = HealthCheck {
        path: Some("/ready".parse().unwrap()),
        method: http::Method::HEAD,
        headers: vec![field("x-probe", "edge"), field("accept", "*/*")],
        interval: Duration::from_secs(1),
        idle_interval: Some(Duration::from_secs(60)),
        tls: Some(TlsCheck { trust: Trust::File("/etc/ca.pem".into()), server_name: Some("web.example".to_owned()) }),
        ..HealthCheck::default()
    };
    let loaded = loaded(&format!("{MINIMAL}{text}"));
    assert_eq!(loaded.config.pools[0].health.as_ref(), Some(&expected));
    assert_eq!(loaded.warnings, []);
    // They may be secrets.
    assert!(!format!("{:?}", loaded.config).contains("*/*"));
}

#[test]
fn a_check_is_by_the_protocol_that_the_file_names_or_a_path_implies() {
    let health = |text: &str| config(&format!("{MINIMAL}health = {{ {text} }}")).pools[0].health.clone().unwrap();
    let path = |path: &str| Some(path.parse().unwrap());
    let default = HealthCheck::default;
    assert_eq!(health("path = \"/x\""), HealthCheck { path: path("/x"), ..default() });
    assert_eq!(health("protocol = \"http\""), HealthCheck { path: path("/"), ..default() });
    assert_eq!(health("protocol = \"tcp\""), default());
    let grpc = |service: &str| HealthCheck { grpc: Some(service.to_owned()), ..default() };
    assert_eq!(health("protocol = \"grpc\""), grpc(""));
    assert_eq!(health("protocol = \"grpc\", service = \"shop.Cart\""), grpc("shop.Cart"));
    assert_eq!(health("tls = true"), HealthCheck { tls: Some(TlsCheck::default()), ..default() });
    assert_eq!(health("tls = false"), default());
    let any = TlsCheck { trust: Trust::Any, server_name: None };
    assert_eq!(health("tls.verify = false"), HealthCheck { tls: Some(any), ..default() });
    let text = "protocol = \"http\", body = \"ready\"";
    assert_eq!(health(text), HealthCheck { path: path("/"), body: Some("ready".to_owned()), ..default() });
}

#[test]
fn field_that_announces_a_drain_is_in_lower_case() {
    let drain = |text: &str| config(&format!("{MINIMAL}{text}")).pools[0].drain.clone();
    assert_eq!(drain(""), Drain { header: None, time: Duration::from_secs(30) });
    let expected = Drain { header: Some("x-drain".to_owned()), time: Duration::from_secs(5) };
    assert_eq!(drain("drain = { header = \"X-Drain\", time = \"5s\" }"), expected);
}

#[test]
fn defaults_never_contradict_the_file() {
    let pool = config(&format!("{MINIMAL}health.interval = \"100ms\"\nejection.base = \"2min\"")).pools[0].clone();
    assert_eq!(pool.health.as_ref().unwrap().fast_interval, Duration::from_millis(100));
    assert_eq!(pool.ejection.max, Duration::from_secs(120));
    let pool = config(&format!("{MINIMAL}ejection.max = \"1s\"")).pools[0].clone();
    assert_eq!(pool.ejection.base, Duration::from_secs(1));
}

#[test]
fn statuses_eject_unless_endpoints_hide_replicas_or_get_different_requests() {
    let share = |text: &str| config(&format!("{MINIMAL}{text}")).pools[0].ejection.error_share;
    let mesh = "listener = { address = \":80\" }\npool.web.endpoints = \"swarm://watch:8080?port=8000\"";
    for (actual, expected) in [
        (share(""), 0.5),
        (share("health = false"), 0.5),
        (share("health = { path = \"/\", expect = \"any\" }"), 0.0),
        (share("health = { path = \"/\", expect = \"any\" }\nejection.error_share = 0.9"), 0.9),
        // One key or client that fails must not get its endpoint ejected.
        (share("balance = \"consistent_hash\""), 0.0),
        (share("sticky = true"), 0.0),
        (share("sticky = false"), 0.5),
        (share("sticky = true\nejection.error_share = 0.9"), 0.9),
        (config(&format!("{mesh}\npool.web.mesh = false")).pools[0].ejection.error_share, 0.0),
        // There it ejects replicas.
        (config(mesh).pools[0].ejection.error_share, 0.5),
    ] {
        assert!((actual - expected).abs() < 1e-9, "{actual} instead of {expected}");
    }
}

#[test]
fn nodes_of_a_swarm_are_behind_a_mesh_unless_the_file_says_otherwise() {
    let pool = |text: &str| {
        config(&format!("listener = {{ address = \":80\" }}\npool.web.endpoints = {text}")).pools[0].clone()
    };
    let swarm = "\"swarm://watch:8080?port=8000\"";
    for (text, expected) in [
        (swarm.to_owned(), true),
        (format!("{swarm}\npool.web.mesh = false"), false),
        ("\"10.0.0.1:80\"".to_owned(), false),
        ("\"10.0.0.1:80\"\npool.web.mesh = true".to_owned(), true),
    ] {
        assert_eq!(pool(&text).mesh, expected, "{text}");
    }
    assert_eq!(pool(swarm).replica_header, "x-served-by");
    assert_eq!(pool(&format!("{swarm}\npool.web.replica_header = \"X-Replica\"")).replica_header, "x-replica");
    let warnings = loaded(&format!("{MINIMAL}replica_header = \"x-replica\"")).warnings;
    assert_eq!(warnings[0].message, "has no effect without mesh = true");
    let mesh = "mesh = true\nslow_start = \"10s\"\nsuspicion = \"3s\"\nejection.consecutive_errors = 3";
    let Loaded { config, warnings } = loaded(&format!("{MINIMAL}{mesh}"));
    assert_eq!((config.pools[0].slow_start, config.pools[0].ejection.consecutive_errors), (None, 0));
    assert!(warnings.len() == 3 && warnings.iter().all(|warning| warning.message.contains("behind a mesh")));
}

#[test]
fn a_listener_without_a_certificate_is_self_signed() {
    let tls = |text: &str| {
        let text = format!("pool.web.endpoints = \"web:80\"\nlistener = {{ address = \":443\", tls = {text} }}");
        config(&text).listeners[0].tls.clone().unwrap()
    };
    assert_eq!(tls("{}").self_signed, ["localhost"]);
    assert_eq!(tls("{ self_signed = \"www.example.com\" }").self_signed, ["www.example.com"]);
    assert!(tls("{ certificates = { certificate = \"a\", key = \"b\" } }").self_signed.is_empty());
}

#[test]
fn the_admin_address_is_read_from_an_invalid_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.toml");
    for (text, expected) in [
        ("", Some("127.0.0.1:9901")),
        ("admin = \"off\"", None),
        ("admin = \"127.0.0.1:1\"\ncolour = 5\n[pool.a", Some("127.0.0.1:1")),
    ] {
        fs::write(&file, text).unwrap();
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(admin(&file).unwrap(), expected, "{text}");
    }
    fs::write(&file, "admin = 1").unwrap();
    assert!(matches!(admin(&file), Err(ConfigError::Invalid(_))));
}
