//! Which Redis is the master, by its sentinels, and whether it still is.
//!
//! One task asks all sentinels in rounds, and at once when one of them pushes `+switch-master`. It
//! publishes the master of the newest election, and what it learned for [`fence`], which decides before
//! an acknowledgement. Names of sentinels are looked up again for as long as the task runs: in a swarm
//! they get new addresses. The master's own address is one: nothing looks it up.

mod fence;
mod session;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{RedisConnectionInfo, RedisError};
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

/// The longest that one sentinel may take to connect, or to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where the sentinels are, what their master is called, and how to log in to them.
#[derive(Clone)]
pub(super) struct Directory {
    /// Host, which may stand for many addresses, and port.
    pub(super) sentinels: Vec<(String, u16)>,
    pub(super) master: String,
    pub(super) login: RedisConnectionInfo,
}

/// A handle on the task. Dropping it ends the task.
pub(super) struct Sentinels {
    shared: Arc<Shared>,
    master: watch::Receiver<Option<SocketAddr>>,
    task: JoinHandle<()>,
}

struct Shared {
    directory: Directory,
    /// Held for a few instructions at a time, never over an await.
    known: Mutex<Known>,
    /// A sentinel has something to tell.
    news: Arc<Notify>,
}

struct Known {
    fence: Fence,
    sessions: HashMap<SocketAddr, Session>,
}

impl Sentinels {
    /// Starts the task on the current runtime.
    pub(super) fn watch(directory: Directory) -> Self {
        let known = Known { fence: Fence::new(directory.sentinels.len()), sessions: HashMap::new() };
        let shared = Arc::new(Shared { directory, known: Mutex::new(known), news: Arc::new(Notify::new()) });
        let (publish, master) = watch::channel(None);
        let task = tokio::spawn(rounds(Arc::clone(&shared), publish));
        Self { shared, master, task }
    }

    /// The master, once any sentinel names one.
    pub(super) async fn master(&mut self) -> SocketAddr {
        loop {
            if let Some(address) = *self.master.borrow_and_update() {
                return address;
            }
            changed(&mut self.master).await;
        }
    }

    /// Returns when the master is another than the last [`Sentinels::master`] told.
    pub(super) async fn news(&mut self) {
        changed(&mut self.master).await;
    }

    /// Returns when another than `master` is published.
    pub(super) fn moved(&self, master: SocketAddr) -> impl Future<Output = ()> + Send + 'static {
        let mut published = self.master.clone();
        async move {
            while !published.borrow_and_update().is_some_and(|now| now != master) {
                changed(&mut published).await;
            }
        }
    }

    /// Asks the sentinels now whether a promotion of another than `master` may have begun. Returns with
    /// the first answers that settle it, within half a second.
    pub(super) async fn confirm(&self, master: SocketAddr) -> Verdict {
        let name = &self.shared.directory.master;
        let sessions: Vec<Session> = self.shared.known().sessions.values().cloned().collect();
        let mut asked: FuturesUnordered<_> = sessions
            .iter()
            .map(|session| async move { timeout(PATIENCE, session.answer(name, master)).await })
            .collect();
        let mut answers = Vec::new();
        while let Some(answer) = asked.next().await {
            let Ok(Ok(answer)) = answer else { continue };
            // The same one by two addresses has one vote.
            answers.retain(|other: &fence::Answer| other.id != answer.id);
            answers.push(answer);
            if self.shared.known().fence.verdict(master, &answers) == Verdict::Master {
                return Verdict::Master;
            }
        }
        self.shared.known().fence.verdict(master, &answers)
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing under the lock panics half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the next change, for ever when the task is gone.
async fn changed(master: &mut watch::Receiver<Option<SocketAddr>>) {
    if master.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn rounds(shared: Arc<Shared>, publish: watch::Sender<Option<SocketAddr>>) {
    let mut addresses: HashMap<(String, u16), BTreeSet<SocketAddr>> = HashMap::new();
    let mut failing: HashMap<SocketAddr, String> = HashMap::new();
    loop {
        look_up(&shared.directory.sentinels, &mut addresses).await;
        round(&shared, addresses.values().flatten().copied().collect(), &mut failing, &publish).await;
        // Its time-out is the usual case.
        let _pushed = timeout(PAUSE, shared.news.notified()).await;
    }
}

/// Looks up those that are no addresses. One that cannot be found keeps those it had.
async fn look_up(names: &[(String, u16)], addresses: &mut HashMap<(String, u16), BTreeSet<SocketAddr>>) {
    let mut found: FuturesUnordered<_> = names
        .iter()
        .map(|(host, port)| async move {
            (host, *port, timeout(PATIENCE, tokio::net::lookup_host((host.as_str(), *port))).await)
        })
        .collect();
    while let Some((host, port, result)) = found.next().await {
        if let Ok(Ok(all)) = result {
            addresses.insert((host.clone(), port), all.collect());
        }
    }
}

/// Asks every sentinel once, all at the same time, and takes in what they said.
async fn round(
    shared: &Shared,
    addresses: BTreeSet<SocketAddr>,
    failing: &mut HashMap<SocketAddr, String>,
    publish: &watch::Sender<Option<SocketAddr>>,
) {
    let configured = shared.directory.sentinels.len();
    let mut sessions = shared.known().sessions.clone();
    let mut asked: FuturesUnordered<_> = addresses
        .iter()
        .map(|address| {
            let session = sessions.remove(address).filter(|session| !session.is_closed());
            async move { (*address, timeout(PATIENCE, ask(shared, *address, session)).await) }
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
                    // The others may take their time.
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
    let news = publish.send_if_modified(|published| published.replace(master) != Some(master));
    if news {
        info!(%master, "the sentinels name a master");
    }
}

async fn ask(
    shared: &Shared,
    address: SocketAddr,
    session: Option<Session>,
) -> Result<(Session, fence::View), RedisError> {
    let directory = &shared.directory;
    let session = match session {
        Some(session) => session,
        None => Session::open(address, &directory.login, &shared.news).await?,
    };
    let view = session.view(&directory.master).await?;
    Ok((session, view))
}
