//! Closes a socket that shares its port with the socket of a successor (`SO_REUSEPORT`), without a reset.
//!
//! The kernel decides by the first packet of a handshake, the SYN, which of the sockets gets the connection. When that
//! socket closes, the kernel resets its connections that are not accepted yet, among them those whose handshake has not
//! ended. So all new handshakes first go to the successor ([`steer`]), and the socket closes when those that had begun
//! have ended.
//!
//! The kernel keeps the sockets of a port in an array, in the order in which they began to listen, and a program may
//! choose among them (`SO_ATTACH_REUSEPORT_CBPF` of `socket(7)`). Those of this edge come first. Where that fails, the
//! sockets ignore what reaches them ([`refuse_handshakes`]): the client hears nothing and repeats its SYN after a second
//! (RFC 6298 section 2.1), when only the successor is left. Linux can instead move the connections to the successor
//! (`net.ipv4.tcp_migrate_req`, since 5.14), which is off by default.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    os::fd::AsFd,
    time::Duration,
};

use nix::{
    libc::{self, sock_filter, sock_fprog},
    setsockopt_impl,
    sys::socket::{SetSockOpt, sockopt},
};
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

/// `SO_ATTACH_REUSEPORT_CBPF`: the program returns the index of the socket that gets the connection.
#[derive(Clone, Copy, Debug)]
struct Choice;
setsockopt_impl!(
    Choice,
    libc::SOL_SOCKET,
    libc::SO_ATTACH_REUSEPORT_CBPF,
    sock_fprog,
    sockopt::SetStruct<'_, sock_fprog>
);

/// `SO_DETACH_REUSEPORT_BPF`, since Linux 5.3: the kernel chooses by itself again.
#[derive(Clone, Copy, Debug)]
struct NoChoice;
setsockopt_impl!(NoChoice, libc::SOL_SOCKET, libc::SO_DETACH_REUSEPORT_BPF, i32, sockopt::SetStruct<'_, i32>);

/// Makes all new handshakes go to the successor's sockets, at random. `own` is the number of this edge's sockets at
/// `address`. Does nothing without a successor.
///
/// # Errors
/// The number of sockets is unknown, or the system refuses the program.
pub(super) fn steer(socket: &impl AsFd, address: SocketAddr, own: usize) -> io::Result<()> {
    let all = listening(address)?;
    let (Ok(own), Ok(others)) = (u32::try_from(own), u32::try_from(all.saturating_sub(own))) else { return Ok(()) };
    if others == 0 {
        return Ok(());
    }
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let mut program = [step(LOAD_WORD, RANDOM), step(MODULO, others), step(ADD, own), step(RETURN_ACCUMULATOR, 0)];
    let program = sock_fprog { len: 4, filter: program.as_mut_ptr() };
    Ok(Choice.set(socket, &program)?)
}

/// Ends what [`steer`] began. The program would be a wrong one as soon as this edge's sockets are gone.
pub(super) fn stop_steering(socket: &impl AsFd) {
    // An error means that there is no program, or a kernel before 5.3.
    let _none = NoChoice.set(socket, &0);
}

/// BPF_LD | BPF_W | BPF_ABS
const LOAD_WORD: u16 = 0x20;
/// SKF_AD_OFF + SKF_AD_RANDOM: a random number in place of the packet.
const RANDOM: u32 = u32::MAX - 0x1000 + 1 + 56;
/// BPF_ALU | BPF_MOD | BPF_K
const MODULO: u16 = 0x94;
/// BPF_ALU | BPF_ADD | BPF_K
const ADD: u16 = 0x04;
/// BPF_RET | BPF_A
const RETURN_ACCUMULATOR: u16 = 0x16;

/// The number of sockets that listen at this address in this network namespace, of all processes: `proc_net_tcp(5)`.
fn listening(address: SocketAddr) -> io::Result<usize> {
    // Not /proc/net, which a systemd unit with `ProcSubset=pid` lacks.
    let table = File::open(if address.is_ipv4() { "/proc/self/net/tcp" } else { "/proc/self/net/tcp6" })?;
    let wanted = kernel_text(address);
    let mut found = 0;
    for row in BufReader::new(table).lines().skip(1) {
        let row = row?;
        let mut columns = row.split_whitespace().skip(1);
        let (local, state) = (columns.next(), columns.nth(1));
        // Listening sockets come first, and there may be many others.
        if state != Some("0A") {
            break;
        }
        found += usize::from(local == Some(&wanted));
    }
    Ok(found)
}

/// The address as the kernel writes it: words in the byte order of the machine.
fn kernel_text(address: SocketAddr) -> String {
    let bytes = match address {
        SocketAddr::V4(address) => address.ip().octets().to_vec(),
        SocketAddr::V6(address) => address.ip().octets().to_vec(),
    };
    let (words, _) = bytes.as_chunks::<4>();
    let words: String = words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect();
    format!("{words}:{:04X}", address.port())
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

    #[test]
    fn all_new_handshakes_go_to_the_successor_until_steering_stops() {
        for (own, others, at) in [(1, 1, "127.0.0.1:0"), (2, 3, "127.0.0.1:0"), (3, 1, "[::1]:0")] {
            let (closing, address) = listener::bind(&config::Listener::plain(at.parse().unwrap()), own, &[]).unwrap();
            steer(&closing[0], address, own).unwrap();
            assert_eq!(accepted_after_100(&closing, address), 100, "without a successor nothing changes");
            let place = config::Listener { reuse_port: true, ..config::Listener::plain(address) };
            let (successors, _) = listener::bind(&place, others, &[]).unwrap();
            assert_eq!(listening(address).unwrap(), own + others);
            steer(&closing[0], address, own).unwrap();
            assert_eq!(accepted_after_100(&successors, address), 100);
            assert_eq!(accepted_after_100(&closing, address), 0);
            successors.iter().for_each(|socket| while socket.accept().is_ok() {});
            stop_steering(&closing[0]);
            assert!(accepted_after_100(&closing, address) > 0);
        }
    }

    /// Connects 100 clients; returns how many of them reach these sockets.
    fn accepted_after_100(sockets: &[std::net::TcpListener], address: SocketAddr) -> usize {
        let _clients: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        sockets.iter().map(|socket| std::iter::from_fn(|| socket.accept().ok()).count()).sum()
    }

    #[test]
    fn addresses_are_written_as_the_kernel_does() {
        assert_eq!(kernel_text("0.0.0.0:80".parse().unwrap()), "00000000:0050");
        assert_eq!(kernel_text("[::]:443".parse().unwrap()), format!("{}:01BB", "0".repeat(32)));
    }

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
