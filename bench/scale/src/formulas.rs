//! Formulas for traffic, connections, memory and addresses at rest, and for the single master of the count.

use edge::config::{Dns, HealthCheck, Interval};

use crate::{
    Size,
    table::{Table, number},
};

/// Bytes on the wire of one health check in both directions, measured by `bench/scale/measure`. The VXLAN tunnel adds
/// 50 bytes to each of its nine packets.
pub const CHECK_BYTES: f64 = 924.0 + 9.0 * 50.0;
/// CPU time of one health check on the edge, in microseconds, measured by `bench/scale/measure`.
pub const CHECK_EDGE: f64 = 95.0;
/// CPU time of one health check on the replica, in microseconds, measured by `bench/scale/measure`.
pub const CHECK_REPLICA: f64 = 67.0;
/// Memory of an idle connection in an edge, in bytes: the row `idle-plain` of bench/results.
const CONNECTION: f64 = 1967.0;
/// Batches per second that one master counts, measured by `bench/scale/measure-count` on a busy machine.
const BATCHES: f64 = 4_000.0;
/// Queries per second of each replica of the counter to each sentinel: three commands every `PAUSE` of
/// `app/src/counter/sentinel`.
const SENTINEL_QUERIES: f64 = 3.0 / 0.25;
/// Usable addresses of a /24, without the router's.
const SUBNET: usize = 253;
/// Size of an edge's `/status.json` in bytes, measured with 6 and with 600 endpoints: the constant part, and the part
/// per endpoint.
const STATUS: (f64, f64) = (2771.0, 902.0);
/// Queries per second of watch to each edge: one instance on each of three managers, every `INTERVAL` of
/// `watch/src/edges`.
const WATCH_QUERIES: f64 = 3.0 / 2.0;
/// The largest response over UDP that the edge's resolver accepts, in bytes.
const UDP: usize = 1232;

/// The size of the DNS response for `tasks.web` in bytes: header, question, the EDNS record, and one A record per
/// replica.
fn response_bytes(replicas: usize) -> usize {
    let (header, question, edns, record) = (12, 11 + 4, 11, 16);
    header + question + edns + record * replicas
}

/// Formats the number of addresses in use on a network, in bold if it exceeds the subnet.
fn addresses(used: usize) -> String {
    if used > SUBNET { format!("**{used}**") } else { used.to_string() }
}

/// The cost of an idle system at each size.
#[must_use]
pub fn rest() -> String {
    let interval = HealthCheck::default().interval.as_secs_f64();
    let (Interval::Fixed(lookups) | Interval::Ttl { min: lookups, .. }) = Dns::default().interval;
    let queries = 2.0 / lookups.as_secs_f64();
    let mut head = vec!["nodes, edges".to_owned()];
    head.extend(Size::ALL.map(|size| format!("{}, {}", size.nodes, size.edges)));
    let mut table = Table::new(&head);
    let mut row = |name: &str, value: &dyn Fn(Size) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(Size::ALL.map(value));
        table.row(&cells);
    };
    let by_edge = |size: Size| size.replicas() as f64 / interval;
    let of_replica = |size: Size| size.edges as f64 / interval;
    row("replicas", &|size| size.replicas().to_string());
    row("checks/s by an edge", &|size| number(by_edge(size)));
    row("checks/s of a replica", &|size| number(of_replica(size)));
    row("checks/s in all", &|size| number(by_edge(size) * size.edges as f64));
    row("traffic of checks in all, MB/s", &|size| number(by_edge(size) * size.edges as f64 * CHECK_BYTES / 1e6));
    row("traffic of checks by an edge, Mbit/s", &|size| number(by_edge(size) * CHECK_BYTES * 8.0 / 1e6));
    row("CPU of an edge for checks, % of a core", &|size| number(by_edge(size) * CHECK_EDGE / 1e4));
    row("CPU of a replica for checks, % of a core", &|size| number(of_replica(size) * CHECK_REPLICA / 1e4));
    row("DNS queries/s of an edge to its own engine", &|_| number(queries));
    row("size of the DNS response, bytes", &|size| {
        let bytes = response_bytes(size.replicas());
        format!("{bytes}{}", if bytes > UDP { ", TCP" } else { "" })
    });
    row("idle connections of an edge, at least", &|size| size.replicas().to_string());
    row("memory of these connections, MB", &|size| number(size.replicas() as f64 * CONNECTION / 1e6));
    row("idle connections of a replica, at least", &|size| size.edges.to_string());
    row("read by three instances of watch from edges, MB/s", &|size| {
        let status = STATUS.0 + STATUS.1 * size.replicas() as f64;
        number(WATCH_QUERIES * size.edges as f64 * status / 1e6)
    });
    row("addresses on `front`, 253 in a /24", &|size| {
        // Tasks of web, edge and watch (on three managers), one address per node, and the virtual addresses of the
        // three services.
        addresses(size.replicas() + size.edges + 3 + size.nodes + 3)
    });
    row("addresses on `back`", &|size| addresses(size.replicas() + 3 + 3 + 3 + size.nodes + 8));
    row("addresses on `ingress`", &|size| addresses(size.replicas() + 3 + size.nodes + 2));
    table.finish()
}

/// The load on the master of the count, which is one for any number of replicas.
#[must_use]
pub fn count() -> String {
    let mut table = Table::new(&[
        "replicas of web",
        "visits/s",
        "batches/s at the master",
        "visits per batch",
        "wait for the master, ms",
        "queries/s at each sentinel",
    ]);
    for replicas in [6_u32, 60, 600] {
        for visits in [1_000.0, 10_000.0, 100_000.0] {
            let replicas = f64::from(replicas);
            // Below the master's limit, no batch waits for another, and each visit may be a batch of its own. At the
            // limit, each replica has one batch in flight, and the visits that arrive meanwhile form the next.
            let batches = BATCHES.min(visits);
            let wait = if visits < BATCHES { 1.0 / BATCHES } else { replicas / BATCHES };
            table.row(&[
                number(replicas),
                number(visits),
                number(batches),
                number(visits / batches),
                number(wait * 1e3),
                number(batches + replicas * SENTINEL_QUERIES),
            ]);
        }
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_responses_exceed_udp_at_the_documented_number_of_replicas() {
        assert!(response_bytes(74) <= UDP && response_bytes(75) > UDP);
        assert!(response_bytes(29) <= 512 && response_bytes(30) > 512);
    }
}
