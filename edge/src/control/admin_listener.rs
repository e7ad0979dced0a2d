//! The socket of the admin listener. A draining edge may still hold its port when its successor starts, which must not
//! keep the successor from serving.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use net::{Backoff, server::bind};
use tokio::{sync::oneshot, time::sleep};

use crate::{
    admin::{self, AdminState},
    control::inherited::Inherited,
    downstream::listener::BindError,
};

/// The pauses between two attempts to bind a port that is in use.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));

/// The socket, or the address while another process uses it.
#[derive(Debug)]
pub(super) enum AdminListener {
    Bound(TcpListener),
    InUse(SocketAddr),
}

impl AdminListener {
    /// Takes the inherited socket, or binds the address. An address in use is only a warning.
    ///
    /// # Errors
    /// Any other reason why it cannot be bound.
    pub(super) fn new(address: SocketAddr, inherited: &Inherited) -> Result<Self, BindError> {
        let failed = |source| BindError { address, reuse_port: false, source };
        if let Some(listener) = inherited.share(address, 1).map_err(failed)?.pop() {
            return Ok(Self::Bound(listener));
        }
        match bind(address) {
            Ok(listener) => Ok(Self::Bound(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(
                    %address,
                    "another process uses the address of the status page, metrics and health, perhaps an edge that \
                     drains; they are served once it is free"
                );
                Ok(Self::InUse(address))
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// The bound address; `None` while it is in use.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Bound(listener) => listener.local_addr().ok(),
            Self::InUse(_) => None,
        }
    }
}

/// Serves the admin listener, once its address is free, until `end` is dropped.
pub(super) async fn serve(listener: AdminListener, state: Arc<AdminState>, mut end: oneshot::Receiver<Infallible>) {
    let listener = match listener {
        AdminListener::Bound(listener) => Some(listener),
        AdminListener::InUse(address) => tokio::select! {
            listener = bind_later(address, &state) => listener,
            _ = &mut end => None,
        },
    };
    let Some(listener) = listener else { return };
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => admin::serve(listener, state, async { drop(end.await) }).await,
        Err(error) => tracing::error!(%error, "cannot serve the status page, metrics and health"),
    }
}

/// Waits until the address is free, and binds it. Returns `None` once the edge drains, so that it takes the address from
/// no successor.
async fn bind_later(address: SocketAddr, state: &AdminState) -> Option<TcpListener> {
    let mut failures = 0_u32;
    loop {
        failures = failures.saturating_add(1);
        sleep(BACKOFF.after(failures, 1.0)).await;
        if state.draining.load(Relaxed) {
            return None;
        }
        if let Ok(listener) = bind(address) {
            tracing::info!(%address, "status page, metrics and health");
            return Some(listener);
        }
    }
}
