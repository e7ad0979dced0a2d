//! The file of the Unix socket on which takeovers are offered, and the lock beside it.
//!
//! Only this user may connect: the file has the mode 0600, and each side asks the kernel for the user of the other
//! (`SO_PEERCRED`). Symbolic links are not followed, since they could lead to a file of somebody else's choice.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, fchmod, open},
    io::Errno,
    net::sockopt::socket_peercred,
    process::geteuid,
};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{ANSWER, TakeoverError};

/// The interval between two attempts to get the lock.
const RETRY: Duration = Duration::from_millis(20);
/// How many edges may wait to connect: two at most, because of the lock.
const BACKLOG: i32 = 16;

/// The right to start at a path, held by one edge at a time.
#[derive(Debug)]
pub(super) struct Lock {
    /// The lock ends when it is closed.
    _file: File,
}

impl Lock {
    /// Takes the lock; `None` if another edge has it.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, TakeoverError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let failed = |error: io::Error| {
            let name = PathBuf::from(&name);
            file_error(path, format!("the lock {} cannot be used: {error}", name.display()))
        };
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(Path::new(&name), flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
            Errno::NOENT => file_error(path, "its folder does not exist: create it".to_owned()),
            error => failed(error.into()),
        })?;
        let file = File::from(file);
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// The file cannot be used, or the edge that has the lock keeps it for too long.
    pub(super) fn take(path: &Path) -> Result<Self, TakeoverError> {
        let end = Instant::now() + ANSWER;
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            if Instant::now() >= end {
                return Err(TakeoverError::Busy { path: path.to_owned() });
            }
            thread::sleep(RETRY);
        }
    }
}

/// Connects to the edge that runs. Returns `None` if there is none: no file, or one that nobody listens on.
///
/// # Errors
/// The file is not a socket of this user, or cannot be used.
pub(super) fn connect(path: &Path) -> Result<Option<UnixStream>, TakeoverError> {
    if !is_own_socket(path)? {
        return Ok(None);
    }
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            return Ok(None);
        }
        Err(error) => return Err(file_error(path, format!("cannot connect: {error}"))),
    };
    if !is_same_user(&stream) {
        return Err(file_error(path, "another user listens there".to_owned()));
    }
    Ok(Some(stream))
}

/// Listens at the path, in place of a socket that an edge left behind. Call it with the lock.
///
/// # Errors
/// There is a file of another kind or user, or the socket cannot be created.
pub(super) fn listen(path: &Path) -> Result<UnixListener, TakeoverError> {
    remove(path)?;
    let bind = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Linux creates the file with the mode of the socket, so that it never has another one.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(BACKLOG)?;
        Ok::<_, io::Error>(UnixListener::from(OwnedFd::from(socket)))
    };
    bind().map_err(|error| file_error(path, format!("cannot listen: {error}")))
}

/// Removes the socket, if there is one. Call it with the lock.
///
/// # Errors
/// There is a file of another kind or user, or it cannot be removed.
pub(super) fn remove(path: &Path) -> Result<(), TakeoverError> {
    if is_own_socket(path)? {
        fs::remove_file(path).map_err(|error| file_error(path, format!("cannot be removed: {error}")))?;
    }
    Ok(())
}

/// Whether the process at the other end runs as the same user as this one.
pub(super) fn is_same_user(stream: &impl AsFd) -> bool {
    socket_peercred(stream).is_ok_and(|peer| peer.uid == geteuid())
}

/// Whether there is a socket of this user; false if there is nothing.
fn is_own_socket(path: &Path) -> Result<bool, TakeoverError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(file_error(path, error.to_string())),
    };
    if !found.file_type().is_socket() {
        return Err(file_error(path, "is there, but is not a socket: remove it, or write another path".to_owned()));
    }
    if found.uid() != geteuid().as_raw() {
        return Err(file_error(path, "belongs to another user".to_owned()));
    }
    Ok(true)
}

fn file_error(path: &Path, reason: String) -> TakeoverError {
    TakeoverError::File { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_socket_is_found_while_somebody_listens_and_replaced_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover.sock");
        assert!(connect(&path).unwrap().is_none(), "no file");
        let listener = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(connect(&path).unwrap().is_some());
        drop(listener);
        assert!(connect(&path).unwrap().is_none(), "nobody listens");
        let _listener = listen(&path).unwrap();
        assert!(connect(&path).unwrap().is_some());
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
    }

    #[test]
    fn nothing_but_a_socket_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let [real, file, link] = ["real", "file", "link"].map(|name| folder.path().join(name));
        let _listener = listen(&real).unwrap();
        fs::write(&file, "precious").unwrap();
        symlink(&real, &link).unwrap();
        for path in [&file, &link, &folder.path().to_owned()] {
            let errors = [connect(path).map(drop), listen(path).map(drop), remove(path)];
            for error in errors.map(Result::unwrap_err) {
                assert!(error.to_string().contains("is not a socket"), "{error}");
            }
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        // Nor is the lock written through a link.
        symlink(&file, folder.path().join("real.lock")).unwrap();
        let error = Lock::try_take(&real).unwrap_err().to_string();
        assert!(error.contains("real.lock cannot be used"), "{error}");
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/takeover.sock");
        let error = Lock::take(&path).unwrap_err().to_string();
        assert!(error.contains("its folder does not exist"), "{error}");
    }

    #[test]
    fn one_edge_at_a_time_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("takeover.sock");
        let first = Lock::take(&path).unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(first);
        assert!(Lock::try_take(&path).unwrap().is_some());
    }
}
