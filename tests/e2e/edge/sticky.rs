//! Sessions that a cookie ties to an endpoint.

use http::{HeaderValue, StatusCode};
use tests::{
    client::{Connection, Reply, request},
    process::Process,
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline},
};

use super::{
    Edge, addresses,
    balance::states,
    checked,
    endpoint_drain::{is_in_state, order, with_token},
    run,
};

/// Adds the section of the cookie to a configuration.
fn sticky(config: &str, keys: &str) -> String {
    format!("{config}[pool.web.sticky]\n{keys}\n")
}

/// Requests a path with a cookie, and returns the response and the endpoint that got the request.
async fn visit(edge: &Edge, upstreams: &[Upstream], cookie: Option<&str>) -> (Reply, usize) {
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    visit_on(&mut connection, upstreams, cookie).await
}

async fn visit_on(connection: &mut Connection, upstreams: &[Upstream], cookie: Option<&str>) -> (Reply, usize) {
    let count = |upstream: &Upstream| upstream.requests_for("/app");
    let before: Vec<_> = upstreams.iter().map(count).collect();
    let mut head = request("www.example.com", "/app");
    if let Some(cookie) = cookie {
        head.headers_mut().insert("cookie", HeaderValue::from_str(&format!("other=1; {cookie}")).unwrap());
    }
    let reply = deadline("the response", SOON, connection.send(head)).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    let asked = upstreams.iter().zip(before).rposition(|(upstream, before)| count(upstream) > before);
    (reply, asked.expect("an endpoint"))
}

/// The name and value of the cookie that a response sets.
fn pair(reply: &Reply) -> Option<String> {
    Some(reply.header("set-cookie")?.split(';').next()?.to_owned())
}

async fn three() -> [Upstream; 3] {
    [Upstream::start().await, Upstream::start().await, Upstream::start().await]
}

#[tokio::test]
async fn a_session_survives_a_restart_of_the_edge_and_is_known_to_every_edge() {
    let upstreams = three().await;
    let config = sticky(&checked(&addresses(&upstreams)), "");
    let mut first = Edge::start(&config).await;
    let (reply, home) = visit(&first, &upstreams, None).await;
    let cookie = pair(&reply).expect("a cookie");
    let attributes = reply.header("set-cookie").unwrap().split_once(';').unwrap().1;
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    assert!(cookie.starts_with("edge_web=") && !cookie.contains("127.0.0.1"), "{cookie}");
    let second = Edge::start(&config).await;
    first.drain(SOON).await;
    let restarted = Edge::start(&config).await;
    for edge in [&second, &restarted] {
        for _ in 0..8 {
            let (reply, asked) = visit(edge, &upstreams, Some(&cookie)).await;
            assert_eq!((pair(&reply), asked), (None, home), "it is set only when it is needed");
        }
    }
    let mut connection = Connection::http2(second.address()).await.unwrap();
    let (reply, asked) = visit_on(&mut connection, &upstreams, Some(&cookie)).await;
    assert_eq!((pair(&reply), asked), (None, home));
    let (reply, asked) = visit_on(&mut connection, &upstreams, None).await;
    let cookie = pair(&reply).expect("a cookie with HTTP/2");
    assert_eq!(visit(&restarted, &upstreams, Some(&cookie)).await.1, asked);
}

#[tokio::test]
async fn a_session_moves_for_good_when_its_endpoint_dies() {
    let upstreams = three().await;
    let edge = Edge::start(&sticky(&checked(&addresses(&upstreams)), "cookie = \"server\"")).await;
    states(&edge, &upstreams, &["healthy"; 3]).await;
    let (reply, home) = visit(&edge, &upstreams, None).await;
    let cookie = pair(&reply).expect("a cookie");
    assert!(cookie.starts_with("server="), "{cookie}");
    upstreams[home].kill().await;
    // Perhaps before the edge knows: the request is then sent to another one.
    let (reply, asked) = visit(&edge, &upstreams, Some(&cookie)).await;
    assert_ne!(asked, home);
    let moved = pair(&reply).expect("a new cookie");
    let mut expected = ["healthy"; 3];
    expected[home] = "unhealthy";
    states(&edge, &upstreams, &expected).await;
    assert!(pair(&visit(&edge, &upstreams, Some(&cookie)).await.0).is_some());
    upstreams[home].restart().await;
    states(&edge, &upstreams, &["healthy"; 3]).await;
    for _ in 0..6 {
        let (reply, again) = visit(&edge, &upstreams, Some(&moved)).await;
        assert_eq!((pair(&reply), again), (None, asked));
    }
}

