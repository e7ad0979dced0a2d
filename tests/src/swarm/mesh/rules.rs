//! From endpoints to rules, pure.
//!
//! Of n tasks, the first is given every nth connection, the second every (n-1)th of the rest, and so on: round robin,
//! as IPVS has it. A connection that was begun stays where it is, which the kernel's connection tracking sees to.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

use super::record::{Endpoint, Port};

/// In every namespace, before its first rules. May have been run before, in part: the engine may still be busy with
/// the namespace.
pub(super) const FIRST: &str = "\
    once() { iptables --wait -t \"$1\" -C \"$2\" $3 2>/dev/null || iptables --wait -t \"$1\" -I \"$2\" $3; }
    echo 1 >/proc/sys/net/ipv4/ip_forward
    for interface in all eth0; do echo 0 >/proc/sys/net/ipv4/conf/$interface/send_redirects; done
    iptables --wait -t nat -N MESH 2>/dev/null || true
    once nat PREROUTING '-j MESH'
    once nat POSTROUTING '-m conntrack --ctstate DNAT -j MASQUERADE'
";

/// The same on the host: what comes to one of its addresses, from outside or from itself. What the host sends to
/// itself leaves with the bridge's address, since nobody could answer to 127.0.0.1.
pub(super) const FIRST_ON_HOST: &str = "\
    once() { iptables --wait -t \"$1\" -C \"$2\" $3 2>/dev/null || iptables --wait -t \"$1\" -I \"$2\" $3; }
    echo 1 >/proc/sys/net/ipv4/conf/docker_gwbridge/route_localnet
    iptables --wait -t nat -N MESH 2>/dev/null || true
    once nat PREROUTING '-m addrtype --dst-type LOCAL -j MESH'
    once nat OUTPUT '-m addrtype --dst-type LOCAL -j MESH'
    once nat POSTROUTING '-o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE'
    iptables --wait -N MESH 2>/dev/null || true
    once filter FORWARD '-j MESH'
";

/// Whose traffic is balanced in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What comes for published ports.
    Ingress,
    /// What the containers of a network send to services.
    Network,
}

/// What a namespace is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// For `iptables-restore --noflush`.
    pub(super) table: String,
    /// Virtual addresses.
    pub(super) addresses: Vec<Ipv4Addr>,
    /// Published ports, of ingress.
    pub(super) ports: Vec<Port>,
}

impl Rules {
    pub(super) fn of(kind: Kind, endpoints: &[Endpoint]) -> Self {
        // What a packet has to match, and who may get it.
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
                    write!(table, " -m statistic --mode nth --every {share} --packet 0").unwrap_or(());
                }
                writeln!(table, " -j DNAT --to-destination {task}").unwrap_or(());
            }
        }
        table += "COMMIT\n";
        Self { table, addresses, ports }
    }

    /// What the host is to have, when `ingress_sbox` has the address `sandbox`.
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
    fn tasks_of_a_published_port_take_turns() {
        let rules =
            Rules::of(Kind::Ingress, &[task("web", 7, Some(80)), task("web", 9, Some(80)), task("web", 8, Some(80))]);
        assert_eq!(
            rules.table,
            "*nat\n:MESH - [0:0]\n\
             -A MESH -i eth1 -p tcp --dport 80 -m statistic --mode nth --every 3 --packet 0 -j DNAT --to-destination 10.0.0.7:8000\n\
             -A MESH -i eth1 -p tcp --dport 80 -m statistic --mode nth --every 2 --packet 0 -j DNAT --to-destination 10.0.0.8:8000\n\
             -A MESH -i eth1 -p tcp --dport 80 -j DNAT --to-destination 10.0.0.9:8000\n\
             COMMIT\n"
        );
        assert_eq!(rules.ports.len(), 1);
        assert!(rules.addresses.is_empty());
    }

    #[test]
    fn a_stopping_task_gets_nothing_but_its_service_keeps_its_address() {
        let mut stopping = task("web", 7, None);
        stopping.disabled = true;
        let rules = Rules::of(Kind::Network, &[stopping]);
        assert_eq!(rules.table, "*nat\n:MESH - [0:0]\nCOMMIT\n");
        assert_eq!(rules.addresses, [Ipv4Addr::new(10, 0, 0, 2)]);
    }

    #[test]
    fn the_order_of_the_table_does_not_matter() {
        let (one, other) = (task("web", 7, Some(80)), task("web", 8, Some(80)));
        assert_eq!(Rules::of(Kind::Ingress, &[one.clone(), other.clone()]), Rules::of(Kind::Ingress, &[other, one]));
    }
}
