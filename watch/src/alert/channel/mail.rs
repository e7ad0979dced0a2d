//! Mail: the message, the server, and what its errors mean. One message goes to all recipients; each has its own
//! outcome.

use std::time::Duration;

use lettre::{
    Address, Message,
    address::Envelope,
    message::header::{ContentType, HeaderName, HeaderValue},
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, TlsParameters},
        extension::ClientId,
    },
};
use net::tls::is_of_authority;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use super::{
    http::reason,
    listed_server::ListedServer,
    recipients::{combined, to_each},
    send_error::SendError,
    smtp::{Security, Server, Submission},
};
use crate::{
    alert::{
        notifier::{Kind, Notification},
        settings::{Mail, MailTls},
        text::{self, Context},
    },
    cluster_state::Millis,
};

/// A mail server, ready to use.
#[derive(Debug)]
pub(super) struct Mailer {
    server: Server,
    /// The same server, if there is a list of certificates that it may present.
    listed: Option<ListedServer>,
}

impl Mailer {
    pub(super) fn new(mail: &Mail, authorities: &[CertificateDer<'static>], timeout: Duration) -> Result<Self, String> {
        let failed = |error: Error| format!("mail: {}", reason(&error));
        let parameters = || {
            let mut parameters = TlsParameters::builder(mail.host.clone());
            for authority in authorities {
                parameters = parameters.add_root_certificate(Certificate::from_der(authority.to_vec())?);
            }
            parameters.build_rustls()
        };
        let listed = (mail.tls != MailTls::None && !authorities.is_empty())
            .then(|| ListedServer::new(mail, authorities, timeout).map_err(failed))
            .transpose()?;
        let security = match mail.tls {
            MailTls::Starttls => Security::Starttls(parameters().map_err(failed)?),
            MailTls::Tls => Security::Tls(parameters().map_err(failed)?),
            MailTls::None => Security::None,
        };
        let login = mail.login.as_ref();
        let server = Server {
            host: mail.host.clone(),
            port: mail.port,
            security,
            hello: mail.hello.clone().map_or_else(ClientId::default, ClientId::Domain),
            login: login.map(|(user, password)| Credentials::new(user.clone(), password.expose().to_owned())),
            timeout,
        };
        Ok(Self { server, listed })
    }

    pub(super) async fn send(
        &self,
        mail: &Mail,
        context: &Context,
        notification: &Notification,
        now: Millis,
        end: Instant,
    ) -> Result<(), SendError> {
        let message = message(mail, context, notification, now)?.formatted();
        let to: Vec<Address> = mail.to.iter().map(|to| to.email.clone()).filter(|to| notification.is_for(to)).collect();
        if to.is_empty() {
            // The recipients that lacked the message were removed from the settings.
            return Ok(());
        }
        let names: Vec<_> = to.iter().map(ToString::to_string).collect();
        let submission = Submission {
            from: &mail.from.email,
            to: &to,
            message: &message,
            describe: |error: &Error| send_error(mail, error),
            timed_out: timed_out(mail),
        };
        let outcomes = match (self.server.send(&submission, end).await, &self.listed) {
            (Ok(outcomes), _) => outcomes,
            (Err(error), Some(server)) if is_of_authority(&error.error) => {
                match send_to_listed(server, mail, &to, &message, &error, end).await {
                    Ok(outcomes) => outcomes,
                    Err(error) => return Err(error),
                }
            }
            (Err(error), _) => return Err(error),
        };
        combined(&names, outcomes)
    }
}

/// Sends a message through a listed server, which `error` says the server is not unless it is listed. lettre gives one
/// outcome for all recipients; if that is a refusal, each gets a mail of its own.
async fn send_to_listed(
    server: &ListedServer,
    mail: &Mail,
    to: &[Address],
    message: &[u8],
    error: &SendError,
    end: Instant,
) -> Result<Vec<Result<(), SendError>>, SendError> {
    let send = async |to: Vec<Address>| {
        let envelope = Envelope::new(Some(mail.from.email.clone()), to);
        let envelope = envelope.map_err(|error| (SendError::permanent(error.to_string()), false))?;
        match server.send(&envelope, message).await {
            Ok(true) => Ok(()),
            Ok(false) => Err((error.clone(), false)),
            Err(error) => Err((send_error(mail, &error), error.status().is_some())),
        }
    };
    match timeout_at(end, send(to.to_vec())).await {
        Err(_) => Err(timed_out(mail)),
        Ok(Ok(())) => Ok(vec![Ok(()); to.len()]),
        Ok(Err((_, true))) if to.len() > 1 => {
            let one = |to: &Address| {
                let sending = send(vec![to.clone()]);
                async move { sending.await.map_err(|(error, _)| error) }
            };
            Ok(to_each(to, end, one).await)
        }
        Ok(Err((error, _))) => Err(error),
    }
}

/// Returns the error of a server that did not respond in time: perhaps because each side waited for the other to begin.
fn timed_out(mail: &Mail) -> SendError {
    match mail.tls {
        MailTls::Starttls => SendError::transient(format!(
            "{}:{}: timed out; a server that expects TLS from the beginning of the connection needs tls = \"tls\"",
            mail.host, mail.port
        )),
        MailTls::Tls | MailTls::None => SendError::timed_out(),
    }
}

fn send_error(mail: &Mail, error: &Error) -> SendError {
    if error.is_timeout() {
        return timed_out(mail);
    }
    let mut text = format!("{}:{}: {}", mail.host, mail.port, reason(error));
    // The server's greeting is not TLS.
    if mail.tls == MailTls::Tls && text.contains("InvalidContentType") {
        text += "; a server that begins without TLS needs tls = \"starttls\"";
    }
    if is_of_authority(&text) {
        text += "; it is that of an authority, and is accepted only if ca_file lists this very certificate";
    }
    // The server refuses the message permanently, or lacks a feature.
    if error.is_permanent() || error.is_client() { SendError::permanent(text) } else { SendError::transient(text) }
}

/// Creates the message to send.
pub(super) fn message(
    mail: &Mail,
    context: &Context,
    notification: &Notification,
    now: Millis,
) -> Result<Message, SendError> {
    let domain = mail.from.email.domain();
    let id = |id: &str| format!("<{id}@{domain}>");
    let mut message = Message::builder().from(mail.from.clone());
    for to in &mail.to {
        message = message.to(to.clone());
    }
    message = message
        .subject(text::subject(&mail.subject_prefix, notification))
        .message_id(Some(id(&notification.id)))
        // RFC 3834: prevents out-of-office replies.
        .raw_header(field("Auto-Submitted", "auto-generated"));
    // An end or a repetition replies to the beginning.
    let threads: Vec<_> = notification.threads().into_iter().map(id).collect();
    if let Some(first) = threads.first() {
        message = message.in_reply_to(first.clone()).references(threads.join(" "));
    }
    if notification.kind == Kind::Firing && notification.severity() == crate::cluster_state::Severity::Critical {
        message = message.raw_header(field("Importance", "high"));
    }
    message
        .header(ContentType::TEXT_PLAIN)
        .body(text::body(context, notification, now))
        .map_err(|error| SendError::permanent(error.to_string()))
}

fn field(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}
