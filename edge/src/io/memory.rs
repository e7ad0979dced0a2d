//! The memory that clients make the edge hold: one budget for the process, and each worker's account with it.
//!
//! Every buffer that a client can fill is counted, with an estimate for what the libraries hold for each connection
//! and request. The count decides in three steps, so that the limit is never reached by surprise: reads become small,
//! then the worst connections are shed, and then new connections and requests are refused. Envoy's overload manager has
//! the same order.
//!
//! A worker counts in a cell of its own and settles with the budget in steps of [`STEP`], so that a request writes no
//! cache line that other cores read. The budget therefore counts up to two steps too much for each worker, which is an
//! eighth of the limit at most, and never too little.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

/// How many bytes a worker takes from the budget, or returns to it, at a time, unless the budget is small.
const STEP: usize = 256 * 1024;
/// All steps of all workers together are at most this part of the budget.
const STEPS: usize = 16;
/// How much is read at a time while there is plenty, in bytes: the size of one block.
pub const BLOCK_SIZE: usize = 64 * 1024;
/// How much is read at a time from [`Level::Scarce`] on, in bytes.
const SCARCE_BLOCK: usize = 16 * 1024;
/// How much is read at a time from [`Level::Shedding`] on, in bytes.
const SMALL_BLOCK: usize = 4 * 1024;

/// A client connection that holds more than this gets no further requests from [`Level::Shedding`] on, in bytes.
const LARGE: usize = 256 * 1024;

/// How much of the budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Less than a half.
    Plenty,
    /// At least a half: reads become small.
    Scarce,
    /// At least three quarters: the worst connections are closed.
    Shedding,
    /// At least seven eighths: new connections and requests are refused.
    Refusing,
    /// All: nothing grows.
    Exhausted,
}

/// Returns how much of a `limit` is used.
#[must_use]
pub const fn level(used: usize, limit: usize) -> Level {
    let eighth = limit / 8;
    if used >= limit {
        Level::Exhausted
    } else if used >= limit - eighth {
        Level::Refusing
    } else if used >= shedding_mark(limit) {
        Level::Shedding
    } else if used >= limit / 2 {
        Level::Scarce
    } else {
        Level::Plenty
    }
}

/// Returns how many bytes of a `limit` may be used before connections are shed.
const fn shedding_mark(limit: usize) -> usize {
    limit - limit / 4
}

/// Returns how many bytes of a `limit` may be used after connections were shed: clearly less, so that there is room for
/// those that come next.
const fn shedding_target(limit: usize) -> usize {
    limit - limit / 8 * 3
}

/// Whether a client connection that holds `held` bytes, 0 for a new one, may not have one more request. Those that hold
/// much are refused earlier, so that a few greedy clients do not take what is left.
#[must_use]
pub fn refuses(level: Level, held: usize) -> bool {
    level >= Level::Refusing || (level >= Level::Shedding && held > LARGE)
}

/// The budget of the process. All workers share it.
#[derive(Debug)]
pub struct Budget {
    /// In bytes; `usize::MAX` if there is no limit. A reload changes it.
    limit: AtomicUsize,
    /// What the workers have taken, in bytes.
    used: AtomicUsize,
    /// The number of workers.
    workers: usize,
}

impl Budget {
    /// Creates a budget for `workers` with a limit in bytes; `None` is no limit.
    #[must_use]
    pub fn new(limit: Option<u64>, workers: usize) -> Self {
        Self { limit: AtomicUsize::new(bytes(limit)), used: AtomicUsize::new(0), workers: workers.max(1) }
    }

    /// Changes the limit.
    pub fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(bytes(limit), Relaxed);
    }

    /// The limit in bytes; `None` if there is none.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        let limit = self.limit.load(Relaxed);
        (limit < usize::MAX).then_some(limit as u64)
    }

    /// The bytes that the workers have taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed) as u64
    }

    /// Returns how many bytes a worker takes at a time.
    fn step(&self) -> usize {
        STEP.min(self.limit.load(Relaxed) / STEPS / self.workers)
    }

    fn level(&self) -> Level {
        level(self.used.load(Relaxed), self.limit.load(Relaxed))
    }
}

