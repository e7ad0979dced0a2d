//! What the edge passes to the upstream and back to the client: connections, heads, targets.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Version};
use serde_json::json;
use tests::{
    client::{
        self, Connection,
        raw::{self, Raw},
    },
    upstream::{Behaviour, Upstream},
};

use super::{Edge, field, raw_endpoint::RawEndpoint, unchecked};

#[tokio::test]
async fn requests_of_one_connection_use_one_upstream_connection() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for request in 1..=10 {
        let reply = connection.get("/").await.unwrap();
        assert_eq!(reply.json()["connection"], 1, "request {request}");
    }
    assert_eq!((upstream.requests(), upstream.connections()), (10, 1));
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn forwarded_fields_of_an_untrusted_client_are_replaced() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let mut request = client::request("www.example.com:8080", "/a%20b?c=d&e");
    for (name, value) in [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=1.1.1.1"),
        ("via", "1.0 before"),
        ("expect", "100-continue"),
        ("cookie", "a=b"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let echo = connection.send(request).await.unwrap().json();
    assert_eq!((&echo["method"], &echo["target"]), (&json!("GET"), &json!("/a%20b?c=d&e")));
    for (name, value) in [
        ("host", Some("www.example.com:8080")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("www.example.com:8080")),
        ("forwarded", Some("for=127.0.0.1;proto=http;host=\"www.example.com:8080\"")),
        ("via", Some("1.0 before, 1.1 edge")),
        ("expect", None),
        ("cookie", Some("a=b")),
    ] {
        assert_eq!(field(&echo, name).as_deref(), value, "{name}");
    }
}

#[tokio::test]
async fn forwarded_fields_of_a_trusted_proxy_are_kept_and_extended() {
    let upstream = Upstream::start().await;
    let config = format!("trusted_proxies = [\"127.0.0.0/8\"]\n{}", unchecked(&[upstream.address()]));
    let edge = Edge::start(&config).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let mut request = client::request("a.example", "/");
    request.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    request.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
    let echo = connection.send(request).await.unwrap().json();
    assert_eq!(field(&echo, "x-forwarded-for").as_deref(), Some("192.0.2.1, 127.0.0.1"));
    assert_eq!(field(&echo, "x-forwarded-proto").as_deref(), Some("https"));
}

#[tokio::test]
async fn hop_by_hop_fields_are_removed_in_both_directions() {
    let upstream = Upstream::start().await;
    let answer = [
        ("connection", "x-theirs"),
        ("x-theirs", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("upgrade", "h2c"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("server", "theirs"),
    ];
    upstream.on("/back", Behaviour::Headers(answer.map(|(name, value)| (name.into(), value.into())).to_vec()));
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();

    let mut request = client::request("a.example", "/");
    let sent = [
        ("connection", "x-ours, keep-alive, x-forwarded-for"),
        ("x-ours", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eA=="),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("x-kept", "1"),
    ];
    for (name, value) in sent {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let echo = connection.send(request).await.unwrap().json();
    for (name, _) in sent {
        assert_eq!(field(&echo, name).is_some(), name == "x-kept", "{name} in {echo}");
    }
    assert_eq!(field(&echo, "x-forwarded-for").as_deref(), Some("127.0.0.1"));

    let reply = connection.get("/back").await.unwrap();
    for (name, _) in answer {
        assert_eq!(reply.header(name).is_some(), ["set-cookie", "server"].contains(&name), "{name}");
    }
    assert_eq!(reply.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
}

#[tokio::test]
async fn a_response_to_head_keeps_its_length_and_has_no_body() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::Body(1234));
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for method in [Method::HEAD, Method::GET, Method::HEAD] {
        let mut request = client::request("a.example", "/");
        *request.method_mut() = method.clone();
        let reply = connection.send(request).await.unwrap();
        assert_eq!(reply.header("content-length"), Some("1234"));
        assert_eq!(reply.body.len(), if method == Method::GET { 1234 } else { 0 });
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn responses_without_a_body_leave_the_connections_usable() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let upstream = tokio::spawn(async move {
        let mut connection = peer.accept().await;
        for answer in [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: \"a\"\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ] {
            connection.until("\r\n\r\n").await;
            connection.send(answer.as_bytes()).await;
        }
    });
    let mut seen = Vec::new();
    for _ in 0..3 {
        let reply = connection.get("/").await.unwrap();
        seen.push((reply.status.as_u16(), reply.header("content-length").map(str::to_owned), reply.body.len()));
    }
    // The edge omits the length of a body that is not sent (RFC 9110 section 8.6).
    assert_eq!(seen, [(204, None, 0), (304, None, 0), (200, Some("0".to_owned()), 0)]);
    upstream.await.unwrap();
}

#[tokio::test]
async fn an_http_1_0_client_gets_an_unchunked_response_that_ends_with_the_connection() {
    let upstream = Upstream::start().await;
    upstream.on("/chunks", Behaviour::SlowBody { chunks: 2, every: Duration::from_millis(1) });
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let answer = raw::exchange(edge.address(), b"GET /chunks HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body.len(), 2000);

    let answer = raw::exchange(edge.address(), b"GET / HTTP/1.0\r\n\r\n").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let echo = serde_json::from_str(body).unwrap();
    // HTTP/1.1 requires the field even when it is empty (RFC 9112 section 3.2).
    assert_eq!(field(&echo, "host").as_deref(), Some(""));
    assert_eq!(field(&echo, "via").as_deref(), Some("1.0 edge"));
}

#[tokio::test]
async fn an_http_1_0_response_without_a_length_ends_with_its_connection() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let upstream = tokio::spawn(async move { peer.answer_once("HTTP/1.0 200 OK\r\n\r\nto the end").await });
    let reply = client::get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.version, reply.text().as_str()), (Version::HTTP_11, "to the end"));
    upstream.await.unwrap();
}

#[tokio::test]
async fn an_absolute_target_becomes_a_path_and_an_asterisk_is_kept() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    for (line, host, target) in [
        ("GET http://www.example.com/a?b HTTP/1.1", "www.example.com", "/a?b"),
        ("GET http://www.example.com HTTP/1.1", "www.example.com", "/"),
        ("OPTIONS * HTTP/1.1", "www.example.com", "*"),
    ] {
        let mut connection = Raw::open(edge.address()).await;
        connection.send(format!("{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await;
        let answer = connection.rest().await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{line}: {head}");
        let echo: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(echo["target"], target, "{line}");
        assert_eq!(field(&echo, "host").as_deref(), Some(host), "{line}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start().await;
    upstream.on("/1", Behaviour::SlowHead(Duration::from_millis(200)));
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let get = |path: &str, close: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{close}\r\n");
    let all = format!("{}{}{}", get("/1", ""), get("/2", ""), get("/3", "Connection: close\r\n"));
    let answers = raw::exchange(edge.address(), all.as_bytes()).await;
    let targets: Vec<&str> = answers
        .match_indices("\"target\":\"")
        .map(|(at, key)| {
            let from = at + key.len();
            &answers[from..from + 2]
        })
        .collect();
    assert_eq!(targets, ["/1", "/2", "/3"]);
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3);
}

#[tokio::test]
async fn interim_responses_precede_the_final_one() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let upstream = tokio::spawn(async move { peer.answer_once(answer).await });
    let reply = client::get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, "ok"));
    upstream.await.unwrap();
}

#[tokio::test]
async fn trailers_reach_an_http2_client() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let answer =
        "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    let upstream = tokio::spawn(async move { peer.answer_once(answer).await });
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let reply = connection.send(client::request("a.example", "/")).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    assert_eq!((reply.text().as_str(), reply.trailers), ("ok", trailers));
    upstream.await.unwrap();
}

#[tokio::test]
async fn trailers_that_were_not_announced_reach_clients_of_both_versions() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    let mut http1 = Raw::open(edge.address()).await;
    http1.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    peer.answer_once(answer).await;
    http1.until("\r\n0\r\nx-sum: 7\r\n\r\n").await;

    let upstream = tokio::spawn(async move { peer.answer_once(answer).await });
    let mut http2 = Connection::http2(edge.address()).await.unwrap();
    let reply = http2.send(client::request("a.example", "/")).await.unwrap();
    assert_eq!(reply.trailers["x-sum"], "7");
    upstream.await.unwrap();
}

#[tokio::test]
async fn the_exact_host_and_the_longest_path_select_the_pool() {
    let [web, api, other] = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let pool = |name: &str, upstream: &Upstream| {
        format!("[pool.{name}]\nendpoints = \"{}\"\nhealth = false\n", upstream.address())
    };
    let routes = r#"
[[listener]]
address = "127.0.0.1:0"
[[route]]
host = "www.example.com"
pool = "web"
[[route]]
host = "www.example.com"
path = "/api"
pool = "api"
[[route]]
host = "*.example.com"
pool = "other"
"#;
    let config = format!("{routes}{}{}{}", pool("web", &web), pool("api", &api), pool("other", &other));
    let edge = Edge::start(&config).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for (host, path, upstream) in [
        ("www.example.com", "/", &web),
        ("WWW.example.com:80", "/apix", &web),
        ("www.example.com", "/api/x", &api),
        ("a.b.example.com", "/api", &other),
    ] {
        let echo = connection.send(client::request(host, path)).await.unwrap().json();
        assert_eq!(echo["upstream"], upstream.address().to_string(), "{host}{path}");
    }
    let reply = connection.send(client::request("example.org", "/")).await.unwrap();
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}
