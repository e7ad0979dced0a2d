//! What formulas give: traffic, connections, memory and addresses at rest, and the count's one master.

use edge::config::{Dns, HealthCheck};

use crate::{
    Size,
    table::{Table, number},
};

/// Bytes on the wire of one check, both ways, and microseconds of CPU of the edge that makes it and of the replica
/// that answers: `bench/scale/measure`. A tunnel (VXLAN) adds 50 bytes to each of its nine packets.
pub const CHECK_BYTES: f64 = 924.0 + 9.0 * 50.0;
/// See [`CHECK_BYTES`].
pub const CHECK_EDGE: f64 = 95.0;
/// See [`CHECK_BYTES`].
pub const CHECK_REPLICA: f64 = 67.0;
/// Bytes of an edge's memory for an idle connection: the row `idle-plain` of bench/results.
const CONNECTION: f64 = 1967.0;
/// Batches per second that one master counts: `bench/scale/measure-count`, on a busy machine.
const BATCHES: f64 = 4_000.0;
/// How often each replica of the counter asks each sentinel: `PAUSE` of `app/src/counter/sentinel`, three commands.
const ROUNDS: f64 = 3.0 / 0.25;
/// Addresses of a /24 without its router's.
const SUBNET: usize = 253;
/// Bytes of an edge's `/status.json`, measured with 6 and with 600 endpoints: without any endpoint, and for each.
const STATUS: (f64, f64) = (2771.0, 902.0);
/// Instances of watch, one on each manager, and how often each asks every edge: `PERIOD` of `watch/src/edges`.
const WATCHES: f64 = 3.0 / 2.0;
/// The largest response over UDP that the edge's resolver allows.
const UDP: usize = 1232;

/// Of `tasks.web`, with its question and the sign of EDNS; one A record each.
fn answer_bytes(replicas: usize) -> usize {
    let (head, question, edns, record) = (12, 11 + 4, 11, 16);
    head + question + edns + record * replicas
}

/// Addresses in use on a network: its tasks, one on each node that has such a task, and the virtual ones.
fn addresses(used: usize) -> String {
    if used > SUBNET { format!("**{used}**") } else { used.to_string() }
}

/// The cost of an idle system.
#[must_use]
pub fn rest() -> String {
    let interval = HealthCheck::default().interval.as_secs_f64();
    let questions = 2.0 / Dns::default().interval.as_secs_f64();
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
    row("their traffic in all, MB/s", &|size| number(by_edge(size) * size.edges as f64 * CHECK_BYTES / 1e6));
    row("of an edge, Mbit/s", &|size| number(by_edge(size) * CHECK_BYTES * 8.0 / 1e6));
    row("an edge's CPU for them, % of a core", &|size| number(by_edge(size) * CHECK_EDGE / 1e4));
    row("a replica's", &|size| number(of_replica(size) * CHECK_REPLICA / 1e4));
    row("questions/s of an edge to its own engine", &|_| number(questions));
    row("the answer, bytes", &|size| {
        let bytes = answer_bytes(size.replicas());
        format!("{bytes}{}", if bytes > UDP { ", TCP" } else { "" })
    });
    row("idle connections of an edge, at least", &|size| size.replicas().to_string());
    row("their memory, MB", &|size| number(size.replicas() as f64 * CONNECTION / 1e6));
    row("idle connections of a replica, at least", &|size| size.edges.to_string());
    row("what three watches read from edges, MB/s", &|size| {
        let status = STATUS.0 + STATUS.1 * size.replicas() as f64;
        number(WATCHES * size.edges as f64 * status / 1e6)
    });
    row("addresses on `front`, 253 in a /24", &|size| {
        // web, edge and watch on three managers; the virtual addresses of these three.
        addresses(size.replicas() + size.edges + 3 + size.nodes + 3)
    });
    row("on `back`", &|size| addresses(size.replicas() + 3 + 3 + 3 + size.nodes + 8));
    row("on `ingress`", &|size| addresses(size.replicas() + 3 + size.nodes + 2));
    table.finish()
}

/// One master for any number of replicas.
#[must_use]
pub fn count() -> String {
    let mut table = Table::new(&[
        "replicas of web",
        "visits/s",
        "batches/s at the master",
        "visits in a batch",
        "wait for the master, ms",
        "questions/s at each sentinel",
    ]);
    for replicas in [6_u32, 60, 600] {
        for visits in [1_000.0, 10_000.0, 100_000.0] {
            let replicas = f64::from(replicas);
            // While the master keeps up, a batch waits for no other, and each visit may be one; at its limit,
            // each replica has one under way, and visits that come meanwhile make up the next.
            let batches = BATCHES.min(visits);
            let wait = if visits < BATCHES { 1.0 / BATCHES } else { replicas / BATCHES };
            table.row(&[
                number(replicas),
                number(visits),
                number(batches),
                number(visits / batches),
                number(wait * 1e3),
                number(batches + replicas * ROUNDS),
            ]);
        }
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_outgrows_udp_where_the_page_says() {
        assert!(answer_bytes(74) <= UDP && answer_bytes(75) > UDP);
        assert!(answer_bytes(29) <= 512 && answer_bytes(30) > 512);
    }
}
