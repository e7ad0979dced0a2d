//! What the sentinels say.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
};

use futures_util::future::join_all;
use redis::RedisError;
use tracing::debug;

use super::connections::{Link, Links};

/// What one sentinel knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) master: SocketAddr,
    /// Grows with each election.
    pub(super) epoch: u64,
    pub(super) replicas: Vec<SocketAddr>,
}

type Fields = HashMap<String, String>;

/// Asks all at the same time about the master called `name`.
pub(super) async fn ask(links: &mut Links, addresses: &BTreeSet<SocketAddr>, name: &str) -> Vec<View> {
    let asked = links.take(addresses).into_iter().map(|mut link| async {
        let view = view(&mut link, name).await;
        (link, view)
    });
    let mut views = Vec::new();
    for (link, view) in join_all(asked).await {
        match view {
            Ok(Some(view)) => views.push(view),
            Ok(None) => debug!(sentinel = %link.address, "names its master by no address"),
            Err(error) => debug!(sentinel = %link.address, %error, "does not answer"),
        }
        links.put(link);
    }
    views
}

async fn view(link: &mut Link, name: &str) -> Result<Option<View>, RedisError> {
    let mut questions = redis::pipe();
    questions.cmd("SENTINEL").arg("MASTER").arg(name);
    questions.cmd("SENTINEL").arg("REPLICAS").arg(name);
    let (master, replicas): (Fields, Vec<Fields>) = link.ask(&questions).await?;
    let Some(address) = address(&master) else { return Ok(None) };
    let epoch = master.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    Ok(Some(View { master: address, epoch, replicas: replicas.iter().filter_map(self::address).collect() }))
}

fn address(fields: &Fields) -> Option<SocketAddr> {
    let ip: IpAddr = fields.get("ip")?.parse().ok()?;
    Some(SocketAddr::new(ip, fields.get("port")?.parse().ok()?))
}

/// The master of the newest election.
pub(super) fn master(views: &[View]) -> Option<SocketAddr> {
    views.iter().max_by_key(|view| view.epoch).map(|view| view.master)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_election_counts() {
        let view = |port, epoch| View { master: ([127, 0, 0, 1], port).into(), epoch, replicas: Vec::new() };
        assert_eq!(master(&[view(1, 5), view(2, 6), view(1, 5)]), Some(([127, 0, 0, 1], 2).into()));
        assert_eq!(master(&[]), None);
    }
}
