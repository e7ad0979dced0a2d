//! Secrets in files: bearer tokens and keys.
//!
//! A token is in a file and never in a flag or a variable, because every user who can inspect the process can read
//! those. The file is read each time the token is needed, so it can be replaced while the edge runs. Neither `Debug`
//! nor an error reveals the contents of the file.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use http::HeaderValue;

/// The maximum size of a token file in bytes.
const MAX_BYTES: u64 = 4096;

/// Why a token cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file does not contain a single word of ASCII, or is too large.
    #[error("{}: contains no token: write one line of ASCII without spaces, at most {MAX_BYTES} bytes", path.display())]
    Invalid {
        /// The path of the file.
        path: PathBuf,
    },
}

/// Reads the line of ASCII without spaces in a file; `None` if the file contains only white space.
///
/// # Errors
/// The file cannot be read or does not contain such a line.
pub fn read_line(path: &Path) -> Result<Option<Vec<u8>>, TokenError> {
    let mut text = Vec::new();
    let file = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text));
    file.map_err(|source| TokenError::Read { path: path.to_owned(), source })?;
    let is_too_long = text.len() as u64 > MAX_BYTES;
    let token = text.trim_ascii();
    if token.is_empty() && !is_too_long {
        return Ok(None);
    }
    if is_too_long || !token.iter().all(u8::is_ascii_graphic) {
        return Err(TokenError::Invalid { path: path.to_owned() });
    }
    Ok(Some(token.to_vec()))
}

/// Reads the token in a file and returns it as the value of an `Authorization` field, `Bearer TOKEN` (RFC 6750); `None`
/// if the file contains only white space.
///
/// # Errors
/// The file cannot be read or does not contain a token.
pub fn read(path: &Path) -> Result<Option<HeaderValue>, TokenError> {
    let Some(token) = read_line(path)? else { return Ok(None) };
    let value = HeaderValue::from_bytes(&[b"Bearer ", &token[..]].concat());
    let mut value = value.map_err(|_| TokenError::Invalid { path: path.to_owned() })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_bytes(text: &[u8]) -> Result<Option<HeaderValue>, TokenError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn white_space_around_a_token_is_ignored_and_an_empty_file_has_no_token() {
        for text in ["secret", "secret\n", " \tsecret\r\n\n"] {
            assert_eq!(read_bytes(text.as_bytes()).unwrap().unwrap(), "Bearer secret", "{text:?}");
        }
        for text in ["", "\n", " \r\n"] {
            assert_eq!(read_bytes(text.as_bytes()).unwrap(), None, "{text:?}");
        }
    }

    #[test]
    fn an_invalid_token_is_an_error_that_does_not_reveal_it() {
        for text in ["top secret", "top\nsecret", "secr\u{e9}t", &"s".repeat(4097), "s\0"] {
            let error = read_bytes(text.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("secr") && error.to_string().contains("token"), "{error}");
        }
        assert!(read(Path::new("/nowhere/token")).unwrap_err().to_string().starts_with("/nowhere/token: cannot be"));
    }

    #[test]
    fn debug_does_not_reveal_a_token() {
        let token = read_bytes(b"secret").unwrap();
        assert!(!format!("{token:?}").contains("secret"));
    }
}
