//! Mail over SMTP. One message goes to all recipients. If the server refuses a recipient, each gets a message of
//! its own, so that one wrong address does not affect the others.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    address::Envelope,
    message::header::{ContentType, HeaderName, HeaderValue},
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use net::tls::is_of_authority;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use super::{http::reason, listed_server::ListedServer, recipients::to_each, send_error::SendError};
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
    transport: AsyncSmtpTransport<Tokio1Executor>,
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
        let tls = match mail.tls {
            MailTls::Starttls => Tls::Required(parameters().map_err(failed)?),
            MailTls::Tls => Tls::Wrapper(parameters().map_err(failed)?),
            MailTls::None => Tls::None,
        };
        // "Dangerous" refers to connections without TLS, which have to be configured explicitly.
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
            .port(mail.port)
            .tls(tls)
            .timeout(Some(timeout));
        if let Some(hello) = &mail.hello {
            builder = builder.hello_name(ClientId::Domain(hello.clone()));
        }
        if let Some((user, password)) = &mail.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(Self { transport: builder.build(), listed })
    }

    async fn deliver(&self, envelope: &Envelope, message: &[u8]) -> Result<(), Error> {
        let Err(error) = self.transport.send_raw(envelope, message).await else { return Ok(()) };
        if let Some(server) = &self.listed
            && is_of_authority(&reason(&error))
            && server.send(envelope, message).await?
        {
            return Ok(());
        }
        Err(error)
    }

    pub(super) async fn send(
        &self,
        mail: &Mail,
        context: &Context,
        notification: &Notification,
        now: Millis,
        end: Instant,
    ) -> Result<(), SendError> {
        let message = message(mail, context, notification, now)?;
        let bytes = message.formatted();
        match timeout_at(end, self.deliver(message.envelope(), &bytes)).await {
            Err(_) => return Err(timed_out(mail)),
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if error.is_permanent() && mail.to.len() > 1 => {}
            Ok(Err(error)) => return Err(send_error(mail, &error)),
        }
        to_each(&mail.to, end, |to| {
            let envelope = Envelope::new(Some(mail.from.email.clone()), vec![to.email.clone()]);
            let bytes = &bytes;
            async move {
                let envelope = envelope.map_err(|error| SendError::permanent(error.to_string()))?;
                self.deliver(&envelope, bytes).await.map_err(|error| send_error(mail, &error))
            }
        })
        .await
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
