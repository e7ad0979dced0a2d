//! Who is connected. When one more comes than may be there, the connection goes that has been idle for
//! longest: the newcomer may be the health check, after whose failures the engine ends the process.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

pub(super) struct Crowd {
    slots: Arc<Semaphore>,
    /// The first came first. Those that have left are still in it for a while.
    members: VecDeque<Weak<Member>>,
}

/// One connection. Dropping it makes room.
pub(super) struct Member {
    /// Answers under way.
    busy: AtomicUsize,
    leave: Notify,
    _slot: OwnedSemaphorePermit,
}

/// An answer under way.
pub(super) struct Busy(Arc<Member>);

impl Member {
    pub(super) fn busy(member: &Arc<Self>) -> Busy {
        member.busy.fetch_add(1, Relaxed);
        Busy(member.clone())
    }

    /// Returns when it is to make room.
    pub(super) async fn leaves(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

impl Crowd {
    pub(super) fn new(max: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(max)), members: VecDeque::new() }
    }

    /// Lets one in; `None` if all others are busy.
    pub(super) async fn admit(&mut self) -> Option<Arc<Member>> {
        let slot = match self.slots.clone().try_acquire_owned() {
            Ok(slot) => slot,
            Err(_full) => {
                self.make_room()?;
                // Who was told leaves as soon as it is looked at.
                self.slots.clone().acquire_owned().await.ok()?
            }
        };
        let member = Arc::new(Member { busy: AtomicUsize::new(0), leave: Notify::new(), _slot: slot });
        self.members.retain(|member| member.strong_count() > 0);
        self.members.push_back(Arc::downgrade(&member));
        Some(member)
    }

    fn make_room(&mut self) -> Option<()> {
        let idle = |member: &Weak<Member>| member.upgrade().is_some_and(|member| member.busy.load(Relaxed) == 0);
        let index = self.members.iter().position(idle)?;
        self.members.remove(index)?.upgrade()?.leave.notify_one();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_idle_one_makes_room_and_busy_ones_stay() {
        let mut crowd = Crowd::new(2);
        let first = crowd.admit().await.unwrap();
        let second = crowd.admit().await.unwrap();
        let busy = Member::busy(&first);
        // The second connection, as its task does it.
        let leaving = tokio::spawn(async move { second.leaves().await });
        let third = crowd.admit().await.unwrap();
        leaving.await.unwrap();
        let _busy_too = Member::busy(&third);
        assert!(crowd.admit().await.is_none(), "all are busy");
        drop(busy);
        let leaving = tokio::spawn(async move { first.leaves().await });
        assert!(crowd.admit().await.is_some());
        leaving.await.unwrap();
    }

    #[tokio::test]
    async fn who_has_left_is_forgotten() {
        let mut crowd = Crowd::new(2);
        for _ in 0..100 {
            drop(crowd.admit().await);
            assert!(crowd.members.len() <= 2);
        }
    }
}
