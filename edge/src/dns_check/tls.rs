//! Makes a TLS handshake and inspects the certificate of the server.
//!
//! The handshake accepts any certificate, but the server must prove that it has the key. The issuer, the dates and the
//! names are checked afterwards, each on its own: a normal client reports only the first error that it finds.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use net::tls::AnyCertificate;
use rustls::{
    CertificateError, ClientConfig, Error, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::parse_x509_certificate;

use super::facts::{Certificate, Trust};
use crate::downstream::tls::{SELF_SIGNED_COMMON_NAME, alternative_names, system_time};

/// Inspects certificates for one name.
#[derive(Debug)]
pub(super) struct Inspector {
    name: ServerName<'static>,
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl Inspector {
    /// Creates an inspector that trusts `roots` and, if `with_system`, the roots of this machine.
    pub(super) fn new(name: &str, roots: &[CertificateDer<'static>], with_system: bool) -> Self {
        let mut all = RootCertStore::empty();
        if with_system {
            // Every store has some that cannot be parsed.
            all.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        all.add_parsable_certificates(roots.iter().cloned());
        // Every name that the flags accept is a valid server name.
        let name = ServerName::try_from(name.to_owned()).unwrap_or(ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()));
        Self { name, roots: all, provider: Arc::new(aws_lc_rs::default_provider()) }
    }

    /// Makes a handshake and returns the connection and the certificate; `None` if it cannot be parsed.
    ///
    /// # Errors
    /// Why the handshake failed.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Option<Certificate>), String> {
        let config =
            ClientConfig::builder_with_provider(Arc::clone(&self.provider)).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?.dangerous();
        let any = Arc::new(AnyCertificate::new(Arc::clone(&self.provider)));
        let mut config = config.with_custom_certificate_verifier(any).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(self.name.clone(), stream).await.map_err(|error| cause(&error))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = chain.split_first().and_then(|(leaf, others)| self.inspect(leaf, others));
        Ok((stream, certificate))
    }

    fn inspect(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Option<Certificate> {
        let (_, parsed) = parse_x509_certificate(leaf).ok()?;
        let (not_before, not_after) =
            (system_time(parsed.validity().not_before), system_time(parsed.validity().not_after));
        let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let self_signed = parsed.subject() == parsed.issuer();
        let end_entity = ParsedCertificate::try_from(leaf);
        let matches_name = end_entity.as_ref().is_ok_and(|leaf| verify_server_name(leaf, &self.name).is_ok());
        let trust = match end_entity {
            _ if self.roots.is_empty() => Trust::NoRoots,
            Ok(end_entity) => self.trust(&end_entity, others, clamp(SystemTime::now(), not_before, not_after)),
            Err(error) => Trust::Rejected(error.to_string()),
        };
        Some(Certificate {
            names: alternative_names(&parsed).unwrap_or_default(),
            issuer: parsed.issuer().to_string(),
            serial: parsed.raw_serial_as_string(),
            not_before,
            not_after,
            stand_in: self_signed && common_name == Some(SELF_SIGNED_COMMON_NAME),
            self_signed,
            intermediates: others.len(),
            matches_name,
            trust,
        })
    }

    /// Returns whether a client would trust the chain at a time when the leaf is valid.
    fn trust(&self, leaf: &ParsedCertificate<'_>, others: &[CertificateDer<'_>], at: SystemTime) -> Trust {
        let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap_or_default());
        let algorithms = self.provider.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(leaf, &self.roots, others, at, algorithms) {
            Ok(()) => Trust::Trusted,
            // The signature is bad if another authority has the name of a known one.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
                Trust::UnknownIssuer
            }
            Err(Error::InvalidCertificate(error)) => Trust::Rejected(error.to_string()),
            Err(error) => Trust::Rejected(error.to_string()),
        }
    }
}

/// Returns the time nearest to `now` at which a certificate is valid. The end itself is avoided, because not every
/// verifier includes it.
fn clamp(now: SystemTime, not_before: SystemTime, not_after: SystemTime) -> SystemTime {
    let latest = not_after.checked_sub(Duration::from_secs(1)).unwrap_or(not_after);
    if now < not_before { not_before } else { now.min(latest) }
}

/// Returns the cause of a failed handshake, without the text that the libraries add to it.
fn cause(error: &std::io::Error) -> String {
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => "the response is not TLS".to_owned(),
        Some(error) => error.to_string(),
        None => error.kind().to_string(),
    }
}
