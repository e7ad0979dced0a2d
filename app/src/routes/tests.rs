use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http_body_util::BodyExt;

use super::*;
use crate::{Limits, RedisConfig, StoreConfig};

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

async fn ask(app: &App, method: &str, path: &str, body: &'static str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let response = app.respond(request.body(Body::from(body)).unwrap()).await;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

fn in_file() -> (App, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreConfig::File(folder.path().join("hits.redb"));
    let counter = Counter::open(&store, Limits::default()).unwrap();
    (App::new(counter, "node1", Options::default()), folder)
}

/// An app whose Redis socket does not exist.
fn without_store() -> (App, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let url = format!("unix://{}", socket.display());
    let store = StoreConfig::Redis(RedisConfig::parse(&url, None).unwrap());
    let counter = Counter::open(&store, Limits::default()).unwrap();
    (App::new(counter, "node1", Options::default()), folder)
}

#[tokio::test]
async fn a_visit_is_answered_as_the_tutorial_does() {
    let (app, _folder) = in_file();
    for n in 1..=3 {
        let answer = ask(&app, "GET", "/", "").await;
        assert_eq!(answer.status, 200);
        let text = format!("Hello World! I have been seen {n} times.\n");
        assert_eq!(answer.text, text);
        assert_eq!(answer.header(CONTENT_LENGTH), text.len().to_string());
        assert_eq!(answer.header(CONTENT_TYPE), "text/plain; charset=utf-8");
        assert_eq!(answer.header(CACHE_CONTROL), "no-store");
        assert_eq!(answer.header("x-served-by"), "node1");
    }
}

#[tokio::test]
async fn a_query_and_a_body_change_nothing() {
    let (app, _folder) = in_file();
    let answer = ask(&app, "GET", "/?a=b", "some body").await;
    assert_eq!(answer.text, "Hello World! I have been seen 1 times.\n");
}

#[tokio::test]
async fn head_counts_and_has_the_length_but_no_body() {
    let (app, _folder) = in_file();
    let answer = ask(&app, "HEAD", "/", "").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(answer.header(CONTENT_LENGTH), "39");
    let answer = ask(&app, "GET", "/", "").await;
    assert_eq!(answer.text, "Hello World! I have been seen 2 times.\n");
}

#[tokio::test]
async fn options_and_wrong_methods_list_what_is_allowed_and_count_nothing() {
    let (app, _folder) = in_file();
    for path in ["/", "/healthz", "/readyz", "/metrics"] {
        for (method, status) in [("OPTIONS", 200), ("POST", 405), ("DELETE", 405), ("BREW", 405)] {
            let answer = ask(&app, method, path, "").await;
            assert_eq!(answer.status, status, "{method} {path}");
            let mut allowed: Vec<_> = answer.header(ALLOW).split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed, ["GET", "HEAD", "OPTIONS"], "{method} {path}");
        }
    }
    let answer = ask(&app, "GET", "/", "").await;
    assert_eq!(answer.text, "Hello World! I have been seen 1 times.\n");
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let (app, _folder) = in_file();
    for path in ["/favicon.ico", "/healthz/", "/index.html"] {
        let answer = ask(&app, "GET", path, "").await;
        assert_eq!((answer.status, answer.text.as_str()), (404, "not found\n"));
        assert_eq!(answer.header("x-served-by"), "node1");
    }
}

#[tokio::test]
async fn with_an_admin_part_metrics_and_reasons_are_there_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreConfig::File(folder.path().join("hits.redb"));
    let counter = Counter::open(&store, Limits::default()).unwrap();
    let (public, admin) = App::with_admin(counter, "node1", Options::default());
    assert_eq!(ask(&public, "GET", "/", "").await.text, "Hello World! I have been seen 1 times.\n");
    assert_eq!(ask(&admin, "GET", "/", "").await.status, 404, "it counts nothing");
    for (path, status, text) in [("/readyz", 200, "ready\n"), ("/metrics", 404, "not found\n")] {
        let answer = ask(&public, "GET", path, "").await;
        assert_eq!((answer.status, answer.text.as_str()), (status, text), "{path}");
        assert_eq!(ask(&admin, "GET", path, "").await.status, 200, "{path}");
    }
    for app in [&public, &admin] {
        assert_eq!(ask(app, "GET", "/healthz", "").await.status, 200);
    }
    let metrics = ask(&admin, "GET", "/metrics", "").await.text;
    assert!(metrics.contains("\napp_hits_total 1\n"), "{metrics}");
    public.drain();
    assert_eq!(ask(&admin, "GET", "/readyz", "").await.status, 503);
    let answer = ask(&public, "GET", "/readyz", "").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "not ready\n"), "visitors get no reason");
    assert_eq!(answer.header(RETRY_AFTER), "1", "to an edge, it drains");
}

#[tokio::test]
async fn every_response_names_the_replica_if_it_has_a_name() {
    let (app, _folder) = in_file();
    assert!(!ask(&app, "GET", "/", "").await.headers.contains_key("x-replica"));
    let app = app.named("web.3");
    for path in ["/", "/readyz", "/nowhere"] {
        assert_eq!(ask(&app, "GET", path, "").await.header("x-replica"), "web.3", "{path}");
    }
    for invalid in ["", "a\nb"] {
        let app = app.clone().named(invalid);
        assert!(!ask(&app, "GET", "/", "").await.headers.contains_key("x-replica"), "{invalid:?}");
    }
}

#[tokio::test]
async fn readiness_follows_the_store_and_the_drain() {
    let (app, _folder) = in_file();
    assert_eq!(ask(&app, "GET", "/readyz", "").await.status, 200);
    app.drain();
    let answer = ask(&app, "GET", "/readyz", "").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "shutting down\n"));
    assert_eq!(answer.header(RETRY_AFTER), "1", "to an edge, it drains");
    assert_eq!(ask(&app, "GET", "/", "").await.status, 200, "visits continue");
}

#[tokio::test]
async fn without_its_store_the_app_is_alive_but_not_ready() {
    let (app, _folder) = without_store();
    let visit = ask(&app, "GET", "/", "").await;
    assert_eq!((visit.status, visit.text.as_str()), (503, "the store is unavailable\n"));
    assert_eq!(visit.header(RETRY_AFTER), "1");
    let ready = ask(&app, "GET", "/readyz", "").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.text, "the store is unavailable: cannot connect to the store\n");
    assert_eq!(ready.header(RETRY_AFTER), "", "to an edge, it fails");
    assert_eq!(ask(&app, "GET", "/healthz", "").await.status, 200);
    assert_eq!(ask(&app, "HEAD", "/healthz", "").await.status, 200);
}

#[tokio::test]
async fn metrics_report_visits_and_errors() {
    let (app, _folder) = in_file();
    for _ in 0..3 {
        ask(&app, "GET", "/", "").await;
    }
    let text = ask(&app, "GET", "/metrics", "").await.text;
    for line in [
        "app_hits_total 3",
        "app_batches_total 3",
        "app_batch_size_sum 3.0",
        "app_store_round_trip_seconds_count 3",
        "app_waiting_hits 0",
        "app_store_up 1",
        "app_in_flight_requests 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }

    let (app, _folder) = without_store();
    ask(&app, "GET", "/", "").await;
    let text = ask(&app, "GET", "/metrics", "").await.text;
    for line in ["app_errors_total{reason=\"connect\"} 1", "app_store_up 0"] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
