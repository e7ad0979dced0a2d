//! The self-signed certificate of a listener without certificate files, so that port 443 answers from the first minute.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::{Certificate, Refusal, TlsError};

/// Longer than any process runs, since nothing renews it.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Clients whose clock is slow by this much accept it too.
const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// Whose it is and who signed it, by which it is recognised.
pub(crate) const COMMON_NAME: &str = "self-signed by edge";

/// A new P-256 key and a certificate over `names` (host names or addresses; none means `localhost`).
pub(super) fn make(names: &[String], now: SystemTime) -> Result<Certificate, TlsError> {
    let names = if names.is_empty() { vec!["localhost".to_owned()] } else { names.to_vec() };
    let refuse = |reason: String| TlsError::SelfSigned { names: names.clone(), reason };
    let (certificate, key) = sign(&names, now).map_err(|error| refuse(error.to_string()))?;
    Certificate::new(vec![certificate.der().clone()], key).map_err(|refusal| match refusal {
        Refusal::Certificate(reason) | Refusal::Key(reason) => refuse(reason),
        Refusal::Mismatch => refuse("the key does not match".to_owned()),
    })
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
