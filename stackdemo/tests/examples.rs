//! The files in `examples/` are configurations without errors and warnings.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stackdemo");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// The files with secrets that examples name, with valid contents.
const SECRETS: [(&str, &str); 6] = [
    ("watch.token", "token"),
    ("smtp-password.txt", "password"),
    ("sms-token.txt", "token"),
    ("slack-url.txt", "https://hooks.example.com/services/1"),
    ("ntfy-authorization.txt", "Bearer token"),
    ("heartbeat-url.txt", "https://heartbeat.example.com/1"),
];

/// The certificates that examples name.
const CERTIFICATES: [&str; 3] = ["www.example.com", "shop.example.org", "site"];

/// The folder in which systemd puts the key for its unit. It does not exist here.
const CREDENTIALS: &str = "/run/credentials/edge.service/";

/// Returns the examples of a program.
fn examples(role: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(Path::new(EXAMPLES).join(role)).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// Checks the configuration `text`, in a folder with all files that it may name.
fn check(role: &str, text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        // The programs warn about secrets that others can read.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    };
    for (name, content) in SECRETS {
        write(name, content);
    }
    for name in CERTIFICATES {
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        write(&format!("{name}.pem"), &certified.cert.pem());
        write(&format!("{name}.key"), &certified.signing_key.serialize_pem());
    }
    write("example.toml", &text.replace(CREDENTIALS, ""));
    let file = folder.path().join("example.toml");
    Command::new(PROGRAM).args([role, "check", "--config"]).arg(file).env_clear().output().unwrap()
}

#[test]
fn every_example_is_a_configuration_without_warnings() {
    for role in ["edge", "watch"] {
        let examples = examples(role);
        assert!(examples.len() >= 2, "{examples:?}");
        for example in examples {
            let Output { status, stdout, stderr } = check(role, &fs::read_to_string(&example).unwrap());
            let messages = String::from_utf8_lossy(&stderr);
            assert!(status.success() && messages.is_empty(), "{}: {messages}", example.display());
            assert!(!stdout.is_empty(), "{}", example.display());
        }
    }
}

#[test]
fn an_error_in_an_example_is_reported() {
    for role in ["edge", "watch"] {
        for example in examples(role) {
            let text = fs::read_to_string(&example).unwrap();
            let output = check(role, &format!("no_such_key = 1\n{text}"));
            let messages = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{}", example.display());
            assert!(messages.contains("example.toml:1:1") && messages.contains("no_such_key"), "{messages}");
        }
    }
}

#[test]
fn the_table_of_examples_is_complete() {
    let readme = fs::read_to_string(Path::new(EXAMPLES).join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| [")?.split(']').next().map(str::to_owned));
    let files = ["edge", "watch"].into_iter().flat_map(examples);
    let files = files.map(|file| file.strip_prefix(EXAMPLES).unwrap().to_str().unwrap().to_owned());
    assert_eq!(rows.collect::<BTreeSet<_>>(), files.collect::<BTreeSet<_>>());
}
