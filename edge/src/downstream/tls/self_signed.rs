//! Generates the self-signed certificate of a listener without certificate files, so that port 443 works from the
//! start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::{Certificate, TlsError};

/// How long the certificate is valid: longer than any process runs, because nothing renews it.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How much the clock of a client may be behind.
const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// The common name of its subject and issuer, which identifies it.
pub(crate) const COMMON_NAME: &str = "self-signed by edge";

/// Generates a P-256 key and a certificate for `names`, host names or addresses. Without names, it is for `localhost`.
pub(super) fn generate(names: &[String], now: SystemTime) -> Result<Certificate, TlsError> {
    let names = if names.is_empty() { vec!["localhost".to_owned()] } else { names.to_vec() };
    let failed = |reason: String| TlsError::SelfSigned { names: names.clone(), reason };
    let (certificate, key) = sign(&names, now).map_err(|error| failed(error.to_string()))?;
    Certificate::new(vec![certificate.der().clone()], key).map_err(|error| failed(error.to_string()))
}

fn sign(names: &[String], now: SystemTime) -> Result<(rcgen::Certificate, PrivateKeyDer<'static>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    let now = date_time_ymd(1970, 1, 1) + now.duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = now - SKEW;
    params.not_after = now + LIFETIME;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    let certificate = params.self_signed(&key)?;
    Ok((certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
}
