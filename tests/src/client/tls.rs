//! The client's side of TLS.

use std::io;
use std::sync::Arc;

use net::tls::AnyCertificate;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the client offers and requires in a handshake.
#[derive(Clone, Debug)]
pub struct Offer {
    trust: Option<RootCertStore>,
    alpn: Vec<String>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

/// What a handshake negotiated.
#[derive(Clone, Debug)]
pub struct Negotiated {
    /// The protocol that the server selected, if any.
    pub alpn: Option<String>,
    /// The version of TLS.
    pub version: Option<ProtocolVersion>,
    /// The server's own certificate, in DER.
    pub certificate: Vec<u8>,
}

impl Offer {
    /// Trusts certificates signed by `roots`. Offers "h2", "http/1.1", TLS 1.2 and TLS 1.3.
    #[must_use]
    pub fn trusting(roots: RootCertStore) -> Self {
        Self {
            trust: Some(roots),
            alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
            versions: rustls::ALL_VERSIONS.to_vec(),
        }
    }

    /// Accepts any certificate whose key the server holds, such as a self-signed one.
    #[must_use]
    pub fn accepting_any_certificate() -> Self {
        Self { trust: None, ..Self::trusting(RootCertStore::empty()) }
    }

    /// Offers these protocols (ALPN) instead; an empty list omits the extension.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(ToString::to_string).collect();
        self
    }

    /// Offers these versions of TLS instead.
    #[must_use]
    pub fn versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// Performs the handshake over `stream` for the server name (SNI) `name`. An address as `name` sends no SNI.
    ///
    /// # Errors
    /// If the server rejects it, or presents no trusted certificate for `name`.
    ///
    /// # Panics
    /// If `name` is neither a name nor an address.
    pub async fn handshake(self, stream: TcpStream, name: &str) -> io::Result<(TlsStream<TcpStream>, Negotiated)> {
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        let connector = TlsConnector::from(Arc::new(self.config()));
        let stream = connector.connect(name, stream).await?;
        let (_, session) = stream.get_ref();
        let negotiated = Negotiated {
            alpn: session.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
            version: session.protocol_version(),
            certificate: session
                .peer_certificates()
                .and_then(<[_]>::first)
                .map(|certificate| certificate.to_vec())
                .unwrap_or_default(),
        };
        Ok((stream, negotiated))
    }

    /// Returns the first message of a handshake for the server name (SNI) `name`.
    ///
    /// # Panics
    /// If `name` is neither a name nor an address.
    #[must_use]
    pub fn client_hello(self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        let mut session = ClientConnection::new(Arc::new(self.config()), name).expect("a valid configuration");
        let mut hello = Vec::new();
        session.write_tls(&mut hello).expect("memory can be written");
        hello
    }

    fn config(self) -> ClientConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .expect("versions that the provider supports");
        let mut config = match self.trust {
            Some(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate::new(provider)))
                .with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.into_iter().map(String::into_bytes).collect();
        config
    }
}
