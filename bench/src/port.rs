//! Ports and listeners.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

/// Returns a TCP port that was free on all addresses a moment ago. A program that then cannot bind it fails visibly.
pub(crate) fn free() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

/// Binds a listener whose backlog holds a thousand simultaneous connections, which std's does not. Several such
/// listeners can share an address (`SO_REUSEPORT`).
pub(crate) fn listener(address: Ipv4Addr, port: u16) -> Result<TcpListener> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &SocketAddr::from((address, port)))?;
    listen(&socket, 4096)?;
    Ok(socket.into())
}
