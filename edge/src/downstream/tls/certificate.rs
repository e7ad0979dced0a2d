//! One certificate with its key: reads it from PEM files, checks it, and describes it.

use std::{
    fmt,
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use net::pem::{self, Fault};
use rustls::{
    InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};
use x509_parser::{
    certificate::X509Certificate,
    error::X509Error,
    extensions::GeneralName,
    oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521},
    parse_x509_certificate,
    public_key::PublicKey,
    time::ASN1Time,
};

use crate::config::CertificateFiles;

/// A certificate that is valid for less than this should have been renewed.
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The largest file to read, in bytes. No certificate or key is as large.
const MAX_FILE: u64 = 1024 * 1024;

/// Describes a certificate that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The file that it was read from; `None` for the self-signed one.
    pub file: Option<PathBuf>,
    /// The DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// The start of its validity.
    pub not_before: SystemTime,
    /// The end of its validity.
    pub not_after: SystemTime,
    /// Why the newer contents of the files are not used; `None` if it has the newest contents.
    pub problem: Option<String>,
    /// What is wrong with the certificates after the leaf.
    pub chain_warning: Option<&'static str>,
}

impl CertificateInfo {
    /// Returns what clients will object to, if anything. The certificate is presented nevertheless: a warning in a
    /// browser is better than no response.
    #[must_use]
    pub fn warning(&self, now: SystemTime) -> Option<&'static str> {
        if now > self.not_after {
            Some("has expired: renew it")
        } else if now < self.not_before {
            Some("is not valid yet: check the clock")
        } else if self.file.is_none() {
            Some("is self-signed, so browsers warn about it: configure a certificate")
        } else if self.names.is_empty() {
            Some("has no subject alternative names, so no client accepts it: issue one that has them")
        } else if self.not_after.duration_since(now).is_ok_and(|left| left < EXPIRES_SOON) {
            Some("expires within a week: renew it")
        } else {
            self.chain_warning
        }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing or not readable.
    #[error("cannot read {}: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        #[source]
        reason: io::Error,
    },
    /// The file is not PEM with what it should contain.
    #[error("{} {fault}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// The cause.
        fault: Fault,
    },
    /// What the file contains is not usable.
    #[error("{} {reason}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The cause.
        reason: PairError,
    },
    /// The key is not that of the certificate.
    #[error("the key {} does not belong to the first certificate in {}: put the leaf first, and use the key that it was issued for", key.display(), certificate.display())]
    Mismatch {
        /// The file of the chain.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The self-signed certificate could not be generated.
    #[error("cannot generate a certificate for {names:?}: {reason}")]
    SelfSigned {
        /// The names for the certificate.
        names: Vec<String>,
        /// The cause.
        reason: String,
    },
    /// The cryptography library failed, for example for lack of random numbers.
    #[error("cannot set up TLS: {reason}")]
    Setup {
        /// The cause.
        reason: String,
    },
}

/// A certificate with its key, ready for handshakes.
#[derive(Debug)]
pub(super) struct Certificate {
    /// The chain and the key.
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: Vec<String>,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    /// What is wrong with the certificates after the leaf.
    pub(super) chain_warning: Option<&'static str>,
}

impl Certificate {
    /// Checks that the key belongs to the leaf, and reads the names and dates of the leaf.
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, PairError> {
        let leaf = chain.first().ok_or(PairError::Certificate)?;
        let (_, parsed) = parse_x509_certificate(leaf).map_err(|_| PairError::Certificate)?;
        let names = alternative_names(&parsed).map_err(|_| PairError::Certificate)?;
        let (not_before, not_after) =
            (system_time(parsed.validity().not_before), system_time(parsed.validity().not_after));
        check_key_type(&parsed)?;
        let chain_warning = chain_warning(&chain);
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => PairError::Mismatch,
            rustls::Error::InvalidCertificate(_) => PairError::Certificate,
            _ => PairError::Key,
        })?;
        Ok(Self { key: Arc::new(key), names, not_before, not_after, chain_warning })
    }
}

/// Why a chain and a key are not usable. The messages are fixed texts, because a library's message may quote the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The leaf is not an X.509 certificate.
    #[error("has a malformed certificate")]
    Certificate,
    /// The leaf's key is too short (NIST SP 800-131A).
    #[error("is for an RSA key of {0} bits, which clients reject: issue one for 2048 bits or more, or for ECDSA")]
    ShortKey(usize),
    /// The leaf's key is on a curve that TLS clients do not support.
    #[error("is for a key on an unsupported curve: use P-256, P-384 or P-521")]
    Curve,
    /// The key is malformed, or of a kind that the edge does not support.
    #[error("has a key that is malformed or not supported: use RSA, ECDSA (P-256, P-384, P-521) or Ed25519")]
    Key,
    /// The key does not belong to the leaf.
    #[error("does not belong to the certificate")]
    Mismatch,
}

