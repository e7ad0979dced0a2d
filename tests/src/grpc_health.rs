//! A gRPC server with the health service of `health.proto` (github.com/grpc/grpc-proto), whose answers a test sets.
//!
//! It is written from the protocol's specification (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md) and shares no code with
//! the edge: a service without an answer is NOT_FOUND, and another method is UNIMPLEMENTED.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response, StatusCode};
use net::pem;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::cert::Certificate;
use crate::port;

/// What the server answers about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This `ServingStatus`: 1 for SERVING, 2 for `NOT_SERVING`.
    Serving(u8),
    /// No message, and this status of gRPC, in trailers after a head.
    Status(u32),
    /// This status of HTTP, as a proxy gives it.
    Http(u16),
}

/// A call of `Check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The scheme and the authority of the request.
    pub target: String,
    /// Its fields.
    pub fields: HeaderMap,
    /// The name of the service.
    pub service: String,
}

/// A server on its own port. Dropping it stops it.
#[derive(Debug)]
pub struct GrpcHealth {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    answers: Mutex<HashMap<String, Answer>>,
    calls: Mutex<Vec<Call>>,
}

impl GrpcHealth {
    /// Starts a server on 127.0.0.1 that knows no service.
    ///
    /// # Panics
    /// If its port cannot be bound.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())), None).await
    }

    /// Starts a server at `address`, with TLS if there is a certificate.
    ///
    /// # Panics
    /// If the address cannot be bound, or the certificate not be used.
    pub async fn start_at(address: SocketAddr, certificate: Option<&Certificate>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let (state, tls) = (Arc::<State>::default(), certificate.map(acceptor));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state), tls));
        Self { address, state, _tasks: tasks }
    }

    /// Returns its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the answer about `service`; the empty name is the server.
    pub fn set(&self, service: &str, answer: Answer) {
        lock(&self.state.answers).insert(service.to_owned(), answer);
    }

    /// Returns the calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state.calls).clone()
    }
}

fn acceptor(certificate: &Certificate) -> TlsAcceptor {
    let file = std::fs::read(&certificate.combined_file).expect("a readable file");
    let (chain, key) = (pem::certificates(&file).expect("a chain"), pem::private_key(&file).expect("a key"));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).expect("a usable certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, state: Arc<State>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(handle(stream, Arc::clone(&state), tls.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn handle(stream: TcpStream, state: Arc<State>, tls: Option<TlsAcceptor>) {
    match tls {
        None => serve(stream, &state).await,
        // A client that refuses the certificate ends the handshake.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, &state).await;
            }
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, state: &Arc<State>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut answers = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let state = Arc::clone(state);
        // The client may reset the connection at any time.
        answers.spawn(async move { answer(request, respond, &state).await.unwrap_or(()) });
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    state: &State,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    if head.uri.path() != "/grpc.health.v1.Health/Check" {
        return without_message(&mut respond, 12);
    }
    let mut message = BytesMut::new();
    while let Some(piece) = body.data().await {
        message.extend_from_slice(&piece?);
    }
    let Some(service) = service(&message) else { return without_message(&mut respond, 13) };
    let target = format!("{}://{}", head.uri.scheme_str().unwrap_or(""), head.uri.host().unwrap_or(""));
    let answer = lock(&state.answers).get(&service).cloned();
    lock(&state.calls).push(Call { target, fields: head.headers, service });
    let status = match answer {
        None => return without_message(&mut respond, 5),
        Some(Answer::Http(status)) => {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            respond.send_response(response, true)?;
            return Ok(());
        }
        Some(Answer::Serving(status)) => Ok(status),
        Some(Answer::Status(status)) => Err(status),
    };
    let mut stream = respond.send_response(response(), false)?;
    if let Ok(status) = status {
        stream.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 0x08, status]), false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.err().unwrap_or(0).into());
    stream.send_trailers(trailers)
}

fn response() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    response
}

/// Ends the call by a head alone.
fn without_message(respond: &mut SendResponse<Bytes>, status: u32) -> Result<(), h2::Error> {
    let mut response = response();
    response.headers_mut().insert("grpc-status", status.into());
    respond.send_response(response, true).map(drop)
}

/// Returns the name in a `HealthCheckRequest` of less than 128 bytes.
fn service(framed: &[u8]) -> Option<String> {
    match framed {
        [0, 0, 0, 0, 0] => Some(String::new()),
        [0, 0, 0, 0, length, 0x0a, name_length, name @ ..]
            if usize::from(*length) == name.len() + 2 && usize::from(*name_length) == name.len() =>
        {
            String::from_utf8(name.to_vec()).ok()
        }
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
