//! The pages: the visit, and those for operators and probes.
//!
//! Differences from the tutorial's Flask program, and why:
//!
//! - The page is `text/plain`; Flask says `text/html`. It has no markup, and a client that sniffs content types
//!   must not find any.
//! - `cache-control: no-store`, where Flask sends nothing: a cache that answers for us would return a number
//!   twice and leave visits uncounted.
//! - `x-served-by` names the node, which the tutorial shows only in the visualizer.
//! - Errors are 503 with a reason, where Flask's are an HTML page with status 500.
//!
//! The rest is alike: the text and its newline; HEAD is a visit without a body; OPTIONS lists the
//! methods and counts nothing; a visit whose client disconnects while it waits is counted.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use hyper_util::service::TowerToHyperService;
use tokio::time::timeout;
use tracing::{Level, debug, enabled};

use crate::{
    counter::{Counter, CounterError},
    error::Error,
    metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics},
    options::Options,
};

/// Every answer names the node that gave it.
const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// One replica, or a part of its pages, on top of a counter. Clones are the same replica.
#[derive(Clone, Debug)]
pub struct App {
    router: TowerToHyperService<Router>,
    shared: Arc<Shared>,
    options: Options,
}

impl App {
    /// A replica with all its pages. `served_by` is the name of the node for the header `x-served-by`; a name that is
    /// not a valid header value becomes `unknown`.
    #[must_use]
    pub fn new(counter: Counter, served_by: &str, options: Options) -> Self {
        let shared = Shared::new(counter, served_by);
        Self::with_pages(public_pages().merge(admin_pages()), shared, options)
    }

    /// A replica whose readiness and metrics are apart from its other pages: the first is for visitors, the second for
    /// operators, on an address of its own. Both have `/healthz`.
    #[must_use]
    pub fn with_admin(counter: Counter, served_by: &str, options: Options) -> (Self, Self) {
        let shared = Shared::new(counter, served_by);
        let public = Self::with_pages(public_pages(), Arc::clone(&shared), options);
        let health = Router::new().route("/healthz", get(healthz).options(methods));
        (public, Self::with_pages(admin_pages().merge(health), shared, Options::of_admin()))
    }

    fn with_pages(pages: Router<Arc<Shared>>, shared: Arc<Shared>, options: Options) -> Self {
        let router = pages
            .method_not_allowed_fallback(async || Error::MethodNotAllowed)
            .fallback(async || Error::NotFound)
            .with_state(Arc::clone(&shared));
        Self { router: TowerToHyperService::new(router), shared, options }
    }

    /// Answers one request. Its body is never read.
    pub async fn respond<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let _in_flight = InFlight::start(&self.shared.metrics);
        if enabled!(Level::DEBUG) {
            let start = Instant::now();
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let response = self.route(request).await;
            let status = response.status().as_u16();
            debug!(%method, path, status, elapsed = ?start.elapsed(), "request");
            return response;
        }
        self.route(request).await
    }

    async fn route<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let routed = hyper::service::Service::call(&self.router, request).await;
        let mut response = routed.unwrap_or_else(|never| match never {});
        let name = self.shared.served_by.clone();
        response.headers_mut().insert(SERVED_BY, name);
        response
    }

    /// Makes `/readyz` fail from now on, so that no new traffic is sent here.
    pub(crate) fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }
}

fn public_pages() -> Router<Arc<Shared>> {
    Router::new().route("/", get(visit).options(methods)).route("/healthz", get(healthz).options(methods))
}

fn admin_pages() -> Router<Arc<Shared>> {
    Router::new().route("/readyz", get(readyz).options(methods)).route("/metrics", get(metrics).options(methods))
}

struct Shared {
    counter: Counter,
    metrics: Metrics,
    served_by: HeaderValue,
    /// Set once, when the server begins to stop.
    draining: AtomicBool,
}

