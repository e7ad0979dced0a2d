//! Errors and warnings.

use super::{REST, config, loaded, told};

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
fn what_has_no_effect_is_a_warning() {
    let warnings = loaded(&format!("{REST} --health-expect any --server-name a.example"), &[]).warnings;
    insta::assert_snapshot!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @"
    --server-name: has no effect without --listen-tls
    --health-expect: has no effect without --health-path
    ");
}

#[test]
fn a_variable_that_is_nearly_ours_is_a_warning_and_others_are_not_ours() {
    let environment = [("EDGE_DRIAN", "1s"), ("EDGE_PORT_80_TCP", "x"), ("HOME", "/"), ("EDGE_TO_PORT", "1")];
    let warnings = loaded(REST, &environment).warnings;
    insta::assert_snapshot!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @"EDGE_DRIAN: is not a variable of the edge; did you mean EDGE_DRAIN?");
}
