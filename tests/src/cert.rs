//! A certificate authority for tests.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use tempfile::TempDir;

/// An authority that signs certificates for any name. Dropping it deletes its files.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

/// The files of a certificate that an [`Authority`] signed, and of its key.
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
    /// Creates an authority with a new key.
    ///
    /// # Panics
    /// If no key can be generated, or no directory created.
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

    /// Issues a certificate for `names`: DNS names, wildcards (`*.example.com`) or addresses. `stem` names its files;
    /// issuing again with the same stem replaces them, like a renewal.
    ///
    /// # Panics
    /// If a name is invalid, or no file can be written.
    #[must_use]
    pub fn issue(&self, stem: &str, names: &[&str]) -> Certificate {
        self.issue_with(stem, &params(names))
    }

    /// Issues a certificate that expired in 2020.
    ///
    /// # Panics
    /// Like [`issue`](Self::issue).
    #[must_use]
    pub fn issue_expired(&self, stem: &str, names: &[&str]) -> Certificate {
        let mut params = params(names);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 4, 1);
        self.issue_with(stem, &params)
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

    /// Writes a PEM file with the authority's own certificate.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn root_file(&self) -> PathBuf {
        self.write("root.crt", &self.issuer.pem())
    }

    /// Returns the roots of a client that trusts only this authority.
    ///
    /// # Panics
    /// Never: the authority's certificate is a valid root.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a valid root");
        roots
    }

    /// Returns the directory of the files, for a test that adds others.
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
