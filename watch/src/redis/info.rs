//! Parsing of `INFO replication`. Pure.

use std::{collections::HashMap, net::SocketAddr};

use crate::cluster_state::Role;

/// The replication state of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replication {
    pub(super) role: Role,
    /// Whether a replica is connected to its master.
    pub(super) linked: bool,
    /// Replication offset.
    pub(super) offset: Option<u64>,
    /// Replicas of a master.
    pub(super) replicas: Vec<Replica>,
}

/// A replica as reported by its master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) address: SocketAddr,
    pub(super) online: bool,
    pub(super) offset: Option<u64>,
}

/// Parses the lines `name:value`.
pub(super) fn replication(text: &str) -> Replication {
    let fields: HashMap<&str, &str> = text.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let number = |name| fields.get(name).and_then(|text: &&str| text.parse().ok());
    if fields.get("role") != Some(&"master") {
        let linked = fields.get("master_link_status") == Some(&"up");
        return Replication { role: Role::Replica, linked, offset: number("slave_repl_offset"), replicas: Vec::new() };
    }
    let count: usize = number("connected_slaves").and_then(|count| count.try_into().ok()).unwrap_or(0);
    // Bounds the work for an absurd number.
    let lines = (0..count.min(fields.len())).filter_map(|index| fields.get(format!("slave{index}").as_str()));
    Replication {
        role: Role::Master,
        linked: false,
        offset: number("master_repl_offset"),
        replicas: lines.filter_map(|line| replica(line)).collect(),
    }
}

/// `ip=127.0.0.1,port=6379,state=online,offset=14,lag=0`
fn replica(line: &str) -> Option<Replica> {
    let fields: HashMap<&str, &str> = line.split(',').filter_map(|field| field.split_once('=')).collect();
    let address = SocketAddr::new(fields.get("ip")?.parse().ok()?, fields.get("port")?.parse().ok()?);
    let offset = fields.get("offset").and_then(|offset| offset.parse().ok());
    Some(Replica { address, online: fields.get("state") == Some(&"online"), offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn master_and_replica_are_parsed() {
        let text = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
                    slave0:ip=127.0.0.1,port=7001,state=online,offset=140,lag=0\r\n\
                    slave1:ip=127.0.0.1,port=7002,state=wait_bgsave,offset=0,lag=0\r\n\
                    master_repl_offset:154\r\n";
        let replica =
            |port, online, offset| Replica { address: ([127, 0, 0, 1], port).into(), online, offset: Some(offset) };
        let expected = Replication {
            role: Role::Master,
            linked: false,
            offset: Some(154),
            replicas: vec![replica(7001, true, 140), replica(7002, false, 0)],
        };
        assert_eq!(replication(text), expected);

        let text = "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_link_status:up\r\nslave_repl_offset:140\r\n";
        let expected = Replication { linked: true, offset: Some(140), ..Replication::default() };
        assert_eq!(replication(text), expected);
        assert_eq!(replication("nonsense"), Replication::default());
        assert_eq!(replication("role:master\nconnected_slaves:99999999999\n").replicas.len(), 0);
    }
}
