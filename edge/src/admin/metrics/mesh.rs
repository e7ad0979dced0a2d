//! The metrics of pools behind a mesh.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{family_writer::FamilyWriter, series::flag};
use crate::admin::{
    mesh::{MeshView, NodeView, ReplicaView},
    status::PoolStatus,
};

pub(super) fn encode(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    if pools.iter().all(|pool| pool.mesh.is_none()) {
        return Ok(());
    }
    nodes(families, pools)?;
    replicas(families, pools)?;
    let meshes = |number: fn(&MeshView) -> f64| {
        pools.iter().filter_map(move |pool| Some(([pool.label()], number(pool.mesh.as_ref()?))))
    };
    let counts = |number: fn(&MeshView) -> u64| {
        pools.iter().filter_map(move |pool| Some(([pool.label()], number(pool.mesh.as_ref()?))))
    };
    families.gauges(
        "mesh_connect_timeout",
        Some(&Unit::Seconds),
        "How long a new connection may take now, from how long connecting usually takes",
        meshes(|mesh| mesh.connect_timeout_ms / 1e3),
    )?;
    let help = "Warm connections that are kept to each node in use";
    families.gauges("mesh_warm_connections", None, help, meshes(|mesh| mesh.warm as f64))?;
    let help = "Connections whose replica is not known";
    families.gauges("mesh_unknown_connections", None, help, meshes(|mesh| mesh.unknown_connections as f64))?;
    let help = "Second connections that were opened because the first was late";
    families.counters("mesh_races", None, help, counts(|mesh| mesh.races))?;
    let help = "Second connections that were open before the first";
    families.counters("mesh_races_won", None, help, counts(|mesh| mesh.races_won))
}

fn nodes(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    let nodes = |number: fn(&NodeView) -> f64| {
        pools.iter().flat_map(move |pool| {
            pool.endpoints.iter().filter_map(move |endpoint| {
                let labels = [("pool", pool.name.clone()), ("endpoint", endpoint.address.to_string())];
                Some((labels, number(endpoint.mesh.as_ref()?)))
            })
        })
    };
    let help = "Idle connections to a node, which are spare ones for the next requests";
    families.gauges("mesh_node_spare_connections", None, help, nodes(|node| node.spare as f64))?;
    let help = "Idle connections to a node that requests may use";
    families.gauges("mesh_node_ready_connections", None, help, nodes(|node| node.ready as f64))?;
    let help = "Connections to a node that are being opened";
    families.gauges("mesh_node_opening_connections", None, help, nodes(|node| node.opening as f64))?;
    let help = "Whether requests avoid a node because a connection to it did not answer, 0 or 1";
    families.gauges("mesh_node_suspect", None, help, nodes(|node| flag(node.suspect)))
}

fn replicas(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    fn each<N>(
        pools: &[PoolStatus],
        number: fn(&ReplicaView) -> N,
    ) -> impl Iterator<Item = ([(&'static str, &str); 2], N)> {
        pools.iter().flat_map(move |pool| {
            let replicas = pool.mesh.iter().flat_map(|mesh| &mesh.replicas);
            replicas.map(move |replica| ([pool.label(), ("replica", replica.name.as_str())], number(replica)))
        })
    }
    let connections = each(pools, |replica| replica.connections as f64);
    families.gauges("mesh_replica_connections", None, "Connections that lead to a replica", connections)?;
    let responses = each(pools, |replica| replica.responses);
    families.counters("mesh_replica_responses", None, "Responses of a replica to requests", responses)?;
    let errors = each(pools, |replica| replica.server_errors);
    families.counters("mesh_replica_server_errors", None, "Server errors among the responses of a replica", errors)?;
    let ejected = each(pools, |replica| flag(replica.ejected));
    families.gauges("mesh_replica_ejected", None, "Whether a worker ejects a replica, 0 or 1", ejected)?;
    let help = "Whether requests avoid a replica because a connection to it did not answer, 0 or 1";
    families.gauges("mesh_replica_suspect", None, help, each(pools, |replica| flag(replica.suspect)))
}
