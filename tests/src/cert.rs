//! A certificate authority of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use tempfile::TempDir;

/// An authority that signs certificates for any name. Its files go when it is dropped.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

/// A certificate that an [`Authority`] signed, with its key, as files and as text.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// A PEM file with the certificate.
    pub certificate_file: PathBuf,
    /// A PEM file with the private key.
    pub key_file: PathBuf,
    /// A PEM file with both.
    pub combined_file: PathBuf,
}

impl Authority {
    /// A new authority with a new key.
    ///
    /// # Panics
    /// When no key can be made or no file written.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to reject");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate"),
            files: tempfile::tempdir().expect("a directory for certificates"),
        }
    }

    /// A certificate for `names`: DNS names, wildcards (`*.example.com`) or addresses. `stem` names its
    /// files; issuing twice under one stem replaces them, as a renewal does.
    ///
    /// # Panics
    /// When a name is not one, or no file can be written.
    #[must_use]
    pub fn issue(&self, stem: &str, names: &[&str]) -> Certificate {
        self.issue_with(stem, &params(names))
    }

    /// One that expired long ago.
    ///
    /// # Panics
    /// As [`issue`](Self::issue).
    #[must_use]
    pub fn issue_expired(&self, stem: &str, names: &[&str]) -> Certificate {
        let mut params = params(names);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 4, 1);
        self.issue_with(stem, &params)
    }

    /// The authority's own certificate, PEM.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.write("authority.pem", &self.issuer.pem())
    }

    fn issue_with(&self, stem: &str, params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        Certificate {
            certificate_file: self.write(&format!("{stem}.crt"), &certificate),
            key_file: self.write(&format!("{stem}.key"), &key),
            combined_file: self.write(&format!("{stem}.pem"), &format!("{certificate}{key}")),
        }
    }

    /// A PEM file with the authority's own certificate, for clients of other makes.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn root_file(&self) -> PathBuf {
        self.write("root.crt", &self.issuer.pem())
    }

    /// The roots of a client that trusts this authority and no other.
    ///
    /// # Panics
    /// Never: its own certificate is a valid root.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a valid root");
        roots
    }

    /// A PEM file with the authority's own certificate, for a client that reads one.
    ///
    /// # Panics
    /// When no file can be written.
    #[must_use]
    pub fn write_certificate(&self, name: &str) -> PathBuf {
        self.write(name, &self.issuer.pem())
    }

    /// The directory of the files, for a test that adds others.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.files.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        path
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).expect("valid names")
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
