//! Asks a `watch` for the nodes of its swarm.
//!
//! The configured name may resolve to several watches, each of which lists the same swarm. The client asks the one that
//! responded last and, if that fails, the others in turn. It sends a tag only to the watch that returned it, so that
//! equal tags of two watches are never taken for an unchanged list. Each request has a connection of its own, as a
//! health check has: one connection every few seconds costs next to nothing, and lets a virtual address in front of the
//! watches select another one.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, ETAG, HOST, IF_NONE_MATCH, USER_AGENT},
};
use http_body_util::Empty;
use hyper::body::Incoming;
use net::client::{self, BodyError};
use tokio::time::timeout;

use super::{Failure, MAX_BODY, Nodes, order, read};
use crate::{
    config::token,
    upstream::{
        discovery::{AddressSet, Decision, decide, dns::Resolver},
        health::probe,
    },
};

/// How long a watch may hold a request while the list does not change. Short, because the death of the watch's machine
/// goes unnoticed for as long: an edge must already use another watch when the swarm detects the failure.
const HOLD: Duration = Duration::from_secs(5);

/// The timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout for the response, in addition to the time that the request is held.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of servers to try for one query.
const MAX_SERVERS: usize = 8;

/// Queries the nodes of one swarm.
pub(in crate::upstream) struct Client {
    resolver: Rc<Resolver>,
    host: String,
    port: u16,
    /// The value of `Host`.
    authority: String,
    token_file: Option<PathBuf>,
    /// The addresses of `host`.
    addresses: AddressSet,
    last: Option<LastResponse>,
}

/// The last list and the server that returned it.
struct LastResponse {
    server: SocketAddr,
    tag: Option<HeaderValue>,
    nodes: Nodes,
}

impl Client {
    /// Creates a client that has sent no request yet.
    pub(in crate::upstream) fn new(resolver: Rc<Resolver>, host: &str, port: u16, token: Option<PathBuf>) -> Self {
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let addresses = AddressSet::default();
        Self { resolver, host: host.to_owned(), port, authority, token_file: token, addresses, last: None }
    }

    /// Returns the nodes, as soon as they differ from the previous ones, or else after [`HOLD`].
    ///
    /// # Errors
    /// Why there is no server to ask, or why the server with the lowest address failed.
    pub(in crate::upstream) async fn query(&mut self) -> Result<Nodes, String> {
        let token = self.token_file.as_deref().map(token::read).transpose().map_err(|error| error.to_string())?;
        let servers = self.servers().await?;
        let mut failures = Vec::new();
        let last = self.last.as_ref().map(|last| last.server);
        for server in order(&servers, last, fastrand::f64()).into_iter().take(MAX_SERVERS) {
            match self.ask_server(server, token.as_ref().and_then(Option::as_ref)).await {
                Ok(last) => return Ok(self.last.insert(last).nodes.clone()),
                Err(failure) => failures.push((server, failure)),
            }
            // A request without a tag is not held, so a server that failed responds at once next time.
            self.last = None;
        }
        failures.sort_by_key(|(server, _)| *server);
        let others = if failures.len() > 1 { format!(" ({} more failed)", failures.len() - 1) } else { String::new() };
        match failures.first() {
            Some((server, failure)) => Err(format!("{server}: {failure}{others}")),
            None => Err("no addresses".to_owned()),
        }
    }

    /// The addresses of the watches. As with endpoints, the last good answer of the name servers stays valid.
    async fn servers(&mut self) -> Result<BTreeSet<SocketAddr>, String> {
        if let Ok(address) = self.host.parse() {
            return Ok(BTreeSet::from([SocketAddr::new(address, self.port)]));
        }
        let Decision { addresses, error } = decide(&self.addresses, &self.resolver.resolve(&self.host).await.0);
        if let Some(addresses) = addresses {
            self.addresses = addresses;
        }
        let servers = self.addresses.at_port(self.port);
        match error {
            Some(error) if servers.is_empty() => Err(format!("{}: {error}", self.host)),
            _ => Ok(servers),
        }
    }

    async fn ask_server(&self, server: SocketAddr, token: Option<&HeaderValue>) -> Result<LastResponse, Failure> {
        let last = self.last.as_ref().filter(|last| last.server == server);
        let tag = last.and_then(|last| last.tag.as_ref());
        let stream =
            timeout(CONNECT_TIMEOUT, probe::connect(server)).await.map_err(|_| Failure::Timeout(CONNECT_TIMEOUT))?;
        let stream = stream.map_err(|error| Failure::Connect(error.kind()))?;
        let limit = if tag.is_some() { HOLD + RESPONSE_TIMEOUT } else { RESPONSE_TIMEOUT };
        let request = self.request(tag, token)?;
        let exchange = async {
            let receive = async |response: Response<Incoming>| {
                let (head, body) = response.into_parts();
                match head.status {
                    StatusCode::OK => {
                        let body = client::read_body(body, MAX_BODY).await.map_err(|error| match error {
                            BodyError::TooLarge(_) => Failure::TooLarge,
                            BodyError::Incomplete(_) => Failure::Closed,
                        })?;
                        Ok(Some((head.headers.get(ETAG).cloned(), read(&body)?)))
                    }
                    StatusCode::NOT_MODIFIED if tag.is_some() => Ok(None),
                    status => Err(Failure::of(status)),
                }
            };
            client::exchange(stream, request, receive).await.map_err(|error| failure(&error))?
        };
        match (timeout(limit, exchange).await.map_err(|_| Failure::Timeout(limit))??, last) {
            (Some((tag, nodes)), _) => Ok(LastResponse { server, tag, nodes }),
            (None, Some(last)) => Ok(LastResponse { server, tag: last.tag.clone(), nodes: last.nodes.clone() }),
            (None, None) => Err(Failure::of(StatusCode::NOT_MODIFIED)),
        }
    }

    fn request(
        &self,
        tag: Option<&HeaderValue>,
        token: Option<&HeaderValue>,
    ) -> Result<Request<Empty<Bytes>>, Failure> {
        let target = match tag {
            Some(_) => format!("/api/nodes?wait={}", HOLD.as_secs()),
            None => "/api/nodes".to_owned(),
        };
        let mut request = Request::get(target)
            .header(HOST, &self.authority)
            .header(USER_AGENT, "edge-swarm")
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close")
            .body(Empty::new())
            // This cannot fail: the host is a valid name or an address.
            .map_err(|_| Failure::Closed)?;
        for (name, value) in [(IF_NONE_MATCH, tag), (AUTHORIZATION, token)] {
            request.headers_mut().extend(value.map(|value| (name, value.clone())));
        }
        Ok(request)
    }
}

fn failure(error: &hyper::Error) -> Failure {
    if error.is_parse() { Failure::NotHttp } else { Failure::Closed }
}
