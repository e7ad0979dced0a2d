//! Pure: what was announced through which channel, and who is about to.
//!
//! All instances share one book. Whoever wants to send something claims it first; a claim runs out, so
//! that a claimant who dies does not silence the others. What was sent is written down with the alert
//! itself: its end may be announced by an instance that never saw its beginning.
//!
//! Times are those of the book's keeper, so that instances need no common clock: they say and are told how
//! long ago something was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    alert::condition::Subject,
    cluster_state::{Millis, Severity},
};

/// An end is not announced while another instance has seen the trouble so lately.
const SEEN: Millis = 15_000;

/// An end that was announced covers what began before, for so long: cluster states differ by a few seconds.
const COVERED: Millis = 60_000;

/// For so long it is remembered that the end of something was announced.
const REMEMBERED: Millis = 60 * 60_000;

/// What nobody has seen for so long is forgotten.
const FORGOTTEN: Millis = 30 * 24 * 60 * 60_000;

/// No claim lasts for longer: sending may take a minute, and a claim outlives that by some seconds.
const CLAIMED: Millis = 2 * 60_000;

/// The most entries of a channel; of more, the oldest go.
const MOST: usize = 5_000;

/// The book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Book {
    /// By channel and fingerprint.
    channels: BTreeMap<String, BTreeMap<String, Entry>>,
    /// By fingerprint, which instance saw the trouble when.
    seen: BTreeMap<String, BTreeMap<String, Millis>>,
}

/// One alert in one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    told: Option<Told>,
    claim: Option<Claim>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    owner: String,
    until: Millis,
}

/// What was announced last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Whether it was said to be wrong or to be over.
    pub word: Word,
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
pub enum Word {
    /// It is wrong.
    Firing,
    /// It is over.
    Resolved,
}

/// What somebody wants to announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Of which alert.
    pub fingerprint: String,
    /// What of it.
    pub ask: Ask,
}

/// What somebody wants to say of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
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

/// What came of a [`Want`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the claimant's to say.
    Granted,
    /// It was said, or must not be.
    Done(Option<Box<Told>>),
    /// Somebody else is about to say it, and has so much time left.
    Busy(Millis),
    /// It is not over for everybody.
    Held,
}

impl Book {
    /// Makes it a book of this time. Another Redis that has become master has a clock of its own, and if that is
    /// behind, what the book says of the time to come would hold everybody up.
    pub fn settle(&mut self, now: Millis) {
        for instances in self.seen.values_mut() {
            instances.retain(|_, at| *at <= now);
        }
        for entry in self.channels.values_mut().flat_map(BTreeMap::values_mut) {
            entry.claim = entry.claim.take().filter(|claim| claim.until.saturating_sub(now) <= CLAIMED);
            if let Some(told) = &mut entry.told {
                told.at = told.at.min(now);
            }
        }
    }

    /// Reserves for `owner` what may be said through `channel`, one answer for each want.
    pub fn claim(&mut self, owner: &str, channel: &str, wants: &[Want], lifetime: Millis, now: Millis) -> Vec<Verdict> {
        let entries = self.channels.entry(channel.to_owned()).or_default();
        let decide = |Want { fingerprint, ask }: &Want| {
            let entry = entries.get(fingerprint);
            let claim = entry.and_then(|entry| entry.claim.as_ref());
            if let Some(claim) = claim.filter(|claim| claim.owner != owner && claim.until > now) {
                return Verdict::Busy(claim.until - now);
            }
            let told = entry.and_then(|entry| entry.told.as_ref());
            if !allowed(told, *ask, now) {
                return Verdict::Done(told.cloned().map(Box::new));
            }
            if *ask == Ask::Resolved && is_seen(self.seen.get(fingerprint), owner, now) {
                return Verdict::Held;
            }
            let claim = Claim { owner: owner.to_owned(), until: now.saturating_add(lifetime) };
            entries.entry(fingerprint.clone()).or_default().claim = Some(claim);
            Verdict::Granted
        };
        wants.iter().map(decide).collect()
    }

    /// Reserves for `owner` what he is saying already.
    pub fn hold(&mut self, owner: &str, channel: &str, fingerprint: &str, lifetime: Millis, now: Millis) {
        let entries = self.channels.entry(channel.to_owned()).or_default();
        let claim = &mut entries.entry(fingerprint.to_owned()).or_default().claim;
        if claim.as_ref().is_none_or(|claim| claim.until <= now) {
            *claim = Some(Claim { owner: owner.to_owned(), until: now.saturating_add(lifetime) });
        }
    }

