//! An endpoint whose bytes a test writes itself, and one that records what it receives.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tests::{
    client::raw::Raw,
    wait::{SOON, deadline},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// An endpoint whose connections the test accepts.
pub(super) struct RawEndpoint(TcpListener);

impl RawEndpoint {
    pub(super) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound address")
    }

    /// Accepts the edge's next connection.
    pub(super) async fn accept(&self) -> Raw {
        let (stream, _) = deadline("a connection", SOON, self.0.accept()).await.expect("a connection");
        Raw::from(stream)
    }

    /// Accepts one connection, reads the head of one request, sends `answer` and closes. Returns the head.
    pub(super) async fn answer_once(&self, answer: &str) -> String {
        let mut connection = self.accept().await;
        let head = connection.until("\r\n\r\n").await;
        connection.send(answer.as_bytes()).await;
        head
    }
}

/// An endpoint that records every byte and answers each complete request with 200.
pub(super) struct RecordingEndpoint {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    _tasks: JoinSet<()>,
}

impl RecordingEndpoint {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, seen.clone()));
        Self { address, seen, _tasks: tasks }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all bytes received so far.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns all bytes received so far as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Vec<u8>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(record(stream, seen.clone()));
    }
}

async fn record(mut stream: TcpStream, seen: Arc<Mutex<Vec<u8>>>) {
    let mut request = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        seen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
        request.extend_from_slice(&buffer[..count]);
        if is_complete(&request) {
            request.clear();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap_or(());
        }
    }
}

/// Whether `request` is complete. Understands only what the edge writes: lower-case names and simple framing.
fn is_complete(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|part| part == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]);
    let body = &request[end + 4..];
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if head.contains("transfer-encoding: chunked") {
        body.ends_with(b"0\r\n\r\n")
    } else {
        body.len() >= length.unwrap_or(0)
    }
}
