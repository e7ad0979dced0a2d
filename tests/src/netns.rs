//! Connections that begin in another network namespace.
//!
//! A thread may enter a namespace for itself alone, and a socket belongs for good to the namespace in which it
//! was made, whoever uses it later.

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

/// Set where a test was started again by [`apart`].
const APART: &str = "TEST_APART";

/// Starts the test of this name again in a network namespace of its own, where it may do with packets what it likes,
/// and waits for it. Returns whether this already is there.
///
/// # Errors
/// Why it cannot be done here.
///
/// # Panics
/// When the test fails there.
pub fn apart(test: &str) -> Result<bool, &'static str> {
    if std::env::var_os(APART).is_some() {
        return Ok(true);
    }
    if !rustix::process::geteuid().is_root() {
        return Err("only root can make a network namespace");
    }
    let status = Command::new("unshare")
        .args(["--net", "sh", "-euc", "ip link set lo up; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("the program's own path"))
        .args(["--exact", test, "--nocapture"])
        .env(APART, "1")
        .stdin(Stdio::null())
        .status()
        .expect("unshare can be started");
    assert!(status.success(), "{test} failed in its own network");
    Ok(false)
}

/// `ETH_P_ALL` of `linux/if_ether.h`.
const ALL_PROTOCOLS: u16 = 3;

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

/// Listens to all packets in `namespace` until one holds `part`, and returns what that one carries as text; `None`
/// when none has come in time.
///
/// # Errors
/// The namespace cannot be entered, or not be listened to.
pub async fn overhear(namespace: &Path, part: &str, within: Duration) -> io::Result<Option<String>> {
    let part = part.to_owned();
    run_in(namespace, move || {
        // In the byte order of the network, as packet(7) wants it.
        let everything = Protocol::from(i32::from(ALL_PROTOCOLS.to_be()));
        let mut socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(everything))?;
        let deadline = Instant::now() + within;
        let mut packet = [0; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            socket.set_read_timeout(Some(left))?;
            match socket.read(&mut packet) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&packet[..length]);
                    if text.contains(&part) {
                        return Ok(Some(text.into_owned()));
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
    })
    .await?
}

/// Runs `job` on a thread of its own in `namespace`.
///
/// # Errors
/// The namespace cannot be entered.
pub async fn run_in<T: Send + 'static>(namespace: &Path, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    // Nobody waits any more when the caller was cancelled.
    drop(thread_in(namespace, move || drop(done.send(job())))?);
    result.await.map_err(|_closed| io::Error::other("the job in the namespace panicked, or could not enter it"))
}

/// The same for who has no runtime.
///
/// # Errors
/// The namespace cannot be entered; the thread's own result has what is noticed only then.
pub fn thread_in<T: Send + 'static>(
    namespace: &Path,
    job: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<io::Result<T>>> {
    let namespace = File::open(namespace)?;
    // Never one of the runtime's threads: it would stay in the namespace.
    Ok(std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(job())
    }))
}
