//! Replicas that get no requests for a while, because of their responses.

use std::time::Duration;

use tokio::time::Instant;

use super::Spread;
use crate::{
    config::Ejection,
    upstream::health::{
        error_share::Responses,
        outlier::{self, PoolCounts},
    },
};

/// A replica whose responses are server errors far more often than those of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejected {
    /// Its name.
    pub name: String,
    /// The responses that were compared.
    pub responses: Responses,
    /// How long it gets no requests.
    pub duration: Duration,
}

impl Spread {
    /// Counts a response of a replica.
    pub fn responded(&mut self, replica: usize, is_error: bool) {
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.responses.total += 1;
            replica.responses.errors += u64::from(is_error);
        }
    }

    /// Whether a replica gets no requests because of its responses.
    #[must_use]
    pub fn is_ejected(&self, replica: usize) -> bool {
        self.replicas.get(replica).is_some_and(|replica| replica.outlier.is_ejected())
    }

    /// Compares the responses of the replicas since the last call. Ejects those that give far more server errors than
    /// the others, the worst first, and ends ejections whose time is over. Returns those that it ejected.
    pub fn compare(&mut self, settings: &Ejection, now: Instant) -> Vec<Ejected> {
        for replica in &mut self.replicas {
            if replica.outlier.until().is_some_and(|until| now >= until) {
                replica.outlier.release(now);
                replica.window.clear();
            }
        }
        // Connections whose replica is not known lead to any of them.
        let known = self.replicas.iter_mut().filter(|replica| !replica.name.is_empty());
        let all: Responses = known.map(|replica| replica.window.count(replica.responses)).sum();
        let mut deviating = Vec::new();
        for (index, replica) in self.replicas.iter_mut().enumerate().filter(|(_, replica)| !replica.name.is_empty()) {
            if replica.outlier.is_ejected() {
                replica.window.clear();
            } else if let Some(responses) = replica.window.compare(all, settings.error_share) {
                deviating.push((index, responses));
            }
        }
        deviating.sort_by(|(_, one), (_, other)| other.share().total_cmp(&one.share()));
        let mut ejected = Vec::new();
        for (index, responses) in deviating {
            let total = self.replicas();
            let out = self.replicas.iter().filter(|replica| replica.outlier.is_ejected()).count();
            let counts = PoolCounts { total, ejected: out, healthy: total.saturating_sub(out) };
            if let Some(replica) = self.replicas.get_mut(index).filter(|_| outlier::may_eject(settings, counts)) {
                let duration = replica.outlier.eject(settings, now);
                replica.ejections += 1;
                replica.why = Some((responses, duration));
                let name = String::from_utf8_lossy(&replica.name).into_owned();
                ejected.push(Ejected { name, responses, duration });
            }
        }
        ejected
    }
}
