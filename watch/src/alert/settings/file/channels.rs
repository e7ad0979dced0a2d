//! The channels and the heartbeat.

use std::{collections::BTreeSet, path::Path, time::Duration};

use http::{HeaderName, HeaderValue, Uri};
use settings::{Section, into_values};

use super::{files, kind};
use crate::{
    alert::settings::{Channel, Format, General, Heartbeat, Kind, Mail, MailTls, Secret, Sms, Webhook, value},
    cluster_state::Severity,
};

/// The default time limit for a message. Claims in the notification log outlive it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The default SMS service.
const TWILIO: &str = "https://api.twilio.com";

/// A channel's defaults.
struct Defaults {
    severity: Severity,
    repeat: Duration,
}

pub(super) fn channels(root: &mut Section<'_>, general: &General, folder: &Path) -> Vec<Channel> {
    let mut names = BTreeSet::new();
    let mail = root.optional("mail", |section| mail(section, general, folder));
    let sms = root.optional("sms", |section| sms(section, general, folder));
    let mut channels: Vec<_> = [mail, sms].into_iter().flatten().flatten().collect();
    names.extend(channels.iter().map(|channel| channel.name.clone()));
    let webhooks = root.tables("webhook", |section| {
        let channel = webhook(section, general, folder)?;
        if !names.insert(channel.name.clone()) {
            let message = format!("another channel is named {:?}: add name = \"{}-2\"", channel.name, channel.name);
            section.problem("name", message);
        }
        Some(channel)
    });
    channels.extend(webhooks.into_iter().flatten());
    channels
}

/// What all channels have.
struct Common {
    name: String,
    severity: Severity,
    resolved: bool,
    repeat: Duration,
    timeout: Duration,
}

fn channel(section: &mut Section<'_>, name: &str, defaults: &Defaults) -> Common {
    Common {
        name: name.to_owned(),
        severity: section.get("severity", &kind::SEVERITY).unwrap_or(defaults.severity),
        resolved: section.get("resolved", &kind::BOOLEAN).unwrap_or(true),
        repeat: section.get("repeat", &kind::REPEAT).unwrap_or(defaults.repeat),
        timeout: section.get("timeout", &kind::TIMEOUT).unwrap_or(TIMEOUT),
    }
}

impl Common {
    fn with(self, kind: Kind) -> Channel {
        let Self { name, severity, resolved, repeat, timeout } = self;
        Channel { name, severity, resolved, repeat, timeout, kind }
    }
}

/// The port of SMTP with implicit TLS.
const SUBMISSIONS: u16 = 465;

fn mail(section: &mut Section<'_>, general: &General, folder: &Path) -> Option<Channel> {
    let host = section.required("host", &kind::HOST);
    let port = section.get("port", &kind::PORT);
    // RFC 8314 section 3.3.
    let by_port = if port == Some(SUBMISSIONS) { MailTls::Tls } else { MailTls::Starttls };
    let tls = section.get("tls", &kind::TLS).unwrap_or(by_port);
    let port = port.unwrap_or(match tls {
        MailTls::Starttls => 587,
        MailTls::Tls => SUBMISSIONS,
        MailTls::None => 25,
    });
    if port == SUBMISSIONS && tls != MailTls::Tls {
        section.problem(
            "tls",
            "does not fit port 465, where TLS begins with the connection: write \"tls\", or port = 587",
        );
    }
    let hello = section.get("hello", &kind::HOST);
    let user = section.get("user", &kind::TEXT);
    let password = files::secret(section, "password_file", folder);
    let (has_user, has_password) = (section.has("user"), section.has("password_file"));
    if has_user && !has_password {
        section.problem("user", "needs a password: add password_file = \"/run/secrets/smtp\"");
    } else if has_password && !has_user {
        section.problem("password_file", "has no user: add user = \"watch\"");
    } else if has_user && tls == MailTls::None {
        section.problem("tls", "\"none\" would send the password in the clear: write \"starttls\" or \"tls\"");
    }
    let from = section.required("from", &kind::MAILBOX);
    let to = into_values(section.required_list("to", &kind::MAILBOX));
    let subject_prefix = section.get("subject_prefix", &kind::PREFIX);
    let subject_prefix = subject_prefix.unwrap_or_else(|| format!("[{}] ", general.cluster));
    let defaults = Defaults { severity: Severity::Warning, repeat: general.repeat };
    let login = user.zip(password);
    // All keys are read before this can return, so that none of them is reported as unknown.
    let common = channel(section, "mail", &defaults);
    let mail = Mail { host: host?, port, tls, hello, login, from: from?, to, subject_prefix };
    Some(common.with(Kind::Mail(mail)))
}

