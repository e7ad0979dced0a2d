//! Pure: what one receiver should send, one notification at a time.

mod delivery;
mod failing;
mod outcome;
mod redelivery;

use std::collections::BTreeMap;

use self::{
    delivery::{Claim, Delivery, Pending},
    failing::{Failing, times},
    redelivery::Redeliveries,
};
use super::{
    config::{Delays, Receiver},
    group::{AlertGroup, Kind, Notification, announcement},
};
use crate::{
    alert::{
        alert_states::{Alert, Phase},
        notification_log::{ClaimRequest, ClaimResult, LogEntry},
        rule::Rule,
    },
    cluster_state::{Millis, Severity},
};

/// The pause before an alert is tried again that was already sent according to the log, but still seems pending.
const RECHECK: Millis = 5000;

/// The longest pause while another instance holds the claim, and the pause while the log is unavailable.
const CLAIM_RETRY: Millis = 1000;

/// What one receiver has sent and should send.
#[derive(Debug, Default)]
pub(super) struct ReceiverState {
    receiver: Receiver,
    /// By fingerprint.
    deliveries: BTreeMap<String, Delivery>,
    /// When a notification of each rule was last sent.
    last_sent: BTreeMap<Rule, Millis>,
    /// A group is being claimed or sent.
    is_busy: bool,
    failing: Option<Failing>,
    /// Recipients that lack a message which others have.
    redeliveries: Redeliveries,
    /// When a message last reached all recipients.
    worked: Option<Millis>,
}

/// Why a receiver fails.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    /// In one sentence.
    pub(super) summary: String,
    /// No recipient gets messages.
    pub(super) is_for_all: bool,
}

/// An alert with a pending notification, and since when that has been pending.
type Member<'a> = (&'a String, &'a Alert, Millis);

impl ReceiverState {
    /// The same state under another configuration, which may be what helps against failures.
    pub(super) fn with(mut self, receiver: Receiver) -> Self {
        self.receiver = receiver;
        self.deliveries.values_mut().for_each(|delivery| delivery.not_before = None);
        self.failing = None;
        self.redeliveries.forget_failures();
        self
    }

    /// The end of the alert, or a notification that failed, must still be sent.
    pub(super) fn needs_notification(&self, fingerprint: &str) -> bool {
        self.deliveries.get(fingerprint).is_some_and(Delivery::needs_notification)
    }

    /// Why the receiver fails, if it does.
    pub(super) fn problem(&self, now: Millis) -> Option<Problem> {
        let name = &self.receiver.name;
        let failing = self.failing.as_ref().and_then(|failing| failing.error(self.has_pending(), now));
        if let Some((severity, error)) = failing {
            let summary = format!("messages cannot be sent through {name}: {error}");
            return Some(Problem { severity, summary, is_for_all: true });
        }
        let error = self.redeliveries.error()?;
        let summary = format!("messages through {name} do not reach everyone: {error}");
        Some(Problem { severity: Severity::Warning, summary, is_for_all: false })
    }

    /// A message has reached all recipients since then, and none has failed after it.
    pub(super) fn works_since(&self, since: Millis) -> bool {
        self.failing.is_none() && self.redeliveries.error().is_none() && self.worked.is_some_and(|at| at >= since)
    }

    /// Messages to send again, each to a recipient that lacks it.
    pub(super) fn redeliveries(&mut self, now: Millis) -> Vec<Notification> {
        self.redeliveries.next(now)
    }

    /// What was announced, by fingerprint.
    pub(super) fn announced(&self) -> impl Iterator<Item = (&str, &LogEntry)> {
        self.deliveries
            .iter()
            .filter_map(|(fingerprint, delivery)| Some((fingerprint.as_str(), &delivery.last.as_ref()?.entry)))
    }

    /// A notification is pending.
    pub(super) fn has_pending(&self) -> bool {
        self.deliveries.values().any(|delivery| delivery.pending.is_some())
    }

    /// The log lacks something that this receiver did.
    pub(super) fn has_unlogged(&self) -> bool {
        self.deliveries.values().any(Delivery::has_unlogged)
    }

    /// How many notifications are remembered.
    #[cfg(test)]
    pub(super) fn remembers(&self) -> usize {
        self.deliveries.values().filter(|delivery| delivery.last.is_some()).count()
    }

    /// Decides which notifications are pending.
    pub(super) fn update_pending(&mut self, alerts: &BTreeMap<String, Alert>, now: Millis) {
        let receiver = &self.receiver;
        self.deliveries.retain(|fingerprint, delivery| {
            delivery.update(alerts.get(fingerprint), receiver, now);
            !delivery.is_empty()
        });
        for (fingerprint, alert) in alerts {
            if !self.deliveries.contains_key(fingerprint) {
                let mut delivery = Delivery::default();
                delivery.update(Some(alert), receiver, now);
                if !delivery.is_empty() {
                    self.deliveries.insert(fingerprint.clone(), delivery);
                }
            }
        }
    }

