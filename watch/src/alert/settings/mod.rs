//! The settings of alerts: rules, silences and channels. They are in `watch.toml`; `docs/alerts.md` has the
//! reference.

mod file;
mod load;
#[cfg(test)]
mod reference;
mod secret;
#[cfg(test)]
mod tests;
mod value;

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderName, Uri};
use lettre::message::Mailbox;
use rustls::pki_types::CertificateDer;
pub use settings::{LoadError, Problem};

pub use self::secret::Secret;
use super::{
    notifier::{Delays, NotifierConfig, Receiver},
    rule::Rules,
    silence::Silence,
    time::millis,
};
use crate::cluster_state::Severity;

/// The settings of alerts.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What all messages have in common.
    pub general: General,
    /// The rules.
    pub rules: Rules,
    /// The silences.
    pub silences: Vec<Silence>,
    /// Where messages are sent. Without channels, alerts are shown on the page only.
    pub channels: Vec<Channel>,
    /// The monitor to send heartbeats to.
    pub heartbeat: Option<Heartbeat>,
    /// What is valid but probably a mistake.
    pub warnings: Vec<Problem>,
}

/// What all messages have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct General {
    /// The name of the swarm.
    pub cluster: String,
    /// The address of the page.
    pub link: Option<String>,
    /// Alerts that begin within this time are sent together.
    pub group_wait: Duration,
    /// Between two messages of one rule, unless one is critical.
    pub group_interval: Duration,
    /// An alert that is still firing is sent again after this time.
    pub repeat: Duration,
    /// How long an instance waits for each one before it.
    pub takeover: Duration,
    /// The same while the notification log is unavailable.
    pub takeover_blind: Duration,
    /// Authorities to trust in addition to the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Where this instance keeps what it has announced.
    pub state_file: Option<PathBuf>,
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
            state_file: None,
        }
    }
}

/// Where messages are sent.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its unique name in messages and metrics.
    pub name: String,
    /// The lowest severity to send.
    pub severity: Severity,
    /// Whether ends are sent.
    pub resolved: bool,
    /// An alert that is still firing is sent again after this time.
    pub repeat: Duration,
    /// The time limit for sending a message.
    pub timeout: Duration,
    /// The kind of the channel.
    pub kind: Kind,
}

/// The kind of a channel.
#[derive(Clone, Debug)]
pub enum Kind {
    /// SMTP.
    Mail(Mail),
    /// A form API like Twilio's.
    Sms(Sms),
    /// A POST.
    Webhook(Webhook),
}

/// A mail server, and the addresses of mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The server's host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub tls: MailTls,
    /// The name in the SMTP greeting.
    pub hello: Option<String>,
    /// The user and password.
    pub login: Option<(String, Secret)>,
    /// The sender.
    pub from: Mailbox,
    /// The recipients.
    pub to: Vec<Mailbox>,
    /// The prefix of each subject.
    pub subject_prefix: String,
}

/// How a connection to a mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, which is required.
    Starttls,
    /// Implicit TLS.
    Tls,
    /// No TLS.
    None,
}

/// An account at an SMS service.
#[derive(Clone, Debug)]
pub struct Sms {
    /// The base address of the API.
    pub base: Uri,
    /// The account's id.
    pub account: String,
    /// The account's token.
    pub token: Secret,
    /// The number, name or messaging service that sends.
    pub from: String,
    /// The numbers of the recipients.
    pub to: Vec<String>,
}

impl Sms {
    /// The sender is a messaging service, which chooses the number.
    #[must_use]
    pub fn is_service(&self) -> bool {
        value::is_service(&self.from)
    }
}

/// A service that receives POSTs.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The format of the body.
    pub format: Format,
    /// The address. Many contain a token.
    pub url: Secret,
    /// Additional header fields.
    pub headers: Vec<(HeaderName, Secret)>,
}

/// The format of a webhook's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// This program's own JSON.
    Json,
    /// Slack's incoming webhooks, and compatible services.
    Slack,
    /// ntfy's topics.
    Ntfy,
    /// Alertmanager's API, version 2.
    Alertmanager,
}

/// A monitor that raises the alarm when it receives no heartbeats.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The address.
    pub url: Secret,
    /// The time between two heartbeats.
    pub interval: Duration,
    /// Uses POST instead of GET.
    pub post: bool,
    /// The time limit for one heartbeat.
    pub timeout: Duration,
}

impl Settings {
    /// Returns the configuration of a notifier.
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
