//! Polls the engine for the state of the swarm, and immediately after it reports a change.
//!
//! The engine emits events for nodes and services but not for tasks, so everything is polled about once a
//! second. The interval grows with the time that the responses take, so that the engine spends at most a tenth
//! of its time on this process. While polling fails, the last state is kept and retries back off.
//!
//! The swarm is in the lists alone. What the engine says about itself is asked beside them: on a busy manager `/info`
//! takes ten seconds and more, while the lists take milliseconds.

mod client;
mod convert;
mod error;
mod wire;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use net::Backoff;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use self::{client::Client, convert::Converter};
pub use self::{convert::Swarm, error::EngineError};
use crate::{
    clock::{Millis, now},
    fetch::Place,
};

/// The shortest pause between two polls.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two polls, also while polling fails.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Pauses between connection attempts while polling fails.
const BACKOFF: Backoff = Backoff::new(MIN_PAUSE, MAX_PAUSE);

/// How many times longer the pause is than the poll before it.
const PAUSE_FACTOR: u32 = 9;

/// Delay between an event and the poll that it triggers: events that belong together arrive together.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How long an engine that did not list anything may take to report why.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the engine is asked about itself.
const INFO_INTERVAL: Duration = Duration::from_secs(30);

/// How long it may take to answer that.
const INFO_TIMEOUT: Duration = Duration::from_secs(60);

/// What the engine reported about the swarm.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Id of the engine's node; empty until the engine has reported it.
    pub node: String,
    /// The last swarm that was polled successfully.
    pub swarm: Arc<Swarm>,
    /// When that poll completed.
    pub at: Option<Millis>,
    /// The same instant on the monotonic clock.
    pub fresh: Option<Instant>,
    /// Why polling fails now.
    pub failure: Option<Failure>,
    /// Number of failed polls.
    pub failures: u64,
    /// The negotiated API version.
    pub version: Option<String>,
}

/// An ongoing failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The latest error.
    pub error: EngineError,
    /// When the first poll failed.
    pub since: Millis,
}

/// A handle to the polling task. Dropping it ends the task.
#[derive(Debug)]
pub struct Engine {
    observed: watch::Receiver<Observed>,
    task: JoinHandle<()>,
}

impl Engine {
    /// Starts to poll the engine at `place`, on the current runtime.
    #[must_use]
    pub fn start(place: Place) -> Self {
        let (publish, observed) = watch::channel(Observed::default());
        Self { observed, task: tokio::spawn(run(place, publish)) }
    }

