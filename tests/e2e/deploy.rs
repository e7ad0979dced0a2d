//! The scripts in deploy/, with a fake Docker client and a fake clock.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const WAIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/wait.sh");

fn write_program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}

/// Returns the error of wait.sh in a swarm of `nodes` that never becomes ready, with a clock that jumps past the time limit.
fn timeout_error(nodes: usize, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let answers = format!("case \"$1 $2\" in 'node ls') seq {nodes} ;; 'service ls') echo web 1/2 ;; esac");
    write_program(folder.path(), "docker", &answers);
    write_program(folder.path(), "date", "if mkdir \"${0%/*}/began\" 2>/dev/null; then echo 0; else echo 1000000; fi");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(WAIT).args(arguments).env("PATH", path).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_default_wait_covers_an_update_of_all_edges_one_by_one() {
    for (nodes, seconds) in [(1, 300), (3, 300), (5, 300), (6, 360), (30, 1800)] {
        assert_eq!(timeout_error(nodes, &[]), format!("still missing after {seconds} s: web: 1/2\n"), "{nodes} nodes");
    }
    assert_eq!(timeout_error(30, &["7"]), "still missing after 7 s: web: 1/2\n");
}
