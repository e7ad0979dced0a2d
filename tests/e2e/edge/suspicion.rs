//! Requests that cannot be sent again avoid endpoints that failed lately or are silent.

use std::net::SocketAddr;

use http::{HeaderValue, Method, StatusCode};
use serde_json::Value;
use tests::{
    client::{self, Connection, Reply, get},
    process::Process,
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};

use super::{Edge, addresses, unchecked};

/// Longer than any test takes, also the fifth that is left after an answer.
const LONG: &str = "suspicion = \"1h\"\n";

/// Without ejection, only suspicion keeps requests from an endpoint.
const NO_EJECTION: &str = "[pool.web.ejection]\nconsecutive_failures = 0\n";

async fn two() -> [Upstream; 2] {
    [Upstream::start().await, Upstream::start().await]
}

async fn start(upstreams: &[Upstream], keys: &str) -> Edge {
    Edge::start(&format!("{}{keys}{NO_EJECTION}", unchecked(&addresses(upstreams)))).await
}

async fn post_with(address: SocketAddr, path: &str, cookie: Option<&str>) -> Reply {
    let mut request = client::request("a.example", path);
    *request.method_mut() = Method::POST;
    *request.body_mut() = client::full("body");
    if let Some(cookie) = cookie {
        request.headers_mut().insert("cookie", HeaderValue::from_str(cookie).unwrap());
    }
    let mut connection = Connection::http1(address).await.unwrap();
    deadline("a response", SOON, connection.send(request)).await.unwrap()
}

async fn post(edge: &Edge, path: &str) -> StatusCode {
    post_with(edge.address(), path, None).await.status
}

/// Sends POSTs until the first endpoint has failed one.
async fn fail_first(edge: &Edge, upstreams: &[Upstream]) {
    upstreams[0].on("/fail", Behaviour::CloseBeforeResponse);
    eventually("a failure", SOON, async || post(edge, "/fail").await == StatusCode::BAD_GATEWAY).await;
}

/// What the edge reports about an endpoint.
async fn suspect(edge: &Edge, upstream: &Upstream) -> Value {
    let (status, address) = (edge.status().await, upstream.address().to_string());
    let endpoints = status["pools"][0]["endpoints"].as_array().expect("endpoints");
    endpoints.iter().find(|one| one["address"] == address.as_str()).expect("the endpoint")["suspect"].clone()
}

/// How many of ten POSTs each endpoint gets.
async fn shares<const COUNT: usize>(edge: &Edge, upstreams: &[Upstream; COUNT]) -> [usize; COUNT] {
    let before = upstreams.each_ref().map(|upstream| upstream.requests_for("/"));
    for _ in 0..10 {
        post(edge, "/").await;
    }
    std::array::from_fn(|index| upstreams[index].requests_for("/") - before[index])
}

#[tokio::test]
async fn a_post_avoids_an_endpoint_that_failed_a_moment_ago_and_a_get_does_not() {
    let upstreams = two().await;
    let mut edge = start(&upstreams, LONG).await;
    assert_eq!(suspect(&edge, &upstreams[0]).await, Value::Null);
    let spread = shares(&edge, &upstreams).await;
    assert!(spread.iter().all(|share| *share > 0), "{spread:?}");
    fail_first(&edge, &upstreams).await;
    assert_eq!(suspect(&edge, &upstreams[0]).await, "failed");
    assert_eq!(shares(&edge, &upstreams).await, [0, 10]);
    let before = upstreams[0].requests_for("/");
    eventually("a GET at the first", SOON, async || {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
        upstreams[0].requests_for("/") > before
    })
    .await;
    edge.decides("diverted").await;
    let metrics = get(edge.admin, "/metrics").await.unwrap().text();
    let of_first = format!("edge_endpoint_suspect{{pool=\"web\",endpoint=\"{}\"}} 1.0", upstreams[0].address());
    assert!(metrics.contains(&of_first), "{metrics}");
    // A failure does not count for longer than the pool says.
    let config = format!("{}suspicion = \"1ms\"\n{NO_EJECTION}", unchecked(&addresses(&upstreams)));
    assert!(edge.reload(&config).await.contains("configuration is in use"));
    let before = upstreams[0].requests_for("/");
    eventually("a POST at the first", SOON, async || {
        post(&edge, "/").await;
        upstreams[0].requests_for("/") > before
    })
    .await;
    assert_eq!(suspect(&edge, &upstreams[0]).await, Value::Null);
}

