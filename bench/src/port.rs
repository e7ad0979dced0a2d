//! Ports and listeners.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

/// A TCP port that is free on every loopback address. It was free a moment ago; a program that cannot bind it is noticed.
pub(crate) fn free() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

/// A listener with a backlog for a thousand simultaneous connections, which std's lacks. It shares its address
/// with others of the same kind.
pub(crate) fn listener(address: Ipv4Addr, port: u16) -> Result<TcpListener> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &SocketAddr::from((address, port)))?;
    listen(&socket, 4096)?;
    Ok(socket.into())
}
