//! A TLS handshake with somebody whose certificate is to be looked at, whatever it is like.
//!
//! The handshake takes any certificate, though the other side has to prove that it has the key. What a client
//! would say to it is found out afterwards, point by point: who signed it, when it is valid, what name it is
//! for. A client says only the first thing that is wrong.

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
use crate::downstream::tls::{STAND_IN, names, time};

/// Looks at certificates for one name.
#[derive(Debug)]
pub(super) struct Judge {
    name: ServerName<'static>,
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl Judge {
    /// Trusts the roots of this machine, if `with_system`, and `roots` beside them.
    pub(super) fn new(name: &str, roots: &[CertificateDer<'static>], with_system: bool) -> Self {
        let mut all = RootCertStore::empty();
        if with_system {
            // Some that cannot be used are in every store.
            all.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        all.add_parsable_certificates(roots.iter().cloned());
        // The flags take only what is a name here too.
        let name = ServerName::try_from(name.to_owned()).unwrap_or(ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()));
        Self { name, roots: all, provider: Arc::new(aws_lc_rs::default_provider()) }
    }

    /// Shakes hands and looks at what is shown; `None` if that is no certificate.
    ///
    /// # Errors
    /// Why there is no TLS.
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
        let stream = connector.connect(self.name.clone(), stream).await.map_err(|error| why(&error))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = chain.split_first().and_then(|(leaf, others)| self.look(leaf, others));
        Ok((stream, certificate))
    }

    fn look(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Option<Certificate> {
        let (_, parsed) = parse_x509_certificate(leaf).ok()?;
        let (not_before, not_after) = (time(parsed.validity().not_before), time(parsed.validity().not_after));
        let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let self_signed = parsed.subject() == parsed.issuer();
        let end_entity = ParsedCertificate::try_from(leaf);
        let fits = end_entity.as_ref().is_ok_and(|leaf| verify_server_name(leaf, &self.name).is_ok());
        let trust = match end_entity {
            _ if self.roots.is_empty() => Trust::NoRoots,
            Ok(end_entity) => self.trust(&end_entity, others, clamp(SystemTime::now(), not_before, not_after)),
            Err(error) => Trust::Refused(error.to_string()),
        };
        Some(Certificate {
            names: names(&parsed).unwrap_or_default(),
            issuer: parsed.issuer().to_string(),
            serial: parsed.raw_serial_as_string(),
            not_before,
            not_after,
            stand_in: self_signed && common_name == Some(STAND_IN),
            self_signed,
            chain: others.len(),
            fits,
            trust,
        })
    }

    /// Whether a client would believe the chain at a time when the leaf is valid.
    fn trust(&self, leaf: &ParsedCertificate<'_>, others: &[CertificateDer<'_>], at: SystemTime) -> Trust {
        let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap_or_default());
        let algorithms = self.provider.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(leaf, &self.roots, others, at, algorithms) {
            Ok(()) => Trust::Trusted,
            // A bad signature is that of another authority that bears the name of a known one.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
                Trust::UnknownIssuer
            }
            Err(Error::InvalidCertificate(error)) => Trust::Refused(error.to_string()),
            Err(error) => Trust::Refused(error.to_string()),
        }
    }
}

fn clamp(now: SystemTime, not_before: SystemTime, not_after: SystemTime) -> SystemTime {
    // A moment inside: both ends count as valid, but not to everybody.
    let latest = not_after.checked_sub(Duration::from_secs(1)).unwrap_or(not_after);
    if now < not_before { not_before } else { now.min(latest) }
}

/// What a failed handshake says, without the words that the libraries put around it.
fn why(error: &std::io::Error) -> String {
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => "what it sends is not TLS".to_owned(),
        Some(error) => error.to_string(),
        None => error.kind().to_string(),
    }
}
