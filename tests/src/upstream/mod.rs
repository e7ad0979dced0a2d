//! An HTTP/1.1 server, an endpoint behind the edge, whose behaviour a test sets for each path.
//!
//! By default a request is answered by an echo of it as JSON, and a WebSocket handshake by an echo of the messages.

mod answer;
mod behaviour;
mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub use self::behaviour::Behaviour;
use self::state::{Connection, State, lock, reset_when_closed};
use crate::port;
use crate::wait::{SOON, eventually_some};

/// An HTTP/1.1 server on its own port. Dropping it stops it.
#[derive(Debug)]
pub struct Upstream {
    state: Arc<State>,
}

impl Upstream {
    /// Starts a server on 127.0.0.1.
    ///
    /// # Panics
    /// If its port cannot be bound.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()))).await
    }

    /// Starts `COUNT` servers on one port, at 127.0.0.1 to 127.0.0.`COUNT`, like the tasks of a service that share a
    /// DNS name and a port.
    ///
    /// # Panics
    /// If the port cannot be bound at one of them.
    pub async fn start_tasks<const COUNT: usize>() -> [Self; COUNT] {
        let port = port::free();
        let mut tasks = Vec::with_capacity(COUNT);
        for last in 1..=COUNT {
            let last = u8::try_from(last).expect("fewer than 256 tasks");
            tasks.push(Self::start_at(SocketAddr::from(([127, 0, 0, last], port))).await);
        }
        tasks.try_into().expect("one server for each number")
    }

    /// Starts a server at `address`, whose port must not be zero: use [`port::free`].
    ///
    /// # Panics
    /// If it cannot be bound.
    pub async fn start_at(address: SocketAddr) -> Self {
        let state = Arc::new(State {
            address,
            behaviours: Mutex::default(),
            requests: Mutex::default(),
            accepted: Mutex::default(),
            open: Mutex::default(),
            tasks: Mutex::default(),
            hung: watch::Sender::new(false),
        });
        let upstream = Self { state };
        upstream.restart().await;
        upstream
    }

    /// Returns the address, which stays the same across [`restart`](Self::restart).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.state.address
    }

    /// Sets the behaviour for `path`, without its query, from the next request on.
    pub fn on(&self, path: &str, behaviour: Behaviour) {
        lock(&self.state.behaviours).insert(path.to_owned(), behaviour);
    }

    /// Returns the number of requests received.
    #[must_use]
    pub fn requests(&self) -> usize {
        lock(&self.state.requests).values().sum()
    }

    /// Returns the number of requests for `path` received.
    #[must_use]
    pub fn requests_for(&self, path: &str) -> usize {
        lock(&self.state.requests).get(path).copied().unwrap_or(0)
    }

    /// Returns the number of connections accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        *lock(&self.state.accepted)
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        lock(&self.state.open).len()
    }

    /// Stops responding, also to requests under way, but still accepts connections.
    pub fn hang(&self) {
        self.state.hung.send_replace(true);
    }

    /// Ends [`hang`](Self::hang): requests that waited are answered.
    pub fn resume(&self) {
        self.state.hung.send_replace(false);
    }

    /// Stops like a killed process: returns once every connection is reset and new ones are refused.
    pub async fn kill(&self) {
        for connection in lock(&self.state.open).values() {
            reset_when_closed(connection);
        }
        let mut tasks = std::mem::take(&mut *lock(&self.state.tasks));
        tasks.shutdown().await;
    }

    /// Kills the server if it runs, and starts it again on the same port.
    ///
    /// # Panics
    /// If the port cannot be bound.
    pub async fn restart(&self) {
        self.kill().await;
        // A process started by another test holds copies of all our sockets until it executes its program.
        let bind = async || TcpListener::bind(self.state.address).await.ok();
        let listener = eventually_some("a free port", SOON, bind).await;
        lock(&self.state.tasks).spawn(accept(listener, self.state.clone()));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        lock(&self.state.tasks).abort_all();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, client)) = listener.accept().await {
        let number = {
            let mut accepted = lock(&state.accepted);
            *accepted += 1;
            *accepted
        };
        let (stream, handle) = with_second_handle(stream);
        lock(&state.open).insert(number, handle);
        let connection = Arc::new(Connection { state: state.clone(), client, number });
        lock(&state.tasks).spawn(serve(stream, connection));
    }
}

async fn serve(stream: TcpStream, connection: Arc<Connection>) {
    let service = service_fn(|request| answer::answer(request, connection.clone()));
    // Behaviours fail on purpose: hyper closes the connection of a failed service.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await.unwrap_or(());
}

/// Returns the stream and a second handle of its socket.
fn with_second_handle(stream: TcpStream) -> (TcpStream, OwnedFd) {
    let stream = stream.into_std().expect("a socket of this runtime");
    let handle = stream.try_clone().expect("a file descriptor").into();
    (TcpStream::from_std(stream).expect("a socket"), handle)
}
