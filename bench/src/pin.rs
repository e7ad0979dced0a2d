//! Core assignment: the proxy has one core, load and upstream share the other.

use anyhow::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this run may use.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    all: Vec<usize>,
}

impl Cores {
    /// Reads the process's affinity mask.
    pub(crate) fn new() -> Result<Self> {
        let set = sched_getaffinity(None)?;
        Ok(Self { all: (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect() })
    }

    /// The number of cores.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether proxy and load have separate cores.
    pub(crate) fn are_separate(&self) -> bool {
        self.all.len() > 1
    }

    /// The core of a proxy with one worker, as an argument of `taskset`.
    pub(crate) fn proxy(&self) -> String {
        self.all.first().map_or_else(|| "0".to_owned(), ToString::to_string)
    }

    /// All cores, for a proxy with more workers, as an argument of `taskset`.
    pub(crate) fn all(&self) -> String {
        self.all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// The core of load and upstream, as an argument of `taskset`.
    pub(crate) fn load(&self) -> String {
        self.all.get(1).or(self.all.first()).map_or_else(|| "0".to_owned(), ToString::to_string)
    }

    /// Pins the calling thread, and the threads that it spawns from now on, to the load's core.
    pub(crate) fn pin_load(&self) -> Result<()> {
        let mut set = CpuSet::new();
        set.set(self.all.get(1).or(self.all.first()).copied().unwrap_or(0));
        Ok(sched_setaffinity(None, &set)?)
    }
}
