//! Startup: errors in flags and files, addresses that cannot be bound, exit codes.

use std::{fs, net::TcpListener};

use tests::{
    client::get,
    process::Process,
    upstream::{Behaviour, Upstream},
    wait::SOON,
};

use super::{Edge, LISTENER, run, unchecked, write};

/// Runs the edge with these arguments until it exits. Returns its exit code and output.
async fn run_to_exit(arguments: &[&str]) -> (Option<i32>, String) {
    let mut process = Process::ours("edge").args(arguments).start();
    outcome(&mut process).await
}

/// Waits until the process exits. Returns its exit code and output.
async fn outcome(process: &mut Process) -> (Option<i32>, String) {
    let (status, output) = process.output(SOON).await;
    (status.code(), output)
}

#[tokio::test]
async fn a_port_in_use_is_named_and_the_exit_code_is_1() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let (code, output) = run_to_exit(&["run", "--listen", &address, "--to", "127.0.0.1:9", "--admin", "off"]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&format!("cannot listen on {address}")) && output.contains("another process"), "{output}");
}

#[tokio::test]
async fn a_second_edge_does_not_share_the_port_of_the_first() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let address = edge.address().to_string();
    let (code, output) = run_to_exit(&["run", "--listen", &address, "--to", "127.0.0.1:9", "--admin", "off"]).await;
    assert_eq!(code, Some(1), "{output}");
}

#[tokio::test]
async fn invalid_flags_are_reported_before_anything_is_bound() {
    for (arguments, message) in [
        (&["run", "--listen", "127.0.0.1"][..], "--listen"),
        (&["run", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--drain", "30"], "\"30\" is not a duration"),
        (&["run", "--listen", "127.0.0.1:0", "--lisen", "x"], "--listen"),
        (&["run"], "--listen"),
        (&["run", "--config", "/nonexistent/edge.toml"], "/nonexistent/edge.toml: cannot be read"),
        (&["check", "--listen", "127.0.0.1:0", "--to", "nowhere"], "--to"),
    ] {
        let (code, output) = run_to_exit(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {output}");
        assert!(output.contains(message) && !output.contains("listening"), "{arguments:?}: {output}");
    }
}

#[tokio::test]
async fn every_error_of_a_file_is_reported_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\npool = \"wbe\"\n\
        [pool.web]\nendpoints = \"127.0.0.1:9\"\nbalance = \"roundrobin\"\n";
    write(folder.path(), text);
    let (code, output) = outcome(&mut run(folder.path()).start()).await;
    assert_eq!(code, Some(2), "{output}");
    for part in
        ["edge.toml:4:8: route.pool", "did you mean \"web\"?", "edge.toml:7:11: pool.web.balance", "round_robin"]
    {
        assert!(output.contains(part), "{part} in {output}");
    }
    assert!(!output.contains("listening"), "{output}");
}

#[tokio::test]
async fn an_invalid_certificate_is_reported_before_anything_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let tls = "[listener.tls]\ncertificates = [{ certificate = \"a.pem\", key = \"a.pem\" }]\n";
    write(folder.path(), &format!("{LISTENER}{tls}[pool.web]\nendpoints = \"127.0.0.1:9\"\n"));
    for text in [None, Some("no certificate")] {
        if let Some(text) = text {
            fs::write(folder.path().join("a.pem"), text).unwrap();
        }
        let (code, output) = outcome(&mut run(folder.path()).start()).await;
        assert_eq!(code, Some(2), "{output}");
        assert!(output.contains("a.pem") && !output.contains("listening"), "{output}");
    }
}

#[tokio::test]
async fn authorities_of_checks_that_cannot_be_used_are_an_error_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    write(
        folder.path(),
        &format!(
            "{LISTENER}[pool.web]\nendpoints = \"127.0.0.1:9\"\n[pool.web.health]\npath = \"/healthz\"\n\
             [pool.web.health.tls]\nca = \"{}\"\n",
            ca.display()
        ),
    );
    for text in [None, Some("nothing")] {
        if let Some(text) = text {
            fs::write(&ca, text).unwrap();
        }
        let (code, output) = outcome(&mut run(folder.path()).start()).await;
        assert_eq!(code, Some(2), "{output}");
        assert!(output.contains("ca.pem") && !output.contains("listening"), "{output}");
    }
}

#[tokio::test]
async fn check_prints_a_complete_configuration_that_runs() {
    let upstream = Upstream::start().await;
    let to = upstream.address().to_string();
    let (code, printed) = run_to_exit(&["check", "--listen", "127.0.0.1:0", "--to", &to, "--admin", "off"]).await;
    assert_eq!(code, Some(0), "{printed}");
    let edge = Edge::start(&printed).await;
    assert!(get(edge.address(), "/").await.is_ok());
}

#[tokio::test]
async fn flags_and_variables_suffice_to_run() {
    let upstream = Upstream::start().await;
    let mut process = Process::ours("edge")
        .args(["run", "--listen", "127.0.0.1:0", "--admin", "off"])
        .env("EDGE_TO", upstream.address().to_string())
        .env("EDGE_TRUSTED_PROXIES", "")
        .start();
    let line: serde_json::Value = serde_json::from_str(&process.line("\"listening\"").await).unwrap();
    let address = line["address"].as_str().unwrap().parse().unwrap();
    assert!(get(address, "/").await.is_ok());
}

#[tokio::test]
async fn an_address_that_this_host_lacks_requires_freebind() {
    let arguments = ["run", "--listen", "192.0.2.1:0", "--to", "127.0.0.1:9", "--admin", "off"];
    let (code, output) = run_to_exit(&arguments).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("freebind"), "{output}");
    let mut process = Process::ours("edge").args(arguments).arg("--freebind").start();
    process.line("\"listening\"").await;
}

#[tokio::test]
async fn the_healthcheck_command_reports_the_admin_listeners_answer() {
    let admin = Upstream::start().await;
    let address = admin.address().to_string();
    for (status, expected) in [(200, 0), (503, 1)] {
        admin.on("/healthz", Behaviour::Status(status));
        let mut process = Process::ours("edge").args(["healthcheck", "--admin", &address]).start();
        assert_eq!(process.exit(SOON).await.code(), Some(expected), "{status}");
    }
    admin.kill().await;
    let (code, output) = run_to_exit(&["healthcheck", "--admin", &address]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&address), "{output}");
    let (code, output) = run_to_exit(&["healthcheck", "--admin", "off"]).await;
    assert_eq!(code, Some(2), "{output}");
}
