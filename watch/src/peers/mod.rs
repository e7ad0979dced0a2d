//! The other instances, each asked for what only it knows of its node.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream};
use http::{HeaderValue, StatusCode};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::debug;

use crate::{
    cluster_state::Disk,
    fetch::{self, Place},
    host_port::{Directory, Name},
    http::{Local, Told},
    hub::Feed,
};

/// How often they are asked.
const PERIOD: Duration = Duration::from_secs(10);

/// The longest that one may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Far more than is told.
const LIMIT: usize = 16 << 10;

/// How many are asked at the same time.
const AT_ONCE: usize = 16;

/// For how long what a node has told counts.
const KEPT: Duration = Duration::from_secs(60);

/// Asks until nobody wants to know any more. What this instance itself knows needs no question.
pub async fn run(
    names: Vec<Name>,
    login: Option<HeaderValue>,
    local: Local,
    feed: std::sync::Arc<Feed>,
    publish: watch::Sender<BTreeMap<String, Disk>>,
) {
    let mut directory = Directory::new(names);
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut disks: BTreeMap<String, (Disk, Instant)> = BTreeMap::new();
    let mut versions = feed.versions();
    let mut is_identified = false;
    while !publish.is_closed() {
        tokio::select! {
            _ = ticks.tick() => {}
            // This instance's node is told of as soon as it is known.
            _ = versions.wait_for(|version| !version.state.source.node.is_empty()), if !is_identified => {
                is_identified = true;
            }
        }
        let own = local.told(&feed);
        let asked = directory.look_up().await.into_iter().map(|address| ask(address, login.as_ref()));
        let answers: Vec<Option<Told>> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        for told in answers.into_iter().flatten().chain([own]) {
            if let Some(disk) = told.disk.filter(|_disk| !told.node.is_empty()) {
                disks.insert(told.node, (disk, Instant::now()));
            }
        }
        disks.retain(|_node, (_disk, at)| at.elapsed() < KEPT);
        let shown: BTreeMap<_, _> = disks.iter().map(|(node, (disk, _at))| (node.clone(), *disk)).collect();
        publish.send_if_modified(|before| {
            let is_news = *before != shown;
            *before = shown;
            is_news
        });
    }
}

async fn ask(address: SocketAddr, login: Option<&HeaderValue>) -> Option<Told> {
    let place = Place::Tcp(address.ip().to_string(), address.port());
    let answer = timeout(PATIENCE, fetch::get(&place, "/api/local", login, LIMIT)).await;
    match answer {
        Ok(Ok(answer)) if answer.status == StatusCode::OK => serde_json::from_slice(&answer.body).ok(),
        Ok(Ok(answer)) => {
            debug!(%address, status = %answer.status, "another instance tells nothing of its node");
            None
        }
        Ok(Err(error)) => {
            debug!(%address, %error, "another instance tells nothing of its node");
            None
        }
        Err(_elapsed) => None,
    }
}
