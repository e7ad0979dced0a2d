//! What the engine knows of the swarm: asked for again and again, and at once when it tells of a change.
//!
//! The engine has events of nodes and services but none of tasks, so tasks are asked for about each second;
//! less often where an answer takes long, so that the engine spends at most a tenth of its time on us. While
//! it fails, what it told last stays, and it is asked at growing intervals.

mod client;
mod convert;
mod error;
mod wire;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::StreamExt;
use net::Backoff;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use self::{client::Client, convert::Memory};
pub use self::{convert::Swarm, error::Trouble};
use crate::{cluster_state::Millis, fetch::Place};

/// The pause between two questions about everything.
const PAUSE: Duration = Duration::from_secs(1);

/// At least this many times as long as the answers took.
const RELAXED: u32 = 9;

/// The longest pause, also while the engine fails.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between attempts while the engine fails.
const BACKOFF: Backoff = Backoff::new(PAUSE, LONGEST);

/// Between an event and the question that it causes: what belongs together comes together.
const GATHER: Duration = Duration::from_millis(50);

/// How long an engine that answers no lists has to say why.
const DIAGNOSIS: Duration = Duration::from_secs(1);

/// How often the engine is asked about itself.
const ABOUT: Duration = Duration::from_secs(30);

/// What is known of the engine's swarm.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Id of the node that the engine is; empty until it has told.
    pub node: String,
    /// The last good answers.
    pub swarm: Arc<Swarm>,
    /// When they came.
    pub at: Option<Millis>,
    /// The same by the clock that does not jump.
    pub fresh: Option<Instant>,
    /// What has been wrong since.
    pub trouble: Option<Failing>,
    /// Questions that failed.
    pub failures: u64,
    /// Version of the API that was agreed on.
    pub version: Option<String>,
}

/// What is wrong, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// What.
    pub trouble: Trouble,
    /// Since when.
    pub since: Millis,
}

/// A handle on the task that asks. Dropping it ends the task.
#[derive(Debug)]
pub struct Engine {
    observed: watch::Receiver<Observed>,
    task: JoinHandle<()>,
}

impl Engine {
    /// Starts to ask the engine at `place`, on the current runtime.
    #[must_use]
    pub fn start(place: Place) -> Self {
        let (publish, observed) = watch::channel(Observed::default());
        Self { observed, task: tokio::spawn(run(place, publish)) }
    }

    /// What is known, from now on.
    #[must_use]
    pub fn observed(&self) -> watch::Receiver<Observed> {
        self.observed.clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|age| age.as_millis().try_into().ok()).unwrap_or(0)
}

async fn run(place: Place, publish: watch::Sender<Observed>) {
    let mut memory = Memory::default();
    let mut failures = 0_u32;
    loop {
        let trouble = match Client::connect(&place).await {
            Ok(client) => {
                publish.send_modify(|observed| observed.version = Some(client.version()));
                let connected = || {
                    info!(engine = %place, api = client.version(), "connected to the engine");
                    failures = 0;
                };
                follow(&client, &mut memory, &publish, connected).await
            }
            Err(trouble) => trouble,
        };
        fail(&publish, trouble);
        failures = failures.saturating_add(1);
        sleep(BACKOFF.after(failures, 0.0)).await;
    }
}

/// Notes what is wrong. What is known stays as it is.
fn fail(publish: &watch::Sender<Observed>, trouble: Trouble) {
    publish.send_modify(|observed| {
        observed.failures += 1;
        let before = observed.trouble.take();
        if before.as_ref().map(|failing| &failing.trouble) != Some(&trouble) {
            warn!(%trouble, "nothing new of the swarm");
        }
        let since = before.map_or_else(now, |failing| failing.since);
        observed.trouble = Some(Failing { trouble, since });
    });
}

/// Asks until something goes wrong, and returns that. `connected` is called at the first good answer: an engine
/// may tell its version and nothing else.
async fn follow(
    client: &Client,
    memory: &mut Memory,
    publish: &watch::Sender<Observed>,
    connected: impl FnOnce(),
) -> Trouble {
    let mut connected = Some(connected);
    let news = Arc::new(Notify::new());
    let _listening = Listening(tokio::spawn(listen(client.clone(), news.clone())));
    let mut asked_about: Option<Instant> = None;
    let mut lost = 0;
    loop {
        let start = Instant::now();
        if asked_about.is_none_or(|asked| asked.elapsed() >= ABOUT) {
            match about(client).await {
                Ok(node) => publish.send_if_modified(|observed| {
                    let is_news = observed.node != node;
                    observed.node = node;
                    is_news
                }),
                Err(trouble) => return trouble,
            };
            asked_about = Some(start);
        }
        match client.lists().await {
            Ok(lists) => {
                if lists.lost != lost {
                    lost = lists.lost;
                    warn!(entries = lost, "entries of the engine's lists cannot be read, and are left out");
                }
                if let Some(connected) = connected.take() {
                    connected();
                }
                let at = now();
                let swarm = memory.swarm(&lists, at);
                publish.send_modify(|observed| {
                    if observed.trouble.take().is_some() {
                        info!("the engine tells of the swarm again");
                    }
                    // Most answers are like the one before; then what was made of that stays the same.
                    if *observed.swarm != swarm {
                        observed.swarm = Arc::new(swarm);
                    }
                    observed.at = Some(at);
                    observed.fresh = Some(Instant::now());
                });
            }
            // It may know why: without a quorum lists hang, and this does not.
            Err(Trouble::Slow) => return explain(client).await,
            Err(trouble) => return trouble,
        }
        let pause = (start.elapsed() * RELAXED).clamp(PAUSE, LONGEST);
        // Its time-out is the usual case.
        if timeout(pause, news.notified()).await.is_ok() {
            sleep(GATHER).await;
        }
    }
}

/// Why lists take so long, if the engine knows.
async fn explain(client: &Client) -> Trouble {
    match timeout(DIAGNOSIS, about(client)).await {
        Ok(Err(trouble)) => trouble,
        Ok(Ok(_)) | Err(_) => Trouble::Slow,
    }
}

/// The node that the engine is.
async fn about(client: &Client) -> Result<String, Trouble> {
    let swarm = client.info().await?.swarm;
    if let Some(error) = swarm.error.filter(|error| !error.is_empty()) {
        return Err(Trouble::refused(500, &error));
    }
    match swarm.local_node_state.as_str() {
        "locked" => Err(Trouble::Locked),
        _ if swarm.control_available => Ok(swarm.node_id),
        _ => Err(Trouble::NotManager),
    }
}

struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Gives notice of events, for as long as it is not ended. Without events, everything is only asked for
/// a little later.
async fn listen(client: Client, news: Arc<Notify>) {
    loop {
        let mut events = pin!(client.events());
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    debug!(kind = ?event.typ, action = event.action, "the engine tells of a change");
                    news.notify_one();
                }
                Some(Err(trouble)) => {
                    debug!(%trouble, "no events");
                    break;
                }
                None => break,
            }
        }
        sleep(LONGEST).await;
    }
}
