//! An edge that may open only few files.

use http::StatusCode;
use rustix::process::{Resource, Rlimit, prlimit};
use tests::{
    client::{Connection, get, raw::Raw},
    process::{Process, binary},
    upstream::Upstream,
    wait::{SOON, eventually},
};

use super::{Edge, addresses, checked, raw_endpoint::RawEndpoint, unchecked, write};

#[tokio::test]
async fn max_connections_is_lowered_to_what_the_limit_allows() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let config = unchecked(&[upstream.address()]);
    write(folder.path(), &config);
    let mut process = Process::of("sh")
        .args(["-c", "ulimit -n 200 && exec \"$@\"", "sh"])
        .arg(binary("edge"))
        .args(["run", "--admin", "127.0.0.1:0", "--workers", "2", "--config"])
        .arg(folder.path().join("edge.toml"))
        .start();
    process.line("max_connections is lowered from 20000 to 75").await;
    process.line("\"status page").await;
    write(folder.path(), &format!("{config}[limits]\nmax_connections = 100\n"));
    process.hang_up();
    process.line("max_connections is lowered from 100 to 75").await;
    write(folder.path(), &format!("{config}[limits]\nmax_connections = 70\n"));
    process.hang_up();
    eventually("the second reload", SOON, async || {
        process.lines().iter().filter(|line| line.contains("configuration is in use")).count() == 2
    })
    .await;
    assert!(!process.lines().iter().any(|line| line.contains("lowered from 70")));
}

#[tokio::test]
async fn a_drain_begins_although_no_connection_can_be_accepted() {
    let upstream = Upstream::start().await;
    let mut edge = Edge::start(&format!("drain = \"1min\"\n{}", unchecked(&[upstream.address()]))).await;
    let few = Rlimit { current: Some(3), maximum: rustix::process::getrlimit(Resource::Nofile).maximum };
    prlimit(Some(edge.process.pid()), Resource::Nofile, few).unwrap();
    let _waiting = Raw::open(edge.address()).await;
    edge.process.line("cannot accept connections").await;
    assert_eq!(edge.drain(SOON).await, Some(0));
}

#[tokio::test]
async fn a_lack_of_descriptors_is_told_and_blames_no_endpoint() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    // Without idle connections, each request needs a new one.
    let config = checked(&addresses(&upstreams)).replace("[pool.web]\n", "[pool.web]\nmax_idle = 0\n");
    let mut edge = Edge::start(&config).await;
    let mut client = Connection::http1(edge.address()).await.unwrap();
    eventually("the first checks", SOON, async || {
        assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
        upstreams.iter().all(|upstream| upstream.requests_for("/healthz") > 0)
    })
    .await;

    let pid = Some(edge.process.pid());
    // The numbers of new descriptors must be lower than the limit; open ones stay open.
    let few = Rlimit { current: Some(3), maximum: rustix::process::getrlimit(Resource::Nofile).maximum };
    let before = prlimit(pid, Resource::Nofile, few).unwrap();
    edge.process.line("no resources left for health checks").await;
    for _ in 0..10 {
        let reply = client.get("/").await.unwrap();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.text(), "503: this proxy has no resources left for another connection\n");
    }
    edge.process.line("no resources left for a connection to an endpoint").await;

    prlimit(pid, Resource::Nofile, before).unwrap();
    eventually("the admin listener", SOON, async || get(edge.admin, "/status.json").await.is_ok()).await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
    }
    let blames = ["endpoint is unhealthy", "endpoint is ejected", "using all of them"];
    let blamed = edge.process.lines().into_iter().find(|line| blames.iter().any(|blame| line.contains(blame)));
    assert_eq!(blamed, None);
}

#[tokio::test]
async fn a_lack_of_descriptors_is_told_even_if_an_idle_connection_failed_before() {
    let endpoint = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[endpoint.address()])).await;
    let mut client = Connection::http1(edge.address()).await.unwrap();
    let (first, mut idle) = tokio::join!(client.get("/"), async {
        let mut idle = endpoint.accept().await;
        idle.until("\r\n\r\n").await;
        idle.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        idle
    });
    assert_eq!(first.unwrap().text(), "ok");
    let few = Rlimit { current: Some(3), maximum: rustix::process::getrlimit(Resource::Nofile).maximum };
    prlimit(Some(edge.process.pid()), Resource::Nofile, few).unwrap();
    let (reply, ()) = tokio::join!(client.get("/"), async {
        idle.until("\r\n\r\n").await;
        // The edge must send the request again on a new connection.
        drop(idle);
    });
    let reply = reply.unwrap();
    assert_eq!(reply.text(), "503: this proxy has no resources left for another connection\n");
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
}
