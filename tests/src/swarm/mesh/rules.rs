//! Computes rules from endpoints. Pure.
//!
//! Each of n tasks gets a connection with the same probability, where IPVS gives them turns: a client cannot tell the
//! difference when it shares the mesh with others. The kernel's connection tracking keeps an open connection at its task.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

use super::record::{Endpoint, Port};

/// Prepares a namespace for its rules. Must be repeatable: it fails partway while the engine is still setting up the
/// namespace.
pub(super) const SETUP: &str = "\
    once() { iptables --wait -t \"$1\" -C \"$2\" $3 2>/dev/null || iptables --wait -t \"$1\" -I \"$2\" $3; }
    echo 1 >/proc/sys/net/ipv4/ip_forward
    for interface in all eth0; do echo 0 >/proc/sys/net/ipv4/conf/$interface/send_redirects; done
    iptables --wait -t nat -N MESH 2>/dev/null || true
    once nat PREROUTING '-j MESH'
    once nat POSTROUTING '-m conntrack --ctstate DNAT -j MASQUERADE'
";

/// Prepares the host: connections to one of its addresses, from outside or from itself, pass the rules. Those from
/// itself get the bridge's address as their source, since no container could reply to 127.0.0.1. As with the engine's own
/// rules, those of the operator in `DOCKER-USER`, to which the engine keeps a jump at the top, come first.
pub(super) const SETUP_ON_HOST: &str = "\
    once() { iptables --wait -t \"$1\" -C \"$2\" $3 2>/dev/null || iptables --wait -t \"$1\" -I \"$2\" $3; }
    echo 1 >/proc/sys/net/ipv4/conf/docker_gwbridge/route_localnet
    iptables --wait -t nat -N MESH 2>/dev/null || true
    once nat PREROUTING '-m addrtype --dst-type LOCAL -j MESH'
    once nat OUTPUT '-m addrtype --dst-type LOCAL -j MESH'
    once nat POSTROUTING '-o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE'
    iptables --wait -N MESH 2>/dev/null || true
    iptables --wait -C FORWARD -j MESH 2>/dev/null || iptables --wait -I FORWARD 2 -j MESH
";

/// The traffic that is balanced in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Connections to published ports.
    Ingress,
    /// Connections from the containers of a network to services.
    Network,
}

/// The desired state of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The rules, as input of `iptables-restore --noflush`.
    pub(super) table: String,
    /// The virtual addresses that it must have.
    pub(super) addresses: Vec<Ipv4Addr>,
    /// The published ports, for [`Kind::Ingress`].
    pub(super) ports: Vec<Port>,
}

impl Rules {
    pub(super) fn of(kind: Kind, endpoints: &[Endpoint]) -> Self {
        // The match of each service's packets, and its tasks.
        let mut services: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let (mut addresses, mut ports) = (Vec::new(), Vec::new());
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.service.is_empty()) {
            let (Some(virtual_address), Some(address)) = (endpoint.virtual_address, endpoint.address) else { continue };
            match kind {
                Kind::Network => {
                    addresses.push(virtual_address);
                    let tasks = services.entry(format!("-d {virtual_address}")).or_default();
                    if !endpoint.disabled {
                        tasks.push(address.to_string());
                    }
                }
                Kind::Ingress => {
                    for port in &endpoint.ports {
                        ports.push(*port);
                        let matched = format!("-i eth1 -p {} --dport {}", protocol(*port), port.published);
                        let tasks = services.entry(matched).or_default();
                        if !endpoint.disabled {
                            tasks.push(format!("{address}:{}", port.target));
                        }
                    }
                }
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        ports.sort_unstable();
        ports.dedup();
        let mut table = "*nat\n:MESH - [0:0]\n".to_owned();
        for (matched, mut tasks) in services {
            tasks.sort_unstable();
            for (index, task) in tasks.iter().enumerate() {
                let share = tasks.len() - index;
                write!(table, "-A MESH {matched}").unwrap_or(());
                if share > 1 {
                    // At random, because the few clients of the rig would make a strict order a pattern: Docker tries
                    // a registry by HTTPS and then by HTTP, and of two tasks each would always get the same one.
                    let chance = 1.0 / share as f64;
                    write!(table, " -m statistic --mode random --probability {chance:.8}").unwrap_or(());
                }
                writeln!(table, " -j DNAT --to-destination {task}").unwrap_or(());
            }
        }
        table += "COMMIT\n";
        Self { table, addresses, ports }
    }

    /// Returns the rules of the host if `ingress_sbox` has the address `sandbox`.
    pub(super) fn host(&self, sandbox: &str) -> String {
        let mut nat = "*nat\n:MESH - [0:0]\n".to_owned();
        let mut filter = "*filter\n:MESH - [0:0]\n".to_owned();
        for port in &self.ports {
            let (protocol, published) = (protocol(*port), port.published);
            writeln!(nat, "-A MESH -p {protocol} --dport {published} -j DNAT --to-destination {sandbox}:{published}")
                .unwrap_or(());
            writeln!(filter, "-A MESH -d {sandbox} -p {protocol} --dport {published} -j ACCEPT").unwrap_or(());
            writeln!(filter, "-A MESH -s {sandbox} -p {protocol} --sport {published} -j ACCEPT").unwrap_or(());
        }
        format!("{nat}COMMIT\n{filter}COMMIT\n")
    }
}

fn protocol(port: Port) -> &'static str {
    if port.protocol == 1 { "udp" } else { "tcp" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(service: &str, host: u8, published: Option<u64>) -> Endpoint {
        Endpoint {
            service: service.to_owned(),
            virtual_address: Some(Ipv4Addr::new(10, 0, 0, 2)),
            address: Some(Ipv4Addr::new(10, 0, 0, host)),
            ports: published.map(|published| Port { protocol: 0, target: 8000, published }).into_iter().collect(),
            disabled: false,
        }
    }

    #[test]
    fn tasks_of_a_published_port_have_equal_chances() {
        let rules =
            Rules::of(Kind::Ingress, &[task("web", 7, Some(80)), task("web", 9, Some(80)), task("web", 8, Some(80))]);
        assert_eq!(
            rules.table,
            "*nat\n:MESH - [0:0]\n\
             -A MESH -i eth1 -p tcp --dport 80 -m statistic --mode random --probability 0.33333333 -j DNAT --to-destination 10.0.0.7:8000\n\
             -A MESH -i eth1 -p tcp --dport 80 -m statistic --mode random --probability 0.50000000 -j DNAT --to-destination 10.0.0.8:8000\n\
             -A MESH -i eth1 -p tcp --dport 80 -j DNAT --to-destination 10.0.0.9:8000\n\
             COMMIT\n"
        );
        assert_eq!(rules.ports.len(), 1);
        assert!(rules.addresses.is_empty());
    }

    #[test]
    fn a_stopping_task_gets_no_connections_but_its_service_keeps_its_address() {
        let mut stopping = task("web", 7, None);
        stopping.disabled = true;
        let rules = Rules::of(Kind::Network, &[stopping]);
        assert_eq!(rules.table, "*nat\n:MESH - [0:0]\nCOMMIT\n");
        assert_eq!(rules.addresses, [Ipv4Addr::new(10, 0, 0, 2)]);
    }

    #[test]
    fn rules_do_not_depend_on_the_order_of_the_endpoints() {
        let (one, other) = (task("web", 7, Some(80)), task("web", 8, Some(80)));
        assert_eq!(Rules::of(Kind::Ingress, &[one.clone(), other.clone()]), Rules::of(Kind::Ingress, &[other, one]));
    }
}