#[tokio::test]
async fn a_full_endpoint_does_not_end_its_sessions() {
    let upstreams = three().await;
    let config = checked(&addresses(&upstreams)).replace("[pool.web]\n", "[pool.web]\nmax_connections = 1\n");
    let edge = Edge::start(&sticky(&config, "")).await;
    states(&edge, &upstreams, &["healthy"; 3]).await;
    // On one connection, and so on one worker, which has the only connection to the endpoint.
    let mut busy = Connection::http1(edge.address()).await.unwrap();
    let (reply, home) = visit_on(&mut busy, &upstreams, None).await;
    let cookie = pair(&reply).expect("a cookie");
    upstreams[home].on("/never", Behaviour::Silence);
    let mut head = request("www.example.com", "/never");
    head.headers_mut().insert("cookie", HeaderValue::from_str(&cookie).unwrap());
    let waits = tokio::spawn(async move { busy.send(head).await.map(drop) });
    tests::wait::eventually("the request", SOON, async || upstreams[home].requests_for("/never") == 1).await;
    let (reply, asked) = visit(&edge, &upstreams, Some(&cookie)).await;
    assert!(asked != home && pair(&reply).is_none());
    waits.abort();
}

#[tokio::test]
async fn a_cookie_of_another_key_is_replaced() {
    let upstreams = three().await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "one\n").unwrap();
    let config = sticky(&checked(&addresses(&upstreams)), &format!("key_file = {key:?}\nsecure = true"));
    let edge = Edge::start(&config).await;
    let (reply, home) = visit(&edge, &upstreams, None).await;
    let cookie = pair(&reply).expect("a cookie");
    assert!(reply.header("set-cookie").unwrap().contains("; Secure"));
    assert_eq!(visit(&edge, &upstreams, Some(&cookie)).await.1, home);
    std::fs::write(&key, "two\n").unwrap();
    let other = Edge::start(&config).await;
    assert!(pair(&visit(&other, &upstreams, Some(&cookie)).await.0).is_some_and(|new| new != cookie));
    std::fs::write(&key, "two words\n").unwrap();
    let refused = tempfile::tempdir().unwrap();
    super::write(refused.path(), &config);
    let mut process: Process = run(refused.path()).start();
    assert_eq!(process.exit(SOON).await.code(), Some(2));
}

#[tokio::test]
async fn a_session_ends_where_it_began_although_its_endpoint_drains() {
    let upstreams = three().await;
    let edge = Edge::start_by(&sticky(&checked(&addresses(&upstreams)), ""), with_token).await;
    states(&edge, &upstreams, &["healthy"; 3]).await;
    let (reply, home) = visit(&edge, &upstreams, None).await;
    let cookie = pair(&reply).expect("a cookie");
    order(&edge, &upstreams[home], "drain").await;
    is_in_state(&edge, &upstreams[home], "draining").await;
    for _ in 0..6 {
        let (reply, asked) = visit(&edge, &upstreams, Some(&cookie)).await;
        assert_eq!((pair(&reply), asked), (None, home));
        assert_ne!(visit(&edge, &upstreams, None).await.1, home, "no new session begins there");
    }
    order(&edge, &upstreams[home], "maintenance").await;
    let (reply, asked) = visit(&edge, &upstreams, Some(&cookie)).await;
    assert!(asked != home && pair(&reply).is_some(), "maintenance ends its sessions");
}
