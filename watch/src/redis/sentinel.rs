//! Polls the sentinels.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
};

use futures_util::future::join_all;
use redis::RedisError;
use tracing::debug;

use super::connections::{Connection, Connections};

/// The view of one sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) master: SocketAddr,
    /// Configuration epoch, which grows with each failover.
    pub(super) epoch: u64,
    pub(super) replicas: Vec<SocketAddr>,
}

type Fields = HashMap<String, String>;

/// Asks all sentinels concurrently about the master called `name`.
pub(super) async fn poll(connections: &mut Connections, addresses: &BTreeSet<SocketAddr>, name: &str) -> Vec<View> {
    let polls = connections.take(addresses).into_iter().map(|mut connection| async {
        let view = view(&mut connection, name).await;
        (connection, view)
    });
    let mut views = Vec::new();
    for (connection, view) in join_all(polls).await {
        match view {
            Ok(Some(view)) => views.push(view),
            Ok(None) => debug!(sentinel = %connection.address, "reports no address of its master"),
            Err(error) => debug!(sentinel = %connection.address, %error, "does not answer"),
        }
        connections.put(connection);
    }
    views
}

async fn view(connection: &mut Connection, name: &str) -> Result<Option<View>, RedisError> {
    let mut commands = redis::pipe();
    commands.cmd("SENTINEL").arg("MASTER").arg(name);
    commands.cmd("SENTINEL").arg("REPLICAS").arg(name);
    let (master, replicas): (Fields, Vec<Fields>) = connection.query(&commands).await?;
    let Some(address) = address(&master) else { return Ok(None) };
    let epoch = master.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    Ok(Some(View { master: address, epoch, replicas: replicas.iter().filter_map(self::address).collect() }))
}

fn address(fields: &Fields) -> Option<SocketAddr> {
    let ip: IpAddr = fields.get("ip")?.parse().ok()?;
    Some(SocketAddr::new(ip, fields.get("port")?.parse().ok()?))
}

/// Returns the master of the newest configuration epoch.
pub(super) fn master(views: &[View]) -> Option<SocketAddr> {
    views.iter().max_by_key(|view| view.epoch).map(|view| view.master)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epoch_wins() {
        let view = |port, epoch| View { master: ([127, 0, 0, 1], port).into(), epoch, replicas: Vec::new() };
        assert_eq!(master(&[view(1, 5), view(2, 6), view(1, 5)]), Some(([127, 0, 0, 1], 2).into()));
        assert_eq!(master(&[]), None);
    }
}
