//! The network between the hosts: a bridge in the test's own network namespace, with a cable to each host.

use std::net::Ipv4Addr;

use rustix::process::Pid;

use super::shell::{self, Failed};

/// The address of the test, and of all services that the hosts reach outside the swarm.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 10, 25, 1);

/// Another address of the test, for a client that must be distinguishable from others.
pub const VISITOR: Ipv4Addr = Ipv4Addr::new(10, 10, 25, 77);

/// The address of the stand-in for Docker Hub.
pub const HUB: &str = "10.10.25.1:5001";

const BRIDGE: &str = "fabric";

/// Creates the bridge with the test's own addresses.
///
/// # Errors
/// The kernel refuses.
pub async fn build() -> Result<(), Failed> {
    shell::run("ip link set lo up").await?;
    shell::run(&format!("ip link add {BRIDGE} type bridge")).await?;
    shell::run(&format!("ip address add {OUTSIDE}/24 dev {BRIDGE}")).await?;
    shell::run(&format!("ip address add {VISITOR}/24 dev {BRIDGE}")).await?;
    shell::run(&format!("ip link set {BRIDGE} up")).await?;
    Ok(())
}

/// The cable of a host. One end is in the bridge, the other is the host's eth0.
#[derive(Clone, Debug)]
pub struct Cable {
    name: String,
    address: Ipv4Addr,
}

impl Cable {
    /// Returns the cable of the host at `address`.
    #[must_use]
    pub fn of(address: Ipv4Addr) -> Self {
        Self { name: format!("host{}", address.octets()[3]), address }
    }

    /// Plugs it into the host whose first process is `init`, with the host's address and default route.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn plug(&self, init: Pid) -> Result<(), Failed> {
        let Self { name, address } = self;
        let init = init.as_raw_pid();
        // The host's end was removed with its namespace, and this end will be, but not immediately.
        drop(shell::run(&format!("ip link delete {name}")).await);
        // A machine keeps its network card, so the ARP entries of the others stay valid.
        let [.., last] = address.octets();
        let card = format!("02:00:0a:0a:19:{last:02x}");
        shell::run(&format!("ip link add {name} type veth peer name eth0 address {card} netns {init}")).await?;
        shell::run(&format!("ip link set {name} master {BRIDGE} up")).await?;
        for line in [
            format!("ip address add {address}/24 dev eth0"),
            "ip link set eth0 up".to_owned(),
            format!("ip route add default via {OUTSIDE}"),
        ] {
            shell::run(&format!("nsenter --target {init} --net {line}")).await?;
        }
        Ok(())
    }

    /// Cuts the cable: nothing passes in either direction, without an error on either side.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn cut(&self) -> Result<(), Failed> {
        shell::run(&format!("ip link set {} nomaster", self.name)).await.map(drop)
    }
}
