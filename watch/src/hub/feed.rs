//! The newest picture, and how the last ones became it.
//!
//! What is sent to many is made once: the JSON of a picture when somebody first asks for it, that of a
//! delta when it comes about. Nothing is queued for anybody: who reads slowly gets the deltas that are still
//! there or a whole picture, so that a reader costs the same however slow it is.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use crate::cluster_state::{Delta, Picture};

/// How many deltas are kept at most, and how many bytes of them.
const KEPT: usize = 300;
const KEPT_BYTES: usize = 8 << 20;

/// One picture with its number.
#[derive(Debug, Default)]
pub struct Moment {
    /// From 0, the empty picture at the start.
    pub version: u64,
    /// The picture.
    pub picture: Arc<Picture>,
    json: OnceLock<Bytes>,
}

impl Moment {
    /// The picture as JSON.
    #[must_use]
    pub fn json(&self) -> Bytes {
        // Maps with text as keys and plain values: there is nothing that cannot be written.
        let json = || serde_json::to_vec(&*self.picture).unwrap_or_default().into();
        self.json.get_or_init(json).clone()
    }
}

/// What led to a picture from the one before.
#[derive(Clone, Debug)]
pub struct Step {
    /// Of the picture that it leads to.
    pub version: u64,
    /// The delta as JSON.
    pub json: Bytes,
}

/// What is published, for those who read it.
#[derive(Debug)]
pub struct Feed {
    instance: String,
    moments: watch::Sender<Arc<Moment>>,
    pictures: watch::Sender<Arc<Picture>>,
    /// When the engine last answered.
    fresh: watch::Sender<Option<Instant>>,
    /// Held for a few instructions at a time, never over an await.
    steps: Mutex<Steps>,
}

#[derive(Debug, Default)]
struct Steps {
    kept: VecDeque<Step>,
    bytes: usize,
}

impl Feed {
    /// An empty picture of the process called `instance`.
    #[must_use]
    pub fn new(instance: String) -> Self {
        let mut picture = Picture::default();
        picture.source.instance.clone_from(&instance);
        let picture = Arc::new(picture);
        Self {
            instance,
            moments: watch::Sender::new(Arc::new(Moment { picture: picture.clone(), ..Moment::default() })),
            pictures: watch::Sender::new(picture),
            fresh: watch::Sender::new(None),
            steps: Mutex::default(),
        }
    }

    /// What this process is called.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The newest picture.
    #[must_use]
    pub fn now(&self) -> Arc<Moment> {
        self.moments.borrow().clone()
    }

    /// The newest picture, and each that follows if it is looked at in time.
    #[must_use]
    pub fn moments(&self) -> watch::Receiver<Arc<Moment>> {
        self.moments.subscribe()
    }

    /// The same without numbers, for the alerts' rules.
    #[must_use]
    pub fn pictures(&self) -> watch::Receiver<Arc<Picture>> {
        self.pictures.subscribe()
    }

    /// Whether the engine has answered within `limit`. A picture's own stamp may lag behind.
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

    /// The steps that lead from `version` to the newest picture; `None` if they are not known any more.
    #[must_use]
    pub fn since(&self, version: u64) -> Option<Vec<Step>> {
        let steps = self.steps();
        let newest = steps.kept.back().map_or(self.moments.borrow().version, |step| step.version);
        if version == newest {
            return Some(Vec::new());
        }
        let first = steps.kept.iter().position(|step| step.version == version + 1)?;
        Some(steps.kept.range(first..).cloned().collect())
    }

    /// Publishes `picture` if it differs from the newest one, and tells whether it does.
    pub(crate) fn publish(&self, picture: Picture) -> bool {
        let before = self.now();
        let delta = Delta::between(&before.picture, &picture);
        if delta.is_empty() {
            return false;
        }
        let version = before.version + 1;
        self.steps().push(Step { version, json: serde_json::to_vec(&delta).unwrap_or_default().into() });
        let picture = Arc::new(picture);
        self.moments.send_replace(Arc::new(Moment { version, picture: picture.clone(), json: OnceLock::new() }));
        self.pictures.send_replace(picture);
        true
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        // Nothing under the lock panics half-way through a change.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Steps {
    fn push(&mut self, step: Step) {
        self.bytes += step.json.len();
        self.kept.push_back(step);
        while self.kept.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= oldest.json.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(managers: u32) -> Picture {
        let mut picture = Picture::default();
        picture.source.instance = "i".to_owned();
        picture.quorum.managers = managers;
        picture
    }

    #[test]
    fn steps_lead_from_any_kept_picture_to_the_newest() {
        let feed = Feed::new("i".to_owned());
        let mut pictures = vec![feed.now().picture.as_ref().clone()];
        for number in 1..=5 {
            assert!(feed.publish(picture(number)));
            assert!(!feed.publish(picture(number)), "nothing changed");
            pictures.push(picture(number));
        }
        for (version, mut picture) in (0..).zip(pictures) {
            for step in feed.since(version).unwrap() {
                let delta: Delta = serde_json::from_slice(&step.json).unwrap();
                delta.apply(&mut picture);
            }
            assert_eq!(picture, *feed.now().picture);
        }
        assert!(feed.since(6).is_none(), "not of this process");
    }

    #[test]
    fn old_steps_make_room_by_number_and_by_size() {
        let feed = Feed::new("i".to_owned());
        for number in 1..=2 * u32::try_from(KEPT).unwrap() {
            feed.publish(picture(number));
        }
        assert_eq!(feed.steps().kept.len(), KEPT);
        assert!(feed.since(1).is_none());
        assert_eq!(feed.since(feed.now().version - 1).unwrap().len(), 1);

        let mut steps = Steps::default();
        for version in 1..=20 {
            steps.push(Step { version, json: Bytes::from(vec![0; 1 << 20]) });
        }
        assert_eq!((steps.kept.len(), steps.bytes), (8, 8 << 20));
    }
}
