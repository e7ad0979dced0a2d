//! The client of one name server.
//!
//! Over TCP and TLS a client keeps its connection. If a query is not answered, or the connection fails, the next query
//! gets a new client: a host that has lost power closes nothing, and its connection would swallow queries for minutes. A
//! new client also reads the file of certificate authorities again.

use std::{
    cell::{OnceCell, RefCell},
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    Resolver as Client,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::NetError,
    proto::rr::{Name, RecordType},
};
use net::{pem, tls};
use rustls::{ClientConfig, RootCertStore};

use super::connector::Connector;
use crate::config::{Dns, NameServer, Transport};

/// The largest file of certificate authorities that is read, in bytes.
const MAX_CA_FILE: u64 = 4 << 20;

/// A name server and its client.
pub(super) struct Server {
    config: NameServerConfig,
    transport: Transport,
    connector: Connector,
    /// `None` until the first query, and after a failure over TCP or TLS.
    client: RefCell<Option<Client<Connector>>>,
    /// Trusts the authorities of this machine. They are many, and are read once.
    system_trust: OnceCell<ClientConfig>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// The certificate authorities cannot be used.
    #[error("{file}: {reason}")]
    Authorities {
        /// The path of their file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
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
        let (client, system_trust) = (RefCell::default(), OnceCell::new());
        Self { config, transport, connector: Connector::default(), client, system_trust }
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
        let present = self.client.borrow().clone();
        let client = match present {
            Some(client) => client,
            None => {
                let client = self.connect(settings)?;
                self.client.borrow_mut().insert(client).clone()
            }
        };
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

    fn connect(&self, settings: &Dns) -> Result<Client<Connector>, QueryError> {
        let config = ResolverConfig::from_name_servers(vec![self.config.clone()]);
        let builder = Client::builder_with_config(config, self.connector.clone());
        let mut builder = builder.with_options(options(settings.timeout));
        if self.transport == Transport::Tls {
            builder = builder.with_tls_config(match &settings.ca_file {
                Some(file) => trust(file)?,
                None => self.system_trust()?,
            });
        }
        Ok(builder.build()?)
    }

    fn system_trust(&self) -> Result<ClientConfig, QueryError> {
        if let Some(present) = self.system_trust.get() {
            return Ok(present.clone());
        }
        let config = tls::client_config(tls::system_roots(), &[]).map_err(|error| NetError::from(error.to_string()))?;
        Ok(self.system_trust.get_or_init(|| config).clone())
    }
}

/// Returns the name or the address for which the certificate of a server must be.
fn name_in_certificate(server: SocketAddr, settings: &Dns) -> Arc<str> {
    settings.tls_name.clone().unwrap_or_else(|| server.ip().to_string()).into()
}

/// Returns a configuration that trusts the authorities in a file.
fn trust(file: &Path) -> Result<ClientConfig, QueryError> {
    let wrong = |reason: String| QueryError::Authorities { file: file.display().to_string(), reason };
    let bytes = read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let authorities = pem::certificates(&bytes).map_err(|fault| wrong(fault.to_string()))?;
    tls::client_config(RootCertStore::empty(), &authorities).map_err(|error| wrong(error.to_string()))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_CA_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
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
