//! Pure: what was announced through which channel, and who is about to.
//!
//! All instances share one log. Whoever requests to send something claims it first; a claim runs out, so
//! that a claimant who dies does not silence the others. What was sent is written down with the alert
//! itself: its end may be announced by an instance that never saw its beginning.
//!
//! Times are those of the log's keeper, so that instances need no common clock: they say and are entry how
//! long ago something was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    alert::condition::Subject,
    cluster_state::{Millis, Severity},
};

/// An end is not announced while another instance has seen the trouble so lately.
const SEEN_TIMEOUT: Millis = 15_000;

/// An end that was announced covers what began before, for so long: cluster states differ by a few seconds.
const COVER_WINDOW: Millis = 60_000;

/// For so long it is remembered that the end of something was announced.
const RESOLVED_RETENTION: Millis = 60 * 60_000;

/// What nobody has seen for so long is forgotten.
const FIRING_RETENTION: Millis = 30 * 24 * 60 * 60_000;

/// No claim lasts for longer: sending may take a minute, and a claim outlives that by some seconds.
const MAX_CLAIM: Millis = 2 * 60_000;

/// The most slots of a channel; of more, the oldest go.
const MAX_ENTRIES: usize = 5_000;

/// The log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotificationLog {
    /// By channel and fingerprint.
    channels: BTreeMap<String, BTreeMap<String, Slot>>,
    /// By fingerprint, which instance saw the trouble when.
    seen: BTreeMap<String, BTreeMap<String, Millis>>,
}

/// One alert in one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Slot {
    #[serde(rename = "told")]
    entry: Option<LogEntry>,
    claim: Option<Claim>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    owner: String,
    until: Millis,
}

/// What was announced last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Whether it was said to be wrong or to be over.
    #[serde(rename = "word")]
    pub status: Status,
    /// When it was said.
    pub at: Millis,
    /// The message that its beginning was announced with.
    pub thread: String,
    /// Name of its rule.
    pub rule: String,
    /// How much it was said to matter.
    pub severity: Severity,
    /// Since when it was wrong, by the clock of whoever said so.
    pub since: Millis,
    /// One sentence.
    pub summary: String,
    /// What it is about.
    #[serde(default)]
    pub subject: Subject,
}

/// What is said of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is wrong.
    Firing,
    /// It is over.
    Resolved,
}

/// What somebody requests to announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Of which alert.
    pub fingerprint: String,
    /// What of it.
    pub announcement: Announcement,
}

/// What somebody requests to say of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// That it is wrong.
    Firing {
        /// For so long it has been firing.
        age: Millis,
        /// How much it matters.
        severity: Severity,
        /// Again, if the last time is so long ago.
        repeat: Option<Millis>,
    },
    /// That it is over.
    Resolved,
}

/// What came of a [`ClaimRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimResult {
    /// It is the claimant's to say.
    Granted,
    /// It was said, or must not be.
    AlreadySent(Option<Box<LogEntry>>),
    /// Somebody else is about to say it, and has so much time left.
    Taken(Millis),
    /// It is not over for everybody.
    StillFiring,
}

impl NotificationLog {
    /// Makes it a log of this time. Another Redis that has become master has a clock of its own, and if that is
    /// behind, what the log says of the time to come would hold everybody up.
    pub fn clamp_times(&mut self, now: Millis) {
        for instances in self.seen.values_mut() {
            instances.retain(|_, at| *at <= now);
        }
        for slot in self.channels.values_mut().flat_map(BTreeMap::values_mut) {
            slot.claim = slot.claim.take().filter(|claim| claim.until.saturating_sub(now) <= MAX_CLAIM);
            if let Some(entry) = &mut slot.entry {
                entry.at = entry.at.min(now);
            }
        }
    }

    /// Reserves for `owner` what may be said through `channel`, one answer for each request.
    pub fn claim(
        &mut self,
        owner: &str,
        channel: &str,
        requests: &[ClaimRequest],
        lifetime: Millis,
        now: Millis,
    ) -> Vec<ClaimResult> {
        let slots = self.channels.entry(channel.to_owned()).or_default();
        let decide = |ClaimRequest { fingerprint, announcement }: &ClaimRequest| {
            let slot = slots.get(fingerprint);
            let claim = slot.and_then(|slot| slot.claim.as_ref());
            if let Some(claim) = claim.filter(|claim| claim.owner != owner && claim.until > now) {
                return ClaimResult::Taken(claim.until - now);
            }
            let entry = slot.and_then(|slot| slot.entry.as_ref());
            if !allowed(entry, *announcement, now) {
                return ClaimResult::AlreadySent(entry.cloned().map(Box::new));
            }
            if *announcement == Announcement::Resolved && is_seen(self.seen.get(fingerprint), owner, now) {
                return ClaimResult::StillFiring;
            }
            let claim = Claim { owner: owner.to_owned(), until: now.saturating_add(lifetime) };
            slots.entry(fingerprint.clone()).or_default().claim = Some(claim);
            ClaimResult::Granted
        };
        requests.iter().map(decide).collect()
    }

