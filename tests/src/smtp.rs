//! A real mail server, with STARTTLS and authentication, whose mail a test can read.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::process::{Plan, Process};
use crate::wait::{SOON, eventually};
use crate::{port, python};

/// One message, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// When it came.
    pub at: SystemTime,
    /// Who sent it, by the envelope.
    pub from: String,
    /// Who gets it, by the envelope.
    pub to: Vec<String>,
    /// It came by TLS.
    pub tls: bool,
    /// Who had logged in.
    pub user: Option<String>,
    /// Head and body.
    pub message: String,
}

impl Mail {
    /// The value of a field of the head, unfolded.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let head = self.message.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let begin = format!("{}: ", name.to_lowercase());
        head.lines().find(|line| line.to_lowercase().starts_with(&begin)).map(|line| line[begin.len()..].to_owned())
    }
}

/// How it is to be started.
#[derive(Debug)]
pub struct Setup {
    plan: Plan,
    port: u16,
}

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct Smtp {
    port: u16,
    process: Process,
}

impl Smtp {
    /// On a port of its own; without TLS, to anybody.
    #[must_use]
    pub fn plan() -> Setup {
        let port = port::free();
        Setup { plan: python::program("smtp", "server.py").env("PORT", port.to_string()), port }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All that it has taken.
    ///
    /// # Panics
    /// Never: it writes what it has taken.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines = self.process.lines();
        let messages = lines.iter().filter(|line| line.starts_with('{'));
        messages
            .map(|line| {
                let mail: Value = serde_json::from_str(line).expect("a line of JSON");
                let at = Duration::from_secs_f64(mail["at"].as_f64().expect("a time"));
                Mail {
                    at: SystemTime::UNIX_EPOCH + at,
                    from: text(&mail["from"]),
                    to: mail["to"].as_array().into_iter().flatten().map(text).collect(),
                    tls: mail["tls"].as_bool() == Some(true),
                    user: mail["user"].as_str().map(ToOwned::to_owned),
                    message: text(&mail["message"]),
                }
            })
            .collect()
    }

    /// Waits until it has taken so many.
    ///
    /// # Panics
    /// When it does not within [`SOON`].
    pub async fn taken(&self, count: usize) -> Vec<Mail> {
        eventually(&format!("{count} mails"), SOON, async || self.mails().len() >= count).await;
        self.mails()
    }
}

impl Setup {
    /// With STARTTLS, and this certificate and key.
    #[must_use]
    pub fn tls(mut self, certificate: &Path) -> Self {
        self.plan = self.plan.env("CERTIFICATE", certificate);
        self
    }

    /// With TLS from the first byte on, and this certificate and key.
    #[must_use]
    pub fn implicit_tls(mut self, certificate: &Path) -> Self {
        self.plan = self.plan.env("CERTIFICATE", certificate).env("IMPLICIT", "1");
        self
    }

    /// Only for who logs in.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.plan = self.plan.env("USER", user).env("PASSWORD", password);
        self
    }

    /// Refuses the first so many messages for now.
    #[must_use]
    pub fn busy(mut self, times: u32) -> Self {
        self.plan = self.plan.env("BUSY", times.to_string());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(self) -> Smtp {
        let mut process = self.plan.start();
        process.line("listening").await;
        Smtp { port: self.port, process }
    }
}
