//! Asking an address who it is.
//!
//! The question is `OPTIONS *` with `Max-Forwards: 0`, which an edge answers itself and never passes on, so
//! that no answer from behind it is taken for its own.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONNECTION, HOST, MAX_FORWARDS, SERVER, USER_AGENT},
};
use http_body_util::Empty;
use hyper::body::Incoming;
use net::client;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::{
    facts::{Address, Certificate, Contact, Ports},
    tls::Judge,
};
use crate::{dns_check::flags::NameCheck, proxy::max_forwards};

/// Bytes of a body that are read at most: far more than an edge sends.
const MAX_BODY: usize = 4 * 1024;

/// How to ask.
#[derive(Clone, Debug)]
pub struct Contacts {
    ports: Ports,
    timeout: Duration,
    /// What `Host` says, but for the port.
    host: HeaderValue,
    judge: Arc<Judge>,
}

impl Contacts {
    /// Reads the roots of this machine if HTTPS is asked.
    #[must_use]
    pub fn new(wanted: &NameCheck) -> Self {
        // A name is a valid value; there is nothing else to put in its place.
        let host = HeaderValue::from_str(&wanted.name).unwrap_or(HeaderValue::from_static("localhost"));
        let judge = Arc::new(Judge::new(&wanted.name, &wanted.roots, wanted.ports.https.is_some()));
        Self { ports: wanted.ports, timeout: wanted.timeout, host, judge }
    }

    /// The ports that are asked.
    #[must_use]
    pub const fn ports(&self) -> Ports {
        self.ports
    }

    /// Finds out who is at an address.
    pub async fn ask(&self, address: IpAddr) -> Address {
        let http = async {
            let port = self.ports.http?;
            Some(self.plain(SocketAddr::new(address, port)).await)
        };
        let https = async {
            let port = self.ports.https?;
            Some(self.encrypted(SocketAddr::new(address, port)).await)
        };
        let (http, https) = tokio::join!(http, https);
        let (https, certificate) = https.unzip();
        Address { address, http, https, certificate: certificate.flatten() }
    }

    async fn plain(&self, address: SocketAddr) -> Contact {
        let stream = match self.connect(address).await {
            Ok(stream) => stream,
            Err(contact) => return contact,
        };
        timeout(self.timeout, self.identify(stream)).await.unwrap_or(Contact::Silent(self.timeout))
    }

    async fn encrypted(&self, address: SocketAddr) -> (Contact, Option<Certificate>) {
        let stream = match self.connect(address).await {
            Ok(stream) => stream,
            Err(contact) => return (contact, None),
        };
        // What was shown stays known when the time is over.
        let mut certificate = None;
        let whole = async {
            match self.judge.handshake(stream).await {
                Ok((stream, shown)) => {
                    certificate = shown;
                    self.identify(stream).await
                }
                Err(why) => Contact::NoTls(why),
            }
        };
        let contact = timeout(self.timeout, whole).await.unwrap_or(Contact::Silent(self.timeout));
        (contact, certificate)
    }

    async fn connect(&self, address: SocketAddr) -> Result<TcpStream, Contact> {
        let connecting = timeout(self.timeout, client::connect(address)).await;
        connecting.map_err(|_| Contact::Timeout(self.timeout))?.map_err(|error| failed(&error, self.timeout))
    }

    async fn identify(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Contact {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::OPTIONS;
        *request.uri_mut() = Uri::from_static("*");
        *request.version_mut() = Version::HTTP_11;
        let fields = [
            (HOST, self.host.clone()),
            (MAX_FORWARDS, HeaderValue::from_static("0")),
            (USER_AGENT, HeaderValue::from_static("edge-dns")),
            (CONNECTION, HeaderValue::from_static("close")),
        ];
        request.headers_mut().extend(fields);
        let identify = async |response: Response<Incoming>| {
            let (head, body) = response.into_parts();
            let server = head.headers.get(SERVER).map(|server| String::from_utf8_lossy(server.as_bytes()).into_owned());
            let is_ours =
                client::read_body(body, MAX_BODY).await.is_ok_and(|body| body == max_forwards::ITSELF.as_bytes());
            if is_ours && server.as_deref() == Some(max_forwards::SERVER) {
                return Contact::Edge;
            }
            Contact::Other { status: head.status.as_u16(), server }
        };
        match client::exchange(stream, request, identify).await {
            Ok(contact) => contact,
            Err(error) if error.is_parse() => Contact::NotHttp,
            Err(_closed) => Contact::Closed,
        }
    }
}

/// Why there is no connection. That this machine has no way there says nothing of the other one; that a router asked
/// for the other one in vain does.
fn failed(error: &io::Error, within: Duration) -> Contact {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Contact::Refused,
        io::ErrorKind::TimedOut => Contact::Timeout(within),
        io::ErrorKind::HostUnreachable => Contact::HostUnreachable,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Contact::Unreachable,
        kind => Contact::Failed(kind.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_machine_that_is_down_is_told_from_a_way_that_is_missing_here() {
        let within = Duration::from_secs(5);
        for (errno, contact) in [
            (Errno::CONNREFUSED, Contact::Refused),
            (Errno::TIMEDOUT, Contact::Timeout(within)),
            (Errno::HOSTUNREACH, Contact::HostUnreachable),
            (Errno::NETUNREACH, Contact::Unreachable),
            (Errno::ADDRNOTAVAIL, Contact::Unreachable),
            (Errno::ACCESS, Contact::Failed("permission denied".to_owned())),
        ] {
            assert_eq!(failed(&errno.into(), within), contact, "{errno}");
        }
    }
}
