use http::{Method, StatusCode};

use super::{busy_edge, get, request, text};

#[tokio::test]
async fn known_paths_accept_only_get_and_head() {
    let admin = busy_edge();
    for path in ["/", "/status.json", "/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(&admin, path).status(), StatusCode::OK, "{path}");
        assert_eq!(request(&admin, Method::HEAD, path, None).status(), StatusCode::OK, "{path}");
        let refused = request(&admin, Method::POST, path, None);
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(refused.headers()["allow"], "GET, HEAD");
    }
    let missing = get(&admin, "/favicon.ico");
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(text(missing).await.contains("/metrics"));
}

#[test]
fn a_host_that_could_be_a_public_name_cannot_read_the_status() {
    let admin = busy_edge();
    let local = [
        "127.0.0.1:9901",
        "[::1]:9901",
        "10.0.0.1",
        "localhost:9901",
        "edge",
        "EDGE:9901",
        "a.internal",
        "x.LocalHost.",
    ];
    for host in local {
        assert_eq!(request(&admin, Method::GET, "/status.json", Some(host)).status(), StatusCode::OK, "{host}");
    }
    for host in ["evil.example:9901", "127.0.0.1.evil.com", "[evil.com]", "", "tasks.edge", "1.2.3"] {
        for path in ["/", "/status.json", "/metrics"] {
            let status = request(&admin, Method::GET, path, Some(host)).status();
            assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{path} of {host}");
        }
        assert_eq!(request(&admin, Method::GET, "/readyz", Some(host)).status(), StatusCode::OK, "{host}");
    }
}
