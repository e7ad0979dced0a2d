//! `watch test-alert`: sends one message through every channel.

use std::fmt;

use futures_util::future::join_all;

use super::{
    channel::senders,
    condition::Subject,
    notifier::{Failure, Item, Kind, Notification, Retry, Undelivered},
    settings::Settings,
    time,
};
use crate::cluster_state::Severity;

/// The outcome for each channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    outcomes: Vec<(String, Result<(), Failure>)>,
}

impl Report {
    /// There is a channel, and every channel has sent its message.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(|(_, outcome)| outcome.is_ok())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outcomes.is_empty() {
            return f.write_str("no channel is configured: alerts are shown on the page only\n");
        }
        for (channel, outcome) in &self.outcomes {
            match outcome {
                Ok(()) => writeln!(f, "{channel}: sent")?,
                Err(failure) if failure.retry == Retry::Partial => {
                    writeln!(f, "{channel}: sent, but not to all recipients")?;
                    for Undelivered { recipient, error, .. } in &failure.undelivered {
                        writeln!(f, "    {recipient}: not sent: {error}")?;
                    }
                }
                Err(failure) => writeln!(f, "{channel}: not sent: {}", failure.error)?,
            }
        }
        Ok(())
    }
}

/// Sends one message through every channel, whatever its minimum severity.
///
/// # Errors
/// A channel cannot be used as it is configured.
pub async fn test(settings: &Settings) -> Result<Report, String> {
    let now = time::now();
    let senders = senders(settings)?;
    let sending = senders.values().map(|sender| async move {
        let item = Item {
            fingerprint: "watch_test".to_owned(),
            severity: Severity::Info,
            summary: "this is a test, nothing is wrong".to_owned(),
            end: None,
            subject: Subject::default(),
            since: now,
            ended: None,
            thread: None,
        };
        let notification = Notification {
            id: format!("test.{:x}.{:08x}", now, fastrand::u32(..)),
            receiver: sender.name().to_owned(),
            kind: Kind::Firing,
            rule: "watch_test",
            items: vec![item],
            silent: false,
            failures: 0,
            recipients: Vec::new(),
        };
        (sender.name().to_owned(), sender.send(&notification).await)
    });
    Ok(Report { outcomes: join_all(sending).await })
}
