//! Errors and warnings.

use std::path::Path;

use super::{MINIMAL, errors, loaded};
use crate::config::file::load;

/// Returns the problems of `text` followed by [`MINIMAL`].
fn errors_with_minimal(text: &str) -> String {
    errors(&format!("{text}\n{MINIMAL}"))
}

#[test]
fn syntax_errors_are_reported_with_their_places() {
    insta::assert_snapshot!(errors("drain = 30s\nworkers = \n"), @"
    edge.toml:1:9: not TOML: string values must be quoted, expected literal string
    edge.toml:2:11: not TOML: string values must be quoted, expected literal string
    ");
}

#[test]
fn all_problems_are_reported_at_once_with_place_and_fix() {
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
[pool.web.drain]
header = "Retry-After"
[pool.web.timeouts]
idle = "0s"

[pool."my api"]
endpoint = "x:80"
health = 5
"#;
    insta::assert_snapshot!(errors(text), @r#"
    edge.toml:2:11: workers: 0 is not allowed here: write a whole number from 1 to 1024
    edge.toml:3:9: drain: expected duration, found integer: write it like "30s"
    edge.toml:4:9: admin: "localhost:9901" is a name, but a listener needs an address: write "127.0.0.1:9901", or "off"
    edge.toml:5:1: acess_log: there is no such key; did you mean "access_log"?
    edge.toml:6:1: interval: there is no such key here; it belongs to [dns]
    edge.toml:7:1: colour: there is no such key; this section has: workers, drain, drain_delay, takeover, admin, admin_token_file, access_log, trusted_proxies, listener, dns, resolver, swarm, limits, timeouts, pool, route
    edge.toml:10:26: dns.servers: "dns.example" is not a name server: write its address, such as "127.0.0.11", "[::1]:53", "tcp://10.0.0.53" or "tls://10.0.0.53:853"
    edge.toml:13:26: listener.address: duplicate address, first used on line 13: remove one of them
    edge.toml:15:17: listener.tls.certificates.key: is missing: add key = "www.pem"
    edge.toml:17:1: listener.address: is missing: add address = "0.0.0.0:80"
    edge.toml:18:12: listener.freebind: expected boolean, found string: write it like true
    edge.toml:21:8: route.host: "www.example.com:80" is more than a host: write only "www.example.com"
    edge.toml:22:8: route.pool: no pool is named "wbe"; did you mean "web"?
    edge.toml:23:1: route.pool: is missing: name the pool that receives the requests, "web", "my api"
    edge.toml:24:8: route.path: "/api/*" needs no asterisk: a path matches as a prefix, so write "/api"
    edge.toml:25:12: route.max_body: "10 megs" is not a size: write bytes or a unit, such as 65536, "64KiB" or "10MiB"
    edge.toml:30:8: route.host: duplicate host and path, first used on line 27: remove one of them
    edge.toml:34:14: pool.web.endpoints: "10.0.0.1" has no port: add one after a colon, such as "10.0.0.1:8000"
    edge.toml:34:43: pool.web.endpoints: duplicate endpoint, first used on line 34: remove one of them
    edge.toml:35:11: pool.web.balance: "fastest" is not a balancing policy: write "round_robin", "least_requests", "peak_ewma", "random" or "consistent_hash"
    edge.toml:36:19: pool.web.panic_threshold: 30 is not a share: write a number from 0.0 (none) to 1.0 (all)
    edge.toml:38:8: pool.web.health.path: "readyz" is not a request path: begin it with a slash, such as "/readyz"
    edge.toml:39:10: pool.web.health.expect: "200,3xx" is not a list of statuses: write "any", "200" or "200-399,404", each from 100 to 599
    edge.toml:40:17: pool.web.health.fast_interval: is longer than interval: write at most 2s
    edge.toml:41:8: pool.web.health.rise: -1 is not allowed here: write a whole number from 1 to 1000
    edge.toml:43:8: pool.web.ejection.base: is longer than max: write at most 1m
    edge.toml:46:10: pool.web.drain.header: "Retry-After" is in ordinary responses: write a field that only an endpoint that drains sends, such as "x-drain"
    edge.toml:48:8: pool.web.timeouts.idle: "0s" is too short: write a duration above zero, such as "500ms"
    edge.toml:50:1: pool."my api": "my api" is not a valid name for a pool: write 1 to 64 of the characters a-z, A-Z, 0-9, - and _
    edge.toml:50:1: pool."my api".endpoints: is missing: add endpoints = "10.0.0.1:8000"
    edge.toml:51:1: pool."my api".endpoint: there is no such key; did you mean "endpoints"?
    edge.toml:52:10: pool."my api".health: expected a section, found integer: write [pool."my api".health]
    "#);
}

#[test]
fn a_faulty_option_of_an_endpoint_is_located() {
    let text = r#"
[[listener]]
address = ":80"
[pool.web]
endpoints = [
    { address = "10.0.0.1:80", weight = 0 },
    { weight = 2 },
    { address = "10.0.0.1:80", wieght = 2 },
    5,
    { address = "10.0.0.3:80", tier = 2, backup = true },
]
"#;
    insta::assert_snapshot!(errors(text), @r#"
    edge.toml:6:41: pool.web.endpoints.weight: 0 is not allowed here: write a whole number from 1 to 256
    edge.toml:7:5: pool.web.endpoints.address: is missing: add address = "10.0.0.1:8000"
    edge.toml:8:5: pool.web.endpoints: duplicate endpoint, first used on line 6: remove one of them
    edge.toml:8:32: pool.web.endpoints.wieght: there is no such key; did you mean "weight"?
    edge.toml:9:5: pool.web.endpoints: expected endpoint, found integer: write it like "10.0.0.1:8000"
    edge.toml:10:39: pool.web.endpoints.tier: contradicts backup, which is a tier of its own: remove one of the two
    "#);
}

#[test]
fn a_faulty_resolver_is_located() {
    let text = r#"
[resolver.internal]
servers = ["tls://dns.example", "tls://10.0.0.53"]
tls_name = "*.example"
[resolver.ttl]
interval = "ttl"
min_interval = "10s"
max_interval = "5s"
[resolver."a b"]
interval = "often"
[pool.web]
endpoints = [
    { address = "a:80", resolver = "interal" },
    { address = "srv://b", resolver = "internal" },
]
[pool.web.discovery]
resolver = "x"
interval = 5
"#;
    insta::assert_snapshot!(errors(&format!("{text}[[listener]]\naddress = \":80\"\n")), @r#"
    edge.toml:3:12: resolver.internal.servers: "tls://dns.example" is not a name server: write its address, such as "127.0.0.11", "[::1]:53", "tcp://10.0.0.53" or "tls://10.0.0.53:853"
    edge.toml:4:12: resolver.internal.tls_name: "*.example" is not in a certificate: write a name such as "dns.example.com", or an address
    edge.toml:7:16: resolver.ttl.min_interval: is longer than max_interval: write at most 5s
    edge.toml:9:1: resolver."a b": "a b" is not a valid name for a resolver: write 1 to 64 of the characters a-z, A-Z, 0-9, - and _
    edge.toml:10:12: resolver."a b".interval: "often" is not a duration: write a number and its unit, such as "500ms", "2s" or "5min"
    edge.toml:13:36: pool.web.endpoints.resolver: no resolver is named "interal"; did you mean "internal"?
    edge.toml:17:12: pool.web.discovery.resolver: no resolver is named "x"; add [resolver.x] with servers = ["10.0.0.53"]
    edge.toml:18:12: pool.web.discovery.interval: expected duration or "ttl", found integer: write it like "1s"
    "#);
    let text = r#"
[dns]
servers = "10.0.0.53"
tls_name = "dns.example"
min_interval = "1s"
[resolver.a]
ca_file = "ca.pem"
[pool.web]
endpoints = [{ address = "10.0.0.1:80", resolver = "a" }, { address = "file://f", resolver = "a" }]
[pool.web.discovery]
max_interval = "1s"
"#;
    let text = format!("{text}[[listener]]\naddress = \":80\"\n");
    let warnings = loaded(&text).warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(warnings, @r#"
    /etc/edge.toml:4:12: dns.tls_name: has no effect without a server such as "tls://10.0.0.53"
    /etc/edge.toml:5:16: dns.min_interval: has no effect without interval = "ttl"
    /etc/edge.toml:7:11: resolver.a.ca_file: has no effect without a server such as "tls://10.0.0.53"
    /etc/edge.toml:9:52: pool.web.endpoints.resolver: has no effect: the address is not resolved
    /etc/edge.toml:9:94: pool.web.endpoints.resolver: has no effect: the address is not resolved
    /etc/edge.toml:11:16: pool.web.discovery.max_interval: has no effect without interval = "ttl"
    "#);
}

#[test]
fn a_missing_setting_is_reported_with_an_example() {
    insta::assert_snapshot!(errors(""), @r#"
    edge.toml:1:1: listener: there is no listener: add [[listener]] with address = ":80"
    edge.toml:1:1: pool: there is no pool: add [pool.web] with endpoints = ["10.0.0.1:8000"]
    "#);
    insta::assert_snapshot!(errors("[[listener]]\naddress = \":80\"\n[pool.a]\nendpoints = \"a:80\"\n[pool.b]\nendpoints = []"), @r#"
    edge.toml:1:1: route: is missing, but there are several pools, "a", "b": add a [[route]] for each
    edge.toml:6:13: pool.b.endpoints: is missing: add endpoints = "10.0.0.1:8000"
    "#);
    insta::assert_snapshot!(errors("[[listener]]\naddress = \":80\"\n[[route]]\npool = \"web\"\n[[route]]\npath = \"/x\""), @r#"
    edge.toml:1:1: pool: there is no pool: add [pool.web] with endpoints = ["10.0.0.1:8000"]
    edge.toml:4:8: route.pool: no pool is named "web"; add [pool.web] with endpoints = ["10.0.0.1:8000"]
    edge.toml:5:1: route.pool: is missing: name the pool that receives the requests, "web"
    "#);
}

#[test]
fn the_admin_listener_needs_an_address_of_its_own() {
    insta::assert_snapshot!(errors_with_minimal("admin = \":80\""), @r#"edge.toml:4:11: listener.address: is also the address of admin: change one of the two ports, or write admin = "off""#);
}

#[test]
fn nodes_of_a_mesh_have_no_sessions_and_no_keys() {
    let pool = |keys: &str| {
        format!("[[listener]]\naddress = \":80\"\n[pool.web]\nendpoints = \"swarm://w:1?port=80\"\n{keys}")
    };
    for keys in ["sticky = true", "balance = \"consistent_hash\"", "[pool.web.sticky]"] {
        let errors = errors(&pool(keys));
        assert!(errors.contains("cannot tie clients to nodes whose routing mesh leads to any replica"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn problems_of_a_check_are_named_without_the_values_of_its_fields() {
    let text = r#"[pool.web.health]
path = "/"
method = "HEAD"
body = "x"
protocol = "udp"
headers = { host = "secret", content-type = "secret", "a b" = "secret", X-A = "secret\nsecret", x-b = "1", X-B = "2", c = 3 }
interval = "2s"
idle_interval = "1s"
tls = { ca = "a.pem", verify = false, server_name = "*.example" }
"#;
    let errors = errors(&format!("{MINIMAL}{text}"));
    assert!(!errors.contains("secret"), "{errors}");
    insta::assert_snapshot!(errors, @r#"
    edge.toml:9:8: pool.web.health.body: needs a method other than HEAD, whose responses have no body
    edge.toml:10:12: pool.web.health.protocol: "udp" is not a protocol of health checks: write "tcp", "http" or "grpc"
    edge.toml:11:20: pool.web.health.headers.host: is a key of its own: write host beside headers
    edge.toml:11:45: pool.web.health.headers.content-type: cannot be set: the edge writes it, or it concerns a body, which health checks do not have
    edge.toml:11:63: pool.web.health.headers.a b: "a b" is not the name of a field: write one such as "x-probe"
    edge.toml:11:79: pool.web.health.headers.X-A: contains a character that is not allowed in a field: write one line of ASCII
    edge.toml:11:108: pool.web.health.headers.X-B: is given twice: remove one of them
    edge.toml:11:123: pool.web.health.headers.c: expected text, found integer: write it in quotes
    edge.toml:13:17: pool.web.health.idle_interval: is shorter than interval: write at least 2s
    edge.toml:14:32: pool.web.health.tls.verify: contradicts ca: without verification no authority is needed; remove one of the two
    edge.toml:14:53: pool.web.health.tls.server_name: "*.example" is not the name of a server: write one such as "www.example.com", or an address
    "#);
}

#[test]
fn keys_that_the_protocol_of_a_check_does_not_use_are_warnings() {
    let keys = "method = \"GET\"\nhost = \"a\"\nheaders.x-a = \"1\"\nexpect = \"any\"\nbody = \"x\"\n";
    let warnings = |first: &str| {
        let text = format!("{MINIMAL}[pool.web.health]\n{first}\n{keys}");
        let messages = loaded(&text).warnings.into_iter().map(|warning| warning.to_string());
        messages.map(|text| text.split_once("health.").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(warnings("path = \"/\""), [""; 0]);
    let all = |keys: &[&str], message: &str| keys.iter().map(|key| format!("{key}: {message}")).collect::<Vec<_>>();
    let unused = ["method", "host", "headers", "expect", "body"];
    assert_eq!(warnings(""), all(&unused, "has no effect without path: the check only connects"));
    let message = "has no effect with protocol = \"tcp\": the check only connects";
    assert_eq!(warnings("protocol = \"tcp\""), all(&unused, message));
    assert_eq!(warnings("tls = true").len(), unused.len() - 1, "the host is in the certificate");
    let message = "has no effect with protocol = \"grpc\": the check asks for a service";
    assert_eq!(warnings("protocol = \"grpc\""), all(&["method", "expect", "body"], message));
    let message = "service: has no effect without protocol = \"grpc\"";
    assert_eq!(warnings("path = \"/\"\nservice = \"a\""), [message]);
}

#[test]
fn a_setting_without_effect_is_a_warning() {
    let text = r#"
admin = "off"
admin_token_file = "token"
[[listener]]
address = ":80"
[[route]]
pool = "web"
[pool.web]
endpoints = "web:80"
health.expect = "any"
hash_key = "path"
[pool.api]
endpoints = "api:80"
"#;
    let warnings = loaded(text).warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(warnings, @"
    /etc/edge.toml:3:20: admin_token_file: has no effect, because admin is off
    /etc/edge.toml:10:17: pool.web.health.expect: has no effect without path: the check only connects
    /etc/edge.toml:11:12: pool.web.hash_key: has no effect without balance = \"consistent_hash\"
    /etc/edge.toml:12:1: pool.api: no route names this pool, so it gets no requests
    ");
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/nowhere/edge.toml")).unwrap_err();
    insta::assert_snapshot!(error, @"/nowhere/edge.toml: cannot be read: No such file or directory (os error 2)");
}
