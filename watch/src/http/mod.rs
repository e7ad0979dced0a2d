//! The HTTP interface: the page, the API, metrics and probes.
//!
//! Paths are compared byte by byte, without decoding or joining, after the base path is removed; a path that is not in
//! the table does not exist. No path leads to the engine: handlers only see the [`Feed`](crate::hub::Feed).

mod access;
mod base_path;
mod events;
mod hosts;
mod local;
mod nodes;
mod quota;
mod response;
#[cfg(test)]
mod tests;
mod web;

use std::net::IpAddr;

use http::{HeaderValue, Method, Request, StatusCode, header};

pub use self::{
    access::{Access, AccessError},
    base_path::BasePath,
    hosts::Hosts,
    local::{LocalNode, LocalStatus},
    response::{Body, Response},
    web::{Limits, Web},
};
use crate::{metrics::Metrics, page};

impl Web {
    /// Responds to a request of the client with the address `client`; the request's body is ignored.
    pub async fn respond<B>(&self, request: &Request<B>, client: IpAddr) -> Response {
        let mut response = self.route(request, client).await;
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::CONTENT_SECURITY_POLICY));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        self.metrics.count_response(response.status());
        response
    }

    async fn route<B>(&self, request: &Request<B>, client: IpAddr) -> Response {
        let path = self.base_path.strip(request.uri().path());
        let asset = page::asset(path);
        let is_known = asset.is_some()
            || matches!(
                path,
                "/api/swarm" | "/api/events" | "/api/nodes" | "/api/local" | "/metrics" | "/healthz" | "/readyz"
            );
        let is_public = matches!(path, "/healthz" | "/readyz");
        // Load balancers request the probes under many names.
        if !is_public && !self.hosts.expect(request.headers()) {
            return response::text(
                StatusCode::MISDIRECTED_REQUEST,
                "the host must be an IP address, a name without a dot, a name below .internal, .local or .localhost, or one \
                 that --hosts (WATCH_HOSTS) lists\n",
            );
        }
        // Checked before the path, so that a stranger does not learn which paths exist.
        if !is_public && !self.access.allows(request.headers(), client) {
            return self.access.refusal();
        }
        if path.is_empty() {
            return self.base_path.redirection();
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
            ("/api/events", _) => self.events(request, client),
            ("/api/nodes", _) => self.nodes(request, client).await,
            ("/api/local", _) => response::json(self.local.json(&self.feed.now().state)),
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
        match self.metrics.encode(self.feed.now().state.clone()) {
            Ok(text) => response::typed(StatusCode::OK, Metrics::CONTENT_TYPE, text.into()),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be encoded");
                response::text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be encoded\n")
            }
        }
    }

    fn readiness(&self) -> Response {
        if self.is_stopping() {
            return response::unavailable("stopping\n");
        }
        if self.feed.is_fresh(self.limits.fresh) {
            return response::text(StatusCode::OK, "ready\n");
        }
        let cluster = &self.feed.now().state;
        match &cluster.source.error {
            Some(error) => response::unavailable(format!("the cluster state is outdated: {error}\n")),
            None => response::unavailable("there is no cluster state yet\n"),
        }
    }
}
