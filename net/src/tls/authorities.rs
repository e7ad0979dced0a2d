//! Files of certificate authorities, and why they cannot be used.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rustls::{RootCertStore, pki_types::CertificateDer};

use super::client_config;
use crate::pem::{self, Fault};

/// The largest file that is read, in bytes. The authorities of a machine take less than 300 KB.
const MAX: u64 = 4 << 20;

/// Why the contents of a file cannot be used as authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityFault {
    /// It contains no certificates.
    #[error(transparent)]
    Pem(#[from] Fault),
    /// A certificate cannot be the root of a chain.
    #[error("has a certificate that cannot be used: {0}")]
    Certificate(#[from] rustls::Error),
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is larger than any such file.
    #[error("is larger than 4 MiB")]
    TooLarge,
}

/// Why a file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", file.display())]
pub struct AuthorityError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: AuthorityFault,
}

/// Reads the certificates of the authorities in a file, at least one. Blocks.
///
/// # Errors
/// The file cannot be read, or one of its certificates cannot be used.
pub fn read_authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    read(file).and_then(|pem| authorities(&pem)).map_err(|fault| AuthorityError { file: file.to_owned(), fault })
}

/// Returns the certificates of the authorities in the contents of a file, at least one.
///
/// # Errors
/// There are none, or one of them cannot be used.
pub fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, AuthorityFault> {
    let listed = pem::certificates(pem)?;
    client_config(RootCertStore::empty(), &listed)?;
    Ok(listed)
}

fn read(file: &Path) -> Result<Vec<u8>, AuthorityFault> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX { Err(AuthorityFault::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_contents_is_named_without_repeating_them() {
        for (pem, expected) in [
            ("", "is empty"),
            ("secret", "is not PEM: no line begins with `-----BEGIN `"),
            (
                "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                "has a certificate that cannot be used: ",
            ),
        ] {
            let fault = authorities(pem.as_bytes()).unwrap_err().to_string();
            assert!(fault.starts_with(expected), "{fault}");
        }
    }

    #[test]
    fn a_file_without_end_is_too_large() {
        let error = read_authorities(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "/dev/zero: is larger than 4 MiB");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = read_authorities(Path::new("/absent/ca.pem")).unwrap_err();
        assert_eq!(error.to_string(), "/absent/ca.pem: cannot be read: No such file or directory (os error 2)");
    }
}
