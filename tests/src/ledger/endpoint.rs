//! An endpoint whose way to fail a scenario chooses. It speaks just enough HTTP/1.1 to control every byte and close.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::{Ledger, NUMBER};
use crate::port;
use crate::wait::{SOON, eventually_some, pause};

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It answers.
    Serves,
    /// It accepts connections and does nothing else, like a process that is stopped.
    Hangs,
    /// It answers only its health checks.
    HangsButIsHealthy,
    /// It sends a byte of its response each second.
    Drips,
    /// It closes each connection after a response, without announcing it.
    Closes,
    /// It closes a connection that was idle for this long, without announcing it.
    ClosesIdle(Duration),
    /// It answers every nth request with 500, and its health checks with 200.
    Fails { every: usize },
    /// It answers after this time.
    IsSlow(Duration),
    /// It finishes the requests under way, and closes each connection then. Its health checks get 503.
    Drains,
}

/// An endpoint on its own port.
pub struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    ledger: Arc<Ledger>,
    mode: watch::Sender<Mode>,
    requests: AtomicUsize,
    connections: Mutex<JoinSet<()>>,
}

impl Endpoint {
    /// Starts an endpoint that records in `ledger`.
    ///
    /// # Panics
    /// If its port cannot be bound.
    pub async fn start(ledger: &Arc<Ledger>) -> Self {
        let shared = Shared {
            ledger: Arc::clone(ledger),
            mode: watch::Sender::new(Mode::Serves),
            requests: AtomicUsize::new(0),
            connections: Mutex::default(),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let endpoint = Self { address, shared: Arc::new(shared), listener: Mutex::default() };
        endpoint.listen().await;
        endpoint
    }

    /// The address, which stays the same.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of requests that it received completely.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Relaxed)
    }

    /// Changes how it behaves. Requests under way change with it.
    pub(super) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Starts again after its end.
    pub(super) async fn listen(&self) {
        self.set(Mode::Serves);
        let bind = async || TcpListener::bind(self.address).await.ok();
        let listener = eventually_some("a free port", SOON, bind).await;
        let accepting = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
        *lock(&self.listener) = Some(accepting);
    }

    /// Refuses new connections.
    pub(super) async fn refuse(&self) {
        let listener = lock(&self.listener).take();
        if let Some(listener) = listener {
            listener.abort();
            // Waits until the socket is closed.
            let _aborted = listener.await;
        }
    }

    /// Dies as a killed process does: its connections are reset, and new ones are refused.
    pub(super) async fn kill(&self) {
        self.refuse().await;
        let mut connections = std::mem::take(&mut *lock(&self.shared.connections));
        connections.shutdown().await;
    }

    /// Ends as a replaced task does: it accepts no more connections, and ends those that it has after the request under
    /// way.
    pub(super) async fn drain(&self) {
        self.refuse().await;
        self.set(Mode::Drains);
        let connections = std::mem::take(&mut *lock(&self.shared.connections));
        connections.join_all().await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(listener) = lock(&self.listener).take() {
            listener.abort();
        }
        lock(&self.shared.connections).abort_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection = Connection { mode: shared.mode.subscribe(), shared: Arc::clone(&shared), stream };
        let mut connections = lock(&shared.connections);
        // A proxy that closes a connection ends it with an error of ours.
        connections.spawn(async move { connection.serve().await.unwrap_or(()) });
        while connections.try_join_next().is_some() {}
    }
}

/// A request that was received completely.
struct Received {
    /// Its number; `None` for a health check.
    number: Option<usize>,
    /// The bytes of its head and body.
    length: usize,
}

struct Connection {
    shared: Arc<Shared>,
    mode: watch::Receiver<Mode>,
    stream: TcpStream,
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        // The end of a killed process resets its connections.
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        let mut bytes = Vec::new();
        while let Some(request) = self.next(&mut bytes).await? {
            bytes.drain(..request.length);
            self.answers(|mode| mode != Mode::Hangs).await;
            if let Some(number) = request.number {
                self.shared.requests.fetch_add(1, Relaxed);
                self.shared.ledger.received(number);
                self.answers(|mode| mode != Mode::HangsButIsHealthy).await;
            }
            self.respond(request.number.is_none()).await?;
            if matches!(*self.mode.borrow(), Mode::Closes | Mode::Drains) {
                break;
            }
        }
        SockRef::from(&self.stream).set_linger(None)?;
        self.stream.shutdown().await
    }

    /// Waits until it answers.
    async fn answers(&mut self, mode: impl Fn(Mode) -> bool) {
        // The endpoint outlives its connections.
        let _mode = self.mode.wait_for(|now| mode(*now)).await;
    }

    /// Reads a request. `None` if the connection ends instead.
    async fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<Received>> {
        loop {
            if let Some(request) = parse(bytes) {
                return Ok(Some(request));
            }
            let mode = *self.mode.borrow_and_update();
            let idle = match mode {
                Mode::ClosesIdle(idle) if bytes.is_empty() => idle,
                Mode::Drains if bytes.is_empty() => return Ok(None),
                _ => Duration::MAX,
            };
            tokio::select! {
                read = timeout(idle, self.stream.read_buf(bytes)) => match read {
                    Ok(Ok(1..)) => {}
                    Ok(Ok(0)) | Err(_) => return Ok(None),
                    Ok(Err(error)) => return Err(error),
                },
                _ = self.mode.changed() => {}
            }
        }
    }

    async fn respond(&mut self, is_check: bool) -> io::Result<()> {
        let mode = *self.mode.borrow();
        let number = self.shared.requests.load(Relaxed);
        let status = match mode {
            Mode::Fails { every } if !is_check && number.is_multiple_of(every) => "500 Internal Server Error",
            Mode::Drains if is_check => "503 Service Unavailable",
            _ => "200 OK",
        };
        let response = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
        match mode {
            Mode::IsSlow(by) if !is_check => pause(by).await,
            Mode::Drips if !is_check => {
                for byte in response.as_bytes() {
                    self.stream.write_all(&[*byte]).await?;
                    pause(Duration::from_secs(1)).await;
                }
                return Ok(());
            }
            _ => {}
        }
        self.stream.write_all(response.as_bytes()).await
    }
}

/// Parses a request if it is complete.
fn parse(bytes: &[u8]) -> Option<Received> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(bytes.get(..end)?).to_ascii_lowercase();
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value.trim().to_owned())
    };
    let body = bytes.get(end..)?;
    let length = if field("transfer-encoding").is_some() {
        body.windows(5).position(|window| window == b"0\r\n\r\n")? + 5
    } else {
        field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    };
    (body.len() >= length)
        .then(|| Received { number: field(NUMBER).and_then(|number| number.parse().ok()), length: end + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_received_when_its_body_is_complete() {
        let head = "POST / HTTP/1.1\r\nX-Request-Number: 7\r\nContent-Length: 4\r\n\r\n";
        for (bytes, complete) in [
            (head.to_owned(), None),
            (format!("{head}bod"), None),
            (format!("{head}bodyGET"), Some((Some(7), head.len() + 4))),
            ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), Some((None, 25))),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n".to_owned(), None),
        ] {
            let found = parse(bytes.as_bytes()).map(|request| (request.number, request.length));
            assert_eq!(found, complete, "{bytes}");
        }
    }
}
