//! Other network namespaces: connects, captures packets and runs tests in them.
//!
//! A thread can enter a namespace alone, and a socket belongs to the namespace in which it was created, whichever
//! thread uses it later.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

/// The variable that is set in a test that [`isolated`] has restarted.
const ISOLATED: &str = "TEST_ISOLATED";

/// Restarts the test of this name in a network namespace of its own, where it may filter packets, and waits for it.
/// Returns whether this process is the restarted one.
///
/// # Errors
/// The reason why that is impossible here.
///
/// # Panics
/// If the restarted test fails.
pub fn isolated(test: &str) -> Result<bool, &'static str> {
    if is_isolated() {
        return Ok(true);
    }
    let status = restart(["--exact", test, "--nocapture"].map(Into::into))?;
    assert!(status.success(), "{test} failed in its own network");
    Ok(false)
}

/// Restarts this program with the same arguments in a network namespace of its own, and waits for it. Returns its exit
/// status, or `None` if this process is the restarted one.
///
/// # Errors
/// The reason why that is impossible here.
pub fn restarted() -> Result<Option<ExitStatus>, &'static str> {
    if is_isolated() {
        return Ok(None);
    }
    restart(std::env::args_os().skip(1)).map(Some)
}

/// Whether this process was restarted by [`isolated`] or [`restarted`].
#[must_use]
pub fn is_isolated() -> bool {
    std::env::var_os(ISOLATED).is_some()
}

fn restart(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitStatus, &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can create a network namespace");
    }
    let status = Command::new("unshare")
        // Whatever it leaves ends with it.
        .args(["--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"])
        .args(["sh", "-euc", "ip link set lo up; \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("the program's own path"))
        .args(arguments)
        .env(ISOLATED, "1")
        .stdin(Stdio::null())
        .status();
    Ok(status.expect("unshare can be started"))
}

/// `ETH_P_ALL` of `linux/if_ether.h`.
const ALL_PROTOCOLS: u16 = 3;

/// Connects to `address` from inside `namespace`: the path of a file in `/proc/PID/ns`, or of one that an engine keeps
/// for a container.
///
/// # Errors
/// The namespace cannot be entered, or the connection is not accepted in time.
pub async fn connect(namespace: &Path, address: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let namespace = namespace.to_owned();
    let stream = run_in(&namespace, move || Blocking::connect_timeout(&address, within)).await??;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// Captures packets in `namespace` until one contains `part`, and returns that packet as text; `None` if none arrives
/// in time.
///
/// # Errors
/// The namespace cannot be entered, or its packets cannot be captured.
pub async fn capture(namespace: &Path, part: &str, within: Duration) -> io::Result<Option<String>> {
    let part = part.to_owned();
    run_in(namespace, move || {
        // In network byte order, as packet(7) requires.
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

/// Runs `job` on a thread of its own in `namespace`, and returns its result.
///
/// # Errors
/// The namespace cannot be entered, or `job` panics.
pub async fn run_in<T: Send + 'static>(namespace: &Path, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    // The receiver is closed if the caller was cancelled.
    drop(thread_in(namespace, move || drop(done.send(job())))?);
    result.await.map_err(|_closed| io::Error::other("the job in the namespace panicked, or could not enter it"))
}

/// Runs `job` on a thread of its own in `namespace`, without a runtime.
///
/// # Errors
/// The namespace cannot be opened. If it cannot be entered, the thread's result is an error.
pub fn thread_in<T: Send + 'static>(
    namespace: &Path,
    job: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<io::Result<T>>> {
    let namespace = File::open(namespace)?;
    // Not on one of the runtime's threads, which would stay in the namespace.
    Ok(std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(job())
    }))
}
