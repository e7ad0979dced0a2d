//! Health checks and ejection.

use std::sync::Arc;

use edge::{
    config::{HealthCheck, TlsCheck},
    upstream::{EndpointState, PoolHandle, manager::Manager},
};

use crate::{
    server::{Behaviour, ENDLESS, OK, UNAVAILABLE, Upstream, bind_again},
    settings::{check, config, eventually, on_control_thread, pool},
    state::{healthy, snapshot, status},
};

#[test]
fn an_endpoint_becomes_unhealthy_and_recovers() {
    on_control_thread(async {
        let mut manager = Manager::new(1);
        let (one, two, handle) = two_healthy(&mut manager).await;
        let all = healthy(&handle);
        assert!(one.requested.lock().unwrap().starts_with("GET /health HTTP/1.1\r\n"));
        assert!(one.requested.lock().unwrap().contains(&format!("host: {}\r\n", one.address)));

        one.behave(UNAVAILABLE);
        eventually("the unhealthy endpoint is not used", || healthy(&handle) == [two.address]).await;
        one.behave(OK);
        eventually("it is used again", || healthy(&handle) == all).await;

        let address = one.address;
        let index = all.iter().position(|its| *its == address).unwrap();
        drop(one);
        eventually("the stopped endpoint is not used", || healthy(&handle) == [two.address]).await;
        eventually("its status shows the refused connection", || status(&handle, index).1 == "connection refused")
            .await;
        let _one = Upstream::serve(bind_again(address).await, OK);
        eventually("the restarted endpoint is used", || healthy(&handle) == all).await;
    });
}

#[test]
fn the_status_shows_why_a_check_failed() {
    on_control_thread(async {
        for (behaviour, has_path, state, reason) in [
            (Behaviour::Hang, true, EndpointState::Unhealthy, "no answer within 400ms"),
            (Behaviour::Hang, false, EndpointState::Healthy, "connected"),
            (Behaviour::Close, true, EndpointState::Unhealthy, "connection closed before the response"),
            (Behaviour::Answer("SSH-2.0-OpenSSH\r\n"), true, EndpointState::Unhealthy, "not an HTTP response"),
            (UNAVAILABLE, true, EndpointState::Unhealthy, "status 503"),
            (ENDLESS, true, EndpointState::Healthy, "status 200"),
        ] {
            let upstream = Upstream::start(behaviour).await;
            let health = HealthCheck { path: has_path.then(|| "/".parse().unwrap()), ..check() };
            let settings = pool("web", vec![upstream.source()], Some(health));
            let mut manager = Manager::new(1);
            let pools = manager.apply(&config(Vec::new(), vec![settings]));
            let settled = || status(&pools[0], 0).0 == state && status(&pools[0], 0).1.starts_with(reason);
            eventually(reason, settled).await;
        }
    });
}

#[test]
fn the_body_must_contain_the_text_within_its_first_64_kib() {
    let body = |length: usize, body: &str| -> Behaviour {
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        Behaviour::Answer(response.leak())
    };
    let late = |before: usize| body(before + 5, &format!("{}ready", "x".repeat(before)));
    on_control_thread(async {
        for (behaviour, state, reason) in [
            (body(10, "I am ready"), EndpointState::Healthy, "status 200"),
            // What follows does not matter.
            (body(99_999, "ready"), EndpointState::Healthy, "status 200"),
            (late(65_536 - 5), EndpointState::Healthy, "status 200"),
            (
                late(65_536 - 4),
                EndpointState::Unhealthy,
                "status 200, but \"ready\" is not in the first 65536 bytes of the body",
            ),
            (body(4, "read"), EndpointState::Unhealthy, "status 200, but \"ready\" is not in the 4 bytes of the body"),
            (body(0, ""), EndpointState::Unhealthy, "status 200, but \"ready\" is not in the 0 bytes of the body"),
            (
                body(9, "read"),
                EndpointState::Unhealthy,
                "status 200, but neither \"ready\" nor the end of the body within 400ms",
            ),
            (
                Behaviour::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nread"),
                EndpointState::Unhealthy,
                "status 200, but the body broke off after 4 bytes, without \"ready\"",
            ),
            (UNAVAILABLE, EndpointState::Unhealthy, "status 503"),
        ] {
            let upstream = Upstream::start(behaviour).await;
            let health = HealthCheck { body: Some("ready".to_owned()), ..check() };
            let mut manager = Manager::new(1);
            let pools = manager.apply(&config(Vec::new(), vec![pool("web", vec![upstream.source()], Some(health))]));
            eventually(reason, || status(&pools[0], 0) == (state, reason.to_owned())).await;
        }
    });
}

