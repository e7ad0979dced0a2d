//! Certificates and keys in PEM files (RFC 7468), and what is wrong with files that hold none.
//!
//! The text of every error is fixed. Libraries quote what they cannot parse, and with a damaged key file that is the
//! key: it would end up in a log, on a terminal or on a status page.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// What makes a file unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing but white space and lines that begin with `#`.
    #[error("is empty")]
    Blank,
    /// A byte order mark of UTF-16, or every other byte is zero.
    #[error("is UTF-16 text: save it as ASCII, as openssl writes it")]
    Utf16,
    /// The byte order mark of UTF-8 hides the first line from most readers.
    #[error("begins with a byte order mark: save it as ASCII, as openssl writes it")]
    ByteOrderMark,
    /// A PKCS#12 bundle.
    #[error("is PKCS#12, not PEM: convert it with `openssl pkcs12 -in FILE -nodes`")]
    Pkcs12,
    /// The binary form of what PEM wraps.
    #[error("is DER, not PEM: convert it with `openssl x509 -inform der -in FILE`, or `openssl pkey` for a key")]
    Der,
    /// No line that begins a block.
    #[error("is not PEM: no line begins with `-----BEGIN `")]
    NotPem,
    /// A block begins, and more follows on the same line.
    #[error("has lost its line ends: `-----BEGIN ...-----` and `-----END ...-----` must be lines of their own")]
    LineEnds,
    /// A block begins and does not end.
    #[error("is cut off: a PEM block has no `-----END` line")]
    Unfinished,
    /// A block is not base64.
    #[error("is damaged: a PEM block is not base64")]
    NotBase64,
    /// The key needs a password.
    #[error("is an encrypted key: decrypt it with `openssl pkey -in FILE`")]
    Encrypted,
    /// Blocks, but none with a certificate.
    #[error("has no PEM block `CERTIFICATE`: expected a chain, leaf first")]
    NoCertificate,
    /// Blocks, but none with a private key.
    #[error("has no PEM block `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` or `EC PRIVATE KEY`")]
    NoKey,
}

/// Whether a file holds nothing yet: white space and lines that begin with `#`.
#[must_use]
pub fn is_blank(file: &[u8]) -> bool {
    lines(file).all(|line| line.is_empty() || line.starts_with(b"#"))
}

/// Returns the certificates of a file in their order, at least one.
///
/// # Errors
/// The file holds none, or a block is damaged.
pub fn certificates(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    check(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file).collect();
    let all = all.map_err(|_quotes_the_file| Fault::NotBase64)?;
    if all.is_empty() { Err(Fault::NoCertificate) } else { Ok(all) }
}

/// Returns the first private key of a file.
///
/// # Errors
/// The file holds none, or the key is damaged or encrypted.
pub fn private_key(file: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    check(file)?;
    let is_encrypted = |line: &[u8]| {
        line == b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
            || line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED")
    };
    if lines(file).any(is_encrypted) {
        return Err(Fault::Encrypted);
    }
    match PrivateKeyDer::pem_slice_iter(file).next() {
        None => Err(Fault::NoKey),
        Some(Ok(key)) => Ok(key),
        Some(Err(_quotes_the_file)) => Err(Fault::NotBase64),
    }
}

/// Checks that a file consists of blocks, each between lines of its own.
fn check(file: &[u8]) -> Result<(), Fault> {
    if is_blank(file) {
        return Err(Fault::Blank);
    }
    if file.starts_with(b"\xef\xbb\xbf") {
        return Err(Fault::ByteOrderMark);
    }
    if matches!(file, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'-', ..] | [b'-', 0, ..]) {
        return Err(Fault::Utf16);
    }
    if let Some(fault) = binary(file) {
        return Err(fault);
    }
    let mut open = false;
    let mut any = false;
    for line in lines(file) {
        let begins = line.starts_with(BEGIN);
        let is_mark = begins || line.starts_with(END);
        let is_whole = line.len() > BEGIN.len() + 5 && line.ends_with(b"-----") && count(line, b"-----") == 2;
        // A mark within a line has lost the line end before it.
        if is_mark != (count(line, BEGIN) + count(line, END) > 0) || (is_mark && !is_whole) {
            return Err(Fault::LineEnds);
        }
        if is_mark {
            if begins == open {
                return Err(Fault::Unfinished);
            }
            (open, any) = (begins, true);
        }
    }
    match (any, open) {
        (false, _) => Err(Fault::NotPem),
        (true, true) => Err(Fault::Unfinished),
        (true, false) => Ok(()),
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii_end)
}

