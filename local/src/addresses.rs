//! Pure: which address each part listens on, before anything is bound.

use std::{net::SocketAddr, num::NonZeroUsize};

use settings::address::overlap;

use crate::error::Error;

/// The maximum number of replicas. Each has a thread, and about five of the 1024 descriptors that a process has by
/// default.
pub const MAX_REPLICAS: usize = 100;

/// Returns the addresses of `count` replicas, the first of which is `listen`, beside an edge with these two addresses.
pub(crate) fn replicas(
    count: NonZeroUsize,
    listen: SocketAddr,
    edge: SocketAddr,
    admin: SocketAddr,
) -> Result<Vec<SocketAddr>, Error> {
    if count.get() > MAX_REPLICAS {
        return Err(Error::Replicas { replicas: count, most: MAX_REPLICAS });
    }
    let first = listen.port();
    let port = |step: u16| if first == 0 { Some(0) } else { first.checked_add(step) };
    let ports: Option<Vec<u16>> = (0..).take(count.get()).map(port).collect();
    let ports = ports.ok_or(Error::Ports { replicas: count, first })?;
    let replicas: Vec<_> = ports.into_iter().map(|port| SocketAddr::new(listen.ip(), port)).collect();

    let (edge, admin) = (("--edge", edge), ("--admin", admin));
    for other in [edge, admin] {
        match replicas.iter().position(|replica| overlap(*replica, other.1)) {
            Some(0) => return Err(Error::Overlap { one: ("--listen", listen), other }),
            Some(index) => return Err(Error::OnReplica { other, number: index + 1, first: listen }),
            None => {}
        }
    }
    if overlap(edge.1, admin.1) {
        return Err(Error::Overlap { one: edge, other: admin });
    }
    Ok(replicas)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(app: &str, edge: &str, admin: &str, count: usize) -> Result<Vec<String>, String> {
        let [app, edge, admin] = [app, edge, admin].map(|address| address.parse().unwrap());
        let addresses = replicas(NonZeroUsize::new(count).unwrap(), app, edge, admin);
        Ok(addresses.map_err(|error| error.to_string())?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn replicas_have_consecutive_ports_or_those_that_the_kernel_chooses() {
        let consecutive = addresses("127.0.0.1:65534", "127.0.0.1:1", "127.0.0.1:2", 2).unwrap();
        assert_eq!(consecutive, ["127.0.0.1:65534", "127.0.0.1:65535"]);
        assert_eq!(addresses("[::1]:0", "[::1]:0", "[::1]:0", 2).unwrap(), ["[::1]:0", "[::1]:0"]);
    }

    #[test]
    fn too_many_replicas_are_refused() {
        let error = addresses("127.0.0.1:65534", "127.0.0.1:1", "127.0.0.1:2", 3).unwrap_err();
        assert_eq!(
            error,
            "there are not enough ports for 3 replicas from port 65534 on: choose a lower port with --listen"
        );
        for listen in ["127.0.0.1:8000", "127.0.0.1:0"] {
            let error = addresses(listen, "127.0.0.1:1", "127.0.0.1:2", 99_999).unwrap_err();
            assert_eq!(error, "--replicas is 99999: write a number from 1 to 100");
        }
    }

    #[test]
    fn two_parts_with_one_address_are_named_by_their_flags() {
        let cases = [
            (["127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:9"], "--listen and --edge are both 127.0.0.1:1: "),
            (["127.0.0.1:1", "127.0.0.1:9", "127.0.0.1:1"], "--listen and --admin are both 127.0.0.1:1: "),
            (["127.0.0.1:1", "127.0.0.1:9", "127.0.0.1:9"], "--edge and --admin are both 127.0.0.1:9: "),
            (["0.0.0.0:1", "127.0.0.1:1", "127.0.0.1:9"], "--listen 0.0.0.0:1 and --edge 127.0.0.1:1 overlap: "),
            (["127.0.0.1:1", "[::]:9", "127.0.0.1:9"], "--edge [::]:9 and --admin 127.0.0.1:9 overlap: "),
            (
                ["127.0.0.1:1", "127.0.0.1:3", "127.0.0.1:9"],
                "--edge is 127.0.0.1:3, which is replica 3 of those from --listen 127.0.0.1:1 on: ",
            ),
        ];
        for ([app, edge, admin], start) in cases {
            let error = addresses(app, edge, admin, 3).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        }
        addresses("127.0.0.1:1", "127.0.0.2:1", "[::1]:1", 1).unwrap();
        addresses("0.0.0.0:1", "[::1]:1", "127.0.0.1:2", 1).unwrap();
    }
}
