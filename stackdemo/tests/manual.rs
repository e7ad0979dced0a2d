//! The completion scripts and manual pages of the three programs, compared with their `--help`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test prints what it could not check")]

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stackdemo");
const ROLES: [&str; 3] = ["app", "edge", "watch"];

fn run(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new(PROGRAM).args(arguments).env_clear().output().unwrap();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    assert_eq!(String::from_utf8_lossy(&stderr), "", "{arguments:?}");
    String::from_utf8(stdout).unwrap()
}

/// Returns the subcommands that `ROLE --help` lists.
fn subcommands(role: &str) -> BTreeSet<String> {
    let help = run(&[role, "--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| line.starts_with("  "));
    let names = listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let names: BTreeSet<_> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    assert!(names.contains("completions") && names.contains("man"), "{names:?} in {help}");
    names
}

/// Returns the flags that a help text lists, without their dashes.
fn flags(help: &str) -> BTreeSet<&str> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let flags = lines.filter_map(|line| line.split_once("--")).map(|(_, rest)| rest);
    let end = |c: char| !c.is_ascii_alphanumeric() && c != '-';
    let flags: BTreeSet<_> = flags.map(|rest| rest.split(end).next().unwrap()).collect();
    assert!(flags.contains("help"), "{help}");
    flags
}

/// Returns all help texts of a program, each with the name of its manual page.
fn helps(role: &str) -> Vec<(String, String)> {
    let of_subcommand = |name: &String| (format!("{role}-{name}"), run(&[role, name, "--help"]));
    let mut helps: Vec<_> = subcommands(role).iter().map(of_subcommand).collect();
    helps.push((role.to_owned(), run(&[role, "--help"])));
    helps
}

/// Returns whether the shell accepts the script. Prints a note if the shell is missing.
fn parses(shell: &str, script: &str) -> bool {
    let child = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("NOT CHECKED by {shell} -n: {error}");
            return true;
        }
    };
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    eprint!("{}", String::from_utf8_lossy(&stderr));
    status.success() && stderr.is_empty()
}

#[test]
fn completions_name_every_subcommand_and_flag() {
    for role in ROLES {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = run(&[role, "completions", shell]);
            for name in subcommands(role) {
                assert!(script.contains(&name), "{role}, {shell}: no {name}");
            }
            for (_, help) in helps(role) {
                for flag in flags(&help) {
                    // Fish lists flags without the dashes.
                    let written = if shell == "fish" { format!("-l {flag}") } else { format!("--{flag}") };
                    assert!(script.contains(&written), "{role}, {shell}: no {written}");
                }
            }
        }
    }
}

#[test]
fn shells_accept_their_completions() {
    assert!(Path::new("/bin/bash").exists());
    for role in ROLES {
        for shell in ["bash", "zsh", "fish"] {
            assert!(parses(shell, &run(&[role, "completions", shell])), "{role}, {shell}");
        }
    }
    assert!(!parses("bash", "if"));
}

#[test]
fn an_unknown_shell_is_rejected_with_a_list_of_the_known_ones() {
    for role in ROLES {
        let output = Command::new(PROGRAM).args([role, "completions", "dos"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("bash, elvish, fish, powershell, zsh"), "{message}");
    }
}

#[test]
fn every_subcommand_has_a_manual_page_with_its_flags() {
    let folder = tempfile::tempdir().unwrap();
    for role in ROLES {
        let to = folder.path().join(role).join("man1");
        run(&[role, "man", to.to_str().unwrap()]);
        let helps = helps(role);
        for (page, help) in &helps {
            let text =
                fs::read_to_string(to.join(format!("{page}.1"))).unwrap_or_else(|error| panic!("{page}: {error}"));
            assert!(text.starts_with(".ie") && text.contains(&format!(".TH {page} 1")), "{text}");
            for flag in flags(help) {
                // roff escapes dashes.
                let written = format!("\\-\\-{}", flag.replace('-', "\\-"));
                assert!(text.contains(&written), "{page}.1: no {written}");
            }
        }
        assert_eq!(fs::read_dir(&to).unwrap().count(), helps.len(), "{role}");
    }
}

#[test]
fn man_exits_with_1_if_its_folder_cannot_be_created() {
    let output = Command::new(PROGRAM).args(["edge", "man", "/proc/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("edge: /proc/nowhere: "), "{message}");
}
