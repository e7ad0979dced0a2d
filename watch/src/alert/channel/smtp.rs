//! Mail over SMTP, with an outcome for each recipient.
//!
//! A server decides about each recipient by itself (RFC 5321 section 3.3): greylisting and full mailboxes defer one of
//! them, and the others can have the message at once. lettre's transport ends the transaction at the first refusal, so
//! the commands are given here. A failure that cannot be attributed to a recipient, such as a refusal of the message
//! or the end of the connection, may still be due to one of them: each is then tried alone.

use std::{fmt, time::Duration};

use futures_util::future::join_all;
use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use tokio::time::{Instant, timeout_at};

use super::send_error::SendError;

/// "Service not available, closing transmission channel".
const CLOSING: &str = "421";

/// "Too many recipients" (RFC 5321 section 4.5.3.1.10), or a full mailbox.
const NO_ROOM: &str = "452";

/// A mail server.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) hello: ClientId,
    pub(super) login: Option<Credentials>,
    /// The time limit for a connection attempt.
    pub(super) timeout: Duration,
}

/// How a connection is secured.
pub(super) enum Security {
    None,
    /// STARTTLS, which is required.
    Starttls(TlsParameters),
    /// TLS from the beginning of the connection.
    Tls(TlsParameters),
}

/// A message, and how to describe errors.
pub(super) struct Submission<'a, F> {
    pub(super) from: &'a Address,
    pub(super) to: &'a [Address],
    pub(super) message: &'a [u8],
    pub(super) describe: F,
    pub(super) timed_out: SendError,
}

/// The state of one recipient.
#[derive(Clone, Debug)]
enum Recipient {
    /// Nothing is known.
    Open,
    /// The server has accepted the address.
    Accepted,
    /// The message has been sent, and the server has not replied to it yet.
    Submitted,
    Delivered,
    /// The server has no room for this recipient, at least not in this transaction.
    NoRoom(SendError),
    Failed(SendError),
}

/// Why a transaction ended without a decision about all of its recipients.
enum Interrupted {
    /// The server accepts no message at all.
    Server(SendError),
    /// One of the recipients may be the cause.
    Transaction(SendError),
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Server {
    /// Sends a message to all recipients until `end`, and returns the outcome for each, in their order.
    ///
    /// # Errors
    /// There is no connection, or the server refuses the login. Nothing was sent.
    pub(super) async fn send<F: Fn(&Error) -> SendError>(
        &self,
        submission: &Submission<'_, F>,
        end: Instant,
    ) -> Result<Vec<Result<(), SendError>>, SendError> {
        let mut recipients = vec![Recipient::Open; submission.to.len()];
        let Ok(connected) = timeout_at(end, self.connect()).await else { return Err(submission.timed_out.clone()) };
        let mut connection = connected.map_err(|error| (submission.describe)(&error))?;
        // Half of the time, so that some is left to try each recipient alone.
        let left = end.saturating_duration_since(Instant::now());
        let is_several = submission.to.len() > 1;
        let half = if is_several { Instant::now() + left / 2 } else { end };
        let sending = timeout_at(half, submission.send_to_all(&mut connection, &mut recipients)).await;
        let interrupted = sending.unwrap_or_else(|_| Err(Interrupted::Transaction(submission.timed_out.clone())));
        let (error, is_due_to_one) = match interrupted {
            Ok(()) => (submission.timed_out.clone(), false),
            Err(Interrupted::Server(error)) => (error, false),
            Err(Interrupted::Transaction(error)) => (error, is_several),
        };
        let alone = recipients.iter_mut().enumerate().filter(|_| is_due_to_one).map(async |(index, recipient)| {
            if matches!(recipient, Recipient::Open | Recipient::Accepted) {
                *recipient = Recipient::Open;
                // The recipient has the outcome if there is one.
                drop(timeout_at(end, self.send_alone(submission, index, recipient)).await);
            }
        });
        join_all(alone).await;
        let outcome = |recipient: Recipient| match recipient {
            Recipient::Delivered => Ok(()),
            Recipient::NoRoom(error) | Recipient::Failed(error) => Err(error),
            // A reply to the message may be on its way.
            Recipient::Submitted => Err(submission.timed_out.clone()),
            Recipient::Open | Recipient::Accepted => Err(error.clone()),
        };
        Ok(recipients.into_iter().map(outcome).collect())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let server = (self.host.as_str(), self.port);
        let implicit = match &self.security {
            Security::Tls(tls) => Some(tls.clone()),
            Security::None | Security::Starttls(_) => None,
        };
        let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, implicit, None);
        let mut connection = connecting.await?;
        if let Security::Starttls(tls) = &self.security {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        Ok(connection)
    }

    async fn send_alone<F: Fn(&Error) -> SendError>(
        &self,
        submission: &Submission<'_, F>,
        index: usize,
        recipient: &mut Recipient,
    ) {
        let submission = Submission {
            to: submission.to.get(index..=index).unwrap_or_default(),
            from: submission.from,
            message: submission.message,
            describe: &submission.describe,
            timed_out: submission.timed_out.clone(),
        };
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return *recipient = Recipient::Failed((submission.describe)(&error)),
        };
        match submission.send_to_all(&mut connection, std::slice::from_mut(recipient)).await {
            Ok(()) => {}
            Err(Interrupted::Server(error) | Interrupted::Transaction(error)) => *recipient = Recipient::Failed(error),
        }
    }
}

