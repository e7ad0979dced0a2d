//! What carries messages: mail, SMS, webhooks. Each attempt is bounded, and says what would help against its
//! failure; the desk decides whether and when to try again.
//!
//! Of several recipients each has a bound of its own, within that of the whole: one who cannot be reached must
//! not hide that the others have the message, or they would get it again and again.

mod http;
mod mail;
mod sms;
#[cfg(test)]
mod tests;
mod webhook;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use futures_util::future::join_all;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::time::{Instant, sleep, timeout_at};

pub use self::http::Http;
pub(super) use self::http::secrets;
use super::{
    notifier::{Failure, Notice, Retry},
    settings::{Channel, Kind, Settings},
    text::Context,
    time,
};
use crate::cluster_state::Millis;

/// The first pause after a failure; each next one is twice as long.
const FIRST: Duration = Duration::from_secs(2);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// What a server asks for is heard up to this.
const ASKED: Duration = Duration::from_secs(60 * 60);

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In words, without secrets.
    pub error: String,
    /// What would help.
    pub hint: Hint,
}

/// What would help against a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Trying again, at the earliest after the time that the server asks for.
    Again(Option<Duration>),
    /// Nothing but somebody who looks at it.
    Hopeless,
    /// Nothing more needs to be sent: some have got it.
    Partial,
}

impl Trouble {
    /// One that may pass.
    fn passing(error: impl Into<String>) -> Self {
        Self { error: error.into(), hint: Hint::Again(None) }
    }

    /// No answer yet, which may come or not.
    fn late() -> Self {
        Self::passing("not done in time")
    }

    /// One that will not.
    fn lasting(error: impl Into<String>) -> Self {
        Self { error: error.into(), hint: Hint::Hopeless }
    }
}

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

/// How long to wait after so many failures in a row. `random` is from 0 to 1: instances do not come back
/// at once.
fn pause(failures: u32, random: f64, asked: Option<Duration>) -> Duration {
    let pause = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST).mul_f64(0.8 + 0.4 * random);
    asked.map_or(pause, |asked| pause.max(asked.min(ASKED)))
}

/// One attempt, which ends at `end` at the latest.
async fn until(end: Instant, attempt: impl Future<Output = Result<(), Trouble>>) -> Result<(), Trouble> {
    timeout_at(end, attempt).await.unwrap_or_else(|_| Err(Trouble::late()))
}

/// Sends to each of several, until `end` at the latest. Once some have it, only the others are tried again, and
/// no more than once: what everybody gets twice helps nobody.
async fn to_each<T, F>(recipients: &[T], end: Instant, send: impl Fn(&T) -> F) -> Result<(), Trouble>
where
    F: Future<Output = Result<(), Trouble>>,
{
    const BREATH: Duration = Duration::from_secs(1);
    let left = || end.saturating_duration_since(Instant::now());
    // Half of the time, where somebody else may be left to be tried again.
    let half = if recipients.len() > 1 { Instant::now() + left() / 2 } else { end };
    let first = join_all(recipients.iter().map(|to| until(half, send(to)))).await;
    let failed: Vec<_> = recipients.iter().zip(first).filter_map(|(to, result)| Some((to, result.err()?))).collect();
    if failed.len() == recipients.len() {
        // What may pass says more than what will not.
        let worth = |trouble: &Trouble| matches!(trouble.hint, Hint::Again(_));
        return match failed.into_iter().map(|(_, trouble)| trouble).max_by_key(worth) {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        };
    }
    if failed.iter().any(|(_, trouble)| trouble.hint != Hint::Hopeless) {
        sleep(BREATH.min(left() / 4)).await;
    }
    let again = failed.into_iter().map(|(to, trouble)| {
        let sending = (trouble.hint != Hint::Hopeless).then(|| send(to));
        async move {
            match sending {
                Some(sending) => until(end, sending).await.err(),
                None => Some(trouble),
            }
        }
    });
    let left: Vec<_> = join_all(again).await.into_iter().flatten().collect();
    match left.first() {
        None => Ok(()),
        Some(trouble) => {
            let error = format!("{} of {} did not get it: {}", left.len(), recipients.len(), trouble.error);
            Err(Trouble { error, hint: Hint::Partial })
        }
    }
}

/// Trusts the system's authorities and some more.
fn tls(authorities: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    // Without any, only connections without TLS work; each other one says that it knows no issuer.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| format!("ca_file: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth())
}
