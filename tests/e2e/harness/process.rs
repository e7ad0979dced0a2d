//! Processes: their output, signals and end.

use std::os::unix::process::ExitStatusExt;

use rustix::process::{Signal, test_kill_process};
use tests::process::Process;
use tests::wait::SOON;

#[tokio::test]
async fn a_dropped_process_ends() {
    let process = Process::of("sleep").arg("1000").start();
    let pid = process.pid();
    assert!(test_kill_process(pid).is_ok());
    drop(process);
    assert!(test_kill_process(pid).is_err());
}

#[tokio::test]
async fn lines_signals_and_the_exit_status_are_observed() {
    let script = "trap 'echo asked to end >&2; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = Process::of("sh").args(["-c", script]).start();
    process.line("ready").await;
    process.terminate();
    assert_eq!(process.line("asked").await, "asked to end");
    assert_eq!(process.exit(SOON).await.code(), Some(3));
}

#[tokio::test]
async fn a_killed_process_is_reported_as_killed() {
    let mut process = Process::of("sleep").arg("1000").start();
    process.kill();
    let status = process.exit(SOON).await;
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
}

#[tokio::test]
async fn a_process_gets_only_the_given_variables() {
    let mut process = Process::of("sh").args(["-c", "env; echo end"]).env("GIVEN", "1").start();
    process.line("end").await;
    let lines = process.lines();
    assert!(lines.contains(&"GIVEN=1".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:?}");
}
