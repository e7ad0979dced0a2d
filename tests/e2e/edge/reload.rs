//! SIGHUP: a valid configuration takes effect without losing a request, an invalid one changes nothing.

use std::net::SocketAddr;

use http::StatusCode;
use tests::{
    client::{self, Connection, get, load::Load},
    port,
    upstream::Upstream,
    wait::{SOON, eventually},
};

use super::{Edge, LISTENER, assert_all_ok, checked, unchecked};

/// A configuration with two pools, where requests below `path` go to `api`.
fn routed(web: &Upstream, api: &Upstream, path: &str) -> String {
    format!(
        "{LISTENER}[[route]]\npool = \"web\"\n[[route]]\npath = \"{path}\"\npool = \"api\"\n\
         [pool.web]\nendpoints = \"{}\"\n[pool.api]\nendpoints = \"{}\"\n",
        web.address(),
        api.address()
    )
}

/// Returns the address of the upstream that answers a request.
async fn served_by(edge: SocketAddr, path: &str) -> String {
    let echo = get(edge, path).await.unwrap().json();
    echo["upstream"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn reloads_under_load_take_effect_and_lose_no_request() {
    let [first, second] = [Upstream::start().await, Upstream::start().await];
    let mut edge = Edge::start(&checked(&[first.address()])).await;
    let address = edge.address();
    let load = Load::on(&[address]).connections(16).start();
    for round in 0..6 {
        let (new, old) = if round % 2 == 0 { (&second, &first) } else { (&first, &second) };
        let outcome = edge.reload(&checked(&[new.address()])).await;
        assert!(outcome.contains("is in use"), "{outcome}");
        eventually("requests to the new endpoint only", SOON, async || {
            let before = (new.requests_for("/"), old.requests_for("/"));
            let done = load.done();
            eventually("more load", SOON, async || load.done() > done + 50).await;
            new.requests_for("/") > before.0 && old.requests_for("/") == before.1
        })
        .await;
    }
    assert_all_ok(&load.stop().await);
    assert_eq!(edge.addresses.len(), 1);
}

#[tokio::test]
async fn a_reload_adds_and_removes_routes_and_pools() {
    let [web, api] = [Upstream::start().await, Upstream::start().await];
    let mut edge = Edge::start(&unchecked(&[web.address()])).await;
    let address = edge.address();
    assert_eq!(served_by(address, "/api").await, web.address().to_string());
    edge.reload(&routed(&web, &api, "/api")).await;
    assert_eq!(served_by(address, "/api").await, api.address().to_string());
    assert_eq!(served_by(address, "/").await, web.address().to_string());
    edge.reload(&routed(&web, &api, "/v2")).await;
    assert_eq!(served_by(address, "/api").await, web.address().to_string());
    assert_eq!(served_by(address, "/v2").await, api.address().to_string());
    edge.reload(&unchecked(&[api.address()])).await;
    assert_eq!(served_by(address, "/").await, api.address().to_string());
}

#[tokio::test]
async fn a_reload_adds_and_removes_listeners_and_keeps_their_connections() {
    let upstream = Upstream::start().await;
    let one = unchecked(&[upstream.address()]);
    let mut edge = Edge::start(&one).await;
    let added = SocketAddr::from(([127, 0, 0, 1], port::free()));
    let two = format!("{one}[[listener]]\naddress = \"{added}\"\n");

    edge.reload(&two).await;
    let mut connection = Connection::http1(added).await.unwrap();
    assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);

    edge.reload(&one).await;
    eventually("the end of the listener", SOON, async || {
        matches!(get(added, "/").await, Err(client::Error::Connect(_)))
    })
    .await;
    assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);

    edge.reload(&two).await;
    assert_eq!(get(added, "/").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_reload_replaces_an_address_by_one_that_includes_it_and_back() {
    let upstream = Upstream::start().await;
    let port = port::free();
    let at = |host: &str| {
        let pool = unchecked(&[upstream.address()]);
        pool.replace(LISTENER, &format!("[[listener]]\naddress = \"{host}:{port}\"\n"))
    };
    let [narrow, other] = [1, 2].map(|last| SocketAddr::from(([127, 0, 0, last], port)));
    let mut edge = Edge::start(&at("127.0.0.1")).await;
    assert!(matches!(get(other, "/").await, Err(client::Error::Connect(_))));

    let outcome = edge.reload(&at("0.0.0.0")).await;
    assert!(outcome.contains("is in use"), "{outcome}");
    assert_eq!(get(other, "/").await.unwrap().status, StatusCode::OK);

    let outcome = edge.reload(&at("127.0.0.1")).await;
    assert!(outcome.contains("is in use"), "{outcome}");
    eventually("the end of the listener", SOON, async || {
        matches!(get(other, "/").await, Err(client::Error::Connect(_)))
    })
    .await;
    assert_eq!(get(narrow, "/").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_listener_removed_under_load_answers_every_request() {
    let upstream = Upstream::start().await;
    let one = unchecked(&[upstream.address()]);
    let removed = SocketAddr::from(([127, 0, 0, 1], port::free()));
    let mut edge = Edge::start(&format!("{one}[[listener]]\naddress = \"{removed}\"\n")).await;
    let load = Load::on(&[removed]).connections(16).start();
    eventually("load", SOON, async || load.done() > 100).await;
    edge.reload(&one).await;
    eventually("the end of the listener", SOON, async || {
        matches!(get(removed, "/").await, Err(client::Error::Connect(_)))
    })
    .await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn an_invalid_file_is_reported_and_changes_nothing() {
    let [first, second] = [Upstream::start().await, Upstream::start().await];
    let good = unchecked(&[first.address()]);
    let mut edge = Edge::start(&good).await;
    let address = edge.address();
    let other = unchecked(&[second.address()]);
    let missing = "[listener.tls]\ncertificates = [{ certificate = \"no.pem\", key = \"no.key\" }]\n";
    let (held, with_tls) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), LISTENER.to_owned() + missing);
    for (bad, reason) in [
        (other.replace("health", "heatlh"), "did you mean"),
        (other.clone() + "no toml", "edge.toml:"),
        (other.replace(LISTENER, &with_tls), "no.pem"),
        (format!("{other}[[listener]]\naddress = \"{}\"\n", held.local_addr().unwrap()), "another process"),
        (format!("{other}[[listener]]\naddress = \"{}\"\n", edge.admin), "until the edge restarts"),
    ] {
        let outcome = edge.reload(&bad).await;
        assert!(outcome.contains("the old configuration stays") && outcome.contains(reason), "{outcome}");
        assert_eq!(served_by(address, "/").await, first.address().to_string(), "{outcome}");
    }
    edge.reload(&other).await;
    assert_eq!(served_by(address, "/").await, second.address().to_string());
}
