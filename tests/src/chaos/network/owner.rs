//! Which process has the other end of a connection on this machine.
//!
//! Source addresses cannot tell: all processes connect from 127.0.0.1, and not all of them can be told to
//! bind another. The kernel can: `/proc/net/tcp` has the socket of each end, and `/proc/PID/fd` whose it is
//! (proc_pid_net(5), proc_pid_fd(5)).

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;

/// The one of `processes` that holds the socket with the addresses `local` and `remote`, as that process
/// sees them. `None` when none of them does, or does no more.
pub(super) fn owner<T: Copy>(local: SocketAddr, remote: SocketAddr, processes: &[(i32, T)]) -> Option<T> {
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else { return None };
    // The table is read in pieces, and a row may slip through between two of them.
    for _ in 0..3 {
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let Some(inode) = inode(&table, local, remote) else { continue };
        let socket = format!("socket:[{inode}]");
        let found = processes.iter().find(|(pid, _)| has_open(*pid, &socket));
        if let Some((_, whose)) = found {
            return Some(*whose);
        }
    }
    None
}

fn inode(table: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<u64> {
    let (local, remote) = (hex(local), hex(remote));
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next()? == local && fields.next()? == remote;
        // Zero is that of a socket that is closed already.
        let inode = fields.nth(6)?.parse().ok().filter(|inode| *inode != 0);
        is_it.then_some(inode).flatten()
    })
}

/// An address as the kernel writes it: the four bytes as one number in the machine's order.
fn hex(address: SocketAddrV4) -> String {
    let ip = u32::from_ne_bytes(address.ip().octets());
    format!("{ip:08X}:{:04X}", address.port())
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
