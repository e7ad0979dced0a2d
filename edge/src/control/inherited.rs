//! Listening sockets that the parent process opened, such as those of a systemd socket unit. The edge uses them in place
//! of sockets of its own wherever its configuration has their addresses.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use crate::config::Config;

/// The inherited sockets. They are kept while the edge runs, because a reload may need them again.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Socket>);

#[derive(Debug)]
struct Socket {
    name: String,
    address: SocketAddr,
    listener: TcpListener,
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
        let sockets = sockets.into_iter().map(|(name, listener)| {
            listener.set_nonblocking(true)?;
            Ok(Socket { name, address: listener.local_addr()?, listener })
        });
        Ok(Self(sockets.collect::<io::Result<_>>()?))
    }

    /// Checks that the configuration uses each socket.
    pub(super) fn check(&self, config: &Config) -> Result<(), UnusedSocket> {
        let listeners = config.listeners.iter().map(|listener| listener.address);
        let configured: Vec<_> = listeners.chain(config.admin).collect();
        let Some(unused) = self.0.iter().find(|socket| !configured.contains(&socket.address)) else { return Ok(()) };
        let name = if unused.name.is_empty() { String::new() } else { format!(" ({})", unused.name) };
        let configured: Vec<_> = configured.iter().map(ToString::to_string).collect();
        Err(UnusedSocket { address: unused.address, name, configured: configured.join(", ") })
    }

    /// Shares the sockets of an address among `users`: each gets one, and each socket gets a user. Returns none if no
    /// socket has the address. Users of the same socket share its queue.
    pub(super) fn share(&self, address: SocketAddr, users: usize) -> io::Result<Vec<TcpListener>> {
        let sockets: Vec<_> = self.0.iter().filter(|socket| socket.address == address).collect();
        let count = if sockets.is_empty() { 0 } else { users.max(sockets.len()) };
        sockets.iter().cycle().take(count).map(|socket| socket.listener.try_clone()).collect()
    }
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
    fn every_worker_gets_a_socket_and_every_socket_a_worker() {
        let (inherited, addresses) = sockets(&["", ""]);
        let shared = inherited.share(addresses[0], 3).unwrap();
        assert_eq!(shared.len(), 3);
        assert!(shared.iter().all(|socket| socket.local_addr().unwrap() == addresses[0]));
        assert!(inherited.share("127.0.0.1:1".parse().unwrap(), 3).unwrap().is_empty());

        // Two sockets of one address, as with systemd's ReusePort=.
        let again = inherited.0[0].listener.try_clone().unwrap();
        let [one, two] = ["a", "b"].map(|name| (name.to_owned(), again.try_clone().unwrap()));
        assert_eq!(Inherited::new([one, two]).unwrap().share(addresses[0], 1).unwrap().len(), 2);
    }
}
