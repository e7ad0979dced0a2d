//! Connections that fail because of the edge itself: the process or the system has no file descriptor, port or memory
//! left. Such a failure says nothing about the endpoint.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use rustix::io::Errno;

/// What a new connection lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// File descriptors or memory: no connection can be opened at all.
    Sockets,
    /// Local ports for this one address; connections to others may succeed.
    Ports,
}

/// Returns the shortage that an error of a connection to `address` shows, or `None` if it is about the endpoint or the
/// network.
pub(super) fn shortage(error: &io::Error, address: SocketAddr) -> Option<Shortage> {
    match Errno::from_io_error(error)? {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Some(Shortage::Sockets),
        Errno::ADDRNOTAVAIL if has_local_address(address) => Some(Shortage::Ports),
        _ => None,
    }
}

/// Whether this host has an address from which it could reach `address`. A host without IPv6 reports the same error for
/// an IPv6 endpoint as one without free ports. Connecting a UDP socket selects the local address and sends nothing.
fn has_local_address(address: SocketAddr) -> bool {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    match UdpSocket::bind(SocketAddr::new(any, 0)) {
        Ok(socket) => socket.connect(address).is_ok(),
        // Any other error is a shortage of its own.
        Err(error) => !matches!(Errno::from_io_error(&error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_memory_or_ports_is_not_the_endpoints_fault() {
        let address = ([127, 0, 0, 1], 80).into();
        for (errno, expected) in [
            (Errno::MFILE, Some(Shortage::Sockets)),
            (Errno::NFILE, Some(Shortage::Sockets)),
            (Errno::NOBUFS, Some(Shortage::Sockets)),
            (Errno::NOMEM, Some(Shortage::Sockets)),
            (Errno::ADDRNOTAVAIL, Some(Shortage::Ports)),
            (Errno::CONNREFUSED, None),
            (Errno::TIMEDOUT, None),
            (Errno::HOSTUNREACH, None),
            (Errno::NETUNREACH, None),
            (Errno::CONNRESET, None),
        ] {
            assert_eq!(shortage(&io::Error::from(errno), address), expected, "{errno:?}");
        }
        assert_eq!(shortage(&io::Error::other("not of the system"), address), None);
    }

    #[test]
    fn an_address_that_this_host_cannot_reach_is_no_shortage() {
        // A link-local address without its interface.
        let no_route: SocketAddr = "[fe80::1]:80".parse().unwrap();
        assert_eq!(shortage(&Errno::ADDRNOTAVAIL.into(), no_route), None);
    }
}
