//! Binds the address of a server.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// The number of connections that may wait to be accepted, as in tokio. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Binds `address` and listens. `[::]` stands for IPv4 as well, whatever the host's default is
/// (`net.ipv6.bindv6only`). The listener does not block.
///
/// # Errors
/// The address is in use, this host does not have it, or the process may not bind it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Connections of the process before must not delay a restart.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    /// `errno` of a kernel without IPv6.
    const EAFNOSUPPORT: i32 = 97;

    #[test]
    fn every_address_includes_those_of_ipv4() {
        let listener = match bind("[::]:0".parse().unwrap()) {
            Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => return,
            bound => bound.unwrap(),
        };
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        assert_eq!(bind(([127, 0, 0, 1], port).into()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