impl<F: Fn(&Error) -> SendError> Submission<'_, F> {
    /// Sends the message in as many transactions as the server needs for the number of recipients.
    async fn send_to_all(
        &self,
        connection: &mut AsyncSmtpConnection,
        recipients: &mut [Recipient],
    ) -> Result<(), Interrupted> {
        loop {
            let delivered = self.transaction(connection, recipients).await?;
            let is_complete = !recipients.iter().any(|recipient| matches!(recipient, Recipient::NoRoom(_)));
            if is_complete || !delivered {
                break;
            }
        }
        connection.abort().await;
        Ok(())
    }

    /// Makes one transaction, and returns whether anyone has the message because of it.
    async fn transaction(
        &self,
        connection: &mut AsyncSmtpConnection,
        recipients: &mut [Recipient],
    ) -> Result<bool, Interrupted> {
        let server = |error: Error| Interrupted::Server((self.describe)(&error));
        let parameters = self.parameters(connection, recipients)?;
        connection.command(Mail::new(Some(self.from.clone()), parameters)).await.map_err(server)?;
        for (recipient, address) in recipients.iter_mut().zip(self.to) {
            if !matches!(recipient, Recipient::Open | Recipient::NoRoom(_)) {
                continue;
            }
            *recipient = match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => Recipient::Accepted,
                Err(error) if !is_reply(&error) => return Err(Interrupted::Transaction((self.describe)(&error))),
                Err(error) if has_code(&error, NO_ROOM) => Recipient::NoRoom((self.describe)(&error)),
                Err(error) => Recipient::Failed((self.describe)(&error)),
            };
        }
        if !recipients.iter().any(|recipient| matches!(recipient, Recipient::Accepted)) {
            return Ok(false);
        }
        let failed = |error: Error| Interrupted::Transaction((self.describe)(&error));
        connection.command(Data).await.map_err(failed)?;
        replace(recipients, &Recipient::Accepted, &Recipient::Submitted);
        match connection.message(self.message).await {
            Ok(_) => replace(recipients, &Recipient::Submitted, &Recipient::Delivered),
            Err(error) if error.status().is_some() => {
                replace(recipients, &Recipient::Submitted, &Recipient::Accepted);
                return Err(failed(error));
            }
            // The server may have the message: another attempt now would be a second one.
            Err(error) => {
                let error = (self.describe)(&error);
                replace(recipients, &Recipient::Submitted, &Recipient::Failed(error));
            }
        }
        Ok(true)
    }

    /// Returns the parameters of the command MAIL, and removes recipients that the server cannot handle.
    fn parameters(
        &self,
        connection: &AsyncSmtpConnection,
        recipients: &mut [Recipient],
    ) -> Result<Vec<MailParameter>, Interrupted> {
        let supports = |extension| connection.server_info().supports_feature(extension);
        let mut parameters = Vec::new();
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        if supports(Extension::SmtpUtfEight) {
            if !is_ascii(self.from) || !self.to.iter().all(is_ascii) {
                parameters.push(MailParameter::SmtpUtfEight);
            }
        } else {
            for (recipient, _) in recipients.iter_mut().zip(self.to).filter(|(_, address)| !is_ascii(address)) {
                let error = "the server accepts no addresses with other letters than ASCII (SMTPUTF8)";
                *recipient = Recipient::Failed(SendError::permanent(error));
            }
        }
        if !self.message.is_ascii() {
            if !supports(Extension::EightBitMime) {
                let error =
                    SendError::permanent("the server accepts no messages with other letters than ASCII (8BITMIME)");
                return Err(Interrupted::Server(error));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }
}

/// Whether an error is the server's decision, after which the connection can be used further.
fn is_reply(error: &Error) -> bool {
    error.status().is_some() && !has_code(error, CLOSING)
}

fn has_code(error: &Error, code: &str) -> bool {
    error.status().is_some_and(|status| status.to_string() == code)
}

/// Replaces the state of all recipients in a state of the same kind as `from`.
fn replace(recipients: &mut [Recipient], from: &Recipient, to: &Recipient) {
    let from = std::mem::discriminant(from);
    for recipient in recipients.iter_mut().filter(|recipient| std::mem::discriminant(*recipient) == from) {
        recipient.clone_from(to);
    }
}