impl Shared {
    fn new(counter: Counter, served_by: &str) -> Arc<Self> {
        Arc::new(Self {
            metrics: Metrics::new(counter.metrics()),
            counter,
            served_by: HeaderValue::from_str(served_by).unwrap_or(HeaderValue::from_static("unknown")),
            draining: AtomicBool::new(false),
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("served_by", &self.served_by).finish_non_exhaustive()
    }
}

/// Counts a request as in flight until it is dropped, however the request ends.
struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    fn start(metrics: &'a Metrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

async fn visit(State(app): State<Arc<Shared>>) -> Response {
    match app.counter.hit().await {
        Ok(number) => page(number),
        Err(error) => {
            app.metrics.error(error.reason());
            Error::from(error).into_response()
        }
    }
}

fn page(number: u64) -> Response {
    plain(format!("Hello World! I have been seen {number} times.\n"))
}

fn plain(text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the process is alive. It must not ask the store: a supervisor kills a process that fails this.
async fn healthz() -> Response {
    plain("ok\n")
}

/// Whether this replica can serve traffic.
async fn readyz(State(app): State<Arc<Shared>>) -> Response {
    /// Shorter than the time-out of a usual prober.
    const TIMEOUT: Duration = Duration::from_secs(1);
    if app.draining.load(Ordering::Relaxed) {
        return Error::Draining.explain();
    }
    match timeout(TIMEOUT, app.counter.ready()).await {
        Ok(Ok(())) if app.counter.is_degraded() => {
            plain("ready, but degraded: numbers are less durable than configured\n")
        }
        Ok(Ok(())) => plain("ready\n"),
        Ok(Err(error)) => Error::from(error).explain(),
        Err(_elapsed) => Error::from(CounterError::Late).explain(),
    }
}

async fn metrics(State(app): State<Arc<Shared>>) -> Response {
    match app.metrics.encode(app.counter.waiting()) {
        Ok(text) => ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Answers OPTIONS as Flask does for every page.
async fn methods() -> Response {
    let allowed = [Method::GET, Method::HEAD, Method::OPTIONS].map(|m| m.to_string());
    ([(ALLOW, allowed.join(", "))], ()).into_response()
}

#[cfg(test)]
mod tests {
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
    async fn with_an_admin_part_readiness_and_metrics_are_there_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreConfig::File(folder.path().join("hits.redb"));
        let counter = Counter::open(&store, Limits::default()).unwrap();
        let (public, admin) = App::with_admin(counter, "node1", Options::default());
        assert_eq!(ask(&public, "GET", "/", "").await.text, "Hello World! I have been seen 1 times.\n");
        assert_eq!(ask(&admin, "GET", "/", "").await.status, 404, "it counts nothing");
        for path in ["/readyz", "/metrics"] {
            let answer = ask(&public, "GET", path, "").await;
            assert_eq!((answer.status, answer.text.as_str()), (404, "not found\n"), "{path}");
            assert_eq!(ask(&admin, "GET", path, "").await.status, 200, "{path}");
        }
        for app in [&public, &admin] {
            assert_eq!(ask(app, "GET", "/healthz", "").await.status, 200);
        }
        let metrics = ask(&admin, "GET", "/metrics", "").await.text;
        assert!(metrics.contains("\napp_hits_total 1\n"), "{metrics}");
        public.drain();
        assert_eq!(ask(&admin, "GET", "/readyz", "").await.status, 503);
    }

    #[tokio::test]
    async fn readiness_follows_the_store_and_the_drain() {
        let (app, _folder) = in_file();
        assert_eq!(ask(&app, "GET", "/readyz", "").await.status, 200);
        app.drain();
        let answer = ask(&app, "GET", "/readyz", "").await;
        assert_eq!((answer.status, answer.text.as_str()), (503, "shutting down\n"));
        assert_eq!(ask(&app, "GET", "/", "").await.status, 200, "visits go on");
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
}
