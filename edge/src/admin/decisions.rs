//! The decisions about endpoints in the status.

use std::{cmp::Reverse, net::SocketAddr, sync::Arc, time::SystemTime};

use serde::Serialize;

use super::rfc3339::rfc3339;
use crate::{
    observe::decisions::{Decision, Level, REMEMBERED, Recent},
    upstream::PoolHandle,
};

/// A decision that was taken lately.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionReport {
    /// When it was last taken.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// When it was first taken, if it is one that is summed up.
    #[serde(serialize_with = "rfc3339")]
    pub first: SystemTime,
    /// The name of the pool.
    pub pool: String,
    /// The endpoint; `None` for a decision about the pool.
    pub endpoint: Option<SocketAddr>,
    /// The replica behind a mesh, as it names itself.
    pub replica: Option<String>,
    /// What was decided, as in the metrics.
    pub decision: &'static str,
    /// The same in words, as in the log.
    pub what: &'static str,
    /// Why; may be empty.
    pub reason: String,
    /// How often, if it is one that is summed up.
    pub count: u64,
    /// Whether the log has it as a warning.
    #[serde(skip)]
    pub(super) is_warning: bool,
}

impl DecisionReport {
    /// The last decisions of all pools, the newest first.
    pub(super) fn newest(pools: &[Arc<PoolHandle>]) -> Vec<Self> {
        let recent = |pool: &Arc<PoolHandle>| {
            let name = pool.config.name.clone();
            pool.decisions.recent().into_iter().map(move |recent| Self::new(&name, recent))
        };
        let mut decisions: Vec<_> = pools.iter().flat_map(recent).collect();
        // Later ones of the same time first.
        decisions.reverse();
        decisions.sort_by_key(|decision| Reverse(decision.at));
        decisions.truncate(REMEMBERED);
        decisions
    }

    fn new(pool: &str, recent: Recent) -> Self {
        let shown = recent.decision.shown();
        Self {
            at: recent.last,
            first: recent.first,
            pool: pool.to_owned(),
            endpoint: recent.endpoint,
            replica: recent.replica,
            decision: recent.decision.label(),
            what: shown.words,
            reason: recent.reason,
            count: recent.count,
            is_warning: shown.level == Level::Warn,
        }
    }
}

/// Returns how often each decision was taken in a pool.
pub(super) fn counts(pool: &PoolHandle) -> Vec<(&'static str, u64)> {
    Decision::ALL.into_iter().map(|decision| (decision.label(), pool.decided(decision))).collect()
}