fn bytes(limit: Option<u64>) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// A worker's account with the [`Budget`]. Never leaves its thread.
#[derive(Debug)]
pub struct Memory {
    budget: Arc<Budget>,
    /// The bytes that this worker's connections hold.
    held: Cell<usize>,
    /// The bytes taken from the budget, which are at least `held`.
    taken: Cell<usize>,
    /// How many bytes are taken or returned at a time.
    step: Cell<usize>,
    /// Notified when connections must be shed.
    shedding: Notify,
}

impl Memory {
    /// Opens an account.
    #[must_use]
    pub fn new(budget: Arc<Budget>) -> Rc<Self> {
        let step = Cell::new(budget.step());
        Rc::new(Self { budget, held: Cell::new(0), taken: Cell::new(0), step, shedding: Notify::new() })
    }

    /// Opens an account without a limit.
    #[must_use]
    pub fn unlimited() -> Rc<Self> {
        Self::new(Arc::new(Budget::new(None, 1)))
    }

    /// The budget of the process.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Counts bytes that are held from now on.
    pub fn hold(&self, bytes: usize) {
        let held = self.held.get().saturating_add(bytes);
        self.held.set(held);
        if held > self.taken.get() {
            self.step.set(self.budget.step());
            let more = held - self.taken.get() + self.step.get();
            self.budget.used.fetch_add(more, Relaxed);
            self.taken.set(self.taken.get() + more);
            if self.level() >= Level::Shedding {
                self.shedding.notify_one();
            }
        }
    }

    /// Counts bytes that are no longer held.
    pub fn release(&self, bytes: usize) {
        let held = self.held.get().saturating_sub(bytes);
        self.held.set(held);
        let step = self.step.get();
        if self.taken.get() - held > 2 * step {
            let less = self.taken.get() - held - step;
            self.budget.used.fetch_sub(less, Relaxed);
            self.taken.set(self.taken.get() - less);
        }
    }

    /// How much of the budget is used.
    #[must_use]
    pub fn level(&self) -> Level {
        self.budget.level()
    }

    /// How many bytes to read at a time.
    #[must_use]
    pub fn block_size(&self) -> usize {
        match self.level() {
            Level::Plenty => BLOCK_SIZE,
            Level::Scarce => SCARCE_BLOCK,
            Level::Shedding | Level::Refusing | Level::Exhausted => SMALL_BLOCK,
        }
    }

    /// Resolves when connections must be shed.
    pub async fn shedding(&self) {
        self.shedding.notified().await;
    }

    /// Returns how many bytes this worker must free; see [`excess`].
    #[must_use]
    pub fn excess(&self) -> usize {
        let Budget { limit, used, workers } = &*self.budget;
        excess(used.load(Relaxed), limit.load(Relaxed), self.held.get(), *workers)
    }
}

/// Returns how many of its `held` bytes a worker must free while all `workers` use `used` of `limit`: once the mark is
/// reached, what is used above the target, as far as the worker itself holds more than its share of that. A worker that
/// holds little sheds nothing: its connections are not the cause.
#[must_use]
pub const fn excess(used: usize, limit: usize, held: usize, workers: usize) -> usize {
    if used < shedding_mark(limit) {
        return 0;
    }
    let target = shedding_target(limit);
    let share = target / if workers == 0 { 1 } else { workers };
    let (total, own) = (used.saturating_sub(target), held.saturating_sub(share));
    if total < own { total } else { own }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.taken.get(), Relaxed);
    }
}

/// Bytes that are held as long as this exists.
#[derive(Debug)]
pub struct Held {
    memory: Rc<Memory>,
    bytes: usize,
}

impl Held {
    /// Counts bytes that are held from now on.
    #[must_use]
    pub fn new(memory: &Rc<Memory>, bytes: usize) -> Self {
        memory.hold(bytes);
        Self { memory: Rc::clone(memory), bytes }
    }

