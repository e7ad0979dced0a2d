//! Polls the other instances for what only they know about their nodes.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream};
use http::{HeaderValue, StatusCode};
use net::{HostPort, Resolver};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::debug;

use crate::{
    cluster_state::Disk,
    fetch::{self, Place},
    http::{LocalNode, LocalStatus},
    hub::Feed,
};

/// Polling interval.
const INTERVAL: Duration = Duration::from_secs(10);

/// Time limit for one poll.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Largest response accepted, far above the usual size.
const MAX_RESPONSE_BYTES: usize = 16 << 10;

/// Maximum number of concurrent polls.
const CONCURRENCY: usize = 16;

/// How long a report of a node stays valid.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Polls the other instances until all receivers are dropped, and adds what this instance knows itself.
pub async fn run(
    hosts: Vec<HostPort>,
    login: Option<HeaderValue>,
    local: LocalNode,
    feed: std::sync::Arc<Feed>,
    publish: watch::Sender<BTreeMap<String, Disk>>,
) {
    let mut resolver = Resolver::new(hosts);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut disks: BTreeMap<String, (Disk, Instant)> = BTreeMap::new();
    let mut versions = feed.versions();
    let mut is_identified = false;
    while !publish.is_closed() {
        tokio::select! {
            _ = ticks.tick() => {}
            // Publishes this instance's node as soon as its id is known.
            _ = versions.wait_for(|version| !version.state.source.node.is_empty()), if !is_identified => {
                is_identified = true;
            }
        }
        let own = local.status(&feed.now().state);
        let polls = resolver.resolve().await.into_iter().map(|address| poll(address, login.as_ref()));
        let reports: Vec<Option<LocalStatus>> = stream::iter(polls).buffer_unordered(CONCURRENCY).collect().await;
        for report in reports.into_iter().flatten().chain([own]) {
            if let Some(disk) = report.disk.filter(|_disk| !report.node.is_empty()) {
                disks.insert(report.node, (disk, Instant::now()));
            }
        }
        disks.retain(|_node, (_disk, at)| at.elapsed() < MAX_AGE);
        let published: BTreeMap<_, _> = disks.iter().map(|(node, (disk, _at))| (node.clone(), *disk)).collect();
        publish.send_if_modified(|before| {
            let is_changed = *before != published;
            *before = published;
            is_changed
        });
    }
}

async fn poll(address: SocketAddr, login: Option<&HeaderValue>) -> Option<LocalStatus> {
    let place = Place::Tcp(address.into());
    let answer = timeout(TIMEOUT, fetch::get(&place, "/api/local", login, MAX_RESPONSE_BYTES)).await;
    match answer {
        Ok(Ok(answer)) if answer.status == StatusCode::OK => serde_json::from_slice(&answer.body).ok(),
        Ok(Ok(answer)) => {
            debug!(%address, status = %answer.status, "another instance does not report its node");
            None
        }
        Ok(Err(error)) => {
            debug!(%address, %error, "another instance does not report its node");
            None
        }
        Err(_elapsed) => None,
    }
}
