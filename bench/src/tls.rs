//! Certificates for the proxies, generated in each run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};

/// The type of a certificate's key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    EcdsaP256,
    Rsa2048,
}

/// The files of a certificate.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// Chain and key in one file.
    pub(crate) both: PathBuf,
}

impl Certificate {
    /// Generates a self-signed certificate for www.example.com in `directory`.
    pub(crate) fn make(kind: Kind, directory: &Path) -> Result<Self> {
        let (name, key) = match kind {
            Kind::EcdsaP256 => ("p256", KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?),
            Kind::Rsa2048 => ("rsa", KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?),
        };
        let chain = CertificateParams::new(vec!["www.example.com".to_owned()])?.self_signed(&key)?.pem();
        let key = key.serialize_pem();
        let file = |end: &str| directory.join(format!("{name}.{end}"));
        let certificate = Self { chain: file("crt"), key: file("key"), both: file("pem") };
        fs::write(&certificate.chain, &chain)?;
        fs::write(&certificate.key, &key)?;
        fs::write(&certificate.both, chain + &key)?;
        Ok(certificate)
    }
}
