//! The socket of the admin listener. A draining edge may still hold its port when its successor starts, which must not
//! keep the successor from serving.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
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
/// An error is logged after this many failed attempts, about a minute, and again after as many: by default, a drain
/// ends sooner.
const REPORT_EVERY: u32 = 60;

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
        if let Some(listener) = inherited.at(address).map_err(failed)?.and_then(|(_, mut sockets)| sockets.pop()) {
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

    /// Returns a copy of the socket, for a successor; `None` while the address is in use.
    pub(super) fn copy(&self) -> io::Result<Option<TcpListener>> {
        match self {
            Self::Bound(listener) => listener.try_clone().map(Some),
            Self::InUse(_) => Ok(None),
        }
    }

    /// The bound address; `None` while it is in use.
    pub(super) fn bound_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Bound(_) => self.address(),
            Self::InUse(_) => None,
        }
    }

    /// The address that is bound, or will be.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Bound(listener) => listener.local_addr().ok(),
            Self::InUse(address) => Some(*address),
        }
    }
}

/// Serves the admin listener, once its address is free, until `end` is dropped.
pub(super) async fn serve(listener: AdminListener, state: Arc<AdminState>, mut end: oneshot::Receiver<Infallible>) {
    let listener = match listener {
        AdminListener::Bound(listener) => Some(listener),
        AdminListener::InUse(address) => tokio::select! {
            listener = bind_later(address, &state.draining) => listener,
            _ = &mut end => None,
        },
    };
    let Some(listener) = listener else { return };
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => admin::serve(listener, state, async { drop(end.await) }).await,
        Err(error) => tracing::error!(%error, "cannot serve the status page, metrics and health"),
    }
}

/// Waits until the address is free, and binds it. Returns `None` once the edge drains, so that it does not take the
/// address from its successor.
async fn bind_later(address: SocketAddr, draining: &AtomicBool) -> Option<TcpListener> {
    let mut failures = 0_u32;
    loop {
        failures = failures.saturating_add(1);
        sleep(BACKOFF.after(failures, 1.0)).await;
        if draining.load(Relaxed) {
            return None;
        }
        match bind(address) {
            Ok(listener) => {
                tracing::info!(%address, "status page, metrics and health");
                return Some(listener);
            }
            Err(error) if failures.is_multiple_of(REPORT_EVERY) => {
                tracing::error!(%address, %error, "the status page, metrics and health are still not served");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Mutex};

    use tokio::time::timeout;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_stays_in_use_is_reported_once_a_minute() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _logging = tracing::subscriber::set_default(log);
        let held = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = held.local_addr().unwrap();
        let draining = AtomicBool::new(false);
        timeout(Duration::from_secs(150), bind_later(address, &draining)).await.unwrap_err();
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("ERROR").count(), 2, "{text}");
        assert_eq!(text.matches(&format!("still not served address={address} error=")).count(), 2, "{text}");

        drop(held);
        assert!(bind_later(address, &draining).await.is_some());
        draining.store(true, Relaxed);
        assert!(bind_later(address, &draining).await.is_none());
    }
}
