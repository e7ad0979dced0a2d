use http::{Method, StatusCode};

use super::{ask, busy, get, text};

#[tokio::test]
async fn known_paths_answer_get_and_head_only() {
    let admin = busy();
    for path in ["/", "/status.json", "/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(&admin, path).status(), StatusCode::OK, "{path}");
        assert_eq!(ask(&admin, Method::HEAD, path, None).status(), StatusCode::OK, "{path}");
        let refused = ask(&admin, Method::POST, path, None);
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(refused.headers()["allow"], "GET, HEAD");
    }
    let missing = get(&admin, "/favicon.ico");
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(text(missing).await.contains("/metrics"));
}

#[test]
fn a_name_that_anybody_could_own_does_not_read_the_status() {
    let admin = busy();
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
        assert_eq!(ask(&admin, Method::GET, "/status.json", Some(host)).status(), StatusCode::OK, "{host}");
    }
    for host in ["evil.example:9901", "127.0.0.1.evil.com", "[evil.com]", "", "tasks.edge", "1.2.3"] {
        for path in ["/", "/status.json", "/metrics"] {
            let status = ask(&admin, Method::GET, path, Some(host)).status();
            assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{path} of {host}");
        }
        assert_eq!(ask(&admin, Method::GET, "/readyz", Some(host)).status(), StatusCode::OK, "{host}");
    }
}
