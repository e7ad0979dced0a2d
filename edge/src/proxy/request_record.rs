//! Keeps account of one request: counted when it begins, told to metrics and log when it ends, however
//! it ends. Dropping the account is the end, so a client that hangs up is accounted for as well.

use std::{rc::Rc, sync::Arc};

use http::Version;
use tokio::time::Instant;

use crate::{
    error::Kind,
    observe::{
        access_log,
        stats::{PoolStats, class},
    },
    proxy::{request::RequestHead, respond::LocalReply},
    upstream::Endpoint,
    worker::{PoolView, Worker, client_activity::ClientActivity},
};

/// One request of a client, from its head being read to the last byte of the answer.
#[derive(Debug)]
pub struct RequestRecord {
    worker: Rc<Worker>,
    activity: Rc<ClientActivity>,
    began: Instant,
    /// The pool it was routed to, once it was.
    pool: Option<Rc<PoolView>>,
    /// What the client was told, once it was.
    status: Option<u16>,
    /// The label of what went wrong, or of the edge's own reply.
    error: Option<&'static str>,
    /// Bytes of the response body so far.
    sent: u64,
    /// Bytes of the request body so far.
    received: u64,
    /// The whole answer is with the client, as far as the edge can know.
    whole: bool,
    /// Its number on the connection.
    number: u64,
    /// For the access log, which costs nothing while it is off.
    line: Option<access_log::Record>,
}

impl RequestRecord {
    /// A request whose head was just read.
    #[must_use]
    pub fn begin(worker: &Rc<Worker>, activity: &Rc<ClientActivity>, asked: &RequestHead<'_>) -> Self {
        let number = activity.begin();
        match asked.version {
            Version::HTTP_2 => worker.stats().requests_h2.add(1),
            _ => worker.stats().requests_h1.add(1),
        }
        let began = worker.clock.now();
        let line = worker.log.is_on().then(|| access_log::Record {
            client: activity.client.address,
            tls: activity.client.tls,
            version: asked.version,
            text: worker.log.text(asked.method, asked.target.path_and_query, asked.summary.user_agent),
            ..access_log::Record::new(worker.clock.wall(began))
        });
        Self {
            worker: Rc::clone(worker),
            activity: Rc::clone(activity),
            began,
            pool: None,
            status: None,
            error: None,
            sent: 0,
            received: 0,
            whole: false,
            number,
            line,
        }
    }

    /// When the request's head was read.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The host that the request is for.
    pub fn host(&mut self, host: Option<&str>) {
        if let (Some(line), Some(host)) = (&mut self.line, host) {
            line.text.set_host(host);
        }
    }

    /// Bytes of the request body that were taken so far.
    pub fn received(&mut self, bytes: u64) {
        self.received = bytes;
    }

    /// The request goes to this pool.
    pub fn routed(&mut self, pool: &Rc<PoolView>) {
        pool.handle.stats.of(self.worker.index).requests.add(1);
        self.pool = Some(Rc::clone(pool));
    }

    /// The request is sent another time.
    pub fn retry(&self) {
        if let Some(stats) = self.pool_stats() {
            stats.retries.add(1);
        }
    }

    /// The request is tried at this endpoint.
    pub fn attempt(&mut self, endpoint: &Endpoint) {
        endpoint.stats.of(self.worker.index).requests.add(1);
        if let Some(line) = &mut self.line {
            line.attempts = line.attempts.saturating_add(1);
            line.endpoint = Some(endpoint.address);
        }
    }

    /// The response head is at hand.
    pub fn answer(&mut self, status: u16) {
        let took = self.worker.clock.now() - self.began;
        self.activity.mark_pending(self.number, true);
        self.status = Some(status);
        if let Some(stats) = self.pool_stats() {
            stats.responses[class(status)].add(1);
            stats.latency.record(took);
        }
        if let Some(line) = &mut self.line {
            line.head = took;
        }
    }

    /// Something went wrong, at the edge or in the middle of a body.
    pub fn fail(&mut self, kind: Kind) {
        self.error = Some(kind.label());
        if let Some(counter) = self.worker.stats().errors.get(kind as usize) {
            counter.add(1);
        }
        if kind == Kind::NoEndpoint
            && let Some(stats) = self.pool_stats()
        {
            stats.no_endpoint.add(1);
        }
    }

    /// The edge answers the request itself.
    pub fn reply(&mut self, reply: LocalReply) {
        match reply {
            LocalReply::Error(kind) => self.fail(kind),
            LocalReply::MaxForwards => {
                self.error = Some(reply.label());
                self.worker.stats().max_forwards.add(1);
            }
        }
    }

    /// Whether the answer waits for the client now, or for its endpoint.
    pub fn mark_pending(&self, something: bool) {
        self.activity.mark_pending(self.number, something);
    }

    /// Bytes of the response body went to the client's connection.
    pub fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// The last byte of the answer is handed over: the client has no reason to go before it.
    pub fn complete(&mut self) {
        self.whole = true;
    }

    fn pool_stats(&self) -> Option<&PoolStats> {
        self.pool.as_ref().map(|pool| pool.handle.stats.of(self.worker.index))
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if !self.whole && self.error.is_none() {
            self.fail(Kind::ClientGone);
        }
        self.activity.end(self.number);
        let Some(mut line) = self.line.take() else { return };
        line.status = self.status.unwrap_or(0);
        line.error = self.error;
        line.pool = self.pool.as_ref().map(|pool| Arc::clone(&pool.name));
        line.request_bytes = self.received;
        line.response_bytes = self.sent;
        line.duration = self.worker.clock.now() - self.began;
        self.worker.log.push(line);
    }
}