    /// The next group that is due. Waiting for `position_wait` begins at `from` at the earliest.
    pub(super) fn next(
        &mut self,
        alerts: &BTreeMap<String, Alert>,
        delays: Delays,
        position_wait: Millis,
        from: Millis,
        now: Millis,
    ) -> Option<AlertGroup> {
        if self.is_busy || self.failing.as_ref().is_some_and(|failing| failing.is_paused(now)) {
            return None;
        }
        let mut groups: BTreeMap<(Kind, Rule), Vec<Member<'_>>> = BTreeMap::new();
        for (fingerprint, delivery) in &self.deliveries {
            let Some(Pending { kind, since }) = delivery.pending else { continue };
            let Some(alert) = alerts.get(fingerprint) else { continue };
            let may_claim = delivery.not_before.is_none_or(|until| until <= now)
                && since.max(from).saturating_add(position_wait) <= now;
            if may_claim {
                groups.entry((kind, alert.condition.rule)).or_default().push((fingerprint, alert, since));
            }
        }
        let is_due = |rule: Rule, members: &[Member<'_>]| {
            let first = members.iter().map(|(_, _, since)| since.saturating_add(delays.group_wait)).min();
            let is_critical = members.iter().any(|(_, alert, _)| alert.condition.severity == Severity::Critical);
            let last = self.last_sent.get(&rule).filter(|_| !is_critical);
            first.is_some_and(|due| due <= now)
                && last.is_none_or(|last| last.saturating_add(delays.group_interval) <= now)
        };
        let ((kind, rule), members) = groups.into_iter().find(|((_, rule), members)| is_due(*rule, members))?;
        let repeat = self.receiver.repeat;
        let request = |(fingerprint, alert, since): Member<'_>| {
            let severity = alert.condition.severity;
            let repeat = (severity > Severity::Info).then_some(repeat);
            let announcement = announcement(kind, fired_at(alert), severity, repeat, now);
            (ClaimRequest { fingerprint: fingerprint.clone(), announcement }, since)
        };
        let requests: Vec<_> = members.into_iter().map(request).collect();
        for (request, _) in &requests {
            // A new claim must not be released because an older one was to be.
            self.delivery(&request.fingerprint).claim = Claim::UpToDate;
        }
        self.is_busy = true;
        Some(AlertGroup { receiver: self.receiver.name.clone(), kind, rule, requests })
    }

    /// Takes the results of a claim, and returns the alerts that may be sent.
    pub(super) fn claimed(&mut self, group: &AlertGroup, results: Vec<ClaimResult>, now: Millis) -> Vec<String> {
        let mut granted = Vec::new();
        for ((ClaimRequest { fingerprint, .. }, _), result) in group.requests.iter().zip(results) {
            let delivery = self.delivery(fingerprint);
            match result {
                ClaimResult::Granted => granted.push(fingerprint.clone()),
                ClaimResult::AlreadySent(Some(entry)) => {
                    delivery.not_before = Some(now + RECHECK);
                    delivery.learn(LogEntry { at: now - entry.at, ..*entry });
                }
                // The beginning was not announced, so the end need not be.
                ClaimResult::AlreadySent(None) => delivery.last = None,
                ClaimResult::Taken(left) => delivery.not_before = Some(now + left.min(CLAIM_RETRY)),
                ClaimResult::StillFiring => delivery.not_before = Some(now + CLAIM_RETRY),
            }
        }
        granted
    }

    /// Returns the alerts of a group to send without a claim: those that have waited for `wait`.
    pub(super) fn unclaimed(&mut self, group: &AlertGroup, wait: Millis, now: Millis) -> Vec<String> {
        let mut ready = Vec::new();
        for (ClaimRequest { fingerprint, .. }, since) in &group.requests {
            let delivery = self.delivery(fingerprint);
            if since.saturating_add(wait) <= now {
                delivery.claim = Claim::Missing;
                ready.push(fingerprint.clone());
            } else {
                delivery.not_before = Some(now + CLAIM_RETRY);
            }
        }
        ready
    }

    /// Makes a notification of the granted alerts that still need it. Without any, the group is over.
    pub(super) fn notification(
        &mut self,
        id: String,
        group: &AlertGroup,
        granted: &[String],
        alerts: &BTreeMap<String, Alert>,
    ) -> Option<Notification> {
        let mut items = Vec::new();
        for fingerprint in granted {
            let delivery = self.delivery(fingerprint);
            let is_pending = delivery.pending.is_some_and(|pending| pending.kind == group.kind);
            match alerts.get(fingerprint) {
                Some(alert) if is_pending => items.push(delivery.item(fingerprint, alert)),
                // The alert has changed since it was claimed.
                _ => delivery.claim = Claim::Released,
            }
        }
        if items.is_empty() {
            self.finish();
            return None;
        }
        let silent = group.kind == Kind::Resolved && !self.receiver.resolved;
        let failures = times(self.failing.as_ref());
        Some(Notification {
            id,
            receiver: group.receiver.clone(),
            kind: group.kind,
            rule: group.rule.name(),
            items,
            silent,
            failures,
            recipients: Vec::new(),
        })
    }

    /// The group is over, and nothing is being sent any more.
    fn finish(&mut self) {
        self.is_busy = false;
        for delivery in self.deliveries.values_mut().filter(|delivery| delivery.claim == Claim::Missing) {
            delivery.claim = Claim::UpToDate;
        }
    }

    /// The state of one alert. `update_pending` removes empty ones.
    fn delivery(&mut self, fingerprint: &str) -> &mut Delivery {
        self.deliveries.entry(fingerprint.to_owned()).or_default()
    }
}

/// When the alert began to fire.
fn fired_at(alert: &Alert) -> Millis {
    match alert.phase {
        Phase::Firing { at, .. } => at,
        Phase::Resolved { fired, .. } => fired,
        Phase::Pending => alert.since,
    }
}
