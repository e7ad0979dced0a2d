//! A real mail server with STARTTLS and authentication, whose received mail tests can read.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::process::{Plan, Process};
use crate::wait::{SOON, eventually};
use crate::{port, python};

/// A message as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// When it was received.
    pub at: SystemTime,
    /// The sender in the envelope.
    pub from: String,
    /// The recipients in the envelope.
    pub to: Vec<String>,
    /// Whether it was sent over TLS.
    pub tls: bool,
    /// The user that logged in.
    pub user: Option<String>,
    /// Header and body.
    pub message: String,
}

impl Mail {
    /// Returns the unfolded value of a header field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let head = self.message.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let begin = format!("{}: ", name.to_lowercase());
        head.lines().find(|line| line.to_lowercase().starts_with(&begin)).map(|line| line[begin.len()..].to_owned())
    }
}

/// How to start the server.
#[derive(Debug)]
pub struct Setup {
    plan: Plan,
    port: u16,
}

/// The server. Dropping it stops it.
#[derive(Debug)]
pub struct Smtp {
    port: u16,
    process: Process,
}

impl Smtp {
    /// Configures a server on a free port, without TLS or login.
    #[must_use]
    pub fn plan() -> Setup {
        let port = port::free();
        Setup { plan: python::program("smtp", "server.py").env("PORT", port.to_string()), port }
    }

    /// Returns the port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the mail received.
    ///
    /// # Panics
    /// If the server prints malformed JSON, which it does not.
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

    /// Waits until the server has received `count` messages, and returns all of them.
    ///
    /// # Panics
    /// If it does not within [`SOON`].
    pub async fn wait_for(&self, count: usize) -> Vec<Mail> {
        eventually(&format!("{count} mails"), SOON, async || self.mails().len() >= count).await;
        self.mails()
    }
}

impl Setup {
    /// Enables STARTTLS with this certificate and key.
    #[must_use]
    pub fn tls(mut self, certificate: &Path) -> Self {
        self.plan = self.plan.env("CERTIFICATE", certificate);
        self
    }

    /// Enables implicit TLS with this certificate and key.
    #[must_use]
    pub fn implicit_tls(mut self, certificate: &Path) -> Self {
        self.plan = self.plan.env("CERTIFICATE", certificate).env("IMPLICIT", "1");
        self
    }

    /// Requires a login.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.plan = self.plan.env("USER", user).env("PASSWORD", password);
        self
    }

    /// Refuses the first `times` messages temporarily.
    #[must_use]
    pub fn busy(mut self, times: u32) -> Self {
        self.plan = self.plan.env("BUSY", times.to_string());
        self
    }

    /// Defers the recipient `later@` as many times, as greylisting does.
    #[must_use]
    pub fn later(mut self, times: u32) -> Self {
        self.plan = self.plan.env("LATER", times.to_string());
        self
    }

    /// Accepts at most `count` recipients in a transaction.
    #[must_use]
    pub fn room(mut self, count: u32) -> Self {
        self.plan = self.plan.env("ROOM", count.to_string());
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(self) -> Smtp {
        let mut process = self.plan.start();
        process.line("listening").await;
        Smtp { port: self.port, process }
    }
}
