//! `/api/local`: what only this instance knows of its node. Instances ask each other for it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{cluster_state::Disk, hub::Feed};

/// Where to look.
#[derive(Clone, Debug)]
pub struct Local {
    /// A folder on the disk that is told about.
    pub disk: PathBuf,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// This process.
    pub instance: String,
    /// Id of its node; empty until the engine has told.
    pub node: String,
    /// Room on its disk; `None` if that is not known.
    pub disk: Option<Disk>,
}

impl Local {
    pub(super) fn json(&self, feed: &Feed) -> Bytes {
        serde_json::to_vec(&self.told(feed)).unwrap_or_default().into()
    }

    /// What this instance knows.
    #[must_use]
    pub fn told(&self, feed: &Feed) -> Told {
        let cluster = &feed.now().state;
        Told { instance: cluster.source.instance.clone(), node: cluster.source.node.clone(), disk: disk(&self.disk) }
    }
}

/// Room on the file system of `path`. Within a container the root is on the disk of the engine's images and
/// volumes.
fn disk(path: &Path) -> Option<Disk> {
    let room = rustix::fs::statvfs(path).ok()?;
    // What only root may fill up does not count as free.
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    (room.f_blocks > 0).then(|| Disk { total_bytes: bytes(room.f_blocks), free_bytes: bytes(room.f_bavail) })
}
