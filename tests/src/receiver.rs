//! A real HTTP server that records requests and sends configured responses: the peer of webhooks.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::cert::Certificate;
use crate::wait::{SOON, eventually, pause};

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// When it was received.
    pub at: SystemTime,
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

/// A configured response.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
}

impl Answer {
    /// Responds with `status` and no body.
    ///
    /// # Panics
    /// If there is no such status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, headers: Vec::new(), body: String::new(), after: Duration::ZERO }
    }

    /// Adds a header field.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// Responds after `time`.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

/// The server. Dropping it stops it.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    /// Ends when the server is dropped.
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    received: Mutex<Vec<Received>>,
    /// By path; the response to other paths is 200.
    answers: Mutex<HashMap<String, Answer>>,
    /// By path and a part of the body.
    special_answers: Mutex<HashMap<(String, String), Answer>>,
}

impl Receiver {
    /// Starts a server without TLS on a free port.
    ///
    /// # Panics
    /// If no port can be bound.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts a server with TLS and this certificate.
    ///
    /// # Panics
    /// If no port can be bound or the certificate is invalid.
    pub async fn start_tls(certificate: &Certificate) -> Self {
        let chain = CertificateDer::pem_file_iter(&certificate.certificate_file).expect("a file");
        let chain: Result<Vec<_>, _> = chain.collect();
        let key = PrivateKeyDer::from_pem_file(&certificate.key_file).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain.expect("certificates"), key)
            .expect("a certificate and its key");
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut task = JoinSet::new();
        task.spawn(accept(listener, tls, state.clone()));
        Self { address, scheme, state, _task: task }
    }

    /// Returns the URL of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// Sets the response to requests for `path`.
    pub fn answer(&self, path: &str, answer: Answer) {
        lock(&self.state.answers).insert(path.to_owned(), answer);
    }

    /// Sets the response to requests for `path` whose body contains `part`, whatever that to others is.
    pub fn answer_to(&self, path: &str, part: &str, answer: Answer) {
        lock(&self.state.special_answers).insert((path.to_owned(), part.to_owned()), answer);
    }

    /// Returns the requests received for `path`.
    #[must_use]
    pub fn received(&self, path: &str) -> Vec<Received> {
        let all = lock(&self.state.received);
        all.iter().filter(|request| request.target.split('?').next() == Some(path)).cloned().collect()
    }

    /// Waits for `count` requests for `path`, and returns all requests for it.
    ///
    /// # Panics
    /// If they do not arrive within [`SOON`].
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        eventually(&format!("{count} requests for {path}"), SOON, async || self.received(path).len() >= count).await;
        self.received(path)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), state.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, state).await,
                // The handshake fails if the client does not trust the certificate.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, state).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(|request| answer(request, state.clone()));
    // A client may close the connection at any time.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap_or(());
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let special = lock(&state.special_answers)
        .iter()
        .find(|((of, part), _)| *of == path && text.contains(part.as_str()))
        .map(|(_, answer)| answer.clone());
    let answer = special.or_else(|| lock(&state.answers).get(&path).cloned()).unwrap_or_else(|| Answer::status(200));
    lock(&state.received).push(Received {
        at: SystemTime::now(),
        method: head.method,
        target: head.uri.to_string(),
        headers: head.headers,
        body: text,
    });
    pause(answer.after).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::from(answer.body)).expect("valid fields"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
