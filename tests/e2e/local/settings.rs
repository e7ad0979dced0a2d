//! The program's settings, and its error messages.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use tests::client::get;
use tests::port;
use tests::process::{Plan, Process};
use tests::wait::SOON;

use super::program::{Local, plan};
use crate::replica::number;

/// Starts a process that must fail. Returns its exit code and output.
async fn failure(plan: Plan) -> (Option<i32>, String) {
    let mut process = plan.start();
    let (status, output) = process.output(SOON).await;
    (status.code(), output)
}

/// Returns the first of `count` consecutive free ports.
fn run_of_ports(count: u16) -> SocketAddr {
    let first = (0..100).map(|_| port::free()).find(|first| {
        let listeners: Vec<_> =
            (*first..*first + count).map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))).collect();
        listeners.iter().all(Result::is_ok)
    });
    SocketAddr::from((Ipv4Addr::LOCALHOST, first.expect("free ports")))
}

#[tokio::test]
async fn replicas_listen_on_consecutive_ports_from_the_given_one() {
    let data = tempfile::tempdir().unwrap();
    let first = run_of_ports(4);
    let plan = Process::ours("local")
        .args(["--listen", &first.to_string(), "--edge", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--replicas", "4", "--data"])
        .arg(data.path());
    let local = Local::start(plan).await;
    for index in 0..4 {
        let expected = SocketAddr::new(first.ip(), first.port() + index);
        assert_eq!(local.address(&format!("replica {}", index + 1)), expected);
    }
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_its_flag() {
    let data = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for flag in ["--listen", "--edge", "--admin"] {
        let others = ["--listen", "--edge", "--admin"].into_iter().filter(|other| *other != flag);
        let mut plan = Process::ours("local").args([flag, &taken]).arg("--data").arg(data.path());
        for other in others {
            plan = plan.args([other, "127.0.0.1:0"]);
        }
        let (code, text) = failure(plan).await;
        assert_eq!(code, Some(1), "{flag}: {text}");
        assert!(text.contains(&taken), "{flag}: {text}");
        assert!(text.contains(flag), "{flag}: {text}");
        assert!(text.contains("in use"), "{flag}: {text}");
    }
}

#[tokio::test]
async fn a_wrong_flag_is_reported_and_exits_with_2() {
    let wrong: [(&[&str], &str); 8] = [
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--listen", "8000"], "--listen"),
        (&["--replicas", "0"], "--replicas"),
        (&["--replicas", "many"], "--replicas"),
        (&["--log", "edge=loud"], "--log"),
        (&["--redis-url", "http://redis"], "--redis-url"),
        (&["--redis-url", "redis://:s3cret@redis/x"], "--redis-url"),
        (&["--redis-url", "redis://redis", "--data", "d"], "--data"),
    ];
    for (arguments, part) in wrong {
        let (code, text) = failure(plan().args(arguments)).await;
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
        assert!(!text.contains("s3cret"), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let data = tempfile::tempdir().unwrap();
    let local = Local::start(plan().env("LOG", "").arg("--data").arg(data.path())).await;
    assert_eq!(number(&get(local.address("edge"), "/").await.unwrap()), 1);
}

#[tokio::test]
async fn without_a_home_the_error_asks_for_a_folder() {
    let (code, text) = failure(plan()).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--data"), "{text}");
}

#[tokio::test]
async fn a_folder_in_use_is_reported_and_exits_with_1() {
    let data = tempfile::tempdir().unwrap();
    let _first = Local::start(plan().arg("--data").arg(data.path())).await;
    let (code, text) = failure(plan().arg("--data").arg(data.path())).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("in use by another process") && text.contains("--data"), "{text}");
}

#[tokio::test]
async fn by_default_the_count_is_in_the_users_state_directory() {
    let home = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    let below = |folder: &Path| folder.join("stackdemo/hits.redb");
    let in_home = below(&home.path().join(".local/state"));
    let cases = [
        (plan().env("HOME", home.path()), in_home.clone()),
        (plan().env("HOME", home.path()).env("XDG_STATE_HOME", state.path()), below(state.path())),
        // The XDG specification requires relative paths to be ignored.
        (plan().env("HOME", home.path()).env("XDG_STATE_HOME", "state"), in_home),
    ];
    for (plan, file) in cases {
        let local = Local::start(plan).await;
        assert_eq!(Path::new(local.cell("count")), file);
        assert!(number(&get(local.address("edge"), "/").await.unwrap()) > 0);
        assert!(file.is_file(), "{}", file.display());
    }
}
