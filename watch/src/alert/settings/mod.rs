//! What alerts go by: rules, silences, channels. `watch.toml` holds it; `docs/alerts.md` has the reference.

mod file;
mod load;
mod problem;
#[cfg(test)]
mod reference;
mod secret;
#[cfg(test)]
mod tests;
mod value;

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Uri};
use lettre::message::Mailbox;
use rustls::pki_types::CertificateDer;

pub use self::{
    problem::{Place, Problem, Problems},
    secret::Secret,
};
use super::{
    notifier::{Delays, NotifierConfig, Receiver},
    rule::Rules,
    silence::Silence,
    time::millis,
};
use crate::cluster_state::Severity;

/// All that alerts go by.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What all messages have in common.
    pub general: General,
    /// The rules.
    pub rules: Rules,
    /// What nobody wants to hear for a while.
    pub silences: Vec<Silence>,
    /// Where messages go; with none, alerts are on the page alone.
    pub channels: Vec<Channel>,
    /// Whom to tell that all of this still works.
    pub heartbeat: Option<Heartbeat>,
    /// What is allowed but hardly meant.
    pub warnings: Vec<Problem>,
}

/// What all messages have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct General {
    /// What the swarm is called.
    pub cluster: String,
    /// Where the page is.
    pub link: Option<String>,
    /// What is found together is told together.
    pub group_wait: Duration,
    /// Between two messages of one rule, unless one is critical.
    pub group_interval: Duration,
    /// What goes on for so long is told again.
    pub repeat: Duration,
    /// How long an instance waits for the one before it.
    pub takeover: Duration,
    /// The same while none can see what the others have sent.
    pub takeover_blind: Duration,
    /// Authorities to be trusted besides the system's.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Default for General {
    fn default() -> Self {
        Self {
            cluster: "swarm".to_owned(),
            link: None,
            group_wait: Duration::from_secs(2),
            group_interval: Duration::from_secs(60),
            repeat: Duration::from_secs(4 * 60 * 60),
            takeover: Duration::from_secs(5),
            takeover_blind: Duration::from_secs(15),
            authorities: Vec::new(),
        }
    }
}

/// Where messages go.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name in messages and metrics; unique.
    pub name: String,
    /// What matters less does not go there.
    pub severity: Severity,
    /// Whether ends go there.
    pub resolved: bool,
    /// What goes on for so long is told again.
    pub repeat: Duration,
    /// How long sending may take.
    pub timeout: Duration,
    /// How it is reached.
    pub kind: Kind,
}

/// How a channel is reached.
#[derive(Clone, Debug)]
pub enum Kind {
    /// By SMTP.
    Mail(Mail),
    /// By a form, as Twilio has it.
    Sms(Sms),
    /// By a POST.
    Webhook(Webhook),
}

/// A mail server and who gets mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// What it is greeted with.
    pub hello: Option<String>,
    /// Who logs in.
    pub login: Option<(String, Secret)>,
    /// Who writes.
    pub from: Mailbox,
    /// Who reads.
    pub to: Vec<Mailbox>,
    /// What each subject begins with.
    pub subject_prefix: String,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// It begins in the clear and must change to TLS.
    Starttls,
    /// It begins with TLS.
    Tls,
    /// Not at all.
    None,
}

/// An account of an SMS service.
#[derive(Clone, Debug)]
pub struct Sms {
    /// Where the API is.
    pub base: Uri,
    /// The account.
    pub account: String,
    /// Its token.
    pub token: Secret,
    /// The number, or service, that sends.
    pub from: String,
    /// The numbers that receive.
    pub to: Vec<String>,
}

impl Sms {
    /// A messaging service sends, and chooses the number.
    #[must_use]
    pub fn is_service(&self) -> bool {
        value::is_service(&self.from)
    }
}

/// A place that takes POSTs.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// What it understands.
    pub format: Format,
    /// Where it is. Many hold a token.
    pub url: Secret,
    /// Further fields of the request.
    pub headers: Vec<(HeaderName, Secret)>,
}

/// What a webhook understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// This program's own JSON.
    Json,
    /// Slack's incoming webhooks, and whoever takes the same.
    Slack,
    /// ntfy's topics.
    Ntfy,
    /// Alertmanager's API, version 2.
    Alertmanager,
}

/// Whom to tell that all of this still works: the one who raises the alarm when he hears nothing.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Where.
    pub url: Secret,
    /// How often.
    pub interval: Duration,
    /// By POST instead of GET.
    pub post: bool,
    /// How long it may take.
    pub timeout: Duration,
}

impl Settings {
    /// As a notifier needs it.
    #[must_use]
    pub fn notifier_config(&self) -> Arc<NotifierConfig> {
        let receiver = |channel: &Channel| Receiver {
            name: channel.name.clone(),
            minimum: channel.severity,
            resolved: channel.resolved,
            repeat: millis(channel.repeat),
        };
        Arc::new(NotifierConfig {
            rules: self.rules.clone(),
            silences: self.silences.clone(),
            receivers: self.channels.iter().map(receiver).collect(),
            delays: Delays {
                group_wait: millis(self.general.group_wait),
                group_interval: millis(self.general.group_interval),
                takeover: millis(self.general.takeover),
                takeover_blind: millis(self.general.takeover_blind),
            },
        })
    }
}
