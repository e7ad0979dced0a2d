//! Mail to a server whose certificate is that of an authority, as `openssl req -x509` creates it.
//!
//! lettre rejects it, even if `ca_file` lists it; see [`net::tls`]. Its verifier cannot be replaced, but it can
//! be told to accept every issuer, and it shows the certificate: the connection is used if that is a listed one, byte
//! for byte. lettre still checks the host's name and the handshake's signature, and the attempt that failed has checked
//! the dates.

use std::{fmt, time::Duration};

use lettre::{
    address::Envelope,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};
use rustls::pki_types::CertificateDer;

use crate::alert::settings::{Mail, MailTls};

/// A mail server that may present a listed certificate.
pub(super) struct ListedServer {
    host: String,
    port: u16,
    /// Whether TLS begins with the connection.
    is_implicit: bool,
    hello: ClientId,
    /// Accepts certificates of every issuer.
    tls: TlsParameters,
    listed: Vec<CertificateDer<'static>>,
    login: Option<Credentials>,
    timeout: Duration,
}

impl fmt::Debug for ListedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListedServer").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl ListedServer {
    pub(super) fn new(mail: &Mail, listed: &[CertificateDer<'static>], timeout: Duration) -> Result<Self, Error> {
        let login = mail.login.as_ref();
        Ok(Self {
            host: mail.host.clone(),
            port: mail.port,
            is_implicit: mail.tls == MailTls::Tls,
            hello: mail.hello.clone().map_or_else(ClientId::default, ClientId::Domain),
            tls: TlsParameters::builder(mail.host.clone()).dangerous_accept_invalid_certs(true).build_rustls()?,
            listed: listed.to_vec(),
            login: login.map(|(user, password)| Credentials::new(user.clone(), password.expose().to_owned())),
            timeout,
        })
    }

    /// Sends a message. Returns false, and sends nothing, not even the login, if the certificate is not listed.
    pub(super) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<bool, Error> {
        let server = (self.host.as_str(), self.port);
        let implicit = self.is_implicit.then(|| self.tls.clone());
        let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, implicit, None);
        let mut connection = connecting.await?;
        if !self.is_implicit {
            connection.starttls(self.tls.clone(), &self.hello).await?;
        }
        let presented = connection.peer_certificate()?;
        if !self.listed.iter().any(|listed| listed.as_ref() == presented) {
            connection.abort().await;
            return Ok(false);
        }
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        let sent = connection.send(envelope, message).await;
        connection.abort().await;
        sent.map(|_| true)
    }
}
