use std::{path::Path, sync::Arc, time::Duration};

use http::{
    Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, HOST},
};
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::{busy_edge, text};
use crate::{
    admin::{AdminState, EndpointOrder, orders::respond},
    config::Config,
    upstream::{manager::NotFound, order::Order},
    worker::snapshot::Snapshot,
};

const PATH: &str = "/pools/web/endpoints/10.0.0.1:8000/drain";

/// An edge whose token is in `file`, and the orders that arrive.
fn edge(file: Option<&Path>) -> (AdminState, mpsc::Receiver<EndpointOrder>) {
    let admin = busy_edge();
    let before = admin.snapshot.load_full();
    let config = Config { admin_token_file: file.map(Path::to_owned), ..(*before.config).clone() };
    admin.snapshot.store(Arc::new(Snapshot::new(
        Arc::new(config),
        before.pools.clone(),
        crate::filters::RuleFiles::default(),
    )));
    let (orders, received) = mpsc::channel(1);
    (AdminState { orders, ..admin }, received)
}

fn request(method: Method, path: &str, token: Option<&str>, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "127.0.0.1:9901");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Full::from(body)).unwrap()
}

/// Answers within a deadline: an order that reaches the control thread waits for its answer.
async fn answer(request: Request<Full<Bytes>>, admin: &AdminState) -> Response<Full<Bytes>> {
    timeout(Duration::from_secs(20), respond(request, admin, None)).await.expect("a response")
}

async fn post(admin: &AdminState, path: &str, token: Option<&str>, body: &'static str) -> Response<Full<Bytes>> {
    answer(request(Method::POST, path, token, body), admin).await
}

/// A folder with a file that contains the token "secret".
fn token() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    (folder, file)
}

#[tokio::test]
async fn order_without_the_token_reaches_nobody() {
    let (_folder, file) = token();
    let (admin, mut received) = edge(Some(&file));
    for token in [None, Some("wrong"), Some("")] {
        let response = post(&admin, PATH, token, "").await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{token:?}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"edge\"");
    }
    let (closed, mut received_by_closed) = edge(None);
    let response = post(&closed, PATH, Some("secret"), "").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(text(response).await.contains("--admin-token-file"));
    std::fs::remove_file(&file).unwrap();
    let response = post(&admin, PATH, Some("secret"), "").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(received.try_recv().is_err() && received_by_closed.try_recv().is_err());
}

#[tokio::test]
async fn order_needs_a_post_to_a_private_host() {
    let (_folder, file) = token();
    let (admin, _received) = edge(Some(&file));
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
        let response = answer(request(method, PATH, Some("secret"), ""), &admin).await;
        assert_eq!(
            (response.status(), &response.headers()["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
        );
    }
    let mut request = request(Method::POST, PATH, Some("secret"), "");
    request.headers_mut().insert(HOST, "evil.example".parse().unwrap());
    assert_eq!(answer(request, &admin).await.status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn large_body_is_refused_and_a_small_one_ignored() {
    let (_folder, file) = token();
    let (admin, mut received) = edge(Some(&file));
    let large: &'static str = "x".repeat(1025).leak();
    assert_eq!(post(&admin, PATH, Some("secret"), large).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(received.try_recv().is_err());
    let (response, ()) = tokio::join!(post(&admin, PATH, Some("secret"), "{}"), async {
        received.recv().await.unwrap().answer.send(Ok(Order::Ready)).unwrap();
    });
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn response_has_the_new_order_and_the_one_before() {
    let (_folder, file) = token();
    let (admin, mut received) = edge(Some(&file));
    let path = "/pools/web/endpoints/10.0.0.1:8000/maintenance";
    let (response, ()) = tokio::join!(post(&admin, path, Some("secret"), ""), async {
        let EndpointOrder { pool, endpoint, order, answer, .. } = received.recv().await.unwrap();
        assert_eq!(
            (pool.as_str(), endpoint.to_string(), order),
            ("web", "10.0.0.1:8000".to_owned(), Order::Maintenance)
        );
        answer.send(Ok(Order::Drain)).unwrap();
    });
    assert_eq!(response.headers()["content-type"], "application/json");
    let json: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    let expected = r#"{"pool": "web", "endpoint": "10.0.0.1:8000", "order": "maintenance", "before": "drain"}"#;
    assert_eq!(json, serde_json::from_str::<serde_json::Value>(expected).unwrap());
}

#[tokio::test]
async fn unknown_pool_or_endpoint_is_404_and_a_stopping_edge_503() {
    let (_folder, file) = token();
    let (admin, mut received) = edge(Some(&file));
    for (not_found, part) in
        [(NotFound::Pool, "no pool \"web\""), (NotFound::Endpoint, "no endpoint \"10.0.0.1:8000\"")]
    {
        let (response, ()) = tokio::join!(post(&admin, PATH, Some("secret"), ""), async {
            received.recv().await.unwrap().answer.send(Err(not_found)).unwrap();
        });
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let text = text(response).await;
        assert!(text.contains(part), "{text}");
    }
    let response = post(&admin, "/pools/web/endpoints/web/drain", Some("secret"), "").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    drop(received);
    assert_eq!(post(&admin, PATH, Some("secret"), "").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
