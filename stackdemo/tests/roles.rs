//! The program of the image, called through its links.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stackdemo");
const ROLES: [&str; 3] = ["app", "edge", "watch"];

fn run(program: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    // Without the environment of the test run.
    let Output { status, stdout, stderr } = Command::new(program)
        .args(arguments)
        .env_clear()
        .output()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_link_selects_the_role_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for role in ROLES {
        let link = folder.path().join(role);
        symlink(PROGRAM, &link).unwrap();
        let version = format!("{role} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(run(&link, &["--version"]), (Some(0), version, String::new()));
    }
}

#[test]
fn the_first_argument_selects_the_role_of_a_program_with_another_name() {
    for role in ROLES {
        let version = format!("{role} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(run(Path::new(PROGRAM), &[role, "--version"]), (Some(0), version, String::new()));
    }
}

#[test]
fn wrong_usage_is_reported_by_the_role_however_it_was_selected() {
    let folder = tempfile::tempdir().unwrap();
    for role in ROLES {
        let usage = format!("Usage: {role} ");
        let link = folder.path().join(role);
        symlink(PROGRAM, &link).unwrap();
        let (code, _, by_name) = run(&link, &["--no-such-flag"]);
        assert_eq!(code, Some(2), "{by_name}");
        assert!(by_name.contains("--no-such-flag") && by_name.contains(&usage), "{by_name}");
        assert_eq!(run(Path::new(PROGRAM), &[role, "--no-such-flag"]), (code, String::new(), by_name));
    }
    let (code, _, setting) = run(Path::new(PROGRAM), &["app"]);
    assert_eq!(code, Some(2));
    assert!(setting.starts_with("app: there is nowhere to count"), "{setting}");
}

#[test]
fn an_unknown_role_exits_with_2_and_the_list_of_roles() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("apps");
    let roles = format!(": {}", ROLES.join(", "));
    symlink(PROGRAM, &link).unwrap();
    for (program, arguments) in
        [(link.as_path(), &["run"][..]), (Path::new(PROGRAM), &["--verbose"]), (Path::new(PROGRAM), &[])]
    {
        let (code, out, text) = run(program, arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{text}");
        assert!(text.starts_with("stackdemo: ") && text.trim_end().ends_with(&roles), "{text}");
    }
}

#[test]
fn help_and_version_are_printed_and_help_lists_every_role() {
    for flag in ["--help", "-h", "help"] {
        let (code, out, errors) = run(Path::new(PROGRAM), &[flag]);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{flag}");
        assert!(out.contains("Usage: stackdemo <PROGRAM>"), "{out}");
        for role in ROLES {
            assert!(out.lines().any(|line| line.starts_with(&format!("  {role} "))), "{role}: {out}");
        }
    }
    let version = format!("stackdemo {}\n", env!("CARGO_PKG_VERSION"));
    for flag in ["--version", "-V"] {
        assert_eq!(run(Path::new(PROGRAM), &[flag]), (Some(0), version.clone(), String::new()), "{flag}");
    }
}
