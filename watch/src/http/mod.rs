//! Which request gets which answer.
//!
//! Paths are compared as they come, byte by byte: nothing is decoded or joined, and what is not in the
//! table is not there. No path leads to the engine: handlers see the [`Feed`] and nothing else.

mod auth;
mod events;
mod local;
mod nodes;
mod response;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, StatusCode, header};
use tokio::sync::{Semaphore, watch};

pub use self::{
    auth::{Access, AccessError},
    local::{Local, Told},
    response::{Body, Response},
};
use crate::{hub::Feed, metrics::Metrics, page};

/// Bounds of the HTTP interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams of events at once, and as many who wait for a change of the nodes.
    pub streams: usize,
    /// How old the engine's last answer may be for this instance to count as ready.
    pub fresh: Duration,
}

/// What the HTTP interface is made of.
#[derive(Debug)]
pub struct Web {
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    access: Access,
    limits: Limits,
    local: Local,
    streams: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    /// Ends streams and waits.
    stopping: watch::Sender<bool>,
}

impl Web {
    /// An interface to what `feed` publishes.
    #[must_use]
    pub fn new(feed: Arc<Feed>, metrics: Arc<Metrics>, access: Access, limits: Limits, local: Local) -> Self {
        Self {
            feed,
            metrics,
            access,
            limits,
            local,
            streams: Arc::new(Semaphore::new(limits.streams)),
            waits: Arc::new(Semaphore::new(limits.streams)),
            stopping: watch::Sender::new(false),
        }
    }

    /// From now on this instance is not ready; streams and waits end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Answers one request; its body is of no interest.
    pub async fn respond<B>(&self, request: &Request<B>) -> Response {
        let mut response = self.answer(request).await;
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::CONTENT_SECURITY_POLICY));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        self.metrics.answered(response.status());
        response
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response {
        let path = request.uri().path();
        let asset = page::asset(path);
        let is_known = asset.is_some()
            || matches!(
                path,
                "/api/swarm" | "/api/events" | "/api/nodes" | "/api/local" | "/metrics" | "/healthz" | "/readyz"
            );
        let is_open = matches!(path, "/healthz" | "/readyz");
        // Before anything is told, even which paths there are.
        if !is_open && !self.access.allows(request.headers()) {
            return self.access.challenge();
        }
        if !is_known {
            return response::text(StatusCode::NOT_FOUND, "not found\n");
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut response = response::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match (path, asset) {
            (_, Some(asset)) => response::asset(request, asset),
            ("/api/swarm", _) => self.swarm(request),
            ("/api/events", _) => self.events(request),
            ("/api/nodes", _) => self.nodes(request).await,
            ("/api/local", _) => response::json(self.local.json(&self.feed)),
            ("/metrics", _) => self.metrics(),
            ("/healthz", _) => response::text(StatusCode::OK, "alive\n"),
            _ => self.readiness(),
        }
    }

    fn swarm<B>(&self, request: &Request<B>) -> Response {
        let version = self.feed.now();
        let tag = format!("\"{}-{}\"", self.feed.instance(), version.number);
        response::tagged(request, &tag, || version.json())
    }

    fn metrics(&self) -> Response {
        match self.metrics.encode(&self.feed) {
            Ok(text) => response::typed(StatusCode::OK, Metrics::CONTENT_TYPE, text.into()),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                response::text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n")
            }
        }
    }

    fn readiness(&self) -> Response {
        if self.is_stopping() {
            return response::later("stopping\n");
        }
        if self.feed.is_fresh(self.limits.fresh) {
            return response::text(StatusCode::OK, "ready\n");
        }
        let cluster = &self.feed.now().state;
        match &cluster.source.error {
            Some(error) => response::later(format!("no new picture: {error}\n")),
            None => response::later("no picture yet\n"),
        }
    }
}
