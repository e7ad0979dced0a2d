//! The TLS handshake of a check.
//!
//! The certificate is verified unless the configuration says otherwise. Every check makes a full handshake: a resumed
//! session would not show that the certificate has expired or was replaced.

use std::sync::Arc;

use http::uri::Authority;
use net::tls::{AnyCertificate, AuthorityError, client_config, read_authorities, system_roots};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::outcome::Failure;
use crate::config::{HealthCheck, Protocol, TlsCheck, Trust};

/// Reads the certificates of the authorities in the file that a check names; none if it names no file.
///
/// # Errors
/// The file cannot be read, or one of its certificates cannot be used.
pub fn authorities(check: &HealthCheck) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    let Some(TlsCheck { trust: Trust::File(file), .. }) = &check.tls else { return Ok(Vec::new()) };
    read_authorities(file)
}

/// Makes the handshakes of a pool's checks.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    /// The configured name.
    server_name: Option<String>,
}

impl Tls {
    /// Prepares the handshakes of a check; `None` if it has no TLS. `listed` are its [`authorities`].
    ///
    /// # Errors
    /// An authority cannot be used.
    pub fn new(check: &HealthCheck, listed: &[CertificateDer<'static>]) -> Result<Option<Self>, rustls::Error> {
        let Some(TlsCheck { trust, server_name }) = &check.tls else { return Ok(None) };
        let mut config = match trust {
            Trust::System => client_config(system_roots(), &[])?,
            Trust::File(_) => client_config(RootCertStore::empty(), listed)?,
            Trust::Any => {
                let provider = Arc::new(aws_lc_rs::default_provider());
                let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
                let any = Arc::new(AnyCertificate::new(provider));
                let config = config.with_safe_default_protocol_versions()?.dangerous();
                config.with_custom_certificate_verifier(any).with_no_client_auth()
            }
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = match check.protocol() {
            Protocol::Tcp => Vec::new(),
            Protocol::Http => vec![b"http/1.1".to_vec()],
            Protocol::Grpc => vec![b"h2".to_vec()],
        };
        Ok(Some(Self { connector: TlsConnector::from(Arc::new(config)), server_name: server_name.clone() }))
    }

    /// Makes a handshake. `authority` is the `Host` of the check, whose name is the server's unless one is configured.
    ///
    /// # Errors
    /// The handshake failed, the certificate is not accepted, or there is no name for it.
    pub(super) async fn connect(&self, stream: TcpStream, authority: &str) -> Result<TlsStream<TcpStream>, Failure> {
        let name = self.server_name.clone().unwrap_or_else(|| host(authority));
        let name = ServerName::try_from(name.clone()).map_err(|_| Failure::ServerName(name))?;
        self.connector.connect(name, stream).await.map_err(Failure::Tls)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Returns the host of an authority without its port, and without the brackets of IPv6.
fn host(authority: &str) -> String {
    let host = authority.parse::<Authority>().map_or_else(|_| authority.to_owned(), |parsed| parsed.host().to_owned());
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_server_is_that_of_the_host() {
        for (authority, expected) in [
            ("tasks.web:8000", "tasks.web"),
            ("www.example.com", "www.example.com"),
            ("10.0.0.1:443", "10.0.0.1"),
            ("[fd00::1]:443", "fd00::1"),
            ("[fd00::1]", "fd00::1"),
        ] {
            assert_eq!(host(authority), expected);
            assert!(ServerName::try_from(expected).is_ok(), "{expected}");
        }
    }
}
