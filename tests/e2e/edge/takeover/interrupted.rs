//! Edges that fail, end or get signals in the middle of a takeover.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
};

use http::StatusCode;
use rustix::process::Signal;
use tests::{
    client::get,
    process::Process,
    wait::{SOON, eventually},
};

use super::{Place, fresh, is_refused, is_served};
use crate::edge::{run, write};

#[tokio::test]
async fn an_edge_that_cannot_start_leaves_the_one_that_runs_as_it_is() {
    let place = Place::new().await;
    let address = fresh();
    let mut first = place.start(&[address]).await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &place.config(&[address, held.local_addr().unwrap()]));
    let (status, output) = run(folder.path()).start().output(SOON).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("another process uses this port"), "{output}");
    first.process.line("failed before it took over; this one goes on").await;
    assert!(is_served(address).await);

    let second = place.start(&[address]).await;
    assert_eq!(first.process.exit(SOON).await.code(), Some(0));
    assert!(is_served(second.address()).await);
}

#[tokio::test]
async fn an_edge_that_ends_before_it_is_ready_leaves_the_one_that_runs_as_it_is() {
    let place = Place::new().await;
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = fresh();
    let mut first = place.start(&[address]).await;
    for signal in [Signal::KILL, Signal::TERM] {
        let mut second = place.start_slowly(&silent, address).await;
        second.process.signal(signal);
        second.process.exit(SOON).await;
        eventually("the failure", SOON, async || {
            first
                .process
                .lines()
                .iter()
                .any(|line| line.contains("this one goes on") && line.contains(&second.process.pid().to_string()))
        })
        .await;
        assert!(is_served(address).await);
    }
    assert_eq!(first.drain(SOON).await, Some(0));
    assert!(is_refused(address).await, "no copy of the socket is left");
}

#[tokio::test]
async fn a_new_edge_serves_although_the_one_that_ran_ends_before_it_is_ready() {
    let place = Place::new().await;
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = fresh();
    let mut first = place.start(&[address]).await;
    let mut second = place.start_slowly(&silent, address).await;
    first.process.kill();
    second.process.line("ended before this one took over").await;
    assert_eq!(get(address, "/").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    // It has the Unix socket, too.
    let third = place.start(&[address]).await;
    assert_eq!(second.process.exit(SOON).await.code(), Some(0));
    assert!(is_served(third.address()).await);
}

/// Whether an edge that starts has got the lock and waits for the sockets, which is all that its main thread waits for
/// from then on.
fn waits_for_sockets(place: &Place, starting: &Process) -> bool {
    let lock = fs::File::open(place.folder.path().join("takeover.sock.lock")).unwrap();
    let is_locked = lock.try_lock().is_err();
    let stat = fs::read_to_string(format!("/proc/{}/stat", starting.pid())).unwrap_or_default();
    is_locked && stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S"))
}

#[tokio::test]
async fn a_reload_does_not_end_an_edge_that_waits_for_the_sockets() {
    let place = Place::new().await;
    let address = fresh();
    let mut first = place.start(&[address]).await;
    first.process.freeze();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &place.config(&[address]));
    let mut second = run(folder.path()).start();
    eventually("the wait for the sockets", SOON, async || waits_for_sockets(&place, &second)).await;
    second.hang_up();
    first.process.thaw();
    second.line("this edge has taken over").await;
    assert_eq!(first.process.exit(SOON).await.code(), Some(0));
    assert!(is_served(address).await);
}

#[tokio::test]
async fn an_edge_that_is_stopped_while_it_waits_for_the_sockets_takes_nothing_over() {
    let place = Place::new().await;
    let address = fresh();
    let mut first = place.start(&[address]).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &place.config(&[address]));
    for reloads in [false, true] {
        first.process.freeze();
        let mut second = run(folder.path()).start();
        eventually("the wait for the sockets", SOON, async || waits_for_sockets(&place, &second)).await;
        if reloads {
            second.hang_up();
        }
        second.terminate();
        second.line("told to stop").await;
        first.process.thaw();
        assert_eq!(second.exit(SOON).await.code(), Some(0), "{:#?}", second.lines());
        assert!(!second.lines().iter().any(|line| line.contains("has taken over")), "{:#?}", second.lines());
        assert_eq!(first.process.exited(), None);
        assert!(is_served(address).await);
    }
    assert_eq!(first.drain(SOON).await, Some(0));
    assert!(is_refused(address).await, "no copy of the socket is left");
}

#[tokio::test]
async fn an_edge_that_is_reloaded_and_stopped_before_it_is_ready_leaves_the_one_that_runs_as_it_is() {
    let place = Place::new().await;
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = fresh();
    let mut first = place.start(&[address]).await;
    let mut second = place.start_slowly(&silent, address).await;
    second.process.hang_up();
    second.process.terminate();
    assert_eq!(second.process.exit(SOON).await.code(), Some(0), "{:#?}", second.process.lines());
    first.process.line("this one goes on").await;
    assert!(is_served(address).await);
}

#[tokio::test]
async fn the_new_edge_serves_whichever_signals_the_old_one_gets_while_it_hands_over() {
    for reloads in [false, true] {
        let place = Place::new().await;
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = fresh();
        let mut first = place.start(&[address]).await;
        let mut second = place.start_slowly(&silent, address).await;
        if reloads {
            first.process.hang_up();
        }
        first.process.terminate();
        assert_eq!(first.process.exit(SOON).await.code(), Some(0), "{:#?}", first.process.lines());
        // Whoever connects from now on waits for the new edge, which has no endpoint.
        assert_eq!(get(address, "/").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
        let third = place.start(&[address]).await;
        assert_eq!(second.process.exit(SOON).await.code(), Some(0));
        assert!(is_served(third.address()).await);
    }
}
