//! Errors and warnings.

use super::{MINIMAL, config, errors, loaded};

#[test]
fn all_problems_are_reported_at_once_by_the_name_that_the_user_gave() {
    let args = "--listen 80 --to web http://a:1 --workers 0 --health-path readyz --health-port 0 --no-health \
        --response-timeout 0s --head-timeout 1";
    let environment =
        [("EDGE_LISTEN_TLS", "localhost:443"), ("EDGE_DRAIN", "30"), ("EDGE_FREEBIND", "maybe"), ("EDGE_BALANCE", "x")];
    insta::assert_snapshot!(errors(args, &environment), @r#"
    --listen: "80" is only a port: write ":80" for every address of this host
    EDGE_LISTEN_TLS: "localhost:443" is a name, but a listener needs an address: write "127.0.0.1:443"
    --to: "web" has no port: add one after a colon, such as "web:8000", or set one for all endpoints with --to-port
    --to: "http://a:1" is a URL: write only host:port; the edge speaks plain HTTP/1.1 to endpoints
    EDGE_BALANCE: "x" is not a balancing policy: write "round_robin", "least_requests", "peak_ewma", "random" or "consistent_hash"
    --health-path: "readyz" is not a request path: begin it with a slash, such as "/readyz"
    --health-port: 0 is not allowed here: write a whole number from 1 to 65535
    --health-path: is given, but health checks are turned off: remove one of the two
    --health-port: is given, but health checks are turned off: remove one of the two
    --response-timeout: "0s" is too short: write a duration above zero, such as "500ms"
    EDGE_FREEBIND: "maybe" is not a boolean: write true or false
    --head-timeout: "1" is not a duration: write a number and its unit, such as "500ms", "2s" or "5min"
    --workers: 0 is not allowed here: write a whole number from 1 to 1024
    EDGE_DRAIN: "30" is not a duration: write a number and its unit, such as "500ms", "2s" or "5min"
    "#);
}

#[test]
fn nodes_of_a_mesh_have_no_sessions_and_no_keys() {
    let mesh = "--listen :80 --to-mesh 10.0.0.1:8000";
    for flag in ["--sticky", "--balance consistent_hash"] {
        let errors = errors(&format!("{mesh} {flag}"), &[]);
        assert!(errors.contains("cannot tie clients to nodes whose routing mesh leads to any replica"), "{errors}");
    }
}

#[test]
fn a_log_filter_is_reported_with_the_other_problems() {
    for (args, environment, name) in
        [("--log edge=loud", vec![], "--log"), ("", vec![("EDGE_LOG", "edge=loud")], "EDGE_LOG")]
    {
        let errors = errors(&format!("{MINIMAL} --workers 0 {args}"), &environment);
        assert_eq!(errors.lines().count(), 2, "{errors}");
        assert!(errors.lines().any(|line| line.starts_with(&format!("{name}: "))), "{errors}");
    }
}

#[test]
fn a_missing_setting_is_reported_with_an_example() {
    let errors = ["", "--listen :80", "--to a:1", "--listen , --to ,"].map(|args| errors(args, &[]));
    insta::assert_snapshot!(errors.join("\n"), @"
    --config: is missing: write --config edge.toml, or --listen :80 --to 10.0.0.1:8000
    --to: is missing: write the endpoints, such as --to 10.0.0.1:8000,10.0.0.2:8000
    --listen: is missing: write an address to listen on, such as --listen :80
    --config: is missing: write --config edge.toml, or --listen :80 --to 10.0.0.1:8000
    ");
}

#[test]
fn duplicates_are_reported() {
    insta::assert_snapshot!(errors("--listen :80 --listen-tls :80 --admin :80 --to a:1,A:1", &[]), @r#"
    --listen-tls: [::]:80 is given twice: remove one of them
    --to: a:1 is given twice: remove one of them
    --admin: is also the address of a listener: write another port, or "off"
    "#);
    insta::assert_snapshot!(errors("--listen :80 --admin 127.0.0.1:80 --to a:1", &[]), @r#"--admin: is also the address of a listener: write another port, or "off""#);
    assert_eq!(config("--listen 127.0.0.1:0 127.0.0.1:0 --to a:1", &[]).listeners.len(), 2);
}

#[test]
fn settings_of_checks_that_are_turned_off_are_reported() {
    let args = "--no-health --health-path /x --health-port 9 --health-expect any --health-timeout 1s \
        --health-host a --health-protocol http --health-service b --health-method HEAD --health-header a=b";
    insta::assert_snapshot!(errors(&format!("{MINIMAL} {args}"), &[]), @"
    --health-path: is given, but health checks are turned off: remove one of the two
    --health-host: is given, but health checks are turned off: remove one of the two
    --health-port: is given, but health checks are turned off: remove one of the two
    --health-method: is given, but health checks are turned off: remove one of the two
    --health-header: is given, but health checks are turned off: remove one of the two
    --health-expect: is given, but health checks are turned off: remove one of the two
    --health-protocol: is given, but health checks are turned off: remove one of the two
    --health-service: is given, but health checks are turned off: remove one of the two
    --health-timeout: is given, but health checks are turned off: remove one of the two
    ");
}

#[test]
fn a_setting_without_effect_is_a_warning() {
    let warnings = loaded(&format!("{MINIMAL} --health-expect any --server-name a.example"), &[]).warnings;
    insta::assert_snapshot!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @"
    --server-name: has no effect without --listen-tls
    --health-expect: has no effect without --health-path
    ");
}

#[test]
fn wrong_fields_of_checks_are_reported_without_their_values() {
    let args = "--health-path / --health-header s3cret,host=s3cret,a=s3cret,A=s3cret --health-method connect";
    let errors = errors(&format!("{MINIMAL} {args}"), &[]);
    insta::assert_snapshot!(errors, @r#"
    --health-method: "connect" is not a method of health checks: write one such as "GET" or "HEAD"
    --health-header: lacks `=`: write NAME=VALUE, such as x-probe=edge
    --health-header: is a flag of its own: write --health-host
    --health-header: a is given twice: remove one of them
    "#);
}

#[test]
fn settings_of_checks_that_their_protocol_does_not_use_are_warnings() {
    for (args, expected) in [
        ("--health-host a", "--health-host: has no effect without --health-path"),
        ("--health-service a", "--health-service: has no effect without --health-protocol grpc"),
        ("--health-path / --health-service a", "--health-service: has no effect without --health-protocol grpc"),
        ("--health-method HEAD", "--health-method: has no effect without --health-path"),
        ("--health-header a=b", "--health-header: has no effect without --health-path"),
        ("--health-protocol grpc --health-method HEAD", "--health-method: has no effect with --health-protocol grpc"),
        ("--health-protocol tcp --health-path /", "--health-path: has no effect with --health-protocol tcp"),
        ("--health-protocol grpc --health-path /", "--health-path: has no effect with --health-protocol grpc"),
        ("--health-protocol grpc --health-expect 200", "--health-expect: has no effect with --health-protocol grpc"),
    ] {
        let warnings = loaded(&format!("{MINIMAL} {args}"), &[]).warnings;
        assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected], "{args}");
    }
    let errors = errors(&format!("{MINIMAL} --health-protocol udp --health-host a/b"), &[]);
    insta::assert_snapshot!(errors, @r#"
    --health-host: "a/b" is not a host: write a name or an address, such as "www.example.com"
    --health-protocol: "udp" is not a protocol of health checks: write "tcp", "http" or "grpc"
    "#);
}

#[test]
fn a_misspelled_variable_is_a_warning_and_other_variables_are_ignored() {
    let environment = [("EDGE_DRIAN", "1s"), ("EDGE_PORT_80_TCP", "x"), ("HOME", "/"), ("EDGE_TO_PORT", "1")];
    let warnings = loaded(MINIMAL, &environment).warnings;
    insta::assert_snapshot!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @"EDGE_DRIAN: is not a variable of the edge; did you mean EDGE_DRAIN?");
}