fn count(line: &[u8], mark: &[u8]) -> usize {
    line.windows(mark.len()).filter(|window| *window == mark).count()
}

/// Recognizes a DER sequence (ITU-T X.690) that extends to about the end of the file. PKCS#12 begins with version 3
/// (RFC 7292 section 4).
fn binary(file: &[u8]) -> Option<Fault> {
    let content = match file {
        [0x30, 0x80, rest @ ..] | [0x30, 0x81, _, rest @ ..] | [0x30, 0x82, _, _, rest @ ..] => rest,
        [0x30, 0x83, _, _, _, rest @ ..] => rest,
        // Perhaps with a line end behind it. Text may begin with the same byte, which is "0".
        [0x30, length @ 0x02..0x80, rest @ ..] if (0..=2).contains(&rest.len().wrapping_sub((*length).into())) => rest,
        _ => return None,
    };
    Some(if content.starts_with(&[2, 1, 3]) { Fault::Pkcs12 } else { Fault::Der })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn blank_files_and_comments_hold_nothing_yet() {
        for (file, expected) in [
            ("", true),
            ("\n", true),
            (" \r\n\t\n", true),
            ("# none yet\n# give one\n", true),
            ("none yet", false),
            ("# none\n-----BEGIN", false),
            (KEY, false),
        ] {
            assert_eq!(is_blank(file.as_bytes()), expected, "{file:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_a_key_is_identified() {
        let pkcs1 = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,AB\n\nc2Vj\n-----END RSA PRIVATE KEY-----\n";
        let pkcs8 = KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let bom = format!("\u{feff}{KEY}");
        let mut marked = vec![0xff, 0xfe];
        marked.extend(utf16(KEY));
        for (file, expected) in [
            (&b"\n"[..], Fault::Blank),
            (b"secret", Fault::NotPem),
            (b"0123", Fault::NotPem),
            (bom.as_bytes(), Fault::ByteOrderMark),
            (&marked, Fault::Utf16),
            (&utf16(KEY), Fault::Utf16),
            (&[0x30, 0x82, 4, 0, 2, 1, 0, 1, 2, 3], Fault::Der),
            (&[0x30, 3, 2, 1, 0], Fault::Der),
            (&[0x30, 0x82, 4, 0, 2, 1, 3, 0x30], Fault::Pkcs12),
            (KEY.replace('\n', "").as_bytes(), Fault::LineEnds),
            (KEY.replace('\n', " ").as_bytes(), Fault::LineEnds),
            (KEY.replace('\n', "\\n").as_bytes(), Fault::LineEnds),
            (KEY.replace("-----\n", "-----").as_bytes(), Fault::LineEnds),
            (KEY.replace("\n-----END", "-----END").as_bytes(), Fault::LineEnds),
            (KEY.replace("KEY-----", "KEY").as_bytes(), Fault::LineEnds),
            (KEY.replace("-----BEGIN", " -----BEGIN").as_bytes(), Fault::LineEnds),
            (&KEY.as_bytes()[..40], Fault::Unfinished),
            (KEY.replace("-----END PRIVATE KEY-----\n", KEY).as_bytes(), Fault::Unfinished),
            (KEY.replace("c2Vj", "c2V*").as_bytes(), Fault::NotBase64),
            (pkcs1.as_bytes(), Fault::Encrypted),
            (pkcs8.as_bytes(), Fault::Encrypted),
            (CERTIFICATE.as_bytes(), Fault::NoKey),
        ] {
            assert_eq!(private_key(file).unwrap_err(), expected, "{}", String::from_utf8_lossy(file));
        }
    }

    #[test]
    fn keys_and_certificates_may_share_a_file_with_other_text() {
        let all = format!("0 s:CN = a.example\nBag Attributes\r\n{KEY}subject=a\n{CERTIFICATE}{CERTIFICATE}")
            .replace('\n', "\r\n");
        assert_eq!(certificates(all.as_bytes()).unwrap().len(), 2);
        assert_eq!(private_key(all.as_bytes()).unwrap().secret_der(), b"secretsecret");
        assert!(private_key(KEY.replace('\n', "\r").as_bytes()).is_ok(), "line ends of old");
        assert_eq!(certificates(KEY.as_bytes()).unwrap_err(), Fault::NoCertificate);
        let damaged = CERTIFICATE.replace("MAA=", "MA*=");
        assert_eq!(certificates(damaged.as_bytes()).unwrap_err(), Fault::NotBase64);
    }
}
