//! Bound addresses, and the certificates that their clients get.

use std::{
    io, mem,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::SystemTime,
};

use crate::{
    config,
    control::{
        inherited::{self, Inherited, Origin},
        workers::WorkerThreads,
    },
    downstream::{
        listener::{self, BindError, Listener, Successor},
        tls::{TlsError, TlsListener},
    },
};

/// A bound address for clients, with the state that the control thread keeps for it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: Arc<Listener>,
    /// The sockets, each once. Another edge may take them over; they are closed with those of the workers.
    sockets: Vec<TcpListener>,
    /// The sockets of the workers, until they are passed to them.
    for_workers: Vec<TcpListener>,
    pub(super) tls: Option<Arc<TlsListener>>,
}

impl Bound {
    /// Takes the inherited sockets of an address, or binds it once for each worker. `own` lists the addresses that are
    /// already bound.
    pub(super) fn new(
        config: &config::Listener,
        tls: Option<TlsListener>,
        workers: usize,
        own: &[SocketAddr],
        inherited: &Inherited,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { address: config.address, reuse_port: config.reuse_port, source };
        let (is_inherited, sockets, address) = match inherited.at(config.address).map_err(failed)? {
            Some((origin, sockets)) => (origin == Origin::Parent, sockets, config.address),
            None => {
                let (sockets, address) = listener::bind(config, workers, own)?;
                (false, sockets, address)
            }
        };
        let for_workers = inherited::share(&sockets, workers).map_err(failed)?;
        let listener =
            Arc::new(Listener::new(address, config.clone(), is_inherited, [sockets.len(), for_workers.len()]));
        let mut bound = Self { listener, sockets, for_workers, tls: None };
        bound.present(tls);
        Ok(bound)
    }

    /// Whether this is the socket of `listener`. Other settings do not matter once it is bound.
    pub(super) fn is_at(&self, listener: &config::Listener) -> bool {
        self.listener.config.address == listener.address
    }

    /// Presents these certificates to clients that connect from now on.
    fn present(&mut self, tls: Option<TlsListener>) {
        self.listener.tls.store(tls.as_ref().map(TlsListener::server_config));
        self.tls = tls.map(Arc::new);
    }

    /// Presents the certificates of a new configuration. A listener that already had TLS keeps its ticket keys, so that
    /// clients can resume their sessions; `fresh` shows that the files are usable.
    pub(super) fn change(&mut self, listener: &config::Listener, fresh: Option<TlsListener>, now: SystemTime) {
        match (&self.tls, &listener.tls) {
            (Some(tls), Some(config)) => {
                if let Err(error) = tls.reconfigure(config, now) {
                    tracing::error!(%error, "cannot replace the certificates; the old ones stay in use");
                }
            }
            _ => self.present(fresh),
        }
    }

    /// Passes the sockets to the workers.
    pub(super) fn open(&mut self, workers: &WorkerThreads) {
        workers.listen(mem::take(&mut self.for_workers), &self.listener);
    }

    /// Returns copies of the sockets for a successor, which may serve from then on: no socket may be made unusable for it
    /// even if this edge stops.
    pub(super) fn offer(&self) -> io::Result<Vec<(SocketAddr, TcpListener)>> {
        self.listener.set_successor(Successor::Starts);
        self.sockets.iter().map(|socket| Ok((self.listener.address, socket.try_clone()?))).collect()
    }

    /// Notes that the successor failed.
    pub(super) fn keep(&self) {
        self.listener.set_successor(Successor::None);
    }

    /// Notes that the successor serves these addresses.
    pub(super) fn hand_over(&self, addresses: &[SocketAddr]) {
        let is_served = addresses.contains(&self.listener.address);
        self.listener.set_successor(if is_served { Successor::Serves } else { Successor::None });
    }

    /// Leaves the sockets to the workers, which close them.
    pub(super) fn close(&mut self) {
        self.sockets.clear();
    }

    /// Whether the workers have closed the sockets: each shares the listener until then.
    pub(super) fn is_closed(&self) -> bool {
        Arc::strong_count(&self.listener) == 1
    }
}

/// Reads the certificates of a listener, if it has TLS, and warns about those that clients will object to.
pub(super) fn tls(listener: &config::Listener, now: SystemTime) -> Result<Option<TlsListener>, TlsError> {
    let tls = listener.tls.as_ref().map(|tls| TlsListener::new(tls, now)).transpose()?;
    for certificate in tls.iter().flat_map(TlsListener::certificates) {
        if let Some(warning) = certificate.warning(now) {
            tracing::warn!(address = %listener.address, names = certificate.names.join(","), warning, "certificate");
        }
    }
    Ok(tls)
}
