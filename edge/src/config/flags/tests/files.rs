//! Files that flags name: a configuration, certificates, a token.

use std::{fs, path::Path};

use super::{MINIMAL, config, errors, settings};
use crate::config::{AccessLog, Source};

#[test]
fn flags_that_the_file_has_keys_for_are_rejected_with_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml");
    fs::write(&path, "listener = { address = \":80\" }\npool.web.endpoints = \"web:80\"\naccess_log = \"off\"")
        .unwrap();
    let file = path.to_str().unwrap();
    let errors = errors("--listen :80", &[("EDGE_TO", "a:1"), ("EDGE_CONFIG", file)]);
    insta::assert_snapshot!(errors, @"
    --listen: cannot be combined with EDGE_CONFIG: set it in the file, or remove --listen
    EDGE_TO: cannot be combined with EDGE_CONFIG: set it in the file, or remove EDGE_TO
    ");

    let over = "--admin off --workers 1 --drain 0s --drain-delay 1s --access-log stdout --log warn --takeover /run/x";
    let config = config(&format!("--config {file} {over}"), &[]);
    assert_eq!((config.admin, config.workers.get(), config.drain.as_secs()), (None, 1, 0));
    assert_eq!((config.drain_delay.as_secs(), config.takeover.as_deref()), (1, Some(Path::new("/run/x"))));
    assert_eq!(config.access_log, AccessLog::Stdout);
}

#[test]
fn certificate_and_key_come_together_and_may_be_blank() {
    let folder = tempfile::tempdir().unwrap();
    let blank = folder.path().join("blank");
    fs::write(&blank, "\n").unwrap();
    let blank = blank.to_str().unwrap();
    let load = |certificate: &str, key: &str| {
        let args = format!("--listen-tls :443 --to a:1 --tls-cert-file {certificate} --tls-key-file {key}");
        settings(&args, &[("EDGE_SERVER_NAME", "www.example.com")]).load()
    };
    let tls = load(blank, blank).unwrap().config.listeners[0].tls.clone().unwrap();
    assert_eq!((tls.certificates.len(), tls.self_signed), (1, vec!["www.example.com".to_owned()]));
    let error = load("/nowhere/a.pem", blank).unwrap_err().to_string();
    assert_eq!(error, "--tls-cert-file: /nowhere/a.pem cannot be read: No such file or directory (os error 2)");
    insta::assert_snapshot!(errors(&format!("{MINIMAL} --tls-cert-file {blank}"), &[]), @"--tls-key-file: is missing: a certificate needs its key");
}

#[test]
fn a_stack_gets_nodes_from_a_swarm_with_or_without_a_token() {
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
    let backup = Source::Name { host: "tasks.web".into(), port: 8000 };
    assert_eq!(nodes.config.pools[0].sources, [source, backup]);
    assert!(nodes.config.pools[0].mesh);
    assert_eq!((nodes.config.swarm.token_file, nodes.warnings), (Some(full.clone()), vec![]));
    let tasks = stack("", &empty).unwrap();
    assert_eq!((tasks.config.swarm.token_file, tasks.warnings), (None, vec![]));

    let warnings = stack("", &full).unwrap().warnings;
    insta::assert_snapshot!(warnings[0].to_string(), @"EDGE_SWARM_TOKEN_FILE: has no effect without an endpoint such as swarm://watch:8080");
    let errors = stack("swarm://tasks.watch", Path::new("/nowhere/token")).unwrap_err();
    insta::assert_snapshot!(errors.to_string(), @r#"
    EDGE_TO_MESH: "swarm://tasks.watch" has no port: add the port of watch's HTTP server, such as "swarm://tasks.watch:8080"
    EDGE_SWARM_TOKEN_FILE: /nowhere/token: cannot be read: No such file or directory (os error 2)
    "#);
}