    /// Reserves for `owner` what he is saying already.
    pub fn claim_if_free(&mut self, owner: &str, channel: &str, fingerprint: &str, lifetime: Millis, now: Millis) {
        let slots = self.channels.entry(channel.to_owned()).or_default();
        let claim = &mut slots.entry(fingerprint.to_owned()).or_default().claim;
        if claim.as_ref().is_none_or(|claim| claim.until <= now) {
            *claim = Some(Claim { owner: owner.to_owned(), until: now.saturating_add(lifetime) });
        }
    }

    /// Gives back what `owner` has claimed and not said.
    pub fn release(&mut self, owner: &str, channel: &str, fingerprint: &str) {
        let Some(slots) = self.channels.get_mut(channel) else { return };
        let Some(slot) = slots.get_mut(fingerprint) else { return };
        if slot.claim.as_ref().is_some_and(|claim| claim.owner == owner) {
            slot.claim = None;
        }
        if *slot == Slot::default() {
            slots.remove(fingerprint);
        }
        if slots.is_empty() {
            self.channels.remove(channel);
        }
    }

    /// Writes down what was said, unless something newer is there. Whoever said it needs its claim no more.
    pub fn record(&mut self, owner: &str, channel: &str, fingerprint: &str, entry: LogEntry) {
        let slots = self.channels.entry(channel.to_owned()).or_default();
        let slot = slots.entry(fingerprint.to_owned()).or_default();
        if slot.entry.as_ref().is_none_or(|known| known.at <= entry.at) {
            slot.entry = Some(entry);
        }
        if slot.claim.as_ref().is_some_and(|claim| claim.owner == owner) {
            slot.claim = None;
        }
    }

    /// Writes down what was said if nothing is known of it.
    pub fn restore(&mut self, channel: &str, fingerprint: &str, entry: LogEntry) {
        let slots = self.channels.entry(channel.to_owned()).or_default();
        slots.entry(fingerprint.to_owned()).or_default().entry.get_or_insert(entry);
    }

    /// `instance` sees these at present, and no others.
    pub fn record_seen<'a>(&mut self, instance: &str, fingerprints: impl IntoIterator<Item = &'a str>, now: Millis) {
        for instances in self.seen.values_mut() {
            instances.remove(instance);
        }
        for fingerprint in fingerprints {
            self.seen.entry(fingerprint.to_owned()).or_default().insert(instance.to_owned(), now);
        }
    }

    /// What was said, by channel and fingerprint.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, &LogEntry)> {
        self.channels
            .iter()
            .flat_map(|(channel, slots)| slots.iter().map(move |(fingerprint, slot)| (channel, fingerprint, slot)))
            .filter_map(|(channel, fingerprint, slot)| {
                Some((channel.as_str(), fingerprint.as_str(), slot.entry.as_ref()?))
            })
    }

    /// Forgets what matters no more.
    pub fn prune(&mut self, now: Millis) {
        self.seen.retain(|_, instances| {
            instances.retain(|_, at| now - *at < SEEN_TIMEOUT);
            !instances.is_empty()
        });
        for slots in self.channels.values_mut() {
            slots.retain(|fingerprint, slot| {
                if slot.claim.as_ref().is_some_and(|claim| claim.until <= now) {
                    slot.claim = None;
                }
                let kept = slot.entry.as_ref().is_some_and(|entry| match entry.status {
                    Status::Firing => now - entry.at < FIRING_RETENTION || self.seen.contains_key(fingerprint),
                    Status::Resolved => now - entry.at < RESOLVED_RETENTION,
                });
                kept || slot.claim.is_some()
            });
            let surplus = slots.len().saturating_sub(MAX_ENTRIES);
            if surplus > 0 {
                let mut ages: Vec<_> =
                    slots.iter().map(|(key, slot)| (slot.entry.as_ref().map(|entry| entry.at), key.clone())).collect();
                ages.sort();
                for (_, key) in ages.into_iter().take(surplus) {
                    slots.remove(&key);
                }
            }
        }
        self.channels.retain(|_, slots| !slots.is_empty());
    }
}

/// Whether this may be said after what was said last.
fn allowed(entry: Option<&LogEntry>, announcement: Announcement, now: Millis) -> bool {
    match (announcement, entry.map(|entry| (entry, entry.status))) {
        (Announcement::Firing { .. }, None) | (Announcement::Resolved, Some((_, Status::Firing))) => true,
        (Announcement::Firing { age, .. }, Some((entry, Status::Resolved))) => !covers(entry.at, now - age, now),
        (Announcement::Firing { severity, repeat, .. }, Some((entry, Status::Firing))) => {
            severity > entry.severity || repeat.is_some_and(|repeat| now - entry.at >= repeat)
        }
        (Announcement::Resolved, None | Some((_, Status::Resolved))) => false,
    }
}

/// Whether an end announced `at` this time was that of an alert that began `fired`.
#[must_use]
pub fn covers(at: Millis, fired: Millis, now: Millis) -> bool {
    at > fired && now - at < COVER_WINDOW
}

fn is_seen(instances: Option<&BTreeMap<String, Millis>>, owner: &str, now: Millis) -> bool {
    instances.into_iter().flatten().any(|(instance, at)| instance != owner && now - at < SEEN_TIMEOUT)
}

#[cfg(test)]
mod tests;
