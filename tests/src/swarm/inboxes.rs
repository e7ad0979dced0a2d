//! The destinations of alerts: a mail server and an SMS service that the swarm's containers can reach.

use std::fs;

use super::fabric::OUTSIDE;
use super::host::Host;
use super::shell::{self, Failed};
use crate::receiver::{Answer, Received, Receiver};
use crate::smtp::{Mail, Smtp};

/// The account at the SMS service.
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

/// A mail server and an SMS service. Dropping it ends both.
#[derive(Debug)]
pub struct Inboxes {
    smtp: Smtp,
    sms: Receiver,
    texts: String,
}

impl Inboxes {
    /// Starts both.
    ///
    /// # Errors
    /// They cannot be made reachable.
    ///
    /// # Panics
    /// They do not start.
    pub async fn start() -> Result<Self, Failed> {
        let smtp = Smtp::plan().start().await;
        let sms = Receiver::start().await;
        let texts = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
        sms.answer(&texts, Answer::status(201).body("{\"sid\":\"SM1\",\"status\":\"queued\"}"));
        // Both listen on 127.0.0.1 alone.
        fs::write("/proc/sys/net/ipv4/conf/fabric/route_localnet", "1").expect("our own network");
        let inboxes = Self { smtp, sms, texts };
        for port in [inboxes.smtp.port(), inboxes.sms_port()] {
            let to = format!("127.0.0.1:{port}");
            shell::run(&format!(
                "iptables -w -t nat -A PREROUTING -d {OUTSIDE} -p tcp --dport {port} -j DNAT --to-destination {to}"
            ))
            .await?;
        }
        Ok(inboxes)
    }

    /// Writes the operator's files from the page to `host`: the receivers and the secrets.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn settings(&self, host: &Host) -> std::io::Result<()> {
        let text = format!(
            "[alerts]\ncluster = \"stackdemo\"\n\n\
             [mail]\nhost = \"{OUTSIDE}\"\nport = {}\ntls = \"none\"\nfrom = \"watch@example.com\"\nto = [\"ops@example.com\"]\n\n\
             [sms]\nurl = \"http://{OUTSIDE}:{}\"\naccount = \"{ACCOUNT}\"\ntoken_file = \"/run/secrets/watch_sms\"\n\
             from = \"+33600000000\"\nto = [\"+33612345678\"]\n",
            self.smtp.port(),
            self.sms_port(),
        );
        fs::write(host.home().join("watch.toml"), text)?;
        fs::write(host.home().join("smtp.txt"), "not needed\n")?;
        fs::write(host.home().join("sms.txt"), "0123456789abcdef\n")
    }

    /// All mails so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.smtp.mails()
    }

    /// All SMS so far.
    #[must_use]
    pub fn texts(&self) -> Vec<Received> {
        self.sms.received(&self.texts)
    }

    fn sms_port(&self) -> u16 {
        let url = self.sms.url("");
        url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("an address with a port")
    }
}