/// Checks that TLS clients accept the key of a certificate.
fn check_key_type(leaf: &X509Certificate<'_>) -> Result<(), PairError> {
    match leaf.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < 2048 => Err(PairError::ShortKey(key.key_size())),
        Ok(PublicKey::EC(_)) => {
            let parameters = leaf.public_key().algorithm.parameters.as_ref();
            let curve = parameters.and_then(|parameters| parameters.as_oid().ok());
            let known = [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521];
            if curve.is_some_and(|curve| known.contains(&curve)) { Ok(()) } else { Err(PairError::Curve) }
        }
        _ => Ok(()),
    }
}

/// Returns what clients will object to in the certificates after the leaf. Each must be followed by that of its issuer,
/// up to one that a root of the clients issued (RFC 8446 section 4.4.2).
fn chain_warning(chain: &[CertificateDer<'_>]) -> Option<&'static str> {
    let parsed: Result<Vec<_>, _> = chain.iter().map(|certificate| parse_x509_certificate(certificate)).collect();
    let Ok(parsed) = parsed else { return Some("has a malformed certificate in its chain") };
    let is_issued_by = |(_, certificate): &(_, X509Certificate<'_>), (_, issuer): &(_, X509Certificate<'_>)| {
        certificate.issuer().as_raw() == issuer.subject().as_raw()
    };
    match &parsed[..] {
        [leaf] if !is_issued_by(leaf, leaf) => Some(
            "has no chain, so clients reject it unless a root issued it directly: use the file with the whole chain",
        ),
        all if !all.windows(2).all(|pair| is_issued_by(&pair[0], &pair[1])) => Some(
            "has a gap in its chain, so clients reject it: each certificate must be followed by that of its issuer",
        ),
        _ => None,
    }
}

/// The contents of both files, or why they could not be read. `Debug` omits them, because they include the key.
pub(super) struct Pem {
    certificate: Result<Vec<u8>, io::Error>,
    key: Result<Vec<u8>, io::Error>,
}

impl Pem {
    /// Reads both files, following links. [`parse`](Self::parse) returns the error if one is not readable.
    pub(super) fn read(files: &CertificateFiles) -> Self {
        Self { certificate: read(&files.certificate), key: read(&files.key) }
    }

    /// Returns a hash of the contents or errors, comparable within this process. It is kept instead of the contents, so
    /// that no second copy of the key stays in memory.
    pub(super) fn fingerprint(&self) -> u64 {
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = |contents: &Result<Vec<u8>, io::Error>| match contents {
            Ok(bytes) => STATE.hash_one(bytes),
            Err(error) => STATE.hash_one((error.kind(), error.raw_os_error())),
        };
        STATE.hash_one((hash(&self.certificate), hash(&self.key)))
    }

    /// Whether neither file contains anything yet. A stack must name its secrets before there is a certificate.
    pub(super) fn is_blank(&self) -> bool {
        [&self.certificate, &self.key].iter().all(|file| file.as_ref().is_ok_and(|contents| pem::is_blank(contents)))
    }

    /// Parses the contents. `files` has the names for errors.
    pub(super) fn parse(self, files: &CertificateFiles) -> Result<Certificate, TlsError> {
        let unreadable = |file: &Path| {
            let file = file.to_owned();
            move |reason| TlsError::Read { file, reason }
        };
        let faulty = |file: &Path| {
            let file = file.to_owned();
            move |fault| TlsError::Pem { file, fault }
        };
        let certificate = self.certificate.map_err(unreadable(&files.certificate))?;
        let key = self.key.map_err(unreadable(&files.key))?;
        let chain = pem::certificates(&certificate).map_err(faulty(&files.certificate))?;
        let key = pem::private_key(&key).map_err(faulty(&files.key))?;
        Certificate::new(chain, key).map_err(|reason| match reason {
            PairError::Certificate | PairError::ShortKey(_) | PairError::Curve => {
                TlsError::Invalid { file: files.certificate.clone(), reason }
            }
            PairError::Key => TlsError::Invalid { file: files.key.clone(), reason },
            PairError::Mismatch => {
                TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
            }
        })
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A FIFO or a device would block the control thread.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut contents = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(contents)
}

/// Returns the DNS names and addresses that a certificate is for, from its subject alternative names.
pub(crate) fn alternative_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, X509Error> {
    let names = certificate.subject_alternative_name()?;
    Ok(names.map(|names| names.value.general_names.iter().filter_map(name).collect()).unwrap_or_default())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Converts a time to that of the standard library. Returns the Unix epoch for a time that it cannot represent.
pub(crate) fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}
