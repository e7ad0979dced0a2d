//! One certificate with its key: read from PEM files, checked, and described.

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

use rustls::{
    InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{
    certificate::X509Certificate, error::X509Error, extensions::GeneralName, parse_x509_certificate, time::ASN1Time,
};

use crate::config::CertificateFiles;

/// A file above this size is not a certificate. Bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A certificate that is presented, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Where it was read; `None` for the self-signed one.
    pub file: Option<PathBuf>,
    /// DNS names and addresses it is good for, as it says.
    pub names: Vec<String>,
    /// Not valid before.
    pub not_before: SystemTime,
    /// Not valid after.
    pub not_after: SystemTime,
    /// Why what the files say now is not presented; `None` when it is.
    pub problem: Option<String>,
}

impl CertificateInfo {
    /// What clients will object to, if anything. Such a certificate is presented all the same: a warning
    /// in a browser is better than no answer.
    #[must_use]
    pub fn warning(&self, now: SystemTime) -> Option<&'static str> {
        if now > self.not_after {
            Some("has expired: renew it")
        } else if now < self.not_before {
            Some("is not valid yet: check the clock")
        } else if self.file.is_none() {
            Some("is self-signed, browsers warn about it: configure a certificate")
        } else if self.names.is_empty() {
            Some("has no subject alternative name, no client accepts it: issue one with its names")
        } else {
            None
        }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing or may not be read.
    #[error("cannot read {}: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
    /// No certificate in the file.
    #[error("{}: no PEM block `CERTIFICATE`: expected a chain, leaf first", file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// No key in the file.
    #[error("{}: no PEM block `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` or `EC PRIVATE KEY`; an encrypted key must be decrypted first", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The file is not PEM all through, or not what it claims.
    #[error("{}: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Two files that do not belong together.
    #[error("the key {} does not belong to the first certificate in {}: the leaf must come first and both be of one issue", key.display(), certificate.display())]
    Mismatch {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// No self-signed certificate can be made.
    #[error("cannot make a certificate for {names:?}: {reason}")]
    SelfSigned {
        /// For these names.
        names: Vec<String>,
        /// What is wrong.
        reason: String,
    },
    /// The cryptography library refuses: no random numbers, for one.
    #[error("cannot set up TLS: {reason}")]
    Setup {
        /// What it says.
        reason: String,
    },
}

/// A certificate ready to be presented.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: Vec<String>,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Certificate {
    /// Checks that key and leaf belong together and reads names and dates from the leaf.
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, Refusal> {
        let leaf = chain.first().ok_or_else(|| Refusal::Certificate("empty chain".into()))?;
        let (_, parsed) = parse_x509_certificate(leaf).map_err(|error| Refusal::Certificate(error.to_string()))?;
        let names = alternative_names(&parsed).map_err(|error| Refusal::Certificate(error.to_string()))?;
        let (not_before, not_after) =
            (system_time(parsed.validity().not_before), system_time(parsed.validity().not_after));
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Refusal::Mismatch,
            rustls::Error::InvalidCertificate(_) => Refusal::Certificate(error.to_string()),
            _ => Refusal::Key(error.to_string()),
        })?;
        Ok(Self { key: Arc::new(key), names, not_before, not_after })
    }
}

/// Which half of a pair is unusable.
#[derive(Debug)]
pub(super) enum Refusal {
    Certificate(String),
    Key(String),
    Mismatch,
}

/// Both files as read at one time. Never shown: it holds a key.
pub(super) struct Pem {
    certificate: Result<Vec<u8>, io::Error>,
    key: Result<Vec<u8>, io::Error>,
}

impl Pem {
    /// Reads both, following links. That one cannot be read is found by [`parse`](Self::parse).
    pub(super) fn read(files: &CertificateFiles) -> Self {
        Self { certificate: read(&files.certificate), key: read(&files.key) }
    }

    /// Equal for equal contents or equal errors, in this process; stands in for the contents so that no
    /// second copy of the key stays in memory.
    pub(super) fn fingerprint(&self) -> u64 {
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let text = |contents: &Result<Vec<u8>, io::Error>| match contents {
            Ok(bytes) => STATE.hash_one(bytes),
            Err(error) => STATE.hash_one((error.kind(), error.raw_os_error())),
        };
        STATE.hash_one((text(&self.certificate), text(&self.key)))
    }

    /// Makes a certificate of them; `files` are for the error.
    pub(super) fn parse(self, files: &CertificateFiles) -> Result<Certificate, TlsError> {
        let unreadable = |file: &Path| {
            let file = file.to_owned();
            move |reason| TlsError::Read { file, reason }
        };
        let certificate = self.certificate.map_err(unreadable(&files.certificate))?;
        let key = self.key.map_err(unreadable(&files.key))?;

        let malformed = |file: &Path, reason: String| TlsError::Malformed { file: file.to_owned(), reason };
        let chain = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| malformed(&files.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { file: files.certificate.clone() });
        }
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey { file: files.key.clone() },
            error => malformed(&files.key, error.to_string()),
        })?;
        Certificate::new(chain, key).map_err(|refusal| match refusal {
            Refusal::Certificate(reason) => malformed(&files.certificate, reason),
            Refusal::Key(reason) => malformed(&files.key, reason),
            Refusal::Mismatch => TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() },
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

/// The DNS names and addresses that a certificate is for.
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

/// The same moment for the standard library.
pub(crate) fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    moment.unwrap_or(UNIX_EPOCH)
}
