//! Determines what responds at an address.
//!
//! The request is `OPTIONS *` with `Max-Forwards: 0`, which an edge never forwards: the response cannot come from an
//! application behind it.

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
    facts::{Address, Certificate, Ports, ProbeOutcome},
    flags::NameCheck,
    tls::Inspector,
};
use crate::proxy::max_forwards;

/// The largest body to read, in bytes. An edge sends far less.
const MAX_BODY: usize = 4 * 1024;

/// Probes the addresses of one name.
#[derive(Clone, Debug)]
pub struct Prober {
    ports: Ports,
    /// The time limit for a connection, and again for the response on it.
    timeout: Duration,
    /// The value of `Host`: the name, without a port.
    host: HeaderValue,
    inspector: Arc<Inspector>,
}

impl Prober {
    /// Creates a prober. Reads the root certificates of this machine if HTTPS will be probed.
    #[must_use]
    pub fn new(check: &NameCheck) -> Self {
        // Every name that the flags accept is a valid value.
        let host = HeaderValue::from_str(&check.name).unwrap_or(HeaderValue::from_static("localhost"));
        let inspector = Arc::new(Inspector::new(&check.name, &check.roots, check.ports.https.is_some()));
        Self { ports: check.ports, timeout: check.timeout, host, inspector }
    }

    /// The ports to probe.
    #[must_use]
    pub const fn ports(&self) -> Ports {
        self.ports
    }

    /// Probes both ports of an address.
    pub async fn probe(&self, address: IpAddr) -> Address {
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

    async fn plain(&self, address: SocketAddr) -> ProbeOutcome {
        let stream = match self.connect(address).await {
            Ok(stream) => stream,
            Err(outcome) => return outcome,
        };
        timeout(self.timeout, self.identify(stream)).await.unwrap_or(ProbeOutcome::Silent(self.timeout))
    }

    async fn encrypted(&self, address: SocketAddr) -> (ProbeOutcome, Option<Certificate>) {
        let stream = match self.connect(address).await {
            Ok(stream) => stream,
            Err(outcome) => return (outcome, None),
        };
        // Outside the future, so that a timeout after the handshake does not discard it.
        let mut certificate = None;
        let exchange = async {
            match self.inspector.handshake(stream).await {
                Ok((stream, presented)) => {
                    certificate = presented;
                    self.identify(stream).await
                }
                Err(why) => ProbeOutcome::NoTls(why),
            }
        };
        let outcome = timeout(self.timeout, exchange).await.unwrap_or(ProbeOutcome::Silent(self.timeout));
        (outcome, certificate)
    }

    async fn connect(&self, address: SocketAddr) -> Result<TcpStream, ProbeOutcome> {
        let connecting = timeout(self.timeout, client::connect(address)).await;
        connecting.map_err(|_| ProbeOutcome::Timeout(self.timeout))?.map_err(|error| failed(&error, self.timeout))
    }

    async fn identify(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> ProbeOutcome {
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
            let is_text_of_edge =
                client::read_body(body, MAX_BODY).await.is_ok_and(|body| body == max_forwards::ITSELF.as_bytes());
            if is_text_of_edge && server.as_deref() == Some(max_forwards::SERVER) {
                return ProbeOutcome::Edge;
            }
            ProbeOutcome::Other { status: head.status.as_u16(), server }
        };
        match client::exchange(stream, request, identify).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_parse() => ProbeOutcome::NotHttp,
            Err(_closed) => ProbeOutcome::Closed,
        }
    }
}

/// Classifies a failed connection. An unreachable network is a fact about this machine, an unreachable host one about
/// the other machine.
fn failed(error: &io::Error, limit: Duration) -> ProbeOutcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeOutcome::Refused,
        io::ErrorKind::TimedOut => ProbeOutcome::Timeout(limit),
        io::ErrorKind::HostUnreachable => ProbeOutcome::HostUnreachable,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => ProbeOutcome::NetworkUnreachable,
        kind => ProbeOutcome::Failed(kind.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn unreachable_host_is_distinguished_from_a_missing_route() {
        let limit = Duration::from_secs(5);
        for (errno, outcome) in [
            (Errno::CONNREFUSED, ProbeOutcome::Refused),
            (Errno::TIMEDOUT, ProbeOutcome::Timeout(limit)),
            (Errno::HOSTUNREACH, ProbeOutcome::HostUnreachable),
            (Errno::NETUNREACH, ProbeOutcome::NetworkUnreachable),
            (Errno::ADDRNOTAVAIL, ProbeOutcome::NetworkUnreachable),
            (Errno::ACCESS, ProbeOutcome::Failed("permission denied".to_owned())),
        ] {
            assert_eq!(failed(&errno.into(), limit), outcome, "{errno}");
        }
    }
}
