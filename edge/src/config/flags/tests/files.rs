//! Files that flags name: a configuration, certificates, a token.

use std::{fs, path::Path};

use super::{REST, config, settings, told};
use crate::config::{AccessLog, Expect, Source};

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
    insta::assert_snapshot!(super::told(&format!("{REST} --tls-cert-file {pem}"), &[]), @"--tls-key-file: is missing: a certificate needs its key");
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
