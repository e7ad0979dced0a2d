//! Listening sockets that the parent process opened and passed on, by systemd's protocol: `sd_listen_fds(3)`.

use std::{env, io, net::TcpListener, num::ParseIntError};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// The largest number of sockets; systemd's own limits are far below.
const MAX: usize = 1024;

/// A socket that was passed on.
#[derive(Debug)]
pub struct InheritedSocket {
    /// Its name, by default that of the socket unit; empty without `LISTEN_FDNAMES`.
    pub name: String,
    /// The socket.
    pub listener: TcpListener,
}

/// Why the sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The number of sockets is not one.
    #[error("LISTEN_FDS is {0:?}, which is not a number of sockets up to {max}", max = MAX)]
    Number(String, #[source] Option<ParseIntError>),
    /// A file is not a TCP socket that listens.
    #[error("{name:?}, number {} of the inherited sockets, is not a listening TCP socket", index + 1)]
    NotListening {
        /// Its position, from 0.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: Option<io::Error>,
    },
}

/// Takes the sockets that this process inherited; none if the variable `LISTEN_PID` is not about this process. Call it
/// once, before the process has a second thread: it removes the variables.
///
/// # Errors
/// The variables are malformed, or a socket is not a TCP socket that listens.
pub fn inherited_sockets() -> Result<Vec<InheritedSocket>, InheritError> {
    let [pid, count, names] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| env::var(name).ok());
    // Without this check, listenfd would take sockets that are meant for another process, or allocate for any number.
    let names = socket_names(std::process::id(), pid.as_deref(), count.as_deref(), names.as_deref())?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut sockets = ListenFd::from_env();
    let take = |(index, name): (usize, String)| {
        let taken = sockets.take_tcp_listener(index);
        match taken.map(|listener| listener.filter(|listener| socket_acceptconn(listener).unwrap_or_default())) {
            Ok(Some(listener)) => Ok(InheritedSocket { name, listener }),
            Ok(None) => Err(InheritError::NotListening { index, name, source: None }),
            Err(error) => Err(InheritError::NotListening { index, name, source: Some(error) }),
        }
    };
    names.into_iter().enumerate().map(take).collect()
}

/// Returns one name for each socket that the variables announce to the process `own`.
fn socket_names(
    own: u32,
    pid: Option<&str>,
    count: Option<&str>,
    names: Option<&str>,
) -> Result<Vec<String>, InheritError> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(Vec::new()) };
    if pid.parse::<u32>() != Ok(own) {
        return Ok(Vec::new());
    }
    let number = match count.parse::<usize>() {
        Ok(number) if number <= MAX => number,
        Ok(_) => return Err(InheritError::Number(count.to_owned(), None)),
        Err(error) => return Err(InheritError::Number(count.to_owned(), Some(error))),
    };
    let mut names = names.unwrap_or_default().split(':');
    Ok((0..number).map(|_| names.next().unwrap_or_default().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_the_names_of_their_units_and_those_of_another_process_are_not_ours() {
        for (pid, count, names, expected) in [
            (Some("7"), Some("2"), Some("edge.socket:admin"), &["edge.socket", "admin"][..]),
            (Some("7"), Some("2"), Some("edge.socket"), &["edge.socket", ""]),
            (Some("7"), Some("1"), Some("a:b:c"), &["a"]),
            (Some("7"), Some("2"), None, &["", ""]),
            (Some("7"), Some("0"), None, &[]),
            (Some("7"), None, None, &[]),
            (Some("8"), Some("2"), None, &[]),
            (Some(""), Some("2"), None, &[]),
            (None, Some("2"), None, &[]),
        ] {
            assert_eq!(socket_names(7, pid, count, names).unwrap(), expected, "{pid:?} {count:?} {names:?}");
        }
    }

    #[test]
    fn a_number_of_sockets_that_cannot_be_is_an_error() {
        for count in ["", "-1", "x", "1025", "99999999999999999999"] {
            let error = socket_names(7, Some("7"), Some(count), None).unwrap_err();
            assert!(error.to_string().starts_with(&format!("LISTEN_FDS is {count:?}")), "{error}");
        }
    }
}
