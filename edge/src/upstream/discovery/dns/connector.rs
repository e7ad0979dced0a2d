//! Connects to a name server, and keeps why that failed: the client only reports that there is no connection.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use hickory_resolver::{
    ConnectionProvider, PoolContext,
    config::ConnectionConfig,
    net::{NetError, runtime::TokioRuntimeProvider},
};

/// Connects like its runtime. Clones share the last failure.
#[derive(Clone, Default)]
pub(super) struct Connector {
    runtime: TokioRuntimeProvider,
    failure: Arc<Mutex<Option<NetError>>>,
}

impl Connector {
    /// Returns why the last attempt to connect failed; `None` if it succeeded.
    pub(super) fn failure(&self) -> Option<NetError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ConnectionProvider for Connector {
    type Conn = <TokioRuntimeProvider as ConnectionProvider>::Conn;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Self::Conn, NetError>> + Send>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        context: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let connecting = self.runtime.new_connection(ip, config, context)?;
        let failure = Arc::clone(&self.failure);
        Ok(Box::pin(async move {
            let connected = connecting.await;
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = connected.as_ref().err().cloned();
            connected
        }))
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.runtime
    }
}
