//! Closes a socket that shares its port with the socket of a successor (`SO_REUSEPORT`), without a reset.
//!
//! The kernel decides by the first packet of a handshake, the SYN, which of the sockets gets the connection. When that
//! socket closes, the kernel resets its connections that are not accepted yet, among them those whose handshake has not
//! ended. So the socket first ignores new handshakes, and closes when those that had begun have ended. A client whose SYN
//! arrives meanwhile hears nothing and repeats it after a second (RFC 6298 section 2.1), when only the successor is
//! left. Linux can instead move the connections to the successor (`net.ipv4.tcp_migrate_req`, since 5.14), which is off
//! by default.

use std::{fs, io, time::Duration};

use socket2::{SockFilter, SockRef};
use tokio::net::TcpListener;

/// How long a handshake that has begun may take: most clients need one round trip. Well below the second after which
/// clients repeat a SYN.
pub(super) const HANDSHAKE: Duration = Duration::from_millis(300);

/// Drops packets that have SYN without ACK. A classic BPF program, applied to the TCP header: see `linux/filter.h`.
static NO_SYN: [SockFilter; 5] = [
    SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
    SockFilter::new(AND, 0, 0, SYN | ACK),
    SockFilter::new(JUMP_UNLESS_EQUAL, 0, 1, SYN),
    SockFilter::new(RETURN, 0, 0, 0),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
];

/// BPF_LD | BPF_B | BPF_ABS
const LOAD_BYTE: u16 = 0x30;
/// BPF_ALU | BPF_AND | BPF_K
const AND: u16 = 0x54;
/// BPF_JMP | BPF_JEQ | BPF_K
const JUMP_UNLESS_EQUAL: u16 = 0x15;
/// BPF_RET | BPF_K
const RETURN: u16 = 0x06;
/// The offset of the flags in a TCP header (RFC 9293 section 3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Makes the socket ignore new handshakes, unless the kernel moves connections to the successor by itself.
///
/// # Errors
/// The system refuses the filter.
pub(super) fn refuse_handshakes(socket: &TcpListener) -> io::Result<()> {
    if migrates() { Ok(()) } else { SockRef::from(socket).attach_filter(&NO_SYN) }
}

fn migrates() -> bool {
    fs::read("/proc/sys/net/ipv4/tcp_migrate_req").is_ok_and(|value| value.starts_with(b"1"))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};
    use tokio::time::timeout;

    use super::*;
    use crate::{config, downstream::listener};

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_handshake_that_begins_while_a_socket_closes_reaches_the_successor() {
        let mut place = config::Listener::plain("127.0.0.1:0".parse().unwrap());
        let (mut sockets, address) = listener::bind(&place, 1, &[]).unwrap();
        let closing = TcpListener::from_std(sockets.remove(0)).unwrap();
        let before = std::net::TcpStream::connect(address).unwrap();
        refuse_handshakes(&closing).unwrap();

        let client = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
        client.connect(&address.into()).unwrap_err();
        place = config::Listener { reuse_port: true, ..config::Listener::plain(address) };
        let (mut sockets, _) = listener::bind(&place, 1, &[]).unwrap();
        let successor = TcpListener::from_std(sockets.remove(0)).unwrap();
        let (_accepted, peer) = timeout(SOON, closing.accept()).await.unwrap().unwrap();
        assert_eq!(peer, before.local_addr().unwrap(), "what was established is accepted");
        drop(closing);
        let (_accepted, peer) = timeout(SOON, successor.accept()).await.unwrap().unwrap();
        assert_eq!(Some(peer), client.local_addr().unwrap().as_socket());
    }
}
