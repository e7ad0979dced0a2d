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

/// Reads the text of the file under `key`, and reports what is wrong with it.
pub(super) fn text(section: &mut Section<'_>, key: &'static str, folder: &Path) -> Option<String> {
    let path = folder.join(section.get(key, &kind::FILE)?);
    match read(&path) {
        Ok((text, _)) => Some(text),
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
    let (text, mode) = read(path).map_err(|error| unreadable(path, &error))?;
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

fn read(path: &Path) -> io::Result<(String, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut text = String::new();
    let length = file.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_SIZE {
        return Err(io::Error::other("is longer than 1 MiB"));
    }
    Ok((text, mode))
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
