//! The newest cluster state, and how the last ones became it.
//!
//! What is sent to many is made once: the JSON of a cluster state when somebody first asks for it, that of a
//! delta when it comes about. Nothing is queued for anybody: who reads slowly gets the deltas that are still
//! there or a whole cluster state, so that a reader costs the same however slow it is.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use crate::cluster_state::{ClusterState, Delta};

/// How many deltas are kept at most, and how many bytes of them.
const KEPT: usize = 300;
const KEPT_BYTES: usize = 8 << 20;

/// One cluster state with its number.
#[derive(Debug, Default)]
pub struct Version {
    /// From 0, the empty cluster state at the start.
    pub number: u64,
    /// The cluster state.
    pub state: Arc<ClusterState>,
    json: OnceLock<Bytes>,
}

impl Version {
    /// The cluster state as JSON.
    #[must_use]
    pub fn json(&self) -> Bytes {
        // Maps with text as keys and plain values: there is nothing that cannot be written.
        let json = || serde_json::to_vec(&*self.state).unwrap_or_default().into();
        self.json.get_or_init(json).clone()
    }
}

/// What led to a cluster state from the one before.
#[derive(Clone, Debug)]
pub struct VersionDelta {
    /// Of the cluster state that it leads to.
    pub version: u64,
    /// The delta as JSON.
    pub json: Bytes,
}

/// What is published, for those who read it.
#[derive(Debug)]
pub struct Feed {
    instance: String,
    versions: watch::Sender<Arc<Version>>,
    states: watch::Sender<Arc<ClusterState>>,
    /// When the engine last answered.
    fresh: watch::Sender<Option<Instant>>,
    /// Held for a few instructions at a time, never over an await.
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    kept: VecDeque<VersionDelta>,
    bytes: usize,
}

impl Feed {
    /// An empty cluster state of the process called `instance`.
    #[must_use]
    pub fn new(instance: String) -> Self {
        let mut cluster = ClusterState::default();
        cluster.source.instance.clone_from(&instance);
        let cluster = Arc::new(cluster);
        Self {
            instance,
            versions: watch::Sender::new(Arc::new(Version { state: cluster.clone(), ..Version::default() })),
            states: watch::Sender::new(cluster),
            fresh: watch::Sender::new(None),
            history: Mutex::default(),
        }
    }

    /// What this process is called.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The newest cluster state.
    #[must_use]
    pub fn now(&self) -> Arc<Version> {
        self.versions.borrow().clone()
    }

    /// The newest cluster state, and each that follows if it is looked at in time.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<Arc<Version>> {
        self.versions.subscribe()
    }

    /// The same without numbers, for the alerts' rules.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.states.subscribe()
    }

    /// Whether the engine has answered within `limit`. A cluster state's own stamp may lag behind.
    #[must_use]
    pub fn is_fresh(&self, limit: Duration) -> bool {
        self.fresh.borrow().is_some_and(|at| at.elapsed() <= limit)
    }

    /// Each time that the engine has answered.
    pub(crate) fn freshness(&self) -> watch::Receiver<Option<Instant>> {
        self.fresh.subscribe()
    }

    pub(crate) fn set_fresh(&self, at: Option<Instant>) {
        self.fresh.send_if_modified(|fresh| std::mem::replace(fresh, at) != at);
    }

    /// The deltas that lead from `version` to the newest cluster state; `None` if they are not known any more.
    #[must_use]
    pub fn since(&self, version: u64) -> Option<Vec<VersionDelta>> {
        let history = self.history();
        let newest = history.kept.back().map_or(self.versions.borrow().number, |delta| delta.version);
        if version == newest {
            return Some(Vec::new());
        }
        let first = history.kept.iter().position(|delta| delta.version == version + 1)?;
        Some(history.kept.range(first..).cloned().collect())
    }

    /// Publishes `cluster` if it differs from the newest one, and tells whether it does.
    pub(crate) fn publish(&self, cluster: ClusterState) -> bool {
        let before = self.now();
        let delta = Delta::between(&before.state, &cluster);
        if delta.is_empty() {
            return false;
        }
        let version = before.number + 1;
        self.history().push(VersionDelta { version, json: serde_json::to_vec(&delta).unwrap_or_default().into() });
        let cluster = Arc::new(cluster);
        self.versions.send_replace(Arc::new(Version {
            number: version,
            state: cluster.clone(),
            json: OnceLock::new(),
        }));
        self.states.send_replace(cluster);
        true
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // Nothing under the lock panics half-way through a change.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn push(&mut self, delta: VersionDelta) {
        self.bytes += delta.json.len();
        self.kept.push_back(delta);
        while self.kept.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= oldest.json.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(managers: u32) -> ClusterState {
        let mut cluster = ClusterState::default();
        cluster.source.instance = "i".to_owned();
        cluster.quorum.managers = managers;
        cluster
    }

    #[test]
    fn deltas_lead_from_any_kept_version_to_the_newest() {
        let feed = Feed::new("i".to_owned());
        let mut states = vec![feed.now().state.as_ref().clone()];
        for number in 1..=5 {
            assert!(feed.publish(cluster(number)));
            assert!(!feed.publish(cluster(number)), "nothing changed");
            states.push(cluster(number));
        }
        for (version, mut cluster) in (0..).zip(states) {
            for delta in feed.since(version).unwrap() {
                let delta: Delta = serde_json::from_slice(&delta.json).unwrap();
                delta.apply(&mut cluster);
            }
            assert_eq!(cluster, *feed.now().state);
        }
        assert!(feed.since(6).is_none(), "not of this process");
    }

    #[test]
    fn old_deltas_make_room_by_number_and_by_size() {
        let feed = Feed::new("i".to_owned());
        for number in 1..=2 * u32::try_from(KEPT).unwrap() {
            feed.publish(cluster(number));
        }
        assert_eq!(feed.history().kept.len(), KEPT);
        assert!(feed.since(1).is_none());
        assert_eq!(feed.since(feed.now().number - 1).unwrap().len(), 1);

        let mut history = History::default();
        for version in 1..=20 {
            history.push(VersionDelta { version, json: Bytes::from(vec![0; 1 << 20]) });
        }
        assert_eq!((history.kept.len(), history.bytes), (8, 8 << 20));
    }
}
