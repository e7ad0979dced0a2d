//! The newest cluster state, and the last deltas that led to it.
//!
//! JSON is serialized once for all readers: a cluster state when it is first requested, a delta when it is
//! published. No reader has a queue of its own. A slow reader receives the deltas that are still kept, or a whole
//! cluster state, so its cost does not depend on its speed.

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

/// Maximum number of deltas kept, and of their bytes.
const MAX_DELTAS: usize = 300;
const MAX_DELTA_BYTES: usize = 8 << 20;

/// A cluster state with its version number.
#[derive(Debug, Default)]
pub struct Version {
    /// Version number; 0 is the empty cluster state at the start.
    pub number: u64,
    /// The cluster state.
    pub state: Arc<ClusterState>,
    json: OnceLock<Bytes>,
}

impl Version {
    /// Returns the cluster state as JSON.
    #[must_use]
    pub fn json(&self) -> Bytes {
        // Maps with text keys and plain values always serialize.
        let json = || serde_json::to_vec(&*self.state).unwrap_or_default().into();
        self.json.get_or_init(json).clone()
    }
}

/// The delta between two successive versions.
#[derive(Clone, Debug)]
pub struct VersionDelta {
    /// Number of the version that it leads to.
    pub version: u64,
    /// The delta as JSON.
    pub json: Bytes,
}

/// Publishes versions to readers.
#[derive(Debug)]
pub struct Feed {
    instance: String,
    versions: watch::Sender<Arc<Version>>,
    states: watch::Sender<Arc<ClusterState>>,
    /// When the engine last answered; more recent than the published state if changes were deferred.
    fresh: watch::Sender<Option<Instant>>,
    /// Locked for a few instructions, never across an await.
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    kept: VecDeque<VersionDelta>,
    bytes: usize,
}

impl Feed {
    /// Creates a feed with an empty cluster state of the process `instance`.
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

    /// The id of this process.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Returns the newest version.
    #[must_use]
    pub fn now(&self) -> Arc<Version> {
        self.versions.borrow().clone()
    }

    /// Returns a receiver of the newest version; it may skip versions.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<Arc<Version>> {
        self.versions.subscribe()
    }

    /// Returns a receiver of the newest cluster state, for the alert rules.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.states.subscribe()
    }

    /// Whether the engine answered within `limit`. The time in the published state may lag behind.
    #[must_use]
    pub fn is_fresh(&self, limit: Duration) -> bool {
        self.fresh.borrow().is_some_and(|at| at.elapsed() <= limit)
    }

    /// Returns a receiver of the time of the engine's last response.
    pub(crate) fn freshness(&self) -> watch::Receiver<Option<Instant>> {
        self.fresh.subscribe()
    }

    pub(crate) fn set_fresh(&self, at: Option<Instant>) {
        self.fresh.send_if_modified(|fresh| std::mem::replace(fresh, at) != at);
    }

    /// Returns the deltas that lead from `version` to the newest version; `None` if they are no longer kept.
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

    /// Publishes `cluster` if it differs from the newest state, and returns whether it does.
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
        // No code under the lock panics in the middle of a change.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn push(&mut self, delta: VersionDelta) {
        self.bytes += delta.json.len();
        self.kept.push_back(delta);
        while self.kept.len() > MAX_DELTAS || self.bytes > MAX_DELTA_BYTES {
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
        assert!(feed.since(6).is_none(), "a version of another process");
    }

    #[test]
    fn old_deltas_are_dropped_by_count_and_by_size() {
        let feed = Feed::new("i".to_owned());
        for number in 1..=2 * u32::try_from(MAX_DELTAS).unwrap() {
            feed.publish(cluster(number));
        }
        assert_eq!(feed.history().kept.len(), MAX_DELTAS);
        assert!(feed.since(1).is_none());
        assert_eq!(feed.since(feed.now().number - 1).unwrap().len(), 1);

        let mut history = History::default();
        for version in 1..=20 {
            history.push(VersionDelta { version, json: Bytes::from(vec![0; 1 << 20]) });
        }
        assert_eq!((history.kept.len(), history.bytes), (8, 8 << 20));
    }
}