    /// Returns a receiver of what the engine reports.
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

async fn run(place: Place, publish: watch::Sender<Observed>) {
    let mut converter = Converter::default();
    let mut failures = 0_u32;
    let mut known: Option<Client> = None;
    loop {
        let connected = match (Client::connect(&place).await, &known) {
            // A busy engine still speaks the version that it reported before.
            (Err(EngineError::Timeout), Some(client)) => Ok(client.clone()),
            (connected, _) => connected,
        };
        let error = match connected {
            Ok(client) => {
                known = Some(client.clone());
                publish.send_modify(|observed| observed.version = Some(client.version()));
                let connected = || {
                    info!(engine = %place, api = client.version(), "connected to the engine");
                    failures = 0;
                };
                poll(&client, &mut converter, &publish, connected).await
            }
            Err(error) => error,
        };
        fail(&publish, error);
        failures = failures.saturating_add(1);
        sleep(BACKOFF.after(failures, 0.0)).await;
    }
}

/// Publishes a failure. The last known swarm stays.
fn fail(publish: &watch::Sender<Observed>, error: EngineError) {
    publish.send_modify(|observed| {
        observed.failures += 1;
        let before = observed.failure.take();
        if before.as_ref().map(|failure| &failure.error) != Some(&error) {
            warn!(%error, "cannot update the state of the swarm");
        }
        let since = before.map_or_else(now, |failure| failure.since);
        observed.failure = Some(Failure { error, since });
    });
}

/// Polls until an error occurs, and returns the error. Calls `connected` after the first successful poll: an
/// engine may report its version and then fail every other request.
async fn poll(
    client: &Client,
    converter: &mut Converter,
    publish: &watch::Sender<Observed>,
    connected: impl FnOnce(),
) -> EngineError {
    tokio::select! {
        error = poll_lists(client, converter, publish, connected) => error,
        never = identify(client, publish) => match never {},
    }
}

/// Asks the engine which node it is, now and from time to time. Until it answers, the instance does not know its node;
/// after a failure, the last answer holds.
async fn identify(client: &Client, publish: &watch::Sender<Observed>) -> Infallible {
    loop {
        let pause = match own_node(client, INFO_TIMEOUT).await {
            Ok(node) => {
                publish.send_if_modified(|observed| {
                    let is_changed = observed.node != node;
                    observed.node = node;
                    is_changed
                });
                INFO_INTERVAL
            }
            Err(error) => {
                debug!(%error, "the engine does not say which node it is");
                MAX_PAUSE
            }
        };
        sleep(pause).await;
    }
}

async fn poll_lists(
    client: &Client,
    converter: &mut Converter,
    publish: &watch::Sender<Observed>,
    connected: impl FnOnce(),
) -> EngineError {
    let mut connected = Some(connected);
    let changed = Arc::new(Notify::new());
    let _listening = AbortOnDrop(tokio::spawn(listen(client.clone(), changed.clone())));
    let mut unreadable = 0;
    loop {
        let start = Instant::now();
        match client.lists().await {
            Ok(lists) => {
                if lists.unreadable != unreadable {
                    unreadable = lists.unreadable;
                    warn!(entries = unreadable, "entries of the engine's lists cannot be parsed and are skipped");
                }
                if let Some(connected) = connected.take() {
                    connected();
                }
                let at = now();
                let swarm = converter.swarm(&lists, at);
                publish.send_modify(|observed| {
                    if observed.failure.take().is_some() {
                        info!("the engine reports the state of the swarm again");
                    }
                    // Most polls change nothing; then the previous allocation is kept.
                    if *observed.swarm != swarm {
                        observed.swarm = Arc::new(swarm);
                    }
                    observed.at = Some(at);
                    observed.fresh = Some(Instant::now());
                });
            }
            // Without a quorum, lists time out while /info still answers with the reason.
            Err(EngineError::Timeout) => return explain_timeout(client).await,
            Err(error) => return error,
        }
        let pause = (start.elapsed() * PAUSE_FACTOR).clamp(MIN_PAUSE, MAX_PAUSE);
        // The timeout is the usual case.
        if timeout(pause, changed.notified()).await.is_ok() {
            sleep(DEBOUNCE).await;
        }
    }
}

/// Returns the reason for a timeout of the lists, if the engine knows it.
async fn explain_timeout(client: &Client) -> EngineError {
    own_node(client, DIAGNOSIS_TIMEOUT).await.err().unwrap_or(EngineError::Timeout)
}

/// Returns the id of the engine's own node.
async fn own_node(client: &Client, longest: Duration) -> Result<String, EngineError> {
    let swarm = client.info(longest).await?.swarm;
    if let Some(error) = swarm.error.filter(|error| !error.is_empty()) {
        return Err(EngineError::from_status(500, &error));
    }
    match swarm.local_node_state.as_str() {
        "locked" => Err(EngineError::Locked),
        _ if swarm.control_available => Ok(swarm.node_id),
        _ => Err(EngineError::NotManager),
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Signals each event until it is aborted. Without events, changes are only noticed by the next poll.
async fn listen(client: Client, changed: Arc<Notify>) {
    loop {
        let mut events = pin!(client.events());
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    debug!(kind = ?event.typ, action = event.action, "the engine reported a change");
                    changed.notify_one();
                }
                Some(Err(error)) => {
                    debug!(%error, "the stream of events failed");
                    break;
                }
                None => break,
            }
        }
        sleep(MAX_PAUSE).await;
    }
}
