//! Connections that begin in another network namespace.
//!
//! A thread may enter a namespace for itself alone, and a socket belongs for good to the namespace in which it
//! was made, whoever uses it later.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream as Blocking};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;

/// Connects to `address` as a process in `namespace` would: the path of a file of `/proc/PID/ns`, or of one that
/// an engine keeps for its containers.
///
/// # Errors
/// The namespace cannot be entered, or nobody accepts in time.
pub async fn connect(namespace: &Path, address: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let namespace = namespace.to_owned();
    let stream = run_in(&namespace, move || Blocking::connect_timeout(&address, within)).await??;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// Runs `job` on a thread of its own in `namespace`.
///
/// # Errors
/// The namespace cannot be entered.
pub async fn run_in<T: Send + 'static>(
    namespace: &Path,
    job: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let namespace = File::open(namespace)?;
    let (done, result) = tokio::sync::oneshot::channel();
    // Never one of the runtime's threads: it would stay in the namespace.
    std::thread::spawn(move || {
        let entered = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
        let result = entered.map(|()| job()).map_err(io::Error::from);
        // Nobody waits any more when the caller was cancelled.
        drop(done.send(result));
    });
    result.await.unwrap_or_else(|_closed| Err(io::Error::other("the thread in the namespace panicked")))
}
