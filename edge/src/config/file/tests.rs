use std::{fs, path::Path, time::Duration};

use proptest::prelude::*;

use super::{admin, load, parse, render};
use crate::config::{
    AccessLog, Config, HealthCheck, HostMatch, Listener, Pool, Source, arbitrary,
    problem::{ConfigError, Loaded},
};

const FILE: &str = "/etc/edge.toml";

fn config(text: &str) -> Config {
    loaded(text).config
}

fn loaded(text: &str) -> Loaded {
    parse(text, Path::new(FILE)).unwrap_or_else(|error| panic!("{error}"))
}

/// What is wrong with a text.
fn told(text: &str) -> String {
    parse(text, Path::new("edge.toml")).unwrap_err().to_string()
}

/// Two sections that go well with whatever is tested.
const REST: &str = r#"
[[listener]]
address = ":80"
[pool.web]
endpoints = "10.0.0.1:8000"
"#;

/// What is wrong with `text` in front of [`REST`].
fn told_at_the_top(text: &str) -> String {
    told(&format!("{text}\n{REST}"))
}

#[test]
fn an_address_and_an_endpoint_are_enough() {
    let pool = Pool::new("web", vec![Source::Address("10.0.0.1:8000".parse().unwrap())]);
    let expected = Config::simple(vec![Listener::plain("[::]:80".parse().unwrap())], pool);
    assert_eq!(loaded(REST), Loaded { config: expected, warnings: Vec::new() });
}

#[test]
fn relative_paths_begin_at_the_folder_of_the_file() {
    let config = config(
        r#"
        access_log = "log/access"
        listener = { address = ":443", tls = { certificates = [{ certificate = "a.pem", key = "/secret/a.key" }] } }
        pool.web.endpoints = "web:80"
        "#,
    );
    assert_eq!(config.access_log, AccessLog::File("/etc/log/access".into()));
    let files = &config.listeners[0].tls.as_ref().unwrap().certificates[0];
    assert_eq!(files.certificate, Path::new("/etc/a.pem"));
    assert_eq!(files.key, Path::new("/secret/a.key"));
}

