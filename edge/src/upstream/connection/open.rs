//! Opens a connection to an endpoint.

use std::{io, net::SocketAddr, sync::Arc};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Duration, Instant, timeout},
};

use super::{
    permit::{ConnectionPermit, InFlight},
    state::Connection,
};
use crate::{
    config,
    error::{Error, Kind, Retry},
    upstream::{
        Endpoint,
        shortage::{Shortage, shortage},
    },
};

/// TCP keep-alive probes start after a connection was idle for this duration, so that a firewall or a mesh does not
/// forget it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A connection being opened. It counts as in flight, so that a slow endpoint looks as busy as it is.
#[derive(Debug)]
pub struct Connecting {
    permit: ConnectionPermit,
    in_flight: InFlight,
}

impl Connecting {
    /// Prepares a connection of this worker to the permit's endpoint.
    #[must_use]
    pub fn new(permit: ConnectionPermit, worker: usize) -> Self {
        let in_flight = InFlight::new(permit.endpoint(), worker);
        Self { permit, in_flight }
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        self.permit.endpoint()
    }

    /// Connects; see [`open`].
    ///
    /// # Errors
    /// Those of [`open`].
    pub async fn open(self, pool: &Arc<config::Pool>, within: Duration) -> Result<Box<Connection>, Error> {
        let Self { permit, in_flight: _counted } = self;
        // Boxed because most requests open no connection and must not carry the memory for it.
        Box::pin(open(permit, pool, within)).await
    }
}

/// Opens a connection within this time.
///
/// # Errors
/// [`Kind::Connect`] or [`Kind::ConnectTimeout`]; any request may then be sent to another endpoint.
/// [`Kind::NoResources`] if the edge itself is the cause.
pub async fn open(
    permit: ConnectionPermit,
    pool: &Arc<config::Pool>,
    within: Duration,
) -> Result<Box<Connection>, Error> {
    let address = permit.endpoint().address;
    let connecting = timeout(within, TcpStream::connect(address));
    let stream = match connecting.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failure(error, address)),
        Err(_elapsed) => return Err(Error::new(Kind::ConnectTimeout, Retry::Unsent)),
    };
    set_options(&stream, pool.timeouts.unacknowledged).map_err(|error| failure(error, address))?;
    Ok(Box::new(Connection::new(stream, permit, Arc::clone(pool), Instant::now())))
}

fn failure(error: io::Error, address: SocketAddr) -> Error {
    match shortage(&error, address) {
        None => Error::because(Kind::Connect, Retry::Unsent, error),
        Some(Shortage::Ports) => Error::because(Kind::NoResources, Retry::Unsent, error),
        // A connection to another endpoint would fail in the same way.
        Some(Shortage::Sockets) => Error::because(Kind::NoResources, Retry::Never, error),
    }
}

fn set_options(stream: &TcpStream, unacknowledged: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(unacknowledged))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE))
}
