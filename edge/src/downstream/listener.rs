//! Binds the listening sockets, one for each address and worker, and accepts connections on them.

use std::{
    convert::Infallible,
    io, mem,
    net::SocketAddr,
    os::fd::AsFd,
    pin::pin,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use net::server::concerns_one_connection;
use settings::address::overlap;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{
    config,
    downstream::{connection, hand_over},
    worker::Worker,
};

/// The number of connections that may wait to be accepted. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// The pause after `accept` failed for lack of file descriptors or memory: an immediate retry would only spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How many bytes the kernel holds for a client beyond those on their way, which the client has room for. Without a
/// limit a client that does not read makes it hold megabytes (`net.ipv4.tcp_wmem`), which count as the edge's memory in
/// a container.
const UNSENT: u32 = 64 * 1024;

/// One listening address. It exists as long as the configuration has it.
#[derive(Debug)]
pub struct Listener {
    /// The bound address, with the port that the kernel chose for port 0.
    pub address: SocketAddr,
    /// The configuration.
    pub config: config::Listener,
    /// Whether the parent process opened the socket, which other processes may share.
    pub inherited: bool,
    /// The TLS configuration, which a reload replaces; `None` for plain HTTP.
    pub tls: ArcSwapOption<rustls::ServerConfig>,
    /// Whether a successor has the sockets, a [`Successor`]. Set by the control thread, read when a worker stops
    /// accepting.
    successor: AtomicU8,
    /// Sockets that wait to be closed together, each put there by its worker when it has stopped accepting. See
    /// [`hand_over`].
    closing: Mutex<Vec<std::net::TcpListener>>,
    /// The number of sockets. Workers share some after a takeover from an edge with fewer workers.
    sockets: usize,
    /// The number of accept loops: a worker has one for each socket that it uses.
    loops: usize,
}

/// What another edge does with the sockets of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Successor {
    /// None has them.
    None,
    /// It has them, and will serve once it is ready.
    Starts,
    /// It serves.
    Serves,
}

impl Listener {
    /// Creates a listener without TLS for a bound address with so many sockets and accept loops.
    #[must_use]
    pub fn new(address: SocketAddr, config: config::Listener, inherited: bool, [sockets, loops]: [usize; 2]) -> Self {
        Self {
            address,
            config,
            inherited,
            tls: ArcSwapOption::empty(),
            successor: AtomicU8::new(0),
            closing: Mutex::default(),
            sockets,
            loops,
        }
    }

    /// Sets what another edge does with the sockets.
    pub fn set_successor(&self, successor: Successor) {
        self.successor.store(successor as u8, Relaxed);
    }

    fn has_successor(&self, what: Successor) -> bool {
        self.successor.load(Relaxed) == what as u8
    }

    /// Whether another process listens here. Only meaningful once this process has closed its sockets.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        socket(&self.config, self.address, false).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    }
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(source, *reuse_port))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Whether it may be shared with a process of the same user.
    pub reuse_port: bool,
    /// The cause.
    #[source]
    pub source: io::Error,
}

/// Describes the error, with a fix where one is known.
fn reason(error: &io::Error, reuse_port: bool) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse if reuse_port => {
            "another process uses this port and does not share it: only an edge of the same user with `reuse_port` does"
                .to_owned()
        }
        io::ErrorKind::AddrInUse => "another process uses this port; stop it or choose another port".to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "this host does not have this address; set `freebind` to bind it anyway".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Binds an address once for each worker (`SO_REUSEPORT`), so that the kernel spreads connections over the workers.
