//! The process of an endpoint. It speaks just enough HTTP/1.1 to control every byte and close.
//!
//! Its standard input is a socket to the harness: modes come in, the numbers of complete requests go out. A number is
//! written before the response, so a process that is killed has told of each request that it may have executed.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::mode::Mode;
use super::request::parse;
use crate::wait::{SOON, eventually_some, pause};

/// The time for which each request is worked on, so that some are under way at any moment.
const WORK: Duration = Duration::from_millis(5);

struct Shared {
    harness: Mutex<UnixStream>,
    mode: watch::Sender<Mode>,
    requests: AtomicUsize,
}

impl Shared {
    fn tell(&self, line: &str) -> io::Result<()> {
        let mut harness = self.harness.lock().unwrap_or_else(PoisonError::into_inner);
        harness.write_all(format!("{line}\n").as_bytes())
    }
}

/// Serves at `address` until it is drained.
///
/// # Errors
/// If standard input is no socket, or the harness has gone.
///
/// # Panics
/// If the address stays in use.
pub async fn serve(address: SocketAddr) -> io::Result<()> {
    let harness = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let shared = Arc::new(Shared {
        harness: Mutex::new(harness.try_clone()?),
        mode: watch::Sender::new(Mode::Serves),
        requests: AtomicUsize::new(0),
    });
    let bind = async || TcpListener::bind(address).await.ok();
    let mut listener = Some(eventually_some("a free port", SOON, bind).await);
    let orders = Arc::clone(&shared);
    std::thread::spawn(move || {
        let lines = BufReader::new(harness).lines().map_while(Result::ok);
        for mode in lines.filter_map(|line| line.parse().ok()) {
            orders.mode.send_replace(mode);
        }
    });
    let mut mode = shared.mode.subscribe();
    shared.tell("ready")?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = accept(listener.as_ref()) => {
                let connection = Connection { mode: shared.mode.subscribe(), shared: Arc::clone(&shared), stream };
                // A proxy that closes a connection ends it with an error of ours.
                connections.spawn(async move { connection.serve().await.unwrap_or(()) });
            }
            Some(_ended) = connections.join_next() => {}
            _changed = mode.changed() => {
                if matches!(*mode.borrow(), Mode::Refuses | Mode::Drains) {
                    listener = None;
                }
                shared.tell("ready")?;
            }
        }
        if *mode.borrow() == Mode::Drains && connections.is_empty() {
            return Ok(());
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        // Otherwise the client has gone already.
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
    }
}

struct Connection {
    shared: Arc<Shared>,
    mode: watch::Receiver<Mode>,
    stream: TcpStream,
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut bytes = Vec::new();
        while let Some(request) = self.next(&mut bytes).await? {
            bytes.drain(..request.length);
            self.waits_for(|mode| mode != Mode::Hangs).await;
            if let Some(number) = request.number {
                self.shared.requests.fetch_add(1, Relaxed);
                self.shared.tell(&number.to_string())?;
                pause(WORK).await;
                self.waits_for(|mode| mode != Mode::HangsButIsHealthy).await;
            }
            self.respond(request.number.is_none()).await?;
            if matches!(*self.mode.borrow(), Mode::Closes | Mode::Drains) {
                break;
            }
        }
        self.stream.shutdown().await
    }

    async fn waits_for(&mut self, mode: impl Fn(Mode) -> bool) {
        // The sender outlives the connections.
        let _mode = self.mode.wait_for(|now| mode(*now)).await;
    }

    /// Reads a request. `None` if the connection ends instead.
    async fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<super::request::Received>> {
        loop {
            if let Some(request) = parse(bytes) {
                return Ok(Some(request));
            }
            let mode = *self.mode.borrow_and_update();
            let idle = match mode {
                // Sometimes before the next request comes, sometimes after, and mostly with it.
                Mode::ClosesIdle(after) if bytes.is_empty() => {
                    Duration::from_millis(after.saturating_sub(2)) + Duration::from_micros(fastrand::u64(..4_000))
                }
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
            Mode::Fails(every) if !is_check && number.is_multiple_of(every) => "500 Internal Server Error",
            Mode::Drains if is_check => "503 Service Unavailable",
            _ => "200 OK",
        };
        // A server that drains announces the close; the other ways to close are faults.
        let close = if mode == Mode::Drains { "connection: close\r\n" } else { "" };
        let response = format!("HTTP/1.1 {status}\r\n{close}content-length: 2\r\n\r\nok");
        match mode {
            Mode::IsSlow(by) if !is_check => pause(Duration::from_millis(by).saturating_sub(WORK)).await,
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
