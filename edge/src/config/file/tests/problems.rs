//! Errors and warnings.

use std::path::Path;

use super::{REST, loaded, told};
use crate::config::file::load;

/// What is wrong with `text` in front of [`REST`].
fn told_at_the_top(text: &str) -> String {
    told(&format!("{text}\n{REST}"))
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
fn a_file_that_is_not_there_is_named() {
    let error = load(Path::new("/nowhere/edge.toml")).unwrap_err();
    insta::assert_snapshot!(error, @"/nowhere/edge.toml: cannot be read: No such file or directory (os error 2)");
}