/// Returns the sockets and the bound address. `own` are the addresses that this process listens on already.
///
/// # Errors
/// The address cannot be bound, or another process listens on it and the configuration does not allow that.
pub fn bind(
    config: &config::Listener,
    workers: usize,
    own: &[SocketAddr],
) -> Result<(Vec<std::net::TcpListener>, SocketAddr), BindError> {
    let failed = |source| BindError { address: config.address, reuse_port: config.reuse_port, source };
    // SO_REUSEPORT alone would let a second edge share the port and silently take half of the connections. An address
    // that overlaps one of our own would fail that test because of us.
    let is_shared = config.reuse_port && config.address.port() != 0;
    let address = if is_shared || own.iter().any(|own| overlap(*own, config.address)) {
        config.address
    } else {
        let probe = socket(config, config.address, false).map_err(failed)?;
        probe.local_addr().map_err(failed)?.as_socket().unwrap_or(config.address)
    };
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
    limit_unsent(&socket);
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

/// Limits what the kernel holds for each client. Accepted sockets inherit it, except those that were established before,
/// as they may be on a socket that systemd passed on.
fn limit_unsent(socket: &impl AsFd) {
    // Where the kernel has no such limit, its own one remains.
    let _unsupported = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT);
}

/// Accepts connections until the sender of `stop` is dropped.
pub async fn accept(
    worker: Rc<Worker>,
    socket: std::net::TcpListener,
    listener: Arc<Listener>,
    stop: oneshot::Receiver<Infallible>,
) {
    limit_unsent(&socket);
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(address = %listener.address, %error, "cannot accept connections");
            return;
        }
    };
    let stopped = async {
        let Err(_dropped) = stop.await;
    };
    accept_until(&worker, &listener, &socket, stopped).await;
    if listener.has_successor(Successor::Serves) {
        // The queue stays, and what waits in it is accepted there.
        return;
    }
    let is_shared = listener.config.reuse_port && !listener.inherited && !listener.has_successor(Successor::Starts);
    if is_shared {
        // Each worker does it, and the second time changes nothing.
        if let Err(error) = hand_over::steer(&socket, listener.address, listener.sockets) {
            tracing::warn!(address = %listener.address, %error, "some connections may have to wait a second");
        }
        if let Err(error) = hand_over::refuse_handshakes(&socket) {
            tracing::warn!(address = %listener.address, %error, "some connections may be reset instead of handed over");
        }
        accept_until(&worker, &listener, &socket, tokio::time::sleep(hand_over::HANDSHAKE)).await;
    }
    if let Err(error) = close(&worker, &listener, socket, is_shared) {
        tracing::warn!(address = %listener.address, %error, "cannot accept all waiting connections");
    }
}

/// Closes the socket; one that is steered past, together with the last of its listener: while some are closed, the
/// program would choose the others.
fn close(worker: &Rc<Worker>, listener: &Arc<Listener>, socket: TcpListener, is_shared: bool) -> io::Result<()> {
    let socket = socket.into_std()?;
    if !is_shared {
        return accept_waiting(worker, listener, &socket);
    }
    let sockets = {
        let mut closing = listener.closing.lock().unwrap_or_else(PoisonError::into_inner);
        closing.push(socket);
        if closing.len() < listener.loops { Vec::new() } else { mem::take(&mut *closing) }
    };
    // Also handshakes that ended after their own worker looked.
    let accepted = sockets.iter().try_for_each(|socket| accept_waiting(worker, listener, socket));
    if let Some(socket) = sockets.first() {
        hand_over::stop_steering(socket);
    }
    accepted
}

