//! Who is connected, and who leaves when one more comes than may be there.
//!
//! The newcomer must get in, since it may be the health check, after whose failures the engine kills
//! the process. So the connection goes that was idle for longest, to the approximation of the CLOCK
//! algorithm (Corbato, "A Paging Experiment with the Multics System", 1968): connections stand in a
//! ring, those that were used since the hand came by last are passed over, and the first other one
//! leaves. Nothing is noted when a request comes, and no clock is read.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Weak},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;

/// Everybody who is connected. Only the accept loop has one.
pub(super) struct Crowd {
    max: usize,
    slots: Arc<Semaphore>,
    /// From the one that the hand comes to next. Those that have left are still in it for a while.
    ring: VecDeque<Seat>,
}

struct Seat {
    member: Weak<Member>,
    /// The member's requests when the hand came by; `None` before it did.
    seen: Option<u32>,
}

/// One connection. Dropping it makes room.
pub(super) struct Member {
    pub(super) activity: Activity,
    /// Told when it is to leave: at once, or after the answer that is under way.
    pub(super) leave: Notify,
    _slot: OwnedSemaphorePermit,
}

impl Crowd {
    pub(super) fn new(max: usize) -> Self {
        Self { max, slots: Arc::new(Semaphore::new(max)), ring: VecDeque::new() }
    }

    /// Lets one in, when somebody has left if need be: within a visit's deadline even if all are busy.
    pub(super) async fn admit(&mut self) -> Arc<Member> {
        if self.slots.available_permits() == 0 {
            self.make_room();
        }
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
            // It is never closed.
            return pending().await;
        };
        if self.ring.len() >= 2 * self.max {
            self.ring.retain(|seat| seat.member.strong_count() > 0);
        }
        let member = Arc::new(Member { activity: Activity::default(), leave: Notify::new(), _slot: slot });
        self.ring.push_back(Seat { member: Arc::downgrade(&member), seen: None });
        member
    }

    fn make_room(&mut self) {
        // Once around to look at everybody, and once more to find one that was not used since.
        for _ in 0..2 * self.ring.len() {
            let Some(seat) = self.ring.pop_front() else { return };
            let Some(member) = seat.member.upgrade() else { continue };
            let requests = Some(member.activity.requests());
            if seat.seen == requests && !member.activity.is_busy() {
                member.leave.notify_one();
                return;
            }
            self.ring.push_back(Seat { seen: requests, ..seat });
        }
        // All are busy.
        if let Some(member) = self.ring.pop_front().and_then(|seat| seat.member.upgrade()) {
            member.leave.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    /// A crowd of as many as there may be.
    async fn full(max: usize) -> (Crowd, Vec<Arc<Member>>) {
        let mut crowd = Crowd::new(max);
        let mut members = Vec::new();
        for _ in 0..max {
            members.push(timeout(SOON, crowd.admit()).await.unwrap());
        }
        (crowd, members)
    }

    /// Who is told to leave for one more, once it has come in.
    async fn leaves(crowd: &mut Crowd, members: &mut Vec<Arc<Member>>) -> usize {
        let told = async {
            let mut tell = members.iter().map(|member| Box::pin(member.leave.notified())).collect::<Vec<_>>();
            std::future::poll_fn(|cx| {
                tell.iter_mut()
                    .position(|told| told.as_mut().poll(cx).is_ready())
                    .map_or(std::task::Poll::Pending, Into::into)
            })
            .await
        };
        let mut admit = std::pin::pin!(crowd.admit());
        let index = tokio::select! {
            biased;
            _ = &mut admit => panic!("nobody left, and yet there is room"),
            index = told => index,
        };
        drop(members.remove(index));
        members.push(timeout(SOON, admit).await.unwrap());
        index
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_idle_for_longest_leaves() {
        let (mut crowd, mut members) = full(4).await;
        drop(members[0].activity.request());
        drop(members[1].activity.request());
        assert_eq!(leaves(&mut crowd, &mut members).await, 0, "all are new: the first");
        // What was 1 and is now the first was looked at before and is used again.
        drop(members[0].activity.request());
        assert_eq!(leaves(&mut crowd, &mut members).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_come_is_given_time_to_ask() {
        let (mut crowd, mut members) = full(3).await;
        leaves(&mut crowd, &mut members).await;
        for member in &members[..2] {
            drop(member.activity.request());
        }
        // Two that are in use, and the newcomer that has not asked yet.
        assert_ne!(leaves(&mut crowd, &mut members).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_busy_stays_while_another_is_not() {
        let (mut crowd, mut members) = full(3).await;
        let (first, second) = (Arc::clone(&members[0]), Arc::clone(&members[1]));
        let _busy = (first.activity.request(), second.activity.request());
        assert_eq!(leaves(&mut crowd, &mut members).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_busy_one_leaves_after_its_answer() {
        let (mut crowd, mut members) = full(2).await;
        let busy = members.clone();
        let _busy: Vec<_> = busy.iter().map(|member| member.activity.request()).collect();
        let told = busy[0].leave.notified();
        assert!(timeout(SOON, crowd.admit()).await.is_err(), "they hold on to their places");
        timeout(SOON, told).await.unwrap();
        members.clear();
    }

    #[tokio::test]
    async fn who_has_left_is_forgotten() {
        let mut crowd = Crowd::new(2);
        for _ in 0..100 {
            drop(crowd.admit().await);
            assert!(crowd.ring.len() <= 4);
        }
    }
}
