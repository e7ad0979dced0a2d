use std::sync::{Arc, atomic::Ordering::Relaxed};

use http::StatusCode;

use super::{WORKERS, admin, busy_edge, endpoint, get, pool, route, seconds_ago, text};
use crate::{
    admin::AdminState,
    config::HostMatch,
    observe::stats::PerWorker,
    upstream::{EndpointState, PoolSnapshot},
};

#[tokio::test]
async fn an_edge_is_ready_when_every_routed_pool_has_a_usable_endpoint() {
    let healthy = || vec![endpoint(1, EndpointState::Healthy, "")];
    let unhealthy = || vec![endpoint(2, EndpointState::Ejected, ""), endpoint(3, EndpointState::Unchecked, "")];
    let all = || vec![route(HostMatch::Any, "/", 0)];
    let in_panic = pool("web", &unhealthy(), None);
    let snapshot = in_panic.snapshot.load_full();
    in_panic.snapshot.store(Arc::new(PoolSnapshot { panic: true, ..(*snapshot).clone() }));
    let draining = admin(vec![pool("web", &healthy(), None)], all());
    draining.draining.store(true, Relaxed);

    for (admin, expected) in [
        (admin(vec![pool("web", &healthy(), None)], all()), None),
        (admin(vec![pool("web", &unhealthy(), None)], all()), Some("pool web: none of 2 endpoints is usable")),
        (admin(vec![in_panic], all()), None),
        (
            admin(vec![pool("web", &[endpoint(2, EndpointState::Maintenance, "")], None)], all()),
            Some("pool web: all of 1 endpoints are in maintenance"),
        ),
        (
            admin(vec![pool("web", &[], Some("NXDOMAIN"))], all()),
            Some("pool web: no endpoints, tasks.web:8000: NXDOMAIN"),
        ),
        (admin(vec![pool("web", &healthy(), None), pool("spare", &[], None)], all()), None),
        (admin(vec![pool("web", &[], None)], Vec::new()), None),
        (draining, Some("draining")),
    ] {
        let response = get(&admin, "/readyz");
        let status = response.status();
        assert_eq!(response.headers().contains_key("retry-after"), expected == Some("draining"));
        let body = text(response).await;
        match expected {
            None => assert_eq!((status, body.as_str()), (StatusCode::OK, "ok\n")),
            Some(reason) => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(body.starts_with(reason), "{body:?}, not {reason:?}");
            }
        }
        assert_eq!(get(&admin, "/healthz").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_worker_without_a_heartbeat_for_more_than_ten_seconds_is_stuck() {
    let admin = busy_edge();
    admin.heartbeats.of(1).beat(seconds_ago(10));
    assert_eq!(get(&admin, "/healthz").status(), StatusCode::OK);
    admin.heartbeats.of(1).beat(seconds_ago(11));
    let response = get(&admin, "/healthz");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(response).await, "worker 1 is stuck: no heartbeat for 11 s\n");
    // Ready all the same, since the other workers still serve requests and other instances may be worse off.
    assert_eq!(get(&admin, "/readyz").status(), StatusCode::OK);
    admin.draining.store(true, Relaxed);
    assert_eq!(get(&admin, "/healthz").status(), StatusCode::OK);
}

#[test]
fn a_worker_without_a_first_heartbeat_is_stuck_ten_seconds_after_the_start() {
    let admin = AdminState { heartbeats: Arc::new(PerWorker::new(WORKERS)), started: seconds_ago(9), ..busy_edge() };
    assert_eq!(get(&admin, "/healthz").status(), StatusCode::OK);
    let admin = AdminState { started: seconds_ago(11), ..admin };
    assert_eq!(get(&admin, "/healthz").status(), StatusCode::SERVICE_UNAVAILABLE);
}
