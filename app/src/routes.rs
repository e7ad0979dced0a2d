//! The pages: the visit, and those for operators and probes.
//!
//! Differences from the tutorial's Flask program, and why:
//!
//! - The page is `text/plain`; Flask says `text/html`. It has no markup, and a client that sniffs content types
//!   must not find any.
//! - `cache-control: no-store`, where Flask sends nothing: a cache that answers for us would return a number
//!   twice and leave visits uncounted.
//! - `x-served-by` names the node, which the tutorial shows only in the visualizer, and `x-replica` the replica, by
//!   which a proxy behind a routing mesh tells replicas apart.
//! - Errors are 503 with a reason, where Flask's are an HTML page with status 500.
//!
//! Everything else is the same: the text and its newline; HEAD is a visit without a body; OPTIONS lists the methods and
//! counts nothing; a visit whose client disconnects while it waits is counted.

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

/// The field that names the replica, if it has a name.
const REPLICA: HeaderName = HeaderName::from_static("x-replica");

/// A replica, or one part of its pages, in front of a counter. Clones share its state.
#[derive(Clone, Debug)]
pub struct App {
    router: TowerToHyperService<Router>,
    shared: Arc<Shared>,
    /// See [`named`](Self::named).
    name: Option<HeaderValue>,
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
    /// operators, on an address of its own. Both have `/healthz`. Visitors get `/readyz` without a reason, because a
    /// proxy that reaches replicas through a routing mesh has only the visitors' port.
    #[must_use]
    pub fn with_admin(counter: Counter, served_by: &str, options: Options) -> (Self, Self) {
        let shared = Shared::new(counter, served_by);
        let public = public_pages().route("/readyz", get(readyz_without_reason).options(methods));
        let public = Self::with_pages(public, Arc::clone(&shared), options);
        let health = Router::new().route("/healthz", get(healthz).options(methods));
        (public, Self::with_pages(admin_pages().merge(health), shared, Options::of_admin()))
    }

    fn with_pages(pages: Router<Arc<Shared>>, shared: Arc<Shared>, options: Options) -> Self {
        let router = pages
            .method_not_allowed_fallback(async || Error::MethodNotAllowed)
            .fallback(async || Error::NotFound)
            .with_state(Arc::clone(&shared));
        Self { router: TowerToHyperService::new(router), shared, name: None, options }
    }

    /// Names the replica in the field `x-replica` of every response. A name that is not a valid header value is none.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        let name = HeaderValue::from_str(name).ok().filter(|name| !name.is_empty());
        Self { name, ..self }
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
        if let Some(name) = &self.name {
            response.headers_mut().insert(REPLICA, name.clone());
        }
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
    /// Shorter than the timeout of a usual prober.
    const TIMEOUT: Duration = Duration::from_secs(1);
    if app.draining.load(Ordering::Relaxed) {
        return Error::Draining.explain();
    }
    match timeout(TIMEOUT, app.counter.ready()).await {
        Ok(Ok(())) => plain(readiness(app.counter.is_degraded(), app.counter.is_slow())),
        Ok(Err(error)) => Error::from(error).explain(),
        Err(_elapsed) => Error::from(CounterError::Late).explain(),
    }
}

/// The same for visitors, who need not know why.
async fn readyz_without_reason(app: State<Arc<Shared>>) -> Response {
    let mut response = readyz(app).await;
    let text = if response.status().is_success() { "ready\n" } else { "not ready\n" };
    *response.body_mut() = Body::from(text);
    response
}

/// What `/readyz` says while the store counts.
const fn readiness(is_degraded: bool, is_slow: bool) -> &'static str {
    match (is_degraded, is_slow) {
        (false, false) => "ready\n",
        (true, false) => "ready, but degraded: numbers are less durable than configured\n",
        (false, true) => "ready, but slow: the store takes long to count\n",
        (true, true) => {
            "ready, but degraded: numbers are less durable than configured\n\
             ready, but slow: the store takes long to count\n"
        }
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
mod tests;
