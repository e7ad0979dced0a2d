//! The TLS side of a listener: chooses the certificate for a client, and presents renewed ones without a restart.
//!
//! The [`rustls::ServerConfig`] of a listener stays the same object. Only the table behind its resolver is replaced, as
//! a whole: a handshake sees the certificates from before or after a change, and open connections are not affected.
//! Ticket keys live as long as the listener, so clients can resume sessions on any worker and after a renewal.

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

use net::pem::Fault;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::ServerSessionMemoryCache,
    version::{TLS12, TLS13},
};

pub use self::certificate::{CertificateInfo, TlsError};
use self::{
    certificate::{Certificate, Pem},
    resolver::Resolver,
};
pub(crate) use self::{
    certificate::{alternative_names, system_time},
    self_signed::COMMON_NAME as SELF_SIGNED_COMMON_NAME,
};
use crate::config::{CertificateFiles, Tls};

/// The number of sessions stored for TLS 1.2 clients without tickets. Other clients store their own.
const SESSIONS: usize = 1024;

/// The TLS side of one listener, shared by its workers and the control thread.
#[derive(Debug)]
pub struct TlsListener {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    /// The certificates in use. The control thread and the admin listener lock them; handshakes do not.
    certificates: Mutex<Vec<LoadedCertificate>>,
}

/// The outcome of reloading one certificate whose files had changed.
#[derive(Debug)]
pub struct Reload {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The new certificate, or why the old one stays in use.
    pub result: Result<CertificateInfo, TlsError>,
}

impl TlsListener {
    /// Reads every certificate, and checks that its key belongs to it. Generates a self-signed certificate if none is
    /// configured or the files are blank. Binds nothing. `now` determines the dates of a self-signed certificate.
    ///
    /// # Errors
    /// The error of the first certificate that is not usable, with its file.
    pub fn new(tls: &Tls, now: SystemTime) -> Result<Self, TlsError> {
        let certificates = load(tls, now)?;
        let resolver = Arc::new(Resolver::new(certificates_of(&certificates)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError::Setup { reason: error.to_string() })?
            .with_no_client_auth()
            .with_cert_resolver(resolver.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        // Random keys, replaced every 6 hours and valid for 12. Early data stays off, because it can be replayed.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| TlsError::Setup { reason: error.to_string() })?;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Ok(Self { config: Arc::new(config), resolver, certificates: Mutex::new(certificates) })
    }

    /// Returns the configuration of handshakes: TLS 1.2 and 1.3, ALPN `h2`, `http/1.1` and `http/1.0`. Always the same
    /// object.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Replaces the certificates, after a reload of the configuration.
    ///
    /// # Errors
    /// As [`new`](Self::new). The old certificates then stay in use.
    pub fn reconfigure(&self, tls: &Tls, now: SystemTime) -> Result<(), TlsError> {
        let certificates = load(tls, now)?;
        let mut before = self.lock();
        // A renewal that empties its files for a moment must not bring the self-signed one back.
        let blank = certificates.iter().filter_map(|new| new.files.as_ref()).filter(|files| files.blank);
        for files in blank {
            let had_contents = |old: &WatchedFiles| !old.blank && old.paths == files.paths;
            if before.iter().filter_map(|old| old.files.as_ref()).any(had_contents) {
                return Err(TlsError::Pem { file: files.paths.certificate.clone(), fault: Fault::Blank });
            }
        }
        self.resolver.replace(certificates_of(&certificates));
        *before = certificates;
        Ok(())
    }

    /// Reads all files again and presents the certificates that changed. Call it every few seconds.
    ///
    /// If a pair is not usable (half written, or its key not yet replaced), the old one stays in use, and the error is
    /// returned once, not by every call.
    ///
    /// This compares contents, not times and inodes: reading some kilobytes from the page cache costs less than the
    /// cases in which metadata is misleading (a link replaced further up, coarse clocks, network file systems).
    pub fn reload_if_changed(&self) -> Vec<Reload> {
        let mut certificates = self.lock();
        let reloads: Vec<_> = certificates.iter_mut().filter_map(LoadedCertificate::reload_if_changed).collect();
        if reloads.iter().any(|reload| reload.result.is_ok()) {
            self.resolver.replace(certificates_of(&certificates));
        }
        reloads
    }

    /// Returns the certificates in use, the one for unknown names first.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateInfo> {
        self.lock().iter().map(LoadedCertificate::info).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LoadedCertificate>> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(info) => write!(f, "new certificate {} for {}", self.certificate.display(), info.names.join(", ")),
            Err(error) => write!(f, "the old certificate stays in use: {error}"),
        }
    }
}

/// A certificate and its files.
#[derive(Debug)]
struct LoadedCertificate {
    certificate: Certificate,
    /// `None` for one that is self-signed because no files are configured.
    files: Option<WatchedFiles>,
}

/// The files of a certificate, which may be renewed.
#[derive(Debug)]
struct WatchedFiles {
    paths: CertificateFiles,
    /// The fingerprint of the last contents, usable or not.
    fingerprint: u64,
    /// Why the last contents are not in use.
    problem: Option<String>,
    /// They contain nothing yet, so the certificate is self-signed.
    blank: bool,
}

impl LoadedCertificate {
    fn read(paths: &CertificateFiles, self_signed: &[String], now: SystemTime) -> Result<Self, TlsError> {
        let pem = Pem::read(paths);
        let (fingerprint, blank) = (pem.fingerprint(), pem.is_blank());
        let certificate = if blank { self_signed::generate(self_signed, now)? } else { pem.parse(paths)? };
        let files = WatchedFiles { paths: paths.clone(), fingerprint, problem: None, blank };
        Ok(Self { certificate, files: Some(files) })
    }

    fn reload_if_changed(&mut self) -> Option<Reload> {
        let files = self.files.as_mut()?;
        let pem = Pem::read(&files.paths);
        let fingerprint = pem.fingerprint();
        if fingerprint == files.fingerprint {
            return None;
        }
        files.fingerprint = fingerprint;
        if files.blank && pem.is_blank() {
            files.problem = None;
            return None;
        }
        let file = files.paths.certificate.clone();
        let result = match pem.parse(&files.paths) {
            Ok(certificate) => {
                (files.problem, files.blank) = (None, false);
                self.certificate = certificate;
                Ok(self.info())
            }
            Err(error) => {
                files.problem = Some(error.to_string());
                Err(error)
            }
        };
        Some(Reload { certificate: file, result })
    }

    fn info(&self) -> CertificateInfo {
        CertificateInfo {
            file: self.files.as_ref().filter(|files| !files.blank).map(|files| files.paths.certificate.clone()),
            names: self.certificate.names.clone(),
            not_before: self.certificate.not_before,
            not_after: self.certificate.not_after,
            problem: self.files.as_ref().and_then(|files| files.problem.clone()),
            chain_warning: self.certificate.chain_warning,
        }
    }
}

fn load(tls: &Tls, now: SystemTime) -> Result<Vec<LoadedCertificate>, TlsError> {
    if tls.certificates.is_empty() {
        let certificate = self_signed::generate(&tls.self_signed, now)?;
        return Ok(vec![LoadedCertificate { certificate, files: None }]);
    }
    tls.certificates.iter().map(|paths| LoadedCertificate::read(paths, &tls.self_signed, now)).collect()
}

fn certificates_of(loaded: &[LoadedCertificate]) -> impl Iterator<Item = &Certificate> {
    loaded.iter().map(|loaded| &loaded.certificate)
}
