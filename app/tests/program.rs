//! The program as a process: exit codes, signals, and the limits of its server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{BufReader, Read, Write},
    net::TcpListener,
    process::Stdio,
};

use rustix::process::Signal;
use support::{Program, command, connect, get, receive, send, wait_for};

#[test]
fn a_signal_ends_the_program_with_0_and_idle_connections_do_not_delay_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        // If idle connections delayed the end, it would take an hour, and the wait below would time out.
        let mut program = Program::start(&["--data", folder.path().to_str().unwrap(), "--grace", "1h"]);
        let mut idle = BufReader::new(connect(program.address));
        send(idle.get_mut(), "/", "");
        assert_eq!(receive(&mut idle).number(), 1);
        let mut fresh = connect(program.address);
        program.signal(signal);
        assert_eq!(program.wait().code(), Some(0));
        assert_eq!(idle.read(&mut [0]).unwrap(), 0);
        assert_eq!(fresh.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_second_signal_ends_the_program_immediately() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(&["--data", folder.path().to_str().unwrap(), "--drain-delay", "1h"]);
    program.signal(Signal::TERM);
    wait_for("readiness to fail", || (program.get("/readyz").status == 503).then_some(()));
    program.signal(Signal::INT);
    assert_eq!(program.wait().code(), Some(1));
}

#[test]
fn with_an_admin_address_metrics_are_there_alone_until_the_drain_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let arguments = ["--data", folder.path().to_str().unwrap(), "--admin", &admin.to_string()];
    let mut program = Program::start(&[&arguments[..], &["--drain-delay", "1h"]].concat());
    assert_eq!((program.get("/metrics").status, get(admin, "/metrics").status), (404, 200));
    for path in ["/healthz", "/readyz"] {
        assert_eq!((program.get(path).status, get(admin, path).status), (200, 200), "{path}");
    }
    assert_eq!(get(admin, "/").status, 404);
    program.signal(Signal::TERM);
    wait_for("readiness to fail", || (get(admin, "/readyz").status == 503).then_some(()));
    assert_eq!(program.visit(), 1, "visits continue");
    program.signal(Signal::INT);
    assert_eq!(program.wait().code(), Some(1));

    let mut program = Program::start(&arguments);
    // Idle connections of both do not delay the end.
    let _idle = [connect(program.address), connect(admin)];
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
}

#[test]
fn an_invalid_setting_is_named_and_exits_with_2() {
    let table: [(&[&str], &str); 6] = [
        (&[], "--redis-url (REDIS_URL)"),
        (&["--data", "d", "--deadline", "soon"], "--deadline (APP_DEADLINE)"),
        (&["--redis-url", "redis://:s3cret@redis/x"], "--redis-url (REDIS_URL)"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--data", "d", "--max-connections", "0"], "--max-connections (APP_MAX_CONNECTIONS)"),
        (&["healthcheck", "--listen", "8000"], "--listen (APP_LISTEN)"),
    ];
    for (arguments, part) in table {
        let output = command(arguments).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn variables_are_read_like_flags() {
    let output = command(&[])
        .envs([("REDIS_URL", "redis://a"), ("REDIS_URL_FILE", "b")])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("both set"));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let empty = ["REDIS_URL", "REDIS_URL_FILE", "REDIS_CA_FILE", "APP_DEADLINE", "APP_MAX_CONNECTIONS", "LOG"];
    let program = Program::start_with(&["--data", folder.path().to_str().unwrap()], empty.map(|name| (name, "")));
    assert_eq!(program.visit(), 1);
}

#[test]
fn a_second_process_on_the_same_file_reports_it_and_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let _first = Program::in_folder(folder.path());
    let second = command(&["--data", data, "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("in use by another process"));
}

#[test]
fn a_large_body_is_not_read_and_does_not_delay_the_response() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::in_folder(folder.path());
    // A small body, after which the connection stays usable.
    let mut stream = BufReader::new(connect(program.address));
    stream.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\n12345").unwrap();
    assert_eq!(receive(&mut stream).number(), 1);
    send(stream.get_mut(), "/", "");
    assert_eq!(receive(&mut stream).number(), 2);
    // A large body: the response precedes its arrival.
    let mut stream = BufReader::new(connect(program.address));
    send(stream.get_mut(), "/", "content-length: 1000000000\r\n");
    assert_eq!(receive(&mut stream).number(), 3);
}

#[test]
fn a_header_that_is_too_large_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::in_folder(folder.path());
    let mut stream = connect(program.address);
    send(&mut stream, "/", &format!("x: {}\r\n", "y".repeat(20_000)));
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
    assert_eq!(program.visit(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::in_folder(folder.path());
    let mut stream = BufReader::new(connect(program.address));
    for _ in 0..20 {
        send(stream.get_mut(), "/", "");
    }
    for number in 1..=20 {
        assert_eq!(receive(&mut stream).number(), number);
    }
}

#[test]
fn a_damaged_file_ends_the_program_with_1_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hits.redb");
    for bytes in [vec![], vec![0xff; 64], vec![0; 1 << 20]] {
        std::fs::write(&path, &bytes).unwrap();
        let data = folder.path().to_str().unwrap();
        let output = command(&["--data", data, "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("is damaged and was left as it is") && !text.contains("a bug"), "{text}");
        assert!(std::fs::read(&path).unwrap() == bytes, "the file was changed");
    }
}