    /// Gives back what `owner` has claimed and not said.
    pub fn release(&mut self, owner: &str, channel: &str, fingerprint: &str) {
        let Some(entries) = self.channels.get_mut(channel) else { return };
        let Some(entry) = entries.get_mut(fingerprint) else { return };
        if entry.claim.as_ref().is_some_and(|claim| claim.owner == owner) {
            entry.claim = None;
        }
        if *entry == Entry::default() {
            entries.remove(fingerprint);
        }
        if entries.is_empty() {
            self.channels.remove(channel);
        }
    }

    /// Writes down what was said, unless something newer is there. Whoever said it needs its claim no more.
    pub fn record(&mut self, owner: &str, channel: &str, fingerprint: &str, told: Told) {
        let entries = self.channels.entry(channel.to_owned()).or_default();
        let entry = entries.entry(fingerprint.to_owned()).or_default();
        if entry.told.as_ref().is_none_or(|known| known.at <= told.at) {
            entry.told = Some(told);
        }
        if entry.claim.as_ref().is_some_and(|claim| claim.owner == owner) {
            entry.claim = None;
        }
    }

    /// Writes down what was said if nothing is known of it.
    pub fn remind(&mut self, channel: &str, fingerprint: &str, told: Told) {
        let entries = self.channels.entry(channel.to_owned()).or_default();
        entries.entry(fingerprint.to_owned()).or_default().told.get_or_insert(told);
    }

    /// `instance` sees these at present, and no others.
    pub fn see<'a>(&mut self, instance: &str, fingerprints: impl IntoIterator<Item = &'a str>, now: Millis) {
        for instances in self.seen.values_mut() {
            instances.remove(instance);
        }
        for fingerprint in fingerprints {
            self.seen.entry(fingerprint.to_owned()).or_default().insert(instance.to_owned(), now);
        }
    }

    /// What was said, by channel and fingerprint.
    pub fn told(&self) -> impl Iterator<Item = (&str, &str, &Told)> {
        self.channels
            .iter()
            .flat_map(|(channel, entries)| {
                entries.iter().map(move |(fingerprint, entry)| (channel, fingerprint, entry))
            })
            .filter_map(|(channel, fingerprint, entry)| {
                Some((channel.as_str(), fingerprint.as_str(), entry.told.as_ref()?))
            })
    }

    /// Forgets what matters no more.
    pub fn prune(&mut self, now: Millis) {
        self.seen.retain(|_, instances| {
            instances.retain(|_, at| now - *at < SEEN);
            !instances.is_empty()
        });
        for entries in self.channels.values_mut() {
            entries.retain(|fingerprint, entry| {
                if entry.claim.as_ref().is_some_and(|claim| claim.until <= now) {
                    entry.claim = None;
                }
                let kept = entry.told.as_ref().is_some_and(|told| match told.word {
                    Word::Firing => now - told.at < FORGOTTEN || self.seen.contains_key(fingerprint),
                    Word::Resolved => now - told.at < REMEMBERED,
                });
                kept || entry.claim.is_some()
            });
            let surplus = entries.len().saturating_sub(MOST);
            if surplus > 0 {
                let mut ages: Vec<_> =
                    entries.iter().map(|(key, entry)| (entry.told.as_ref().map(|told| told.at), key.clone())).collect();
                ages.sort();
                for (_, key) in ages.into_iter().take(surplus) {
                    entries.remove(&key);
                }
            }
        }
        self.channels.retain(|_, entries| !entries.is_empty());
    }
}

/// Whether this may be said after what was said last.
fn allowed(told: Option<&Told>, ask: Ask, now: Millis) -> bool {
    match (ask, told.map(|told| (told, told.word))) {
        (Ask::Firing { .. }, None) | (Ask::Resolved, Some((_, Word::Firing))) => true,
        (Ask::Firing { age, .. }, Some((told, Word::Resolved))) => !covers(told.at, now - age, now),
        (Ask::Firing { severity, repeat, .. }, Some((told, Word::Firing))) => {
            severity > told.severity || repeat.is_some_and(|repeat| now - told.at >= repeat)
        }
        (Ask::Resolved, None | Some((_, Word::Resolved))) => false,
    }
}

/// Whether an end announced `at` this time was that of an alert that began `fired`.
#[must_use]
pub fn covers(at: Millis, fired: Millis, now: Millis) -> bool {
    at > fired && now - at < COVERED
}

fn is_seen(instances: Option<&BTreeMap<String, Millis>>, owner: &str, now: Millis) -> bool {
    instances.into_iter().flatten().any(|(instance, at)| instance != owner && now - at < SEEN)
}

#[cfg(test)]
mod tests;
