//! Bound addresses, and the certificates that their clients get.

use std::{mem, net::SocketAddr, sync::Arc, time::SystemTime};

use crate::{
    config,
    control::{inherited::Inherited, workers::WorkerThreads},
    downstream::{
        listener::{self, BindError, Listener},
        tls::{TlsError, TlsListener},
    },
};

/// A bound address for clients, with the state that the control thread keeps for it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: Arc<Listener>,
    /// The sockets, one for each worker, until they are passed to the workers.
    sockets: Vec<std::net::TcpListener>,
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
        let shared = inherited.share(config.address, workers).map_err(failed)?;
        let is_inherited = !shared.is_empty();
        let (sockets, address) =
            if is_inherited { (shared, config.address) } else { listener::bind(config, workers, own)? };
        let listener = Arc::new(Listener::new(address, config.clone(), is_inherited));
        let mut bound = Self { listener, sockets, tls: None };
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
        workers.listen(mem::take(&mut self.sockets), &self.listener);
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