/// Accepts connections until `stopped` completes, even if there is always a further one or each attempt fails.
async fn accept_until(
    worker: &Rc<Worker>,
    listener: &Arc<Listener>,
    socket: &TcpListener,
    stopped: impl Future<Output = ()>,
) {
    let mut stopped = pin!(stopped);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            // `stopped` first: in a flood of connections, and without descriptors, `accept` is always ready.
            biased;
            () = &mut stopped => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                serve(worker, listener, stream, peer);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                worker.stats().accept_errors.add(1);
                // Logged once per series of failures, not twenty times a second. The counter counts each.
                if !failing {
                    tracing::error!(address = %listener.address, %error, "cannot accept connections");
                }
                failing = true;
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Serves a connection, or closes it at once if a limit is reached: a client notices a close sooner than silence.
fn serve(worker: &Rc<Worker>, listener: &Arc<Listener>, stream: TcpStream, peer: SocketAddr) {
    let tls = listener.tls.load_full();
    let (admission, handshake) = match worker.admit(peer, tls.is_some()) {
        Ok(admitted) => admitted,
        Err(reason) => return worker.refuse(peer, reason, None, None),
    };
    let worker = Rc::clone(worker);
    match tls {
        None => tokio::task::spawn_local(connection::plain(worker, stream, peer, admission)),
        Some(tls) => tokio::task::spawn_local(connection::secure(worker, stream, peer, tls, admission, handshake)),
    };
}

/// Accepts the connections that are established but not accepted. Closing the socket would reset them.
fn accept_waiting(worker: &Rc<Worker>, listener: &Arc<Listener>, socket: &std::net::TcpListener) -> io::Result<()> {
    // As many as fit into the queue. One that several processes share may never be empty.
    for _ in 0..=BACKLOG {
        match socket.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(true)?;
                serve(worker, listener, TcpStream::from_std(stream)?, peer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> config::Listener {
        config::Listener::plain(address.parse().unwrap())
    }

    #[test]
    fn every_worker_gets_a_socket_with_the_same_port() {
        let (sockets, address) = bind(&at("127.0.0.1:0"), 3, &[]).unwrap();
        assert_ne!(address.port(), 0);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert_eq!(sockets.len(), 3);
    }

    #[test]
    fn the_kernel_holds_little_for_a_client_that_does_not_read() {
        let (sockets, address) = bind(&at("127.0.0.1:0"), 1, &[]).unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        sockets[0].set_nonblocking(false).unwrap();
        let (accepted, _) = sockets[0].accept().unwrap();
        assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), UNSENT);
    }

    #[test]
    fn port_of_another_edge_cannot_be_bound() {
        let (_held, address) = bind(&at("127.0.0.1:0"), 1, &[]).unwrap();
        let error = bind(&at(&address.to_string()), 1, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {address}: another process uses this port; stop it or choose another port")
        );
    }

    #[test]
    fn port_of_another_edge_can_be_shared_by_choice() {
        let (_held, address) = bind(&at("127.0.0.1:0"), 2, &[]).unwrap();
        let successor = config::Listener { reuse_port: true, ..at(&address.to_string()) };
        let (_sockets, shared) = bind(&successor, 2, &[]).unwrap();
        assert_eq!(shared, address);

        // Port 0 never means the port of somebody else.
        let (_own, own) = bind(&config::Listener { reuse_port: true, ..at("127.0.0.1:0") }, 2, &[]).unwrap();
        assert_ne!(own, address);

        let alone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = alone.local_addr().unwrap();
        let successor = config::Listener { reuse_port: true, ..at(&address.to_string()) };
        let error = bind(&successor, 1, &[]).unwrap_err().to_string();
        assert!(error.contains("does not share it"), "{error}");
    }

    #[test]
    fn address_is_taken_while_another_socket_listens_there() {
        let (held, address) = bind(&at("127.0.0.1:0"), 2, &[]).unwrap();
        let listener = Listener::new(address, at(&address.to_string()), false, [2, 2]);
        assert!(listener.is_taken());
        drop(held);
        assert!(!listener.is_taken());
    }

    #[test]
    fn address_that_overlaps_one_of_our_own_can_be_bound() {
        let (_held, own) = bind(&at("127.0.0.1:0"), 1, &[]).unwrap();
        let wide = at(&format!("0.0.0.0:{}", own.port()));
        bind(&wide, 1, &[]).unwrap_err();
        let (_sockets, address) = bind(&wide, 2, &[own]).unwrap();
        assert_eq!(address, wide.address);
    }

    #[test]
    fn address_of_another_host_needs_freebind() {
        let mut listener = at("192.0.2.1:0");
        let error = bind(&listener, 1, &[]).unwrap_err();
        assert!(error.to_string().contains("`freebind`"), "{error}");
        listener.freebind = true;
        bind(&listener, 1, &[]).unwrap();
    }
}