#[tokio::test]
async fn of_posts_sent_while_one_endpoint_of_two_hangs_only_those_of_the_first_moment_are_lost() {
    let upstreams = two().await;
    let config = unchecked(&addresses(&upstreams)) + "[pool.web.timeouts]\nresponse = \"1h\"\n";
    let edge = Edge::start_by(&config, |folder| {
        let flags = ["run", "--admin", "127.0.0.1:0", "--workers", "1", "--config"];
        Process::ours("edge").args(flags).arg(folder.join("edge.toml"))
    })
    .await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for _ in 0..150 {
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
    }
    upstreams[0].on("/", Behaviour::Silence);
    let mut lost = Vec::new();
    let address = edge.address();
    eventually("a POST that avoids the first", SOON, async || {
        lost.push(tokio::spawn(post_with(address, "/", None)));
        let pool = &edge.status().await["pools"][0];
        let is_silent = |endpoint: &Value| {
            endpoint["address"] == upstreams[0].address().to_string() && endpoint["suspect"] == "silent"
        };
        pool["decision_counts"]["diverted"].as_u64().is_some_and(|count| count > 0)
            && pool["endpoints"].as_array().is_some_and(|endpoints| endpoints.iter().any(is_silent))
    })
    .await;
    let before = upstreams[0].requests_for("/");
    for _ in 0..20 {
        assert_eq!(post(&edge, "/").await, StatusCode::OK);
    }
    assert_eq!(upstreams[0].requests_for("/"), before);
    lost.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_status_that_the_pool_retries_makes_an_endpoint_suspect_and_no_other_does() {
    for (keys, is_suspect) in [("retry_statuses = \"500-504\"\n", true), ("", false)] {
        let upstreams = two().await;
        let edge = start(&upstreams, &format!("{keys}{LONG}")).await;
        upstreams[0].on("/fail", Behaviour::Status(500));
        eventually("a failure", SOON, async || {
            get(edge.address(), "/fail").await.unwrap();
            upstreams[0].requests_for("/fail") > 0
        })
        .await;
        let [first, second] = shares(&edge, &upstreams).await;
        assert_eq!((first == 0, first + second), (is_suspect, 10), "{keys}");
    }
}

#[tokio::test]
async fn a_suspect_endpoint_gets_posts_if_no_other_can_take_them() {
    let upstreams = [Upstream::start().await];
    let edge = start(&upstreams, LONG).await;
    fail_first(&edge, &upstreams).await;
    assert_eq!(shares(&edge, &upstreams).await, [10]);

    let upstreams = two().await;
    let edge = start(&upstreams, LONG).await;
    fail_first(&edge, &upstreams).await;
    // The other one fails after it, and then the first is the better one.
    upstreams[1].on("/fail-too", Behaviour::CloseBeforeResponse);
    assert_eq!(post(&edge, "/fail-too").await, StatusCode::BAD_GATEWAY);
    assert_eq!(shares(&edge, &upstreams).await, [10, 0]);
}

#[tokio::test]
async fn a_session_stays_with_a_suspect_endpoint_and_a_pool_may_suspect_none() {
    let upstreams = two().await;
    let edge = start(&upstreams, &format!("sticky = {{}}\n{LONG}")).await;
    fail_first(&edge, &upstreams).await;
    let mut cookie = None;
    eventually("a session at the first", SOON, async || {
        let before = upstreams[0].requests_for("/");
        let reply = get(edge.address(), "/").await.unwrap();
        cookie = reply.header("set-cookie").and_then(|field| field.split(';').next()).map(str::to_owned);
        upstreams[0].requests_for("/") > before
    })
    .await;
    let before = upstreams[0].requests_for("/");
    assert_eq!(post_with(edge.address(), "/", cookie.as_deref()).await.status, StatusCode::OK);
    assert_eq!(upstreams[0].requests_for("/"), before + 1);

    let edge = start(&upstreams, "suspicion = \"0s\"\n").await;
    fail_first(&edge, &upstreams).await;
    let spread = shares(&edge, &upstreams).await;
    assert!(spread.iter().all(|share| *share > 0), "{spread:?}");
    assert_eq!(suspect(&edge, &upstreams[0]).await, Value::Null);
}