fn sms(section: &mut Section<'_>, general: &General, folder: &Path) -> Option<Channel> {
    let base = section.get("url", &kind::BASE).unwrap_or_else(|| Uri::from_static(TWILIO));
    let account = section.required("account", &kind::ACCOUNT);
    if !section.has("token_file") {
        section.problem("token_file", "is missing: add token_file = \"/run/secrets/sms\"");
    }
    let token = files::secret(section, "token_file", folder);
    let from = section.required("from", &kind::SENDER);
    let to = into_values(section.required_list("to", &kind::NUMBER));
    let defaults = Defaults { severity: Severity::Critical, repeat: general.repeat };
    let common = channel(section, "sms", &defaults);
    let sms = Sms { base, account: account?, token: token?, from: from?, to };
    Some(common.with(Kind::Sms(sms)))
}

fn webhook(section: &mut Section<'_>, general: &General, folder: &Path) -> Option<Channel> {
    let format = section.required("format", &kind::FORMAT);
    let name = section.get("name", &kind::NAME);
    let url = url(section, folder);
    if format == Some(Format::Ntfy)
        && let Some(Ok(uri)) = url.as_ref().map(|url| value::url(url.expose()))
        && !value::has_topic(&uri)
    {
        let key = if section.has("url") { "url" } else { "url_file" };
        section.problem(key, "has no topic at its end, as in \"https://ntfy.sh/topic\"");
    }
    let headers = headers(section, folder);
    let repeat = match format {
        // Alertmanager forgets alerts that are not repeated, and decides by itself what to send.
        Some(Format::Alertmanager) => Duration::from_secs(60),
        _ => general.repeat,
    };
    let default_name = match format.unwrap_or(Format::Json) {
        Format::Json => "json",
        Format::Slack => "slack",
        Format::Ntfy => "ntfy",
        Format::Alertmanager => "alertmanager",
    };
    let defaults = Defaults { severity: Severity::Warning, repeat };
    let common = channel(section, name.as_deref().unwrap_or(default_name), &defaults);
    Some(common.with(Kind::Webhook(Webhook { format: format?, url: url?, headers })))
}

/// Reads an address from its key, or from a file if it contains a secret.
fn url(section: &mut Section<'_>, folder: &Path) -> Option<Secret> {
    let plain = section.get("url", &kind::URL);
    let secret = files::secret(section, "url_file", folder);
    match (section.has("url"), section.has("url_file")) {
        (true, true) => section.problem("url_file", "cannot be combined with url: remove one of them"),
        (false, false) => {
            section.problem("url", format!("is missing: add url = {}, or url_file", kind::URL.example));
        }
        _ => {}
    }
    if let Some(Err(message)) = secret.as_ref().map(|secret| value::url(secret.expose())) {
        section.problem("url_file", format!("its content {message}"));
    }
    plain.map(Secret::new).or(secret)
}

/// Reads additional header fields, each from a file.
fn headers(section: &mut Section<'_>, folder: &Path) -> Vec<(HeaderName, Secret)> {
    let mut headers = Vec::new();
    for (name, path) in section.texts("header_files") {
        let key = format!("header_files.{}", name.get_ref());
        let header = match value::header(name.get_ref()) {
            Ok(header) => header,
            Err(message) => {
                section.problem_at(&name.span(), &key, message);
                continue;
            }
        };
        let path_of = folder.join(path.get_ref());
        match files::at(&path_of) {
            Ok((secret, _)) if HeaderValue::from_str(secret.expose()).is_err() => {
                let message = format!("{}: contains characters that a header field cannot have", path_of.display());
                section.problem_at(&path.span(), &key, message);
            }
            Ok((secret, others)) => {
                if others {
                    section.warning("header_files", files::others_read(&path_of));
                }
                headers.push((header, secret));
            }
            Err(message) => section.problem_at(&path.span(), &key, message),
        }
    }
    headers
}

pub(super) fn heartbeat(section: &mut Section<'_>, folder: &Path) -> Option<Heartbeat> {
    let url = url(section, folder);
    let interval = section.get("interval", &kind::INTERVAL).unwrap_or(Duration::from_secs(60));
    let post = section.get("method", &kind::POST).unwrap_or(false);
    let timeout = section.get("timeout", &kind::TIMEOUT).unwrap_or(TIMEOUT);
    Some(Heartbeat { url: url?, interval, post, timeout })
}
