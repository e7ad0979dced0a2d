//! Files that the settings name, most of which contain secrets.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use settings::Section;

use super::kind;
use crate::alert::settings::Secret;

/// The size limit of a password, token or list of certificates.
const MAX_SIZE: u64 = 1 << 20;

/// Reads the file under `key`, and reports if it cannot be read.
pub(super) fn bytes(section: &mut Section<'_>, key: &'static str, folder: &Path) -> Option<Vec<u8>> {
    let path = folder.join(section.get(key, &kind::FILE)?);
    match read(&path) {
        Ok((bytes, _)) => Some(bytes),
        Err(error) => {
            section.problem(key, unreadable(&path, &error));
            None
        }
    }
}

/// Reads the secret in the file under `key`: its text without trailing white space.
pub(super) fn secret(section: &mut Section<'_>, key: &'static str, folder: &Path) -> Option<Secret> {
    let path = folder.join(section.get(key, &kind::FILE)?);
    match at(&path) {
        Ok((secret, others)) => {
            if others {
                section.warning(key, others_read(&path));
            }
            Some(secret)
        }
        Err(message) => {
            section.problem(key, message);
            None
        }
    }
}

/// Returns the warning about a secret that other users can read.
pub(super) fn others_read(path: &Path) -> String {
    format!("{}: every user of this machine can read it: chmod o-r", path.display())
}

/// Returns the secret in a file, and whether other users can read it; or what is wrong.
pub(super) fn at(path: &Path) -> Result<(Secret, bool), String> {
    let (bytes, mode) = read(path).map_err(|error| unreadable(path, &error))?;
    let Ok(text) = str::from_utf8(&bytes) else { return Err(format!("{}: is not UTF-8 text", path.display())) };
    let text = text.trim_end();
    if text.is_empty() {
        return Err(format!("{}: is empty", path.display()));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{}: contains more than one line", path.display()));
    }
    // The engine's own folder is readable for all, but a container has no other users.
    let others = mode & 0o004 != 0 && !path.starts_with("/run/secrets");
    Ok((Secret::new(text), others))
}

fn read(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    let length = file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if length as u64 > MAX_SIZE {
        return Err(io::Error::other("is longer than 1 MiB"));
    }
    Ok((bytes, mode))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("{path}: there is no such file"),
        io::ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            format!("{path}: user {user}, as which this program runs, may not read it: change its owner, or chmod o+r")
        }
        _ => format!("{path}: cannot be read: {error}"),
    }
}
