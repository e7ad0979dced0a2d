//! What a route does with its requests beside sending them to a pool: redirects, answers, header fields, and by which
//! paths its rules are found.

use http::{HeaderValue, StatusCode};
use tests::{
    client::{Connection, Reply, raw::exchange, request},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline},
};

use super::{Edge, LISTENER, field};

/// Starts an edge with these routes and a pool of this endpoint.
async fn start(upstream: &Upstream, routes: &str) -> Edge {
    let pool = format!("[pool.web]\nendpoints = [\"{}\"]\nhealth = false\n", upstream.address());
    Edge::start(&format!("{LISTENER}{routes}\n{pool}")).await
}

/// Requests a path by HTTP/1.1 and by HTTP/2, and returns both responses.
async fn both(edge: &Edge, method: &str, host: &str, path: &str, fields: &[(&'static str, &str)]) -> [Reply; 2] {
    let head = || {
        let mut head = request(host, path);
        *head.method_mut() = method.parse().unwrap();
        for (name, value) in fields {
            head.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        head
    };
    let mut http1 = Connection::http1(edge.address()).await.unwrap();
    let mut http2 = Connection::http2(edge.address()).await.unwrap();
    let first = deadline("the response", SOON, http1.send(head())).await.unwrap();
    [first, deadline("the response", SOON, http2.send(head())).await.unwrap()]
}

#[tokio::test]
async fn clients_are_redirected_by_host_and_to_https() {
    let upstream = Upstream::start().await;
    let routes = r#"
[[route]]
host = "www.example.com"
redirect = "https://example.com{path}{query}"
[[route]]
host = "example.com"
redirect = "https"
pool = "web"
[route.response_headers]
set = { x-by = "{host}" }
"#;
    let edge = start(&upstream, routes).await;
    for reply in both(&edge, "GET", "www.example.com", "/a%20b?x=1", &[]).await {
        let location = reply.header("location").unwrap().to_owned();
        assert_eq!((reply.status.as_u16(), location.as_str()), (301, "https://example.com/a%20b?x=1"));
    }
    for reply in both(&edge, "POST", "example.com:8080", "/form", &[]).await {
        assert_eq!((reply.status.as_u16(), reply.header("location")), (308, Some("https://example.com/form")));
        assert_eq!(reply.header("x-by"), Some("example.com"), "the edge's own responses are changed as well");
    }
    for reply in both(&edge, "GET", "example.com", "/.well-known/acme-challenge/token", &[]).await {
        assert_eq!(reply.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_route_answers_without_an_endpoint() {
    let upstream = Upstream::start().await;
    let routes = r#"
[[route]]
path = "/robots.txt"
respond = { body = "User-agent: *\n" }
[[route]]
path = "/shop"
respond = { status = 503, body = "<p>soon</p>", type = "text/html" }
[[route]]
path = "/empty"
respond = { status = 204 }
[[route]]
pool = "web"
"#;
    let edge = start(&upstream, routes).await;
    for reply in both(&edge, "GET", "a", "/robots.txt", &[]).await {
        let content_type = reply.header("content-type");
        assert_eq!((reply.status.as_u16(), content_type), (200, Some("text/plain; charset=utf-8")));
        assert_eq!(reply.text(), "User-agent: *\n");
    }
    for reply in both(&edge, "POST", "a", "/shop/cart", &[]).await {
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("60")));
        assert_eq!((reply.header("content-type"), reply.text()), (Some("text/html"), "<p>soon</p>".to_owned()));
    }
    for reply in both(&edge, "GET", "a", "/empty", &[]).await {
        assert_eq!((reply.status.as_u16(), reply.header("content-length")), (204, None));
    }
    for reply in both(&edge, "HEAD", "a", "/robots.txt", &[]).await {
        assert_eq!((reply.header("content-length"), reply.text()), (Some("14"), String::new()));
    }
    assert_eq!(upstream.requests(), 0);
    assert_eq!(both(&edge, "GET", "a", "/shopping", &[]).await.map(|reply| reply.status.as_u16()), [200, 200]);
}

#[tokio::test]
async fn header_fields_change_on_both_ways() {
    let upstream = Upstream::start().await;
    let secret = vec![("server".to_owned(), "secret/1".to_owned()), ("x-powered-by".to_owned(), "php".to_owned())];
    upstream.on("/fields", Behaviour::Headers(secret));
    let routes = r#"
[[route]]
pool = "web"
[route.request_headers]
remove = "x-debug"
set = { x-client = "{client}", authorization = "Bearer {method}" }
add = { x-list = "edge" }
[route.response_headers]
remove = ["x-powered-by"]
set = { server = "ours", x-path = "{path}" }
"#;
    let edge = start(&upstream, routes).await;
    let fields = [("x-debug", "1"), ("authorization", "Basic x"), ("x-list", "client"), ("x-client", "forged")];
    for reply in both(&edge, "GET", "a", "/echo", &fields).await {
        let echo = reply.json();
        assert_eq!(field(&echo, "x-debug"), None);
        assert_eq!(field(&echo, "authorization").as_deref(), Some("Bearer GET"));
        assert_eq!(field(&echo, "x-list").as_deref(), Some("client, edge"));
        assert_eq!(field(&echo, "x-client").as_deref(), Some("127.0.0.1"));
    }
    for reply in both(&edge, "GET", "a", "/fields", &[]).await {
        let seen = ["server", "x-powered-by", "x-path"].map(|name| reply.header(name));
        assert_eq!(seen, [Some("ours"), None, Some("/fields")]);
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_passes_a_rule_and_the_endpoint_gets_the_path_as_it_came() {
    let upstream = Upstream::start().await;
    let routes = r#"
[[route]]
path = "/admin"
respond = { status = 403 }
[[route]]
pool = "web"
"#;
    let edge = start(&upstream, routes).await;
    for path in ["/admin", "//admin", "/%61dmin", "/x/../admin", "/x/%2e%2e/admin/", "/./admin?x", "/\\admin"] {
        let reply = as_it_is(&edge, path).await;
        assert!(reply.starts_with("HTTP/1.1 403 ") || reply.starts_with("HTTP/1.1 400 "), "{path}: {reply}");
    }
    assert_eq!(upstream.requests(), 0);
    for path in ["/x/..;/admin", "/%2fadmin", "/admin;x=1", "/admin//../x", "/admin/x\\..\\..\\y", "/%zz", "/%00"] {
        let reply = as_it_is(&edge, path).await;
        assert!(reply.starts_with("HTTP/1.1 400 "), "{path}: {reply}");
    }
    for path in ["/group%2Fproject", "/a//b", "/a/./b;c=1"] {
        for reply in both(&edge, "GET", "a", path, &[]).await {
            assert_eq!(reply.json()["target"], path);
        }
    }
}

/// Requests a path that client libraries would change, and returns the response.
async fn as_it_is(edge: &Edge, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    exchange(edge.address(), head.as_bytes()).await
}
