//! What carries messages: mail, SMS, webhooks. Each attempt is bounded, and says what would help against its
//! failure; the desk decides whether and when to try again.
//!
//! Of several recipients each has a bound of its own, within that of the whole: one who cannot be reached must
//! not hide that the others have the message, or they would get it again and again.

mod http;
mod mail;
mod recipients;
mod send_error;
mod sms;
#[cfg(test)]
mod tests;
mod tls;
mod webhook;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use net::Backoff;
use tokio::time::Instant;

pub use self::http::Http;
pub(super) use self::http::secrets;
use self::{
    recipients::until,
    send_error::{Hint, Trouble},
};
use super::{
    notifier::{Failure, Notice, Retry},
    settings::{Channel, Kind, Settings},
    text::Context,
    time,
};
use crate::cluster_state::Millis;

/// The pauses after failures: from 2 s up to 5 min. The jitter keeps instances from returning together.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(5 * 60)).jitter(0.8, 1.2);

/// What a server asks for is heard up to this.
const ASKED: Duration = Duration::from_secs(60 * 60);

/// One channel, ready to send.
#[derive(Debug)]
pub struct Sender {
    channel: Channel,
    context: Context,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Mail(Box<mail::Mailer>),
    Sms(Http),
    Webhook(Http),
}

/// All channels by name.
pub type Senders = BTreeMap<String, Arc<Sender>>;

/// Makes the channels ready.
///
/// # Errors
/// One of them cannot be used as it is configured.
pub fn senders(settings: &Settings) -> Result<Senders, String> {
    let http = Http::new(&settings.general.authorities)?;
    let sender = |channel: &Channel| {
        let way = match &channel.kind {
            Kind::Mail(mail) => {
                Way::Mail(Box::new(mail::Mailer::new(mail, &settings.general.authorities, channel.timeout)?))
            }
            Kind::Sms(_) => Way::Sms(http.clone()),
            Kind::Webhook(_) => Way::Webhook(http.clone()),
        };
        let sender = Sender { channel: channel.clone(), context: (&settings.general).into(), way };
        Ok((channel.name.clone(), Arc::new(sender)))
    };
    settings.channels.iter().map(sender).collect()
}

impl Sender {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.channel.name
    }

    /// Sends one message, once.
    ///
    /// # Errors
    /// It was not sent, or not to all, or nobody knows.
    pub async fn send(&self, notice: &Notice) -> Result<(), Failure> {
        let end = Instant::now() + self.channel.timeout;
        self.try_send(notice, time::now(), end).await.map_err(|trouble| Failure {
            retry: match trouble.hint {
                Hint::Again(asked) => Retry::After(pause(notice.failures, fastrand::f64(), asked)),
                Hint::Hopeless => Retry::Hopeless,
                Hint::Partial => Retry::Partial,
            },
            error: trouble.error,
        })
    }

    async fn try_send(&self, notice: &Notice, now: Millis, end: Instant) -> Result<(), Trouble> {
        match (&self.way, &self.channel.kind) {
            (Way::Mail(mailer), Kind::Mail(mail)) => mailer.send(mail, &self.context, notice, now, end).await,
            (Way::Sms(http), Kind::Sms(sms)) => sms::send(http, sms, &self.context, notice, end).await,
            (Way::Webhook(http), Kind::Webhook(webhook)) => {
                let repeat = time::millis(self.channel.repeat);
                until(end, webhook::send(http, webhook, &self.context, notice, repeat, now)).await
            }
            // They are made of each other.
            _ => Ok(()),
        }
    }
}

/// How long to wait after an attempt that failed and `failures` in a row before it. `random` is from 0 to 1.
/// A server may ask for more, up to an hour.
fn pause(failures: u32, random: f64, asked: Option<Duration>) -> Duration {
    let pause = BACKOFF.after(failures.saturating_add(1), random);
    asked.map_or(pause, |asked| pause.max(asked.min(ASKED)))
}
