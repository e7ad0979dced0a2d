//! The counter beside the tutorial's program: both share one count, and give the same responses.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use http::header::{ALLOW, HOST};
use http::{Method, Request};
use tests::client::load::Load;
use tests::client::{Connection, Reply, empty, raw};
use tests::flask::Flask;
use tests::redis::Redis;
use tests::wait::{SOON, eventually};

use crate::replica::{Replica, assert_all_ok, assert_exactly, assert_in_order, numbers};

#[tokio::test]
async fn on_one_redis_with_flask_every_number_is_returned_once_and_in_order() {
    let redis = Redis::start().await;
    let flask = Flask::start(&redis).await;
    let replicas = [Replica::on_redis(&redis).await, Replica::on_redis(&redis).await];

    let loads = [flask.address(), replicas[0].address, replicas[1].address]
        .map(|address| Load::on(&[address]).connections(8).start());
    eventually("visits to all three", SOON * 2, async || loads.iter().all(|load| load.done() >= 300)).await;
    let mut records = Vec::new();
    for load in loads {
        records.extend(load.stop().await);
    }

    assert_all_ok(&records);
    let count = redis.number("hits").await;
    assert_exactly(&numbers(&records), 1..=count);
    assert_in_order(&records);
}

/// Header fields that only Flask's server sends with a page: it names itself, and closes after every response.
const ONLY_FLASK: [&str; 2] = ["connection", "server"];
/// Header fields that only our server sends with a page: it disables caching, and names its node.
const ONLY_OURS: [&str; 2] = ["cache-control", "x-served-by"];

/// Paths that Flask's server treats as `/`, because it removes leading slashes after decoding. Ours does not: no page
/// links to them, and a path has one spelling.
const ALIASES: [&str; 2] = ["//", "/%2F"];

/// Both servers, each with a Redis of its own, so that the same requests get the same numbers.
struct Both {
    flask: Flask,
    ours: Replica,
    _stores: [Redis; 2],
}

impl Both {
    async fn start() -> Self {
        let stores = [Redis::start().await, Redis::start().await];
        Self { flask: Flask::start(&stores[0]).await, ours: Replica::on_redis(&stores[1]).await, _stores: stores }
    }

    async fn ask(&self, method: &str, path: &str) -> (Reply, Reply) {
        (ask(self.flask.address(), method, path).await, ask(self.ours.address, method, path).await)
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> Reply {
    let method: Method = method.parse().unwrap();
    let request = Request::builder().method(method).uri(path).header(HOST, "www.example.com");
    let mut connection = Connection::http1(address).await.unwrap();
    connection.send(request.body(empty()).unwrap()).await.unwrap()
}

fn names(reply: &Reply) -> BTreeSet<&str> {
    reply.headers.keys().map(http::HeaderName::as_str).collect()
}

fn allowed(reply: &Reply) -> BTreeSet<String> {
    let methods = reply.headers.get_all(ALLOW).iter().filter_map(|value| value.to_str().ok());
    methods.flat_map(|value| value.split(',')).map(|method| method.trim().to_owned()).collect()
}

#[tokio::test]
async fn a_page_equals_flasks_byte_for_byte_and_its_fields_differ_only_on_purpose() {
    let both = Both::start().await;
    // The length of the page grows at a power of ten.
    for _ in 0..11 {
        for (method, path) in [("GET", "/"), ("GET", "/?a=b"), ("HEAD", "/")] {
            let (flask, ours) = both.ask(method, path).await;
            assert_eq!(ours.status, flask.status, "{method} {path}");
            assert_eq!(ours.body, flask.body, "{method} {path}");
            assert_eq!(ours.header("content-length"), flask.header("content-length"), "{method} {path}");
            assert_eq!(flask.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(ours.header("content-type"), Some("text/plain; charset=utf-8"));
            let only_flask: Vec<_> = names(&flask).difference(&names(&ours)).copied().collect();
            assert_eq!(only_flask, ONLY_FLASK, "{method} {path}");
            let only_ours: Vec<_> = names(&ours).difference(&names(&flask)).copied().collect();
            assert_eq!(only_ours, ONLY_OURS, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn other_methods_and_paths_get_flasks_status_and_methods_and_count_nothing() {
    let both = Both::start().await;
    for path in ["/", "/?a=b", "/x", "/.", "/index.html", "/favicon.ico"] {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            if path.starts_with("/?") && method != "OPTIONS" {
                continue;
            }
            let (flask, ours) = both.ask(method, path).await;
            assert_eq!(ours.status, flask.status, "{method} {path}");
            assert_eq!(allowed(&ours), allowed(&flask), "{method} {path}");
            // Errors differ: ours are one line, Flask's are a page.
            let text = match (ours.status.as_u16(), method) {
                (404 | 405, "HEAD") | (200, _) => "",
                (404, _) => "not found\n",
                (405, _) => "method not allowed\n",
                (status, _) => panic!("{method} {path}: {status}"),
            };
            let visit = method == "GET" && path == "/";
            assert!(visit || ours.text() == text, "{method} {path}: {:?}", ours.text());
            assert_eq!(visit.then_some(&ours.body), visit.then_some(&flask.body));
        }
    }
    // A GET and a HEAD of / were counted before.
    let (flask, ours) = both.ask("GET", "/").await;
    assert_eq!(ours.text(), "Hello World! I have been seen 3 times.\n");
    assert_eq!(ours.body, flask.body);
}

#[tokio::test]
async fn other_spellings_of_the_path_are_not_found_where_flasks_server_removes_slashes() {
    let both = Both::start().await;
    for path in ALIASES {
        let (flask, ours) = both.ask("GET", path).await;
        assert_eq!((flask.status.as_u16(), ours.status.as_u16()), (200, 404), "{path}");
    }
}

#[tokio::test]
async fn old_and_unusual_clients_are_served_as_by_flask() {
    let both = Both::start().await;
    let requests = [
        // As sent by ApacheBench and old health checks.
        "GET / HTTP/1.0\r\n\r\n",
        // A client that treats the server as a proxy (RFC 9112 section 3.2.2).
        "GET http://www.example.com/ HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n\r\n",
        // A GET with a body.
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
    ];
    for request in requests {
        let flask = raw::exchange(both.flask.address(), request.as_bytes()).await;
        let ours = raw::exchange(both.ours.address, request.as_bytes()).await;
        let status = |answer: &str| answer.split(' ').nth(1).map(str::to_owned);
        assert_eq!(status(&ours).as_deref(), Some("200"), "{request:?}");
        assert_eq!(status(&flask), status(&ours), "{request:?}");
        let body = |answer: &str| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        assert_eq!(body(&ours), body(&flask), "{request:?}");
    }
}