#[test]
fn a_list_of_hosts_makes_a_route_of_each() {
    let config = config(&format!("{REST}[[route]]\nhost = [\"a.example\", \"*.b.example\"]\npath = \"/api\""));
    let hosts: Vec<_> = config.routes.iter().map(|route| (route.host.clone(), route.path.as_str())).collect();
    let expected = [(HostMatch::Exact("a.example".into()), "/api"), (HostMatch::Suffix("b.example".into()), "/api")];
    assert_eq!(hosts, expected);
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
fn health_is_a_switch_or_a_section() {
    let health = |text: &str| config(&format!("{REST}{text}")).pools[0].health.clone();
    assert_eq!(health("health = false"), None);
    assert_eq!(health("health = true"), Some(HealthCheck::default()));
    let path = Some("/readyz".parse().unwrap());
    assert_eq!(health("health.path = \"/readyz\""), Some(HealthCheck { path, ..HealthCheck::default() }));
}

#[test]
fn a_default_never_contradicts_what_is_written() {
    let pool = config(&format!("{REST}health.interval = \"100ms\"\nejection.base = \"2min\"")).pools[0].clone();
    assert_eq!(pool.health.as_ref().unwrap().fast_interval, Duration::from_millis(100));
    assert_eq!(pool.ejection.max, Duration::from_secs(120));
    let pool = config(&format!("{REST}ejection.max = \"1s\"")).pools[0].clone();
    assert_eq!(pool.ejection.base, Duration::from_secs(1));
}

#[test]
fn without_a_certificate_the_edge_signs_its_own() {
    let tls = |text: &str| {
        let text = format!("pool.web.endpoints = \"web:80\"\nlistener = {{ address = \":443\", tls = {text} }}");
        config(&text).listeners[0].tls.clone().unwrap()
    };
    assert_eq!(tls("{}").self_signed, ["localhost"]);
    assert_eq!(tls("{ self_signed = \"www.example.com\" }").self_signed, ["www.example.com"]);
    assert!(tls("{ certificates = { certificate = \"a\", key = \"b\" } }").self_signed.is_empty());
}

#[test]
fn a_mistake_in_the_syntax_is_told_with_its_place() {
    insta::assert_snapshot!(told("drain = 30s\nworkers = \n"), @"
    edge.toml:1:9: not TOML: string values must be quoted, expected literal string
    edge.toml:2:11: not TOML: string values must be quoted, expected literal string
    ");
}

#[test]
fn all_mistakes_are_told_at_once_with_place_and_fix() {
    let text = r#"
workers = 0
drain = 30
admin = "localhost:9901"
acess_log = "stdout"
interval = "1s"
colour = "red"

[dns]
servers = ["127.0.0.11", "dns.example"]

[[listener]]
address = ["0.0.0.0:80", "0.0.0.0:80"]
[listener.tls]
certificates = [{ certificate = "a.pem" }]

[[listener]]
freebind = "yes"

[[route]]
host = "www.example.com:80"
pool = "wbe"
[[route]]
path = "/api/*"
max_body = "10 megs"
[[route]]
host = "a.example"
pool = "web"
[[route]]
host = "A.example"
pool = "web"

[pool.web]
endpoints = ["10.0.0.1", "10.0.0.2:8000", "10.0.0.2:8000"]
balance = "fastest"
panic_threshold = 30
[pool.web.health]
path = "readyz"
expect = [200, "3xx"]
fast_interval = "5s"
rise = -1
[pool.web.ejection]
base = "2min"
max = "1min"
[pool.web.timeouts]
idle = "0s"

[pool."my api"]
endpoint = "x:80"
health = 5
"#;
    insta::assert_snapshot!(told(text), @r#"
    edge.toml:2:11: workers: 0 is not allowed here: write a whole number from 1 to 1024
    edge.toml:3:9: drain: expected duration, found integer: write it like "30s"
    edge.toml:4:9: admin: "localhost:9901" is a name and listening takes an address: write "127.0.0.1:9901", or "off"
    edge.toml:5:1: acess_log: there is no such key; did you mean "access_log"?
    edge.toml:6:1: interval: there is no such key here; it belongs to [dns]
    edge.toml:7:1: colour: there is no such key; this section has: workers, drain, admin, access_log, trusted_proxies, listener, dns, swarm, limits, timeouts, pool, route
    edge.toml:10:26: dns.servers: "dns.example" is not the address of a name server: write it like "127.0.0.11" or "[::1]:53"
    edge.toml:13:26: listener.address: the same address is in line 13 already: take one of them out
    edge.toml:15:17: listener.tls.certificates.key: is missing: add key = "www.pem"
    edge.toml:17:1: listener.address: is missing: add address = "0.0.0.0:80"
    edge.toml:18:12: listener.freebind: expected boolean, found string: write it like true
    edge.toml:21:8: route.host: "www.example.com:80" is more than a host: write only "www.example.com"
    edge.toml:22:8: route.pool: no pool is named "wbe"; did you mean "web"?
    edge.toml:23:1: route.pool: is missing: name the pool that the requests go to, "web", "my api"
    edge.toml:24:8: route.path: "/api/*" needs no star: a path is a prefix already, write "/api"
    edge.toml:25:12: route.max_body: "10 megs" is not a size: write bytes or a unit, such as 65536, "64KiB" or "10MiB"
    edge.toml:30:8: route.host: the same host and path is in line 27 already: take one of them out
    edge.toml:34:14: pool.web.endpoints: "10.0.0.1" has no port: write it behind a colon, such as "10.0.0.1:8000"
    edge.toml:34:43: pool.web.endpoints: the same endpoint is in line 34 already: take one of them out
    edge.toml:35:11: pool.web.balance: "fastest" is not a way to balance: write "round_robin", "least_requests" or "random"
    edge.toml:36:19: pool.web.panic_threshold: 30 is not a share: write a number from 0.0 (none) to 1.0 (all)
    edge.toml:38:8: pool.web.health.path: "readyz" is not a path to ask for: write it from the first slash on, such as "/readyz"
    edge.toml:39:10: pool.web.health.expect: "200,3xx" is not a list of statuses: write "any", "200" or "200-399,404", each from 100 to 599
    edge.toml:40:17: pool.web.health.fast_interval: is longer than interval, 2s: write at most that
    edge.toml:41:8: pool.web.health.rise: -1 is not allowed here: write a whole number from 1 to 1000
    edge.toml:43:8: pool.web.ejection.base: is longer than max, 1m: write at most that
    edge.toml:46:8: pool.web.timeouts.idle: "0s" would be no time at all: write a duration above zero, such as "500ms"
    edge.toml:48:1: pool."my api": "my api" cannot name a pool: write 1 to 64 of the characters a-z, A-Z, 0-9, - and _
    edge.toml:48:1: pool."my api".endpoints: is missing: add endpoints = "10.0.0.1:8000"
    edge.toml:49:1: pool."my api".endpoint: there is no such key; did you mean "endpoints"?
    edge.toml:50:10: pool."my api".health: expected a section, found integer: write [pool."my api".health]
    "#);
}

#[test]
fn what_is_missing_is_told_with_an_example() {
    insta::assert_snapshot!(told(""), @r#"
    edge.toml:1:1: listener: nothing listens: add [[listener]] with address = ":80"
    edge.toml:1:1: pool: there is no pool to send requests to: add [pool.web] with endpoints = ["10.0.0.1:8000"]
    "#);
    insta::assert_snapshot!(told("[[listener]]\naddress = \":80\"\n[pool.a]\nendpoints = \"a:80\"\n[pool.b]\nendpoints = []"), @r#"
    edge.toml:1:1: route: is missing, and there are several pools, "a", "b": add a [[route]] for each
    edge.toml:6:13: pool.b.endpoints: is missing: add endpoints = "10.0.0.1:8000"
    "#);
    insta::assert_snapshot!(told("[[listener]]\naddress = \":80\"\n[[route]]\npool = \"web\"\n[[route]]\npath = \"/x\""), @r#"
    edge.toml:1:1: pool: there is no pool to send requests to: add [pool.web] with endpoints = ["10.0.0.1:8000"]
    edge.toml:4:8: route.pool: no pool is named "web"; add [pool.web] with endpoints = ["10.0.0.1:8000"]
    edge.toml:5:1: route.pool: is missing: name the pool that the requests go to, "web"
    "#);
}

#[test]
fn admin_and_requests_need_different_addresses() {
    insta::assert_snapshot!(told_at_the_top("admin = \":80\""), @r#"edge.toml:4:11: listener.address: is also the address of admin: give one of them another port, or write admin = "off""#);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let text = r#"
[[listener]]
address = ":80"
[[route]]
pool = "web"
[pool.web]
endpoints = "web:80"
health.expect = "any"
[pool.api]
endpoints = "api:80"
"#;
    let warnings = loaded(text).warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(warnings, @"
    /etc/edge.toml:8:17: pool.web.health.expect: has no effect without path: the check only connects
    /etc/edge.toml:9:1: pool.api: no route names this pool, so it gets no request
    ");
}

#[test]
fn the_address_of_admin_is_found_in_a_file_with_mistakes() {
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

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(Path::new("/nowhere/edge.toml")).unwrap_err();
    insta::assert_snapshot!(error, @"/nowhere/edge.toml: cannot be read: No such file or directory (os error 2)");
}

proptest! {
    #[test]
    fn a_rendered_configuration_is_the_same_configuration(config in arbitrary::config()) {
        let text = render(&config);
        let parsed = parse(&text, Path::new(FILE)).map(|loaded| loaded.config);
        prop_assert_eq!(parsed.map_err(|error| format!("{error}\n{text}")), Ok(config));
    }

    #[test]
    fn no_text_panics(text: String) {
        // The result does not matter, only that there is one.
        drop(parse(&text, Path::new(FILE)));
    }

    #[test]
    fn no_toml_with_our_keys_panics(lines in prop::collection::vec(line(), 0..12)) {
        drop(parse(&lines.join("\n"), Path::new(FILE)));
    }
}

/// Lines that are often TOML and often have our keys.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "workers",
        "drain",
        "admin",
        "access_log",
        "trusted_proxies",
        "listener",
        "address",
        "tls",
        "certificates",
        "dns",
        "servers",
        "limits",
        "max_head",
        "route",
        "host",
        "path",
        "pool",
        "max_body",
        "pool.a",
        "endpoints",
        "health",
        "pool.a.health",
        "expect",
        "interval",
        "ejection",
        "[route]",
        "[listener]",
    ]);
    let value = prop_oneof![
        "-?[0-9_]{1,25}",
        "[0-9.e+-]{1,9}",
        "\"[a-z0-9.:*/%,é-]{0,9}\"",
        "\\[[0-9, \"a-z:]{0,9}\\]",
        "true|false|inf|nan",
        "\\{[a-z= \"]{0,9}\\}",
        "1979-05-27",
    ];
    prop_oneof![
        (key.clone(), value).prop_map(|(key, value)| format!("{key} = {value}")),
        key.prop_map(|key| format!("[{key}]"))
    ]
}
