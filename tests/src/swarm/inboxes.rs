//! The operator's inboxes for alerts: a mail server and an SMS service that the swarm's containers can reach.

use std::fs;

use super::fabric::OUTSIDE;
use super::host::Host;
use super::messages::Message;
use super::shell::{self, Failed};
use crate::receiver::{Answer, Receiver};
use crate::smtp::Smtp;

/// The account at the SMS service.
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

/// A mail server and an SMS service. Dropping it ends both.
#[derive(Debug)]
pub struct Inboxes {
    smtp: Smtp,
    /// The SMS service.
    receiver: Receiver,
    /// The path of the SMS service to which messages are posted.
    path: String,
}

impl Inboxes {
    /// Starts both.
    ///
    /// # Errors
    /// They cannot be made reachable from the swarm.
    ///
    /// # Panics
    /// They do not start.
    pub async fn start() -> Result<Self, Failed> {
        let smtp = Smtp::plan().start().await;
        let receiver = Receiver::start().await;
        let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
        receiver.answer(&path, Answer::status(201).body("{\"sid\":\"SM1\",\"status\":\"queued\"}"));
        // Both listen on 127.0.0.1 only.
        fs::write("/proc/sys/net/ipv4/conf/fabric/route_localnet", "1").expect("our own network");
        let inboxes = Self { smtp, receiver, path };
        for port in [inboxes.smtp.port(), inboxes.sms_port()] {
            let to = format!("127.0.0.1:{port}");
            shell::run(&format!(
                "iptables -w -t nat -A PREROUTING -d {OUTSIDE} -p tcp --dport {port} -j DNAT --to-destination {to}"
            ))
            .await?;
        }
        Ok(inboxes)
    }

    /// Writes the files that the page asks of the operator to `host`: the settings with the receivers, and the secrets.
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

    /// Returns the mails received so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Message> {
        let mails = self.smtp.mails().into_iter();
        mails.map(|mail| Message { at: mail.at, text: mail.field("subject").unwrap_or_default() }).collect()
    }

    /// Returns the SMS received so far.
    #[must_use]
    pub fn sms(&self) -> Vec<Message> {
        let requests = self.receiver.received(&self.path).into_iter();
        // The body of a form, where a space is a plus sign.
        requests.map(|request| Message { at: request.at, text: request.body.replace('+', " ") }).collect()
    }

    fn sms_port(&self) -> u16 {
        let url = self.receiver.url("");
        url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("an address with a port")
    }
}
