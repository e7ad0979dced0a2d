//! Listening sockets that were open before this edge started: the parent process opened them, such as those of a systemd
//! socket unit, or they are taken over from the edge that ran before. The edge uses them in place of sockets of its own
//! wherever its configuration has their addresses.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use crate::config::Config;

/// The inherited sockets. Those of the parent are kept while the edge runs, because a reload may need them again.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Socket>);

#[derive(Debug)]
struct Socket {
    origin: Origin,
    name: String,
    address: SocketAddr,
    listener: TcpListener,
}

/// Where a socket comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The parent process, which keeps it open as well.
    Parent,
    /// The edge that ran before, which closes it.
    Predecessor,
}

/// An inherited socket whose address the configuration does not have: clients that connect there would wait in vain.
#[derive(Debug, thiserror::Error)]
#[error(
    "the inherited socket {address}{name} belongs to no listener: add its address to the configuration, which has \
     {configured}, or remove it from the socket unit"
)]
pub struct UnusedSocket {
    address: SocketAddr,
    /// The name in parentheses; empty if it has none.
    name: String,
    configured: String,
}

impl Inherited {
    /// Creates them from names, which only messages use, and sockets.
    ///
    /// # Errors
    /// The system refuses a property of a socket.
    pub fn new(sockets: impl IntoIterator<Item = (String, TcpListener)>) -> io::Result<Self> {
        let sockets = sockets.into_iter().map(|(name, listener)| Socket::new(Origin::Parent, name, listener));
        Ok(Self(sockets.collect::<io::Result<_>>()?))
    }

    /// Adds sockets of the edge that ran before. Returns their addresses.
    pub(super) fn add_predecessors(&mut self, sockets: Vec<TcpListener>) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        for listener in sockets {
            let socket = Socket::new(Origin::Predecessor, String::new(), listener)?;
            addresses.push(socket.address);
            self.0.push(socket);
        }
        Ok(addresses)
    }

    /// Closes the sockets of the edge that ran before, except for those in use, so that they end with their listeners.
    pub(super) fn forget_predecessors(&mut self) {
        self.0.retain(|socket| socket.origin == Origin::Parent);
    }

    /// Checks that the configuration uses each socket.
    pub(super) fn check(&self, config: &Config) -> Result<(), UnusedSocket> {
        let listeners = config.listeners.iter().map(|listener| listener.address);
        let configured: Vec<_> = listeners.chain(config.admin).collect();
        let mut parents = self.0.iter().filter(|socket| socket.origin == Origin::Parent);
        let Some(unused) = parents.find(|socket| !configured.contains(&socket.address)) else { return Ok(()) };
        let name = if unused.name.is_empty() { String::new() } else { format!(" ({})", unused.name) };
        let configured: Vec<_> = configured.iter().map(ToString::to_string).collect();
        Err(UnusedSocket { address: unused.address, name, configured: configured.join(", ") })
    }

    /// Returns copies of the sockets of an address, and where they come from; `None` if no socket has the address.
    /// Those of the parent come first: the predecessor's are the same, if both have them.
    pub(super) fn at(&self, address: SocketAddr) -> io::Result<Option<(Origin, Vec<TcpListener>)>> {
        for origin in [Origin::Parent, Origin::Predecessor] {
            let sockets = self.0.iter().filter(|socket| socket.origin == origin && socket.address == address);
            let sockets: Vec<_> = sockets.map(|socket| socket.listener.try_clone()).collect::<io::Result<_>>()?;
            if !sockets.is_empty() {
                return Ok(Some((origin, sockets)));
            }
        }
        Ok(None)
    }
}

impl Socket {
    fn new(origin: Origin, name: String, listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { origin, name, address: listener.local_addr()?, listener })
    }
}

/// Shares sockets of one address among workers, in turns: each worker gets the same number, and each socket gets a
/// worker, so that no connection waits in vain. Sockets that are left over after equal turns get several workers, which
/// share the queue; otherwise, with three sockets and two workers, one would get two thirds of the connections.
pub(super) fn share(sockets: &[TcpListener], workers: usize) -> io::Result<Vec<TcpListener>> {
    turns(sockets.len(), workers)
        .into_iter()
        .filter_map(|index| sockets.get(index))
        .map(TcpListener::try_clone)
        .collect()
}

