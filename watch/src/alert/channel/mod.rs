//! The channels that carry messages: mail, SMS, webhooks. Each attempt has a time limit and returns how to retry
//! after a failure; the notifier decides whether and when to.
//!
//! Each recipient of a message has its own outcome, and its own time limit within that of the message. If an
//! unreachable recipient used it up, it would be unknown that the others have the message, and they would get it again.

mod http;
mod listed_server;
mod mail;
mod recipients;
mod send_error;
mod sms;
mod smtp;
#[cfg(test)]
mod tests;
mod webhook;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use net::Backoff;
use tokio::time::Instant;

pub use self::http::Http;
pub(super) use self::http::secrets;
use self::{
    recipients::until,
    send_error::{RetryHint, SendError},
};
use super::{
    notifier::{Failure, Notification, Retry, Undelivered},
    settings::{Channel, Kind, Settings},
    text::Context,
    time,
};
use crate::cluster_state::Millis;

/// The pauses after failures: from 2 s up to 5 min. The jitter keeps instances from returning together.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(5 * 60)).jitter(0.8, 1.2);

/// The pauses before a recipient is tried again when others have the message. Servers with greylisting accept a second
/// attempt after some minutes, most of them after five.
const REDELIVERY: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(15 * 60)).jitter(0.8, 1.2);

/// The longest pause that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// One channel, ready to send.
#[derive(Debug)]
pub struct Sender {
    channel: Channel,
    context: Context,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Mail(Box<mail::Mailer>),
    Sms(Http),
    Webhook(Http),
}

/// All channels by name.
pub type Senders = BTreeMap<String, Arc<Sender>>;

/// Prepares the channels.
///
/// # Errors
/// A channel cannot be used as it is configured.
pub fn senders(settings: &Settings) -> Result<Senders, String> {
    let http = Http::new(&settings.general.authorities)?;
    let sender = |channel: &Channel| {
        let transport = match &channel.kind {
            Kind::Mail(mail) => {
                Transport::Mail(Box::new(mail::Mailer::new(mail, &settings.general.authorities, channel.timeout)?))
            }
            Kind::Sms(_) => Transport::Sms(http.clone()),
            Kind::Webhook(_) => Transport::Webhook(http.clone()),
        };
        let sender = Sender { channel: channel.clone(), context: (&settings.general).into(), transport };
        Ok((channel.name.clone(), Arc::new(sender)))
    };
    settings.channels.iter().map(sender).collect()
}

impl Sender {
    /// Returns the channel's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.channel.name
    }

    /// Attempts once to send a message.
    ///
    /// # Errors
    /// The message was not sent, not to all recipients, or the outcome is unknown.
    pub async fn send(&self, notification: &Notification) -> Result<(), Failure> {
        let end = Instant::now() + self.channel.timeout;
        let sent = self.try_send(notification, time::now(), end).await;
        sent.map_err(|error| {
            let backoff = if notification.recipients.is_empty() { BACKOFF } else { REDELIVERY };
            let undelivered = |(recipient, error): (String, SendError)| Undelivered {
                recipient,
                retry: retry(error.hint, REDELIVERY, 0),
                error: error.error,
            };
            Failure {
                retry: retry(error.hint, backoff, notification.failures),
                error: error.error,
                undelivered: error.undelivered.into_iter().map(undelivered).collect(),
            }
        })
    }

    async fn try_send(&self, notification: &Notification, now: Millis, end: Instant) -> Result<(), SendError> {
        match (&self.transport, &self.channel.kind) {
            (Transport::Mail(mailer), Kind::Mail(mail)) => {
                mailer.send(mail, &self.context, notification, now, end).await
            }
            (Transport::Sms(http), Kind::Sms(sms)) => sms::send(http, sms, &self.context, notification, end).await,
            (Transport::Webhook(http), Kind::Webhook(webhook)) => {
                let repeat = time::millis(self.channel.repeat);
                until(end, webhook::send(http, webhook, &self.context, notification, repeat, now)).await
            }
            // `senders` creates a transport of the channel's own kind.
            _ => Ok(()),
        }
    }
}

/// Returns when to retry after an attempt that failed and `failures` in a row before it.
fn retry(hint: RetryHint, backoff: Backoff, failures: u32) -> Retry {
    match hint {
        RetryHint::Again(asked) => Retry::After(pause(backoff, failures, fastrand::f64(), asked)),
        RetryHint::Permanent => Retry::Permanent,
        RetryHint::Partial => Retry::Partial,
    }
}

/// Returns how long to pause. `random` is from 0 to 1. A server may ask for a longer pause, up to [`MAX_RETRY_AFTER`].
fn pause(backoff: Backoff, failures: u32, random: f64, asked: Option<Duration>) -> Duration {
    let pause = backoff.after(failures.saturating_add(1), random);
    asked.map_or(pause, |asked| pause.max(asked.min(MAX_RETRY_AFTER)))
}
