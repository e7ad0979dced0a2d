//! TLS of one listener: which certificate a client gets, and how renewed ones are presented without a restart.
//!
//! The [`rustls::ServerConfig`] that workers hold stays the same object for the listener's life. Only the
//! table behind its resolver is replaced, as a whole: a handshake sees the certificates from before or after a change,
//! and open connections are not affected. Ticket keys live as long as the listener, so a client resumes across workers
//! and across a renewal.

mod certificate;
mod resolver;
mod self_signed;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::ServerSessionMemoryCache,
    version::{TLS12, TLS13},
};

pub use self::certificate::{CertificateInfo, TlsError};
pub(crate) use self::{
    certificate::{alternative_names, system_time},
    self_signed::COMMON_NAME as SELF_SIGNED_COMMON_NAME,
};
use self::{
    certificate::{Certificate, Pem},
    resolver::Resolver,
};
use crate::config::{CertificateFiles, Tls};

/// Sessions stored for TLS 1.2 clients without tickets; other clients keep their own.
const SESSIONS: usize = 1024;

/// The TLS side of one listener, shared by its workers and the control thread.
#[derive(Debug)]
pub struct TlsListener {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    /// What was last read. Locked by the control thread and the admin listener only, never by a handshake.
    slots: Mutex<Vec<Slot>>,
}

/// The outcome of reloading one certificate whose files had changed.
#[derive(Debug)]
pub struct Reload {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The new certificate, or why the old one is still presented.
    pub result: Result<CertificateInfo, TlsError>,
}

impl TlsListener {
    /// Reads every certificate, or makes a self-signed one where none is configured, and checks that
    /// keys match. Binds nothing. Reads the clock once, through `now`, for the dates of a self-signed one.
    ///
    /// # Errors
    /// The first certificate that cannot be used, with the file and what is wrong with it.
    pub fn new(tls: &Tls, now: SystemTime) -> Result<Self, TlsError> {
        let slots = slots(tls, now)?;
        let resolver = Arc::new(Resolver::new(presented(&slots)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError::Setup { reason: error.to_string() })?
            .with_no_client_auth()
            .with_cert_resolver(resolver.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Random keys, replaced every 6 hours, good for 12. Early data stays off: it can be replayed.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| TlsError::Setup { reason: error.to_string() })?;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Ok(Self { config: Arc::new(config), resolver, slots: Mutex::new(slots) })
    }

    /// The configuration of handshakes: TLS 1.2 and 1.3, ALPN `h2` and `http/1.1`. Always the same object.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Presents other certificates from now on, after a reload of the configuration.
    ///
    /// # Errors
    /// As [`new`](Self::new); then the old certificates stay.
    pub fn reconfigure(&self, tls: &Tls, now: SystemTime) -> Result<(), TlsError> {
        let slots = slots(tls, now)?;
        self.resolver.replace(presented(&slots));
        *self.lock() = slots;
        Ok(())
    }

    /// Reads all files again and presents what changed; to be called every few seconds. A pair that
    /// cannot be used (half written, the key not yet replaced) leaves the old one in place and is
    /// reported once, not at every call.
    ///
    /// Contents are compared, not times and inodes: some kilobytes in the page cache cost less than the
    /// cases where metadata lies (links swapped further up, coarse clocks, network file systems).
    pub fn reload_if_changed(&self) -> Vec<Reload> {
        let mut slots = self.lock();
        let outcomes: Vec<_> = slots.iter_mut().filter_map(Slot::reload_if_changed).collect();
        if outcomes.iter().any(|outcome| outcome.result.is_ok()) {
            self.resolver.replace(presented(&slots));
        }
        outcomes
    }

    /// The certificates presented now, the one for unknown names first.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateInfo> {
        self.lock().iter().map(Slot::info).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(info) => write!(f, "new certificate {} for {}", self.certificate.display(), info.names.join(", ")),
            Err(error) => write!(f, "the old certificate stays: {error}"),
        }
    }
}

/// One certificate and where it came from.
#[derive(Debug)]
struct Slot {
    certificate: Certificate,
    /// `None` for the self-signed one, which is never read again.
    origin: Option<Origin>,
}

#[derive(Debug)]
struct Origin {
    files: CertificateFiles,
    /// Fingerprint of what the files said last, good or bad.
    seen: u64,
    /// Why the files of now are not presented.
    problem: Option<String>,
}

impl Slot {
    fn read(files: &CertificateFiles) -> Result<Self, TlsError> {
        let pem = Pem::read(files);
        let seen = pem.fingerprint();
        let certificate = pem.parse(files)?;
        Ok(Self { certificate, origin: Some(Origin { files: files.clone(), seen, problem: None }) })
    }

    fn reload_if_changed(&mut self) -> Option<Reload> {
        let origin = self.origin.as_mut()?;
        let pem = Pem::read(&origin.files);
        let fingerprint = pem.fingerprint();
        if fingerprint == origin.seen {
            return None;
        }
        origin.seen = fingerprint;
        let file = origin.files.certificate.clone();
        let result = match pem.parse(&origin.files) {
            Ok(certificate) => {
                origin.problem = None;
                self.certificate = certificate;
                Ok(self.info())
            }
            Err(error) => {
                origin.problem = Some(error.to_string());
                Err(error)
            }
        };
        Some(Reload { certificate: file, result })
    }

    fn info(&self) -> CertificateInfo {
        CertificateInfo {
            file: self.origin.as_ref().map(|origin| origin.files.certificate.clone()),
            names: self.certificate.names.clone(),
            not_before: self.certificate.not_before,
            not_after: self.certificate.not_after,
            problem: self.origin.as_ref().and_then(|origin| origin.problem.clone()),
        }
    }
}

fn slots(tls: &Tls, now: SystemTime) -> Result<Vec<Slot>, TlsError> {
    if tls.certificates.is_empty() {
        let certificate = self_signed::make(&tls.self_signed, now)?;
        return Ok(vec![Slot { certificate, origin: None }]);
    }
    tls.certificates.iter().map(Slot::read).collect()
}

fn presented(slots: &[Slot]) -> impl Iterator<Item = &Certificate> {
    slots.iter().map(|slot| &slot.certificate)
}
