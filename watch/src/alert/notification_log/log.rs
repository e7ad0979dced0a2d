//! Pure: what was announced through which channel, and which instance is about to announce something.
//!
//! All instances share one log. An instance claims a notification before it sends it. A claim expires, so that a
//! claimant that dies does not silence the others. An entry holds the alert itself, since its end may be
//! announced by an instance that never saw its beginning.
//!
//! Times are those of the store's clock, so that the instances need no common clock: they exchange ages with the
//! log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    alert::condition::Subject,
    cluster_state::{Millis, Severity},
};

/// An end is not announced while another instance has seen the alert firing within this time.
const SEEN_TIMEOUT: Millis = 15_000;

/// An announced end covers a beginning before it for this long, since the cluster states of two instances differ
/// by a few seconds.
const COVER_WINDOW: Millis = 60_000;

/// How long an announced end is remembered.
const RESOLVED_RETENTION: Millis = 60 * 60_000;

/// How long an announced beginning is remembered while no instance sees the alert.
const FIRING_RETENTION: Millis = 30 * 24 * 60 * 60_000;

/// The longest lifetime of a claim: sending takes at most a minute, and a claim outlives that by some seconds.
const MAX_CLAIM: Millis = 2 * 60_000;

/// The most entries of a channel. The oldest are dropped first.
const MAX_ENTRIES: usize = 5_000;

/// The notifications of all instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotificationLog {
    /// By channel and fingerprint.
    channels: BTreeMap<String, BTreeMap<String, Slot>>,
    /// By fingerprint, which instance saw the alert firing, and when.
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

/// The last notification of an alert in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Whether it announced the beginning or the end.
    #[serde(rename = "word")]
    pub status: Status,
    /// When it was sent.
    pub at: Millis,
    /// The id of the message that announced the beginning.
    pub thread: String,
    /// The name of the alert's rule.
    pub rule: String,
    /// The severity that was announced.
    pub severity: Severity,
    /// Since when the condition has held, by the clock of the instance that sent the notification.
    pub since: Millis,
    /// One sentence.
    pub summary: String,
    /// What the alert is about.
    #[serde(default)]
    pub subject: Subject,
}

/// What a notification says about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is firing.
    Firing,
    /// It has ended.
    Resolved,
}

/// Asks to announce something about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Identifies the alert.
    pub fingerprint: String,
    /// What to announce.
    pub announcement: Announcement,
}

/// What to announce about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// It is firing.
    Firing {
        /// How long it has been firing.
        age: Millis,
        /// Its severity.
        severity: Severity,
        /// Announce it again if the last notification is at least this old.
        repeat: Option<Millis>,
    },
    /// It has ended.
    Resolved,
}

/// The result of a [`ClaimRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimResult {
    /// The claimant may announce it.
    Granted,
    /// It was announced, or must not be.
    AlreadySent(Option<Box<LogEntry>>),
    /// Another instance holds the claim, which expires after this time.
    Taken(Millis),
    /// Another instance still sees the alert firing.
    StillFiring,
}

impl NotificationLog {
    /// Removes claims and sightings from the future, and moves entries from there to `now`. A Redis that has become
    /// master has its own clock; if that is behind, what is in its future would block every claim.
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

    /// Claims alerts for `owner` in `channel`, and returns one result for each request.
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

    /// Claims an alert that `owner` is already sending, unless another claim is valid.
    pub fn claim_if_free(&mut self, owner: &str, channel: &str, fingerprint: &str, lifetime: Millis, now: Millis) {
        let slots = self.channels.entry(channel.to_owned()).or_default();
        let claim = &mut slots.entry(fingerprint.to_owned()).or_default().claim;
        if claim.as_ref().is_none_or(|claim| claim.until <= now) {
            *claim = Some(Claim { owner: owner.to_owned(), until: now.saturating_add(lifetime) });
        }
    }

    /// Releases a claim of `owner`.
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

    /// Adds an entry unless there is a newer one, and releases the claim of `owner`.
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

    /// Adds an entry if there is none.
    pub fn restore(&mut self, channel: &str, fingerprint: &str, entry: LogEntry) {
        let slots = self.channels.entry(channel.to_owned()).or_default();
        slots.entry(fingerprint.to_owned()).or_default().entry.get_or_insert(entry);
    }

    /// Replaces the alerts that `instance` sees firing.
    pub fn record_seen<'a>(&mut self, instance: &str, fingerprints: impl IntoIterator<Item = &'a str>, now: Millis) {
        for instances in self.seen.values_mut() {
            instances.remove(instance);
        }
        for fingerprint in fingerprints {
            self.seen.entry(fingerprint.to_owned()).or_default().insert(instance.to_owned(), now);
        }
    }

    /// Returns all entries by channel and fingerprint.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, &LogEntry)> {
        self.channels
            .iter()
            .flat_map(|(channel, slots)| slots.iter().map(move |(fingerprint, slot)| (channel, fingerprint, slot)))
            .filter_map(|(channel, fingerprint, slot)| {
                Some((channel.as_str(), fingerprint.as_str(), slot.entry.as_ref()?))
            })
    }

    /// Removes what has expired.
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

/// Whether `announcement` is still needed after the last notification.
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

/// Whether an end announced at `at` is that of an alert that began to fire at `fired`.
#[must_use]
pub fn covers(at: Millis, fired: Millis, now: Millis) -> bool {
    at > fired && now - at < COVER_WINDOW
}

fn is_seen(instances: Option<&BTreeMap<String, Millis>>, owner: &str, now: Millis) -> bool {
    instances.into_iter().flatten().any(|(instance, at)| instance != owner && now - at < SEEN_TIMEOUT)
}

#[cfg(test)]
mod tests;
