//! `/api/local`: what only this instance knows about its node. Instances request it from each other.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cluster_state::{ClusterState, Disk};

/// What to report about this node.
#[derive(Clone, Debug)]
pub struct LocalNode {
    /// A folder on the file system to report.
    pub disk: PathBuf,
}

/// The body of `/api/local`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalStatus {
    /// Id of this process.
    pub instance: String,
    /// Id of its node; empty until the engine has reported it.
    pub node: String,
    /// Disk space of the node; `None` if unknown.
    pub disk: Option<Disk>,
}

impl LocalNode {
    pub(super) fn json(&self, cluster: &ClusterState) -> Bytes {
        serde_json::to_vec(&self.status(cluster)).unwrap_or_default().into()
    }

    /// Returns what this instance knows about its node.
    #[must_use]
    pub fn status(&self, cluster: &ClusterState) -> LocalStatus {
        LocalStatus {
            instance: cluster.source.instance.clone(),
            node: cluster.source.node.clone(),
            disk: disk(&self.disk),
        }
    }
}

/// Space of the file system of `path`. In a container, the root is on the disk of the engine's images and
/// volumes.
fn disk(path: &Path) -> Option<Disk> {
    let stats = rustix::fs::statvfs(path).ok()?;
    // Space reserved for root does not count as free.
    let bytes = |blocks: u64| blocks.saturating_mul(stats.f_frsize);
    (stats.f_blocks > 0).then(|| Disk { total_bytes: bytes(stats.f_blocks), free_bytes: bytes(stats.f_bavail) })
}
