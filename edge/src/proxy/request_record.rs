//! The record of one request: counted when it begins, and reported to metrics and the access log when it ends.
//! Dropping the record ends it, so a request whose client disconnects is reported as well.

use std::{fmt::Display, rc::Rc, sync::Arc};

use http::Version;
use tokio::time::Instant;

use crate::{
    error::Kind,
    observe::{
        access_log,
        refusals::Refusal,
        stats::{PoolStats, status_class},
    },
    protocol::{h2::fault::Fault, headers::edits::FieldEdits},
    proxy::{request::RequestHead, respond::LocalReply},
    upstream::Endpoint,
    worker::{PoolView, Worker, client_activity::ClientActivity, client_limits::Permit},
};

/// One request of a client, from the end of its head to the last byte of the response.
#[derive(Debug)]
pub struct RequestRecord {
    worker: Rc<Worker>,
    activity: Rc<ClientActivity>,
    began: Instant,
    /// The pool that it was routed to, once known.
    pool: Option<Rc<PoolView>>,
    /// The status sent to the client, once known.
    status: Option<u16>,
    /// The label of the error, or of the edge's own reply.
    error: Option<&'static str>,
    /// What is wrong with a header block of an HTTP/2 request.
    fault: Option<Fault>,
    /// The bytes of the request body received from the client so far.
    request_bytes: u64,
    /// The bytes of the response body sent to the client so far.
    response_bytes: u64,
    /// The whole response was sent, as far as the edge knows.
    complete: bool,
    /// The number of the request on its connection.
    number: u64,
    /// One of the requests that the client may have in progress; `None` if they are not limited.
    permit: Option<Permit>,
    /// The size of the head that goes upstream.
    head: usize,
    /// How the route changes the fields of the response.
    edits: Option<Rc<FieldEdits>>,
    /// The record for the access log; `None` while the log is off.
    log_record: Option<access_log::Record>,
}

impl RequestRecord {
    /// Begins the record of a request whose head was just read.
    #[must_use]
    pub fn begin(worker: &Rc<Worker>, activity: &Rc<ClientActivity>, request: &RequestHead<'_>) -> Self {
        let number = activity.begin();
        match request.version {
            Version::HTTP_2 => worker.stats().requests_h2.add(1),
            _ => worker.stats().requests_h1.add(1),
        }
        let began = worker.clock.now();
        let log_record = worker.log.is_on().then(|| access_log::Record {
            client: activity.client.address,
            tls: activity.client.tls,
            version: request.version,
            text: worker.log.text(request.method, request.target.path_and_query, request.summary.user_agent),
            ..access_log::Record::new(worker.clock.wall(began))
        });
        Self {
            worker: Rc::clone(worker),
            activity: Rc::clone(activity),
            began,
            pool: None,
            status: None,
            error: None,
            fault: None,
            request_bytes: 0,
            response_bytes: 0,
            complete: false,
            number,
            permit: None,
            head: 0,
            edits: None,
            log_record,
        }
    }

    /// When the head of the request was read.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Records the host of the request.
    pub fn set_host(&mut self, host: Option<&str>) {
        if let (Some(log_record), Some(host)) = (&mut self.log_record, host) {
            log_record.text.set_host(host);
        }
    }

    /// Records how many bytes of the request body were received so far.
    pub fn set_request_bytes(&mut self, bytes: u64) {
        self.request_bytes = bytes;
    }

    /// Holds the permit of the request until it ends.
    pub fn hold(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }

    /// The connection of the client.
    #[must_use]
    pub fn activity(&self) -> &Rc<ClientActivity> {
        &self.activity
    }

    /// Records the size of the head that goes upstream, which is held until the request ends.
    pub fn hold_head(&mut self, bytes: usize) {
        self.head = self.head.saturating_add(bytes);
        self.activity.hold(bytes);
    }

    /// Records how the route changes the fields of the response.
    pub fn set_edits(&mut self, edits: Rc<FieldEdits>) {
        self.edits = Some(edits);
    }

    /// How the route changes the fields of the response; `None` if it does not.
    #[must_use]
    pub fn edits(&self) -> Option<&Rc<FieldEdits>> {
        self.edits.as_ref()
    }

    /// Records the pool of the request.
    pub fn routed(&mut self, pool: &Rc<PoolView>) {
        pool.handle.stats.of(self.worker.index).requests.add(1);
        pool.handle.traffic.note();
        self.pool = Some(Rc::clone(pool));
    }

