//! Free ports for peers that must come back on the same port.
//!
//! Most servers listen on port 0. A peer that is stopped and restarted cannot: while it is down, the kernel may give
//! its ephemeral port to another process, or to the very client that tries to reach it, which then connects to itself.
//! These ports lie below the kernel's ephemeral range, which starts at 32768.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
/// The size of the block that each test program reserves by holding its first port.
const BLOCK: u16 = 1_000;

/// Returns a port of 127.0.0.1 that is free for TCP and UDP. No other call of this process returns it, nor does a test
/// program that runs at the same time.
///
/// # Panics
/// When every candidate is taken.
#[must_use]
pub fn free() -> u16 {
    static BEGIN: LazyLock<(u16, TcpListener)> = LazyLock::new(claim);
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 1..BLOCK {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % (BLOCK - 1);
        let port = BEGIN.0 + 1 + step;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
        if tcp.is_ok() && udp.is_ok() {
            return port;
        }
    }
    panic!("no free port from {} on", BEGIN.0)
}

/// Reserves a block of ports and returns its first one.
fn claim() -> (u16, TcpListener) {
    let blocks = (FIRST..FIRST + COUNT).step_by(usize::from(BLOCK));
    let held = blocks.filter_map(|port| Some((port, TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?))).next();
    held.expect("fewer test programs than blocks of ports")
}
