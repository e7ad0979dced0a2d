//! Which Redis is the master, according to its sentinels, and whether it still is.
//!
//! One task asks all sentinels in rounds, and at once when one of them pushes `+switch-master`. It
//! publishes the master of the newest election, and feeds [`fence`], which decides before each
//! acknowledgement. The task resolves the sentinels' names again in every round: in a swarm
//! they get new addresses. The master is named by its address, so it is never resolved.

mod fence;
mod session;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use net::Resolver;
use redis::RedisError;
use redis_config::{Location, Sentinels};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tracing::{info, warn};

use self::{fence::Fence, session::Session};
pub(super) use fence::Verdict;

/// The pause between rounds, which a push ends early.
const PAUSE: Duration = Duration::from_millis(250);

/// The time limit for resolving a name, for connecting to a sentinel, and for its answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A handle on the task. Dropping it ends the task.
pub(super) struct MasterWatcher {
    shared: Arc<Shared>,
    /// The master that the task published last.
    master: watch::Receiver<Option<SocketAddr>>,
    task: JoinHandle<()>,
}

struct Shared {
    /// How to connect to the sentinels.
    location: Location,
    sentinels: Sentinels,
    /// Held for a few instructions at a time, never across an await.
    known: Mutex<Known>,
    /// A sentinel pushed a message, or its connection ended.
    pushed: Arc<Notify>,
}

/// What the task has learned.
struct Known {
    fence: Fence,
    /// The open connections.
    sessions: HashMap<SocketAddr, Session>,
}

impl MasterWatcher {
    /// Starts the task on the current runtime.
    pub(super) fn start(location: Location, sentinels: Sentinels) -> Self {
        let known = Known { fence: Fence::new(sentinels.addresses.len()), sessions: HashMap::new() };
        let (known, pushed) = (Mutex::new(known), Arc::new(Notify::new()));
        let shared = Arc::new(Shared { location, sentinels, known, pushed });
        let (publish, master) = watch::channel(None);
        let task = tokio::spawn(rounds(Arc::clone(&shared), publish));
        Self { shared, master, task }
    }

    /// Waits until a sentinel names a master, and returns it.
    pub(super) async fn master(&mut self) -> SocketAddr {
        loop {
            if let Some(address) = *self.master.borrow_and_update() {
                return address;
            }
            changed(&mut self.master).await;
        }
    }

    /// Completes when the master is not the one that [`MasterWatcher::master`] last returned.
    pub(super) async fn changed(&mut self) {
        changed(&mut self.master).await;
    }

    /// Completes when the sentinels name a master other than `master`.
    pub(super) fn moved(&self, master: SocketAddr) -> impl Future<Output = ()> + Send + 'static {
        let mut published = self.master.clone();
        async move {
            while !published.borrow_and_update().is_some_and(|now| now != master) {
                changed(&mut published).await;
            }
        }
    }

    /// Asks the sentinels now whether the promotion of a server other than `master` may have begun. Returns as soon as
    /// the answers suffice to confirm the master, and within half a second.
    pub(super) async fn confirm(&self, master: SocketAddr) -> Verdict {
        let name = &self.shared.sentinels.master;
        let sessions: Vec<Session> = self.shared.known().sessions.values().cloned().collect();
        let mut asked: FuturesUnordered<_> = sessions
            .iter()
            .map(|session| async move { timeout(TIMEOUT, session.answer(name, master)).await })
            .collect();
        let mut answers = Vec::new();
        while let Some(answer) = asked.next().await {
            let Ok(Ok(answer)) = answer else { continue };
            // A sentinel that has two addresses has one vote.
            answers.retain(|other: &fence::Answer| other.id != answer.id);
            answers.push(answer);
            if self.shared.known().fence.verdict(master, &answers) == Verdict::Confirmed {
                return Verdict::Confirmed;
            }
        }
        self.shared.known().fence.verdict(master, &answers)
    }
}

impl Drop for MasterWatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // No code under the lock panics half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the next change, or forever if the task has ended.
async fn changed(master: &mut watch::Receiver<Option<SocketAddr>>) {
    if master.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn rounds(shared: Arc<Shared>, publish: watch::Sender<Option<SocketAddr>>) {
    let mut resolver = Resolver::new(shared.sentinels.addresses.clone()).timeout(TIMEOUT);
    let mut failing: HashMap<SocketAddr, String> = HashMap::new();
    loop {
        round(&shared, resolver.resolve().await, &mut failing, &publish).await;
        // A timeout is the usual case.
        let _pushed = timeout(PAUSE, shared.pushed.notified()).await;
    }
}

/// Asks all sentinels concurrently, once each, and processes their answers.
async fn round(
    shared: &Shared,
    addresses: BTreeSet<SocketAddr>,
    failing: &mut HashMap<SocketAddr, String>,
    publish: &watch::Sender<Option<SocketAddr>>,
) {
    let configured = shared.sentinels.addresses.len();
    let mut sessions = shared.known().sessions.clone();
    let mut asked: FuturesUnordered<_> = addresses
        .iter()
        .map(|address| {
            let session = sessions.remove(address).filter(|session| !session.is_closed());
            async move { (*address, timeout(TIMEOUT, ask(shared, *address, session)).await) }
        })
        .collect();
    let mut views: Vec<fence::View> = Vec::new();
    while let Some((address, answer)) = asked.next().await {
        let failure = match answer {
            Ok(Ok((session, view))) => {
                views.retain(|other| other.id != view.id);
                {
                    let mut known = shared.known();
                    known.sessions.insert(address, session);
                    // The other sentinels may answer late.
                    known.fence.hear(&view);
                }
                views.push(view);
                publish_master(shared, publish);
                failing.remove(&address);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "no answer in time".to_owned(),
        };
        shared.known().sessions.remove(&address);
        if failing.get(&address) != Some(&failure) {
            warn!(sentinel = %address, reason = failure, "a sentinel does not answer");
            failing.insert(address, failure);
        }
    }
    {
        let mut known = shared.known();
        known.sessions.retain(|address, _session| addresses.contains(address));
        known.fence.round(&views, configured, Instant::now());
    }
    publish_master(shared, publish);
}

fn publish_master(shared: &Shared, publish: &watch::Sender<Option<SocketAddr>>) {
    let Some(master) = shared.known().fence.master() else { return };
    let changed = publish.send_if_modified(|published| published.replace(master) != Some(master));
    if changed {
        info!(%master, "the sentinels name a master");
    }
}

async fn ask(
    shared: &Shared,
    address: SocketAddr,
    session: Option<Session>,
) -> Result<(Session, fence::View), RedisError> {
    let sentinels = &shared.sentinels;
    let session = match session {
        Some(session) => session,
        None => Session::open(address, &shared.location, &shared.pushed).await?,
    };
    let view = session.view(&sentinels.master).await?;
    Ok((session, view))
}
