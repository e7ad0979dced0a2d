//! The units in `deploy/systemd`, checked by systemd itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test prints what it could not check")]

use std::{fs, process::Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stackdemo");
const UNIT: &str = include_str!("../../deploy/systemd/edge.service");
const SOCKET: &str = include_str!("../../deploy/systemd/edge.socket");
const INSTANCES: &str = include_str!("../../deploy/systemd/instances.conf");
/// The path at which the unit expects the edge.
const INSTALLED: &str = "/usr/local/bin/edge";

/// Runs `systemd-analyze` on the unit, changed to start the program that was built. Returns the output, as an error if
/// the command fails; `None` if the command is missing.
fn analyze(arguments: &[&str], unit: &str) -> Option<Result<String, String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.service");
    fs::write(&file, unit.replace(INSTALLED, PROGRAM)).unwrap();
    let output = match Command::new("systemd-analyze").args(arguments).arg(&file).env("MANPATH", ":").output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("NOT CHECKED by systemd-analyze: {error}");
            return None;
        }
    };
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Some(if output.status.success() { Ok(printed) } else { Err(printed) })
}

#[test]
fn systemd_accepts_the_unit() {
    // `edge man` installs the manual pages, not this test.
    let verify = ["verify", "--man=no"];
    let Some(verdict) = analyze(&verify, UNIT) else { return };
    let printed = verdict.unwrap_or_else(|printed| panic!("{printed}"));
    let complaints: Vec<_> = printed.lines().filter(|line| line.contains("edge.service")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");

    let broken = UNIT.replace("DynamicUser=yes", "DynamicUser=perhaps");
    let printed = analyze(&verify, &broken).unwrap().unwrap_or_else(|printed| printed);
    assert!(printed.contains("edge.service") && printed.contains("perhaps"), "{printed}");
}

#[test]
fn systemd_accepts_the_sockets_and_two_instances_that_share_them() {
    let complaints = |socket: &str, instances: &str| {
        let folder = tempfile::tempdir().unwrap();
        let [socket_file, template] = ["edge.socket", "edge@.service"].map(|name| folder.path().join(name));
        let drop_ins = folder.path().join("edge@.service.d");
        fs::create_dir(&drop_ins).unwrap();
        fs::write(folder.path().join("edge.service"), UNIT.replace(INSTALLED, PROGRAM)).unwrap();
        fs::write(&template, UNIT.replace(INSTALLED, PROGRAM)).unwrap();
        fs::write(drop_ins.join("instances.conf"), instances.replace(INSTALLED, PROGRAM)).unwrap();
        fs::write(&socket_file, socket).unwrap();
        let mut command = Command::new("systemd-analyze");
        let output = command.args(["verify", "--man=no"]).args([&socket_file, &template]).output().ok()?;
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        Some(printed.lines().filter(|line| line.contains("edge")).map(str::to_owned).collect::<Vec<_>>())
    };
    let Some(none) = complaints(SOCKET, INSTANCES) else {
        return eprintln!("NOT CHECKED: there is no systemd-analyze");
    };
    assert!(none.is_empty(), "{none:#?}");
    for (right, wrong) in [("ListenStream=80", "ListenStream=eighty"), ("BindIPv6Only=both", "BindIPv6Only=neither")] {
        assert!(SOCKET.contains(right), "{right}");
        assert!(!complaints(&SOCKET.replace(right, wrong), INSTANCES).unwrap().is_empty(), "{wrong}");
    }
    let broken = INSTANCES.replace("Sockets=edge.socket", "Sockets=edge.service");
    assert!(!complaints(SOCKET, &broken).unwrap().is_empty());
}

#[test]
fn the_unit_restricts_the_edge() {
    // The threshold is in tenths of systemd's exposure level, which ranges from 0 to 10.
    let Some(verdict) = analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"], UNIT) else { return };
    verdict.unwrap_or_else(|printed| panic!("{printed}"));
}

#[test]
fn the_unit_runs_a_command_that_the_edge_knows() {
    let start = UNIT.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let arguments: Vec<_> = start.strip_prefix(INSTALLED).unwrap().split_whitespace().collect();
    assert_eq!(arguments, ["run", "--config", "/etc/edge/edge.toml"]);
    let help = Command::new(PROGRAM).args(["edge", "run", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("--config"));
}
