//! The tables of a pool behind a mesh: its nodes and its replicas.

use std::fmt;

use super::{
    format::{Escaped, count, percent},
    parts::{MANY, alarming, folded, table},
};
use crate::admin::{
    mesh::{NodeView, ReplicaView},
    status::PoolStatus,
};

/// Writes the tables, or nothing for another pool.
pub(super) fn tables(out: &mut String, pool: &PoolStatus) -> fmt::Result {
    let Some(mesh) = &pool.mesh else { return Ok(()) };
    let nodes: Vec<_> = pool.endpoints.iter().filter_map(|node| Some((node.address.to_string(), node.mesh?))).collect();
    let (id, summary) = (format!("nodes-{}", pool.name), format!("Connections to {} nodes", nodes.len()));
    in_parts(out, nodes, |(_, node)| node.suspect, (&id, &summary), table_of_nodes)?;
    let (id, summary) = (format!("replicas-{}", pool.name), format!("{} replicas", mesh.replicas.len()));
    let replicas: Vec<_> = mesh.replicas.iter().collect();
    let is_notable = |replica: &&ReplicaView| replica.suspect || replica.ejected;
    in_parts(out, replicas, is_notable, (&id, &summary), table_of_replicas)
}

/// Writes a table, of which many rows are folded up but for those that are notable.
fn in_parts<T>(
    out: &mut String,
    rows: Vec<T>,
    is_notable: impl Fn(&T) -> bool,
    (id, summary): (&str, &str),
    write: impl Fn(&mut String, Vec<T>) -> fmt::Result,
) -> fmt::Result {
    if rows.len() <= MANY {
        return write(out, rows);
    }
    let (notable, usual): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_notable);
    write(out, notable)?;
    folded(out, id, summary, !usual.is_empty(), |out| write(out, usual))
}

fn table_of_nodes(out: &mut String, nodes: Vec<(String, NodeView)>) -> fmt::Result {
    let columns = [("Node", ""), ("Open", "n"), ("Spare", "n"), ("Ready", "n"), ("Opening", "n"), ("Answers", "")];
    table(out, &columns, nodes, |(address, node)| {
        [
            address,
            count(node.open as u64),
            count(node.spare as u64),
            count(node.ready as u64),
            count(node.opening as u64),
            answers(node.suspect, node.suspicions),
        ]
    })
}

fn table_of_replicas(out: &mut String, replicas: Vec<&ReplicaView>) -> fmt::Result {
    let columns = [
        ("Replica", ""),
        ("State", ""),
        ("Share", "n"),
        ("Requests", "n"),
        ("5xx", "n"),
        ("Connections", "n"),
        ("Answers", ""),
    ];
    table(out, &columns, replicas, |replica| {
        let (class, state) = if replica.ejected { ("warn", "ejected") } else { ("good", "used") };
        let ejections = match replica.ejections {
            0 => String::new(),
            number => format!(" <small>ejections: {}</small>", count(number)),
        };
        [
            Escaped(&replica.name).to_string(),
            format!("<span class=\"state {class}\">{state}</span>{ejections}"),
            percent(replica.share),
            count(replica.responses),
            alarming(replica.server_errors),
            count(replica.connections as u64),
            answers(replica.suspect, replica.suspicions),
        ]
    })
}

fn answers(suspect: bool, suspicions: u64) -> String {
    let state = if suspect { "<span class=\"state warn\">not lately</span>" } else { "yes" };
    if suspicions == 0 { state.to_owned() } else { format!("{state} <small>missed: {}</small>", count(suspicions)) }
}
