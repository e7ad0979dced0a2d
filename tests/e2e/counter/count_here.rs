//! `deploy/count.sh here` with a real Redis, and a Docker client that runs the script without a container.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tests::port;
use tests::process::Process;
use tests::wait::{SOON, eventually};

use super::damaged_files::{DAMAGES, change, newest};
use super::redis_scripts::{ask, data};

const DOCKER: &str = r#"#!/bin/sh
[ "$1" = run ] || exit 0
rm -rf "$COPY" && mkdir "$COPY"
sed -e "s#/from#$FROM#g" -e "s#cd /copy#cd $COPY#" | sh -eu
"#;

/// Fails half-way, as with a bad disk, or when the memory for the copy is full.
const CP: &str = r#"#!/bin/sh
/bin/cp "$@"
: >"$(find . -name '*.incr.aof' -o -name appendonly.aof | head -n 1)"
exit 1
"#;

/// A volume whose Redis has been killed, with a base that says 100 and an increment up to 150.
struct Volume {
    /// The volume, the client, and the folder for the copy.
    folders: [TempDir; 3],
}

impl Volume {
    async fn new() -> Self {
        let folders = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let [from, client, _] = &folders;
        program(&client.path().join("docker"), DOCKER);

        let port = port::free();
        let mut server = Process::of("redis-server")
            .args(["--port", &port.to_string(), "--appendonly", "yes", "--appendfsync", "always", "--save", ""])
            .current_dir(from.path())
            .start();
        eventually("an answer", SOON, async || ask(port, &["SET", "hits", "100"]).await.trim() == "OK").await;
        ask(port, &["BGREWRITEAOF"]).await;
        eventually("a base", SOON, async || {
            let info = ask(port, &["INFO", "persistence"]).await;
            info.contains("aof_rewrite_in_progress:0") && !info.contains("aof_last_rewrite_time_sec:-1")
        })
        .await;
        for _ in 0..50 {
            ask(port, &["INCR", "hits"]).await;
        }
        server.kill();
        Self { folders }
    }

    fn path(&self) -> &Path {
        self.folders[0].path()
    }

    /// Returns whether it succeeded, what it printed, and what it told.
    fn count(&self, arguments: &[&str]) -> (bool, String, String) {
        let [from, client, copy] = self.folders.each_ref().map(|folder| folder.path().to_str().unwrap());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/count.sh");
        let mut command = Command::new(script);
        command.args(arguments).env("PATH", format!("{client}:{}", std::env::var("PATH").unwrap()));
        let output = command.env("FROM", from).env("COPY", format!("{copy}/copy")).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

fn program(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn the_count_in_a_volume_is_printed() {
    let volume = Volume::new().await;
    assert_eq!(volume.count(&["here"]), (true, "150\n".to_owned(), String::new()));
    // A torn last command was never acknowledged.
    change(&newest(&data(volume.path()), ".aof"), |bytes| bytes.extend(b"*2\r\n$4\r\nIN"));
    assert_eq!(volume.count(&["here"]), (true, "150\n".to_owned(), String::new()));
}

#[tokio::test]
async fn damage_is_told_together_with_the_count_that_can_be_read() {
    for (name, damage) in DAMAGES {
        let volume = Volume::new().await;
        let all = data(volume.path());
        let is_single = all.is_file();
        damage(&all);
        let (succeeded, printed, told) = volume.count(&["here"]);
        assert!(!succeeded && printed.is_empty(), "{name}: {printed}");
        let why = told.lines().next().and_then(|line| line.strip_prefix("the data is damaged: "));
        assert!(why.is_some_and(|why| !why.is_empty()), "{name}: {told}");
        let read = told.split_once("the count in what can be read is ").and_then(|(_, rest)| rest.split_once(';'));
        let read = read.and_then(|(count, _)| count.parse::<u64>().ok());
        match name {
            "zeros at the tail" | "a damaged manifest" | "an empty manifest" | "a missing manifest" => {
                assert_eq!(read, Some(150), "{name}: {told}");
            }
            "damage in the middle" => assert!(read.is_some_and(|count| (101..150).contains(&count)), "{told}"),
            "only zeros" | "a missing increment" if !is_single => assert_eq!(read, Some(100), "{name}: {told}"),
            _ => assert!(read.is_none() && told.contains("no count can be read"), "{name}: {told}"),
        }

        // A count that may be too low does not become the saved one.
        let file = volume.path().join("count.txt");
        let (succeeded, _, again) = volume.count(&["save", file.to_str().unwrap(), "here"]);
        assert!(!succeeded && again.contains("the data is damaged") && !file.exists(), "{name}: {again}");
        if is_single && name == "only zeros" {
            // Redis before 7.0 has no other file.
            break;
        }
    }
}

#[tokio::test]
async fn an_incomplete_copy_is_not_the_count_and_data_set_aside_is_told() {
    let volume = Volume::new().await;
    fs::write(volume.path().join("copying"), "").unwrap();
    let (succeeded, printed, told) = volume.count(&["here"]);
    assert!(!succeeded && printed.is_empty(), "{printed}");
    assert_eq!(told, "this server has not finished copying the master's data; the count in its part is 150\n");

    let aside = volume.path().join("damaged-20260101T000000Z");
    fs::create_dir(&aside).unwrap();
    let all = data(volume.path());
    fs::rename(&all, aside.join(all.file_name().unwrap())).unwrap();
    change(&newest(&data(&aside), ".aof"), |bytes| bytes.extend([0; 4096]));
    fs::write(aside.join("why"), "a bad format\n").unwrap();
    let (succeeded, printed, told) = volume.count(&["here"]);
    assert!(!succeeded && printed.is_empty(), "{printed}");
    assert!(told.starts_with("there is no data\ndamaged-20260101T000000Z has earlier data"), "{told}");
    assert!(told.contains("a bad format") && told.contains("the count in what can be read is 150;"), "{told}");
}

#[tokio::test]
async fn what_can_be_copied_of_a_volume_is_not_the_count() {
    let volume = Volume::new().await;
    program(&volume.folders[1].path().join("cp"), CP);
    let (succeeded, printed, told) = volume.count(&["here"]);
    assert!(!succeeded && printed.is_empty(), "{printed}");
    assert!(told.starts_with("the data is damaged: a part of appendonly"), "{told}");
}