    /// Counts a retry after an attempt that failed because of `reason`, or with a status that the pool retries.
    pub fn retry(&self, reason: Option<Kind>) {
        if let Some(stats) = self.pool_stats() {
            stats.retries.add(1);
            if let Some(counter) = reason.and_then(|reason| stats.retry_reasons.get(reason as usize)) {
                counter.add(1);
            }
        }
    }

    /// Counts that a request is not sent again, because the budget of retries is used up.
    pub fn over_budget(&self) {
        if let Some(stats) = self.pool_stats() {
            stats.over_budget.add(1);
        }
    }

    /// Counts that a request is sent to a second endpoint, because the first one is slow.
    pub fn hedge(&self) {
        if let Some(stats) = self.pool_stats() {
            stats.hedges.add(1);
        }
    }

    /// Counts an attempt at a `second` endpoint beside the `first`, or that it won if there is no `first`.
    pub fn hedged(&mut self, second: &Endpoint, first: Option<&Arc<Endpoint>>) {
        self.attempt(second);
        match first {
            None => {
                if let Some(stats) = self.pool_stats() {
                    stats.hedges_won.add(1);
                }
            }
            Some(first) => {
                if let Some(log_record) = &mut self.log_record {
                    log_record.endpoint = Some(first.address);
                }
            }
        }
    }

    /// Counts an attempt at this endpoint.
    pub fn attempt(&mut self, endpoint: &Endpoint) {
        endpoint.stats.of(self.worker.index).requests.add(1);
        if let Some(log_record) = &mut self.log_record {
            log_record.attempts = log_record.attempts.saturating_add(1);
            log_record.endpoint = Some(endpoint.address);
        }
    }

    /// Records the status of the response, whose head is available.
    pub fn set_status(&mut self, status: u16) {
        let took = self.worker.clock.now() - self.began;
        self.activity.mark_pending(self.number, true);
        self.status = Some(status);
        if let Some(stats) = self.pool_stats() {
            stats.responses[status_class(status)].add(1);
            stats.latency.record(took);
        }
        if let Some(log_record) = &mut self.log_record {
            log_record.head = took;
        }
    }

    /// Records what is wrong with a header block of an HTTP/2 request, if anything is. It becomes a part of the error
    /// that is recorded next.
    pub fn set_fault(&mut self, fault: Option<Fault>) {
        self.fault = fault;
    }

    /// Records an error, also in the middle of a body.
    pub fn fail(&mut self, kind: Kind) {
        self.error = Some(kind.label());
        if let Some(counter) = self.worker.stats().errors.get(kind as usize) {
            counter.add(1);
        }
        let reason = match (kind, self.fault) {
            (Kind::BadRequest, Some(_)) => Some(Refusal::MalformedHttp2),
            _ => Refusal::of(kind),
        };
        if let Some(reason) = reason {
            let client = &self.activity.client;
            let fault = self.fault.as_ref().map(|fault| fault as &dyn Display);
            self.worker.refuse(client.address, reason, client.server_name.as_deref(), fault);
        }
        if kind == Kind::NoEndpoint
            && let Some(stats) = self.pool_stats()
        {
            stats.no_endpoint.add(1);
        }
    }

    /// Records the edge's own reply.
    pub fn reply(&mut self, reply: &LocalReply) {
        match reply {
            LocalReply::Error(kind) => self.fail(*kind),
            LocalReply::Page(page) => self.error = Some(page.label),
            LocalReply::MaxForwards => {
                self.error = Some(reply.label());
                self.worker.stats().max_forwards.add(1);
            }
        }
    }

    /// Records whether response bytes wait for the client, or the request waits for its endpoint.
    pub fn mark_pending(&self, pending: bool) {
        self.activity.mark_pending(self.number, pending);
    }

    /// Counts bytes of the response body that were sent to the client.
    pub fn add_response_bytes(&mut self, bytes: u64) {
        self.response_bytes = self.response_bytes.saturating_add(bytes);
    }

    /// Marks the response as complete, so that dropping the record reports no disconnect.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    fn pool_stats(&self) -> Option<&PoolStats> {
        self.pool.as_ref().map(|pool| pool.handle.stats.of(self.worker.index))
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if !self.complete && self.error.is_none() {
            self.fail(Kind::ClientGone);
        }
        self.activity.release(self.head);
        self.activity.end(self.number);
        let Some(mut log_record) = self.log_record.take() else { return };
        log_record.status = self.status.unwrap_or(0);
        log_record.error = self.error;
        log_record.pool = self.pool.as_ref().map(|pool| Arc::clone(&pool.name));
        log_record.request_bytes = self.request_bytes;
        log_record.response_bytes = self.response_bytes;
        log_record.duration = self.worker.clock.now() - self.began;
        self.worker.log.push(log_record);
    }
}
