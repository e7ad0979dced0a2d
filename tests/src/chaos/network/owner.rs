//! Which process has the other end of a connection on this machine.
//!
//! Source addresses do not identify it: all processes connect from 127.0.0.1, and not all of them can bind another. The
//! kernel knows the socket of each end (sock_diag(7)), and `/proc/PID/fd` shows which process holds it
//! (proc_pid_fd(5)). `/proc/net/tcp` would work as well, but lists every connection of the machine.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with};

/// The one of `processes` that holds the socket with the addresses `local` and `remote`, as that process
/// sees them. `None` when none of them does, or no longer does.
pub(super) fn owner<T: Copy>(local: SocketAddr, remote: SocketAddr, processes: &[(i32, T)]) -> Option<T> {
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else { return None };
    // An error means that there is no such socket.
    let inode = inode(local, remote).ok().filter(|inode| *inode != 0)?;
    let socket = format!("socket:[{inode}]");
    processes.iter().find(|(pid, _)| has_open(*pid, &socket)).map(|(_, whose)| *whose)
}

/// Asks for one TCP socket. Numbers and offsets are those of `linux/netlink.h` and `linux/inet_diag.h`.
fn inode(local: SocketAddrV4, remote: SocketAddrV4) -> Result<u32, Errno> {
    const HEADER: usize = 16;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const IPPROTO_TCP: u8 = 6;
    /// After the header: four bytes, the socket's id, four numbers.
    const INODE: usize = HEADER + 4 + 48 + 16;

    let mut question = Vec::with_capacity(HEADER + 56);
    question.extend(72_u32.to_ne_bytes());
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend(NLM_F_REQUEST.to_ne_bytes());
    question.extend([0; 8]);
    let family = u8::try_from(AddressFamily::INET.as_raw()).map_err(|_| Errno::INVAL)?;
    question.extend([family, IPPROTO_TCP, 0, 0]);
    // In any state.
    question.extend(u32::MAX.to_ne_bytes());
    question.extend(local.port().to_be_bytes());
    question.extend(remote.port().to_be_bytes());
    for ip in [local.ip(), remote.ip()] {
        question.extend(ip.octets());
        question.extend([0; 12]);
    }
    // On any interface, with any cookie.
    question.extend([0; 4]);
    question.extend([0xff; 8]);

    let netlink = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    sendto(&netlink, &question, SendFlags::empty(), &kernel)?;
    let mut answer = [0; 1024];
    let (size, _) = recv(&netlink, &mut answer, RecvFlags::empty())?;
    let answer = &answer[..size];
    if answer.get(4..6) != Some(&SOCK_DIAG_BY_FAMILY.to_ne_bytes()) {
        return Err(Errno::NOENT);
    }
    let inode = answer.get(INODE..INODE + 4).and_then(|bytes| bytes.try_into().ok());
    inode.map(u32::from_ne_bytes).ok_or(Errno::BADMSG)
}

fn has_open(pid: i32, socket: &str) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link == Path::new(socket)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_process_that_connects_is_found_among_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(owner(local, remote, &[(1, "init"), (me, "me")]), Some("me"));
        assert_eq!(owner(local, remote, &[(1, "init")]), None);
        drop(client);
        assert_eq!(owner(local, remote, &[(me, "me")]), None);
    }
}
