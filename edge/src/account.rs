//! Keeps account of one request: counted when it begins, told to metrics and log when it ends, however
//! it ends. Dropping the account is the end, so a client that hangs up is accounted for as well.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Request, StatusCode, Version, header};
use tokio::time::Instant;

use crate::{
    access_log,
    body::Progress,
    downstream::Downstream,
    error::Kind,
    stats::{PoolStats, class},
    upstream::Endpoint,
    worker::{PoolView, Worker},
};

/// One request of a client, from its head being read to the last byte of the answer.
#[derive(Debug)]
pub struct Account {
    worker: Rc<Worker>,
    downstream: Rc<Downstream>,
    began: Instant,
    /// The pool it was routed to, once it was.
    pool: Option<Rc<PoolView>>,
    /// What the client was told, once it was.
    status: Option<StatusCode>,
    /// What went wrong, if anything did.
    error: Option<Kind>,
    /// Bytes of the response body so far.
    sent: u64,
    /// Its number on the connection.
    number: u64,
    /// For the access log, which costs nothing while it is off.
    line: Option<Box<access_log::Record>>,
    /// How far the request body came, for the access log.
    upload: Option<Rc<Progress>>,
}

impl Account {
    /// A request whose head was just read.
    pub fn begin<B>(worker: &Rc<Worker>, downstream: &Rc<Downstream>, request: &Request<B>, now: Instant) -> Self {
        let number = downstream.begin();
        match request.version() {
            Version::HTTP_2 => worker.stats().requests_h2.add(1),
            _ => worker.stats().requests_h1.add(1),
        }
        let line = worker.log.is_on().then(|| Box::new(line(downstream, request)));
        Self {
            worker: Rc::clone(worker),
            downstream: Rc::clone(downstream),
            began: now,
            pool: None,
            status: None,
            error: None,
            sent: 0,
            number,
            line,
            upload: None,
        }
    }

    /// When the request's head was read.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The host that the request is for.
    pub fn host(&mut self, host: Option<&HeaderValue>) {
        if let Some(line) = &mut self.line {
            line.host = host.cloned();
        }
    }

    /// The request has a body, which comes as far as this.
    pub fn upload(&mut self, progress: Option<Rc<Progress>>) {
        self.upload = progress;
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
    pub fn answer(&mut self, status: StatusCode) {
        let took = self.began.elapsed();
        self.downstream.owe(self.number, true);
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
        self.error = Some(kind);
        if let Some(counter) = self.worker.stats().errors.get(kind as usize) {
            counter.add(1);
        }
        if kind == Kind::NoEndpoint
            && let Some(stats) = self.pool_stats()
        {
            stats.no_endpoint.add(1);
        }
    }

    /// Whether the answer waits for the client now, or for its endpoint.
    pub fn owe(&self, something: bool) {
        self.downstream.owe(self.number, something);
    }

    /// Bytes of the response body went to the client's connection.
    pub fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    fn pool_stats(&self) -> Option<&PoolStats> {
        self.pool.as_ref().map(|pool| pool.handle.stats.of(self.worker.index))
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.status.is_none() && self.error.is_none() {
            self.fail(Kind::ClientGone);
        }
        let unread = self.upload.as_ref().is_some_and(|upload| !upload.done.get());
        self.downstream.end(self.number, unread);
        let Some(mut line) = self.line.take() else { return };
        line.status = self.status.map_or(0, |status| status.as_u16());
        line.error = self.error;
        line.pool = self.pool.as_ref().map(|pool| Arc::clone(&pool.name));
        line.request_bytes = self.upload.as_ref().map_or(0, |progress| progress.bytes.get());
        line.response_bytes = self.sent;
        line.duration = self.began.elapsed();
        self.worker.log.push(*line);
    }
}

/// What the log wants to know of a request's head, in cheap clones.
fn line<B>(downstream: &Downstream, request: &Request<B>) -> access_log::Record {
    access_log::Record {
        start: SystemTime::now(),
        client: downstream.client.address,
        tls: downstream.client.tls,
        version: request.version(),
        method: request.method().clone(),
        uri: request.uri().clone(),
        host: None,
        user_agent: request.headers().get(header::USER_AGENT).cloned(),
        status: 0,
        request_bytes: 0,
        response_bytes: 0,
        duration: Duration::ZERO,
        head: Duration::ZERO,
        pool: None,
        endpoint: None,
        attempts: 0,
        error: None,
    }
}
