//! The client of one name server.
//!
//! Over TCP and TLS a client keeps its connection. If a query is not answered, or the connection fails, the next query
//! gets a new client: a host that has lost power closes nothing, and its connection would swallow queries for minutes. A
//! new client also reads the file of certificate authorities again.

use std::{
    cell::{OnceCell, RefCell},
    io,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use hickory_resolver::{
    Resolver as Client,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::NetError,
    proto::rr::{Name, RecordType},
};
use net::tls::{self, AuthorityError};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::sync::{Mutex, oneshot};

use super::connector::Connector;
use crate::config::{Dns, NameServer, Transport};

/// A name server and its client.
pub(super) struct Server {
    config: NameServerConfig,
    transport: Transport,
    connector: Connector,
    /// `None` until the first query, and after a failure over TCP or TLS.
    client: RefCell<Option<Client<Connector>>>,
    /// Trusts the authorities of this machine. They are many, and are read once.
    system_trust: OnceCell<ClientConfig>,
    /// Held while a client is created, so that two queries at the same time share it.
    connecting: Mutex<()>,
    /// The thread that reads authorities has the other one.
    reading: Arc<()>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// The certificate authorities cannot be used.
    #[error(transparent)]
    Authorities(#[from] AuthorityError),
    /// They are still being read, as from a mount that hangs.
    #[error("the certificate authorities are still being read")]
    Reading,
    /// No thread could be started to read them.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The server gave none, or a negative one.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl Server {
    /// Creates the client of a server that the configuration names.
    pub(super) fn new(server: NameServer, settings: &Dns) -> Self {
        let NameServer { transport, address } = server;
        let connections = match transport {
            Transport::Udp => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
            Transport::Tcp => vec![ConnectionConfig::tcp()],
            Transport::Tls => vec![ConnectionConfig::tls(name_in_certificate(address, settings))],
        };
        let connections = connections.into_iter().map(|mut connection| {
            connection.port = address.port();
            connection
        });
        Self::of(NameServerConfig::new(address.ip(), true, connections.collect()), transport)
    }

    /// Creates the client of a server of `/etc/resolv.conf`.
    pub(super) fn of_system(config: NameServerConfig) -> Self {
        Self::of(config, Transport::Udp)
    }

    fn of(config: NameServerConfig, transport: Transport) -> Self {
        Self {
            config,
            transport,
            connector: Connector::default(),
            client: RefCell::default(),
            system_trust: OnceCell::new(),
            connecting: Mutex::default(),
            reading: Arc::default(),
        }
    }

    /// Queries the server.
    ///
    /// # Errors
    /// There is no answer, or a negative one.
    pub(super) async fn query(
        &self,
        name: Name,
        record_type: RecordType,
        settings: &Dns,
    ) -> Result<Lookup, QueryError> {
        let client = self.client(settings).await?;
        client.lookup(name, record_type).await.map_err(|error| match error {
            NetError::NoConnections => self.connector.failure().unwrap_or(error).into(),
            error => error.into(),
        })
    }

    /// Gives the next query a new connection.
    pub(super) fn reconnect(&self) {
        if self.transport != Transport::Udp {
            self.client.borrow_mut().take();
        }
    }

    async fn client(&self, settings: &Dns) -> Result<Client<Connector>, QueryError> {
        let _connecting = self.connecting.lock().await;
        let present = self.client.borrow().clone();
        if let Some(client) = present {
            return Ok(client);
        }
        let client = self.connect(settings).await?;
        Ok(self.client.borrow_mut().insert(client).clone())
    }

    async fn connect(&self, settings: &Dns) -> Result<Client<Connector>, QueryError> {
        let config = ResolverConfig::from_name_servers(vec![self.config.clone()]);
        let builder = Client::builder_with_config(config, self.connector.clone());
        let mut builder = builder.with_options(options(settings.timeout));
        if self.transport == Transport::Tls {
            builder = builder.with_tls_config(self.trust(settings.ca_file.as_deref()).await?);
        }
        Ok(builder.build()?)
    }

    /// Returns a configuration that trusts the authorities in a file, or those of this machine. A thread of its own reads
    /// them, since a mount may hang and this one makes all decisions; there is never more than one.
    async fn trust(&self, file: Option<&Path>) -> Result<ClientConfig, QueryError> {
        if let (None, Some(present)) = (file, self.system_trust.get()) {
            return Ok(present.clone());
        }
        if Arc::strong_count(&self.reading) > 1 {
            return Err(QueryError::Reading);
        }
        let (path, reading) = (file.map(Path::to_owned), Arc::clone(&self.reading));
        let (sender, receiver) = oneshot::channel();
        let read = move || {
            let trust = match &path {
                Some(file) => trust(RootCertStore::empty(), || Ok(tls::read_authorities(file)?)),
                None => trust(tls::system_roots(), || Ok(Vec::new())),
            };
            drop(reading);
            // Nobody waits for it if the query has timed out.
            drop(sender.send(trust));
        };
        thread::Builder::new().name("authorities".to_owned()).spawn(read).map_err(QueryError::Thread)?;
        let trust = receiver.await.map_err(|_closed| QueryError::Reading)??;
        Ok(if file.is_none() { self.system_trust.get_or_init(|| trust).clone() } else { trust })
    }
}

/// Returns the name or the address for which the certificate of a server must be.
fn name_in_certificate(server: SocketAddr, settings: &Dns) -> Arc<str> {
    settings.tls_name.clone().unwrap_or_else(|| server.ip().to_string()).into()
}

fn trust(
    roots: RootCertStore,
    listed: impl FnOnce() -> Result<Vec<CertificateDer<'static>>, QueryError>,
) -> Result<ClientConfig, QueryError> {
    Ok(tls::client_config(roots, &listed()?).map_err(|error| NetError::from(error.to_string()))?)
}

fn options(timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options.edns0 = true;
    // The name is queried again after the interval, and lost datagrams are retransmitted anyway.
    options.attempts = 0;
    // Without room, nothing is cached; the TTL of an answer is that of its server.
    options.cache_size = 0;
    options.negative_max_ttl = Some(Duration::ZERO);
    // The resolver reads it instead.
    options.use_hosts_file = ResolveHosts::Never;
    options
}
