//! Ports and listeners.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

/// A TCP port that is free on every loopback address. Free a moment ago: whoever starts on it is watched.
pub(crate) fn free() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

/// A listener with room for a thousand connections that come at once, which std's has not. It shares its
/// address with others of the same kind.
pub(crate) fn listener(address: Ipv4Addr, port: u16) -> Result<TcpListener> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &SocketAddr::from((address, port)))?;
    listen(&socket, 4096)?;
    Ok(socket.into())
}
