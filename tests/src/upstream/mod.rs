//! A real HTTP/1.1 server that does, path by path, what a test tells it: the endpoint behind the edge.
//!
//! A path that was told nothing is answered by an echo of the request's head as JSON, and a WebSocket
//! handshake by an echo of its messages.

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
use self::state::{Link, State, lock, reset_when_closed};
use crate::port;
use crate::wait::{SOON, eventually_some};

/// An HTTP/1.1 server on a port of its own. Dropping it stops it.
#[derive(Debug)]
pub struct Upstream {
    state: Arc<State>,
}

impl Upstream {
    /// Starts a server on 127.0.0.1.
    ///
    /// # Panics
    /// When its port cannot be bound.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()))).await
    }

    /// Starts `COUNT` servers on one port and an address each, 127.0.0.1 to 127.0.0.`COUNT`: the tasks of a
    /// service, as one DNS name and one port stand for them.
    ///
    /// # Panics
    /// When the port cannot be bound on one of them.
    pub async fn start_tasks<const COUNT: usize>() -> [Self; COUNT] {
        let port = port::free();
        let mut tasks = Vec::with_capacity(COUNT);
        for last in 1..=COUNT {
            let last = u8::try_from(last).expect("fewer than 256 tasks");
            tasks.push(Self::start_at(SocketAddr::from(([127, 0, 0, last], port))).await);
        }
        tasks.try_into().expect("as many as counted")
    }

    /// Starts a server at `address`, whose port is not zero: [`port::free`] gives one.
    ///
    /// # Panics
    /// When it cannot be bound.
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

    /// The server's address. It stays the same across [`restart`](Self::restart).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.state.address
    }

    /// Sets what is done with requests for `path` (without its query) from the next one on.
    pub fn on(&self, path: &str, behaviour: Behaviour) {
        lock(&self.state.behaviours).insert(path.to_owned(), behaviour);
    }

    /// How many requests have come in.
    #[must_use]
    pub fn requests(&self) -> usize {
        lock(&self.state.requests).values().sum()
    }

    /// How many requests for `path` have come in.
    #[must_use]
    pub fn requests_for(&self, path: &str) -> usize {
        lock(&self.state.requests).get(path).copied().unwrap_or(0)
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        *lock(&self.state.accepted)
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        lock(&self.state.open).len()
    }

    /// From now on accepts but answers nothing, to requests that are under way as well.
    pub fn hang(&self) {
        self.state.hung.send_replace(true);
    }

    /// Ends [`hang`](Self::hang): what waited is answered.
    pub fn resume(&self) {
        self.state.hung.send_replace(false);
    }

    /// Stops as a killed process does: every connection is reset, and new ones are refused. Returns
    /// when that is so.
    pub async fn kill(&self) {
        for connection in lock(&self.state.open).values() {
            reset_when_closed(connection);
        }
        let mut tasks = std::mem::take(&mut *lock(&self.state.tasks));
        tasks.shutdown().await;
    }

    /// Starts again on the same port, killing first what still runs.
    ///
    /// # Panics
    /// When the port cannot be bound.
    pub async fn restart(&self) {
        self.kill().await;
        // A process that another test starts holds copies of all our sockets until it runs its program.
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
        let (stream, handle) = doubled(stream);
        lock(&state.open).insert(number, handle);
        let link = Arc::new(Link { state: state.clone(), client, number });
        lock(&state.tasks).spawn(serve(stream, link));
    }
}

async fn serve(stream: TcpStream, link: Arc<Link>) {
    let service = service_fn(|request| answer::answer(request, link.clone()));
    // Errors are the behaviours' own: closing is how hyper answers a failed service.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await.unwrap_or(());
}

fn doubled(stream: TcpStream) -> (TcpStream, OwnedFd) {
    let stream = stream.into_std().expect("a socket of this runtime");
    let handle = stream.try_clone().expect("a file descriptor").into();
    (TcpStream::from_std(stream).expect("a socket"), handle)
}