/// Returns the index of a socket for each turn; worker n has the turns n, n + `workers`, and so on.
fn turns(sockets: usize, workers: usize) -> Vec<usize> {
    let rest = sockets.checked_rem(workers).unwrap_or_default();
    let even = sockets - rest;
    let shared = (even..sockets).cycle().take(if rest == 0 { 0 } else { workers });
    (0..even).chain(shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listener, Pool};

    fn sockets(names: &[&str]) -> (Inherited, Vec<SocketAddr>) {
        let sockets = names.iter().map(|name| ((*name).to_owned(), TcpListener::bind("127.0.0.1:0").unwrap()));
        let inherited = Inherited::new(sockets).unwrap();
        let addresses = inherited.0.iter().map(|socket| socket.address).collect();
        (inherited, addresses)
    }

    fn config(listener: SocketAddr, admin: Option<SocketAddr>) -> Config {
        let config = Config::simple(vec![Listener::plain(listener)], Pool::new("web", Vec::new()));
        Config { admin, ..config }
    }

    #[test]
    fn a_socket_that_the_configuration_does_not_use_is_an_error_with_its_name() {
        let (inherited, addresses) = sockets(&["edge.socket", "status"]);
        let (first, second) = (addresses[0], addresses[1]);
        inherited.check(&config(first, Some(second))).unwrap();
        assert_eq!(
            inherited.check(&config(first, None)).unwrap_err().to_string(),
            format!(
                "the inherited socket {second} (status) belongs to no listener: add its address to the \
                 configuration, which has {first}, or remove it from the socket unit"
            )
        );
        Inherited::default().check(&config(first, None)).unwrap();
    }

    #[test]
    fn sockets_of_the_predecessor_are_used_where_the_parent_has_none_and_may_be_left_over() {
        let (mut inherited, addresses) = sockets(&["edge.socket"]);
        let same = inherited.0[0].listener.try_clone().unwrap();
        let [used, unused] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let other = used.local_addr().unwrap();
        assert_eq!(inherited.add_predecessors(vec![same, used, unused]).unwrap()[..2], [addresses[0], other]);
        inherited.check(&config(addresses[0], None)).unwrap();

        let origin = |inherited: &Inherited, address| inherited.at(address).unwrap().map(|(origin, _)| origin);
        assert_eq!(inherited.at(addresses[0]).unwrap().unwrap().1.len(), 1);
        assert_eq!(origin(&inherited, addresses[0]), Some(Origin::Parent));
        assert_eq!(origin(&inherited, other), Some(Origin::Predecessor));
        assert_eq!(origin(&inherited, "127.0.0.1:1".parse().unwrap()), None);
        inherited.forget_predecessors();
        assert_eq!(origin(&inherited, other), None);
        assert_eq!(origin(&inherited, addresses[0]), Some(Origin::Parent));
    }

    #[test]
    fn every_worker_gets_a_socket_and_every_socket_a_worker() {
        for (sockets, workers, expected) in [
            (1, 1, &[0][..]),
            (1, 3, &[0, 0, 0]),
            (2, 1, &[0, 1]),
            (2, 2, &[0, 1]),
            (2, 4, &[0, 1, 0, 1]),
            (4, 2, &[0, 1, 2, 3]),
            // Worker 0 has the sockets 0 and 2, worker 1 the sockets 1 and 2.
            (3, 2, &[0, 1, 2, 2]),
            (5, 3, &[0, 1, 2, 3, 4, 3]),
            (0, 3, &[]),
        ] {
            assert_eq!(turns(sockets, workers), expected, "{sockets} {workers}");
        }
        let own = [TcpListener::bind("127.0.0.1:0").unwrap()];
        let shared = share(&own, 3).unwrap();
        assert!(shared.iter().all(|socket| socket.local_addr().unwrap() == own[0].local_addr().unwrap()));
        assert_eq!(shared.len(), 3);
    }
}
