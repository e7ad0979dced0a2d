//! Asks the ledger, one thing after the other, and in the order in which it was wanted.

use tokio::{sync::mpsc, time::Instant};
use tracing::{info, warn};

use super::event::Event;
use crate::{
    alert::{
        metrics::{Metrics, Outcome},
        notification_log::{Ledger, Told, Verdict},
        notifier::{Job, Push},
    },
    cluster_state::Millis,
};

/// Something to ask the ledger.
#[derive(Debug)]
pub(super) enum Ask {
    Claim { job: Job, lifetime: Millis },
    Sync(Push),
}

/// Asks for as long as somebody wants to.
pub(super) async fn run(
    me: String,
    ledger: Ledger,
    mut asks: mpsc::UnboundedReceiver<(Ask, Instant)>,
    events: mpsc::UnboundedSender<Event>,
    metrics: Metrics,
) {
    let mut failed: Option<Instant> = None;
    let mut is_away = false;
    while let Some((ask, since)) = asks.recv().await {
        // What was waiting behind a failure has waited for long enough.
        let is_late = failed.is_some_and(|failed| failed > since);
        let event = match ask {
            Ask::Claim { job, lifetime } => {
                let verdicts = claim(&me, &ledger, &job, lifetime, is_late).await;
                Event::Claimed(job, verdicts)
            }
            Ask::Sync(push) => {
                let told = sync(&ledger, &push, is_late).await;
                Event::Synced(push, told)
            }
        };
        let error = match &event {
            Event::Claimed(_, result) => result.as_ref().err(),
            Event::Synced(_, result) => result.as_ref().err(),
            Event::Sent(..) => None,
        };
        match error {
            None => {
                metrics.ledger(Outcome::sent);
                failed = None;
                if std::mem::take(&mut is_away) {
                    info!("the ledger of alerts answers again");
                }
            }
            Some(error) => {
                metrics.ledger(Outcome::failed);
                if !is_late {
                    failed = Some(Instant::now());
                }
                if !std::mem::replace(&mut is_away, true) {
                    warn!(error, "the ledger of alerts cannot be used: instances may announce the same twice");
                }
            }
        }
        if events.send(event).is_err() {
            return;
        }
    }
}

async fn claim(me: &str, ledger: &Ledger, job: &Job, lifetime: Millis, is_late: bool) -> Result<Vec<Verdict>, String> {
    if is_late {
        return Err("it did not answer a moment ago".to_owned());
    }
    let claimed = ledger.update(|book, now| job.claim(me, book, lifetime, now)).await;
    claimed.map_err(|error| error.to_string())
}

async fn sync(ledger: &Ledger, push: &Push, is_late: bool) -> Result<Vec<(String, String, Told)>, String> {
    if is_late {
        return Err("it did not answer a moment ago".to_owned());
    }
    ledger.update(|book, now| push.apply(book, now)).await.map_err(|error| error.to_string())
}
