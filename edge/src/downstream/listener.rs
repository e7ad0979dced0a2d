//! Sockets that clients connect to: bound before anything else, one socket for each address and worker.

use std::{convert::Infallible, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use net::server::concerns_one_connection;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{config, downstream::connection, worker::Worker};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// The pause after `accept` failed for lack of file descriptors or memory: an immediate retry would only spin.
const BREATHER: Duration = Duration::from_millis(50);

/// One listening address, for as long as the configuration names it.
#[derive(Debug)]
pub struct Listening {
    /// As bound, with the port that the kernel chose for port 0.
    pub address: SocketAddr,
    /// As configured.
    pub config: config::Listener,
    /// Replaced by a reload; `None` for plain HTTP.
    pub tls: ArcSwapOption<rustls::ServerConfig>,
}

impl Listening {
    /// A bound address without TLS.
    #[must_use]
    pub fn new(address: SocketAddr, config: config::Listener) -> Self {
        Self { address, config, tls: ArcSwapOption::empty() }
    }
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(source))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The cause.
    #[source]
    pub source: io::Error,
}

/// Describes the error, with a remedy where one is known.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process has this port; stop it or choose another port".to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "this host does not have the address; `freebind` binds it all the same".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Binds an address once for each worker (`SO_REUSEPORT`); the kernel spreads connections over them.
///
/// # Errors
/// When the address cannot be bound, or another process listens on it.
pub fn bind(config: &config::Listener, workers: usize) -> Result<(Vec<std::net::TcpListener>, SocketAddr), BindError> {
    let failed = |source| BindError { address: config.address, source };
    // SO_REUSEPORT alone would let a second edge share the port and silently take half of the connections.
    let probe = socket(config, config.address, false).map_err(failed)?;
    let address = probe.local_addr().map_err(failed)?.as_socket().unwrap_or(config.address);
    drop(probe);
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = socket(config, address, true).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        sockets.push(socket.into());
    }
    Ok((sockets, address))
}

fn socket(config: &config::Listener, address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    if config.freebind {
        if address.is_ipv6() {
            socket.set_freebind_v6(true)?;
        } else {
            socket.set_freebind_v4(true)?;
        }
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Accepts until the worker drains or `stop` is dropped, then accepts the connections that already wait and ends.
pub async fn accept(
    worker: Rc<Worker>,
    socket: std::net::TcpListener,
    listening: Arc<Listening>,
    mut stop: oneshot::Receiver<Infallible>,
) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(address = %listening.address, %error, "cannot accept connections");
            return;
        }
    };
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            // First, since closing the socket would reset a connection that the kernel has completed.
            biased;
            accepted = socket.accept() => accepted,
            () = worker.drained() => break,
            _ = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                serve(&worker, &listening, stream, peer);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                worker.stats().accept_errors.add(1);
                // Logged once, not twenty times a second while it lasts; the counter counts each.
                if !failing {
                    tracing::error!(address = %listening.address, %error, "cannot accept connections");
                }
                failing = true;
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
    if let Err(error) = take_the_rest(&worker, &listening, socket) {
        tracing::warn!(address = %listening.address, %error, "connections that waited may be lost");
    }
}

/// Serves a connection. Beyond the limit it is closed at once, which a client understands sooner than
/// silence.
fn serve(worker: &Rc<Worker>, listening: &Arc<Listening>, stream: TcpStream, peer: SocketAddr) {
    if let Some(admission) = worker.admit() {
        let worker = Rc::clone(worker);
        match listening.tls.load_full() {
            None => tokio::task::spawn_local(connection::plain(worker, stream, peer, admission)),
            Some(tls) => tokio::task::spawn_local(connection::secure(worker, stream, peer, tls, admission)),
        };
    }
}

/// Takes in what the kernel has completed since the runtime last looked: with the socket it would be
/// reset.
fn take_the_rest(worker: &Rc<Worker>, listening: &Arc<Listening>, socket: TcpListener) -> io::Result<()> {
    let socket = socket.into_std()?;
    loop {
        match socket.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(true)?;
                serve(worker, listening, TcpStream::from_std(stream)?, peer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(address: &str) -> config::Listener {
        config::Listener { address: address.parse().unwrap(), freebind: false, tls: None }
    }

    #[test]
    fn every_worker_gets_a_socket_of_the_same_port() {
        let (sockets, address) = bind(&on("127.0.0.1:0"), 3).unwrap();
        assert_ne!(address.port(), 0);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert_eq!(sockets.len(), 3);
    }

    #[test]
    fn a_port_that_another_edge_listens_on_is_refused() {
        let (_held, address) = bind(&on("127.0.0.1:0"), 1).unwrap();
        let error = bind(&on(&address.to_string()), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {address}: another process has this port; stop it or choose another port")
        );
    }

    #[test]
    fn an_address_of_another_host_needs_freebind() {
        let mut listener = on("192.0.2.1:0");
        let error = bind(&listener, 1).unwrap_err();
        assert!(error.to_string().contains("`freebind`"), "{error}");
        listener.freebind = true;
        bind(&listener, 1).unwrap();
    }
}
