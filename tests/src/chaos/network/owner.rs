//! Finds the process at the other end of a connection on this machine.
//!
//! Source addresses do not identify it: all processes connect from 127.0.0.1, and not all of them can bind another
//! address. The kernel knows the socket of each end (sock_diag(7)), and `/proc/PID/fd` shows which process has it open
//! (proc_pid_fd(5)). `/proc/net/tcp` would work as well, but lists every connection of the machine.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with};

/// Returns the one of `processes` that has open the socket with the addresses `local` and `remote`, as that process
/// sees them. Returns `None` if none of them does.
pub(super) fn owner<T: Copy>(local: SocketAddr, remote: SocketAddr, processes: &[(i32, T)]) -> Option<T> {
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else { return None };
    // An error means that there is no such socket.
    let inode = inode(local, remote).ok().filter(|inode| *inode != 0)?;
    let socket = format!("socket:[{inode}]");
    processes.iter().find(|(pid, _)| has_open(*pid, &socket)).map(|(_, owner)| *owner)
}

/// Queries the inode of one TCP socket. Numbers and offsets are those of `linux/netlink.h` and `linux/inet_diag.h`.
fn inode(local: SocketAddrV4, remote: SocketAddrV4) -> Result<u32, Errno> {
    const HEADER: usize = 16;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const IPPROTO_TCP: u8 = 6;
    /// The header is followed by four bytes, the socket's id, and four numbers.
    const INODE: usize = HEADER + 4 + 48 + 16;

    let mut request = Vec::with_capacity(HEADER + 56);
    request.extend(72_u32.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    let family = u8::try_from(AddressFamily::INET.as_raw()).map_err(|_| Errno::INVAL)?;
    request.extend([family, IPPROTO_TCP, 0, 0]);
    // In any state.
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(local.port().to_be_bytes());
    request.extend(remote.port().to_be_bytes());
    for ip in [local.ip(), remote.ip()] {
        request.extend(ip.octets());
        request.extend([0; 12]);
    }
    // On any interface, with any cookie.
    request.extend([0; 4]);
    request.extend([0xff; 8]);

    let netlink = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    sendto(&netlink, &request, SendFlags::empty(), &kernel)?;
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