#[test]
fn the_request_of_a_check_is_the_configured_one() {
    on_control_thread(async {
        let upstream = Upstream::start(OK).await;
        let health = HealthCheck {
            method: http::Method::HEAD,
            host: Some("web.example".to_owned()),
            headers: vec![("x-probe".parse().unwrap(), "edge".parse().unwrap())],
            ..check()
        };
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(Vec::new(), vec![pool("web", vec![upstream.source()], Some(health))]));
        eventually("a check", || status(&pools[0], 0).0 == EndpointState::Healthy).await;
        let expected = "HEAD /health HTTP/1.1\r\nhost: web.example\r\nuser-agent: edge-health\r\nx-probe: edge\r\n\
                        connection: close\r\n\r\n";
        assert_eq!(*upstream.requested.lock().unwrap(), expected);
    });
}

#[test]
fn what_is_not_grpc_or_tls_is_named() {
    on_control_thread(async {
        let grpc = HealthCheck { path: None, grpc: Some(String::new()), ..check() };
        let tls = HealthCheck { path: None, tls: Some(TlsCheck::default()), ..check() };
        for (behaviour, health, reason) in [
            (OK, &grpc, "HTTP/2: "),
            (Behaviour::Close, &grpc, "connection closed before the response"),
            (Behaviour::Hang, &grpc, "no answer within 400ms"),
            (OK, &tls, "TLS: the response is not TLS"),
            (Behaviour::Close, &tls, "TLS: connection closed during the handshake"),
            (Behaviour::Hang, &tls, "no TLS handshake within 400ms"),
        ] {
            let upstream = Upstream::start(behaviour).await;
            let settings = pool("web", vec![upstream.source()], Some(health.clone()));
            let mut manager = Manager::new(1);
            let pools = manager.apply(&config(Vec::new(), vec![settings]));
            let settled = || {
                let (state, text) = status(&pools[0], 0);
                state == EndpointState::Unhealthy && text.starts_with(reason)
            };
            eventually(reason, settled).await;
        }
    });
}

#[test]
fn a_check_connects_to_its_own_port_if_it_has_one() {
    on_control_thread(async {
        let serving = Upstream::start(OK).await;
        let reporting = Upstream::start(UNAVAILABLE).await;
        let health = HealthCheck { port: Some(reporting.address.port()), ..check() };
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(Vec::new(), vec![pool("web", vec![serving.source()], Some(health))]));
        let settled = || status(&pools[0], 0).0 == EndpointState::Unhealthy && status(&pools[0], 0).1 == "status 503";
        eventually("the other port's status", settled).await;
    });
}

#[test]
fn failed_requests_eject_an_endpoint_for_a_time() {
    on_control_thread(async {
        let mut manager = Manager::new(1);
        let (_one, _two, handle) = two_healthy(&mut manager).await;
        let endpoint = Arc::clone(&snapshot(&handle).endpoints[0]);
        // Workers report failures from other threads.
        let failing = Arc::clone(&endpoint);
        std::thread::spawn(move || (0..3).for_each(|_| failing.failed())).join().unwrap();
        eventually("it is ejected", || endpoint.status().state == EndpointState::Ejected).await;
        assert_eq!(healthy(&handle).len(), 1);
        eventually("it is used again", || healthy(&handle).len() == 2).await;
        assert_eq!((endpoint.failures_in_a_row(), endpoint.checks.ejections.value()), (0, 1));
    });
}

/// Starts a pool of two upstreams and waits until both have passed their checks.
async fn two_healthy(manager: &mut Manager) -> (Upstream, Upstream, Arc<PoolHandle>) {
    let (one, two) = (Upstream::start(OK).await, Upstream::start(OK).await);
    let settings = pool("web", vec![one.source(), two.source()], Some(check()));
    let handle = manager.apply(&config(Vec::new(), vec![settings])).remove(0);
    assert_eq!(snapshot(&handle).usable().len(), 2, "both are usable before the first check");
    let checked = || (0..2).all(|index| status(&handle, index).0 == EndpointState::Healthy);
    eventually("both are healthy", checked).await;
    (one, two, handle)
}