    /// Changes the number of bytes.
    pub fn set(&mut self, bytes: usize) {
        self.memory.hold(bytes.saturating_sub(self.bytes));
        self.memory.release(self.bytes.saturating_sub(bytes));
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_level_rises_in_the_order_in_which_the_edge_defends_itself() {
        for (used, expected) in [
            (0, Level::Plenty),
            (49, Level::Plenty),
            (50, Level::Scarce),
            (74, Level::Scarce),
            (75, Level::Shedding),
            (87, Level::Shedding),
            (88, Level::Refusing),
            (99, Level::Refusing),
            (100, Level::Exhausted),
            (1000, Level::Exhausted),
        ] {
            assert_eq!(level(used * MIB, 100 * MIB), expected, "{used} of 100 MiB");
        }
        assert_eq!(level(usize::MAX / 4, usize::MAX), Level::Plenty);
    }

    #[test]
    fn the_budget_counts_what_is_held_and_at_most_two_steps_more_for_each_worker() {
        let budget = Arc::new(Budget::new(Some(100 << 20), 2));
        let (one, two) = (Memory::new(Arc::clone(&budget)), Memory::new(Arc::clone(&budget)));
        let used = || usize::try_from(budget.used()).unwrap();
        let mut held = [0_usize; 2];
        for round in 0..2000_usize {
            let (memory, held) = if round % 3 == 0 { (&one, &mut held[0]) } else { (&two, &mut held[1]) };
            if round % 7 < 4 {
                memory.hold(round * 10);
                *held += round * 10;
            } else {
                let less = (round * 13).min(*held);
                memory.release(less);
                *held -= less;
            }
        }
        let sum = held[0] + held[1];
        assert!(used() >= sum && used() <= sum + 4 * STEP, "{} for {sum}", used());
        drop((one, two));
        assert_eq!(used(), 0);
    }

    #[test]
    fn many_workers_do_not_use_up_a_small_budget_with_their_steps() {
        let budget = Arc::new(Budget::new(Some(8 << 20), 1024));
        let workers: Vec<_> = (0..1024).map(|_| Memory::new(Arc::clone(&budget))).collect();
        workers.iter().for_each(|worker| worker.hold(100));
        workers.iter().for_each(|worker| worker.hold(1000));
        assert!(budget.used() < 2 << 20, "{}", budget.used());
        assert_eq!(budget.level(), Level::Plenty);
    }

    #[test]
    fn reads_become_small_when_memory_is_scarce() {
        let memory = Memory::new(Arc::new(Budget::new(Some(100 << 20), 1)));
        assert_eq!(memory.block_size(), BLOCK_SIZE);
        memory.hold(60 * MIB);
        assert_eq!(memory.block_size(), SCARCE_BLOCK);
        memory.hold(30 * MIB);
        assert_eq!(memory.block_size(), SMALL_BLOCK);
        memory.release(60 * MIB);
        assert_eq!(memory.block_size(), BLOCK_SIZE);
    }

    #[test]
    fn only_a_worker_that_holds_more_than_its_share_sheds() {
        // Of 160 bytes, 100 may be used after connections were shed, 25 by each of four workers.
        for (used, held, expected) in
            [(119, 119, 0), (120, 120, 20), (150, 100, 50), (150, 40, 15), (150, 25, 0), (60, 60, 0), (160, 160, 60)]
        {
            assert_eq!(excess(used, 160, held, 4), expected, "{held} of {used}");
        }
        assert_eq!(excess(0, 100, 0, 0), 0);
        assert_eq!(excess(1000, usize::MAX, 1000, 4), 0);
    }

    #[test]
    fn connections_that_hold_much_are_refused_first() {
        for (level, held, expected) in [
            (Level::Scarce, usize::MAX, false),
            (Level::Shedding, 0, false),
            (Level::Shedding, LARGE, false),
            (Level::Shedding, LARGE + 1, true),
            (Level::Refusing, 0, true),
            (Level::Exhausted, 0, true),
        ] {
            assert_eq!(refuses(level, held), expected, "{level:?}, {held}");
        }
    }

    #[tokio::test]
    async fn a_worker_is_told_when_connections_must_be_shed() {
        let memory = Memory::new(Arc::new(Budget::new(Some(10 << 20), 1)));
        memory.hold(8 * MIB);
        tokio::time::timeout(std::time::Duration::from_secs(10), memory.shedding()).await.unwrap();
    }
}
