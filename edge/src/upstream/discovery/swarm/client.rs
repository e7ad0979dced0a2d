//! Asking a `watch` for the nodes of its swarm.
//!
//! The name of the service may stand for several, and any of them will do: the one that answered last is
//! asked, and the others in turn when it fails. A tag is shown only to the one that gave it, so nothing is
//! taken for unchanged because two of them happen to use the same tags. Each question has a connection of its
//! own, as a health check has: one every few seconds costs nothing, and a virtual address in front of them
//! may choose anew.

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

/// How long a watch may hold a question while nothing is different. Short, because it is also how long a
/// watch on a machine that has just died goes unnoticed: an edge has to be with another one by the time the
/// swarm knows.
const HOLD: Duration = Duration::from_secs(5);

/// For connecting.
const CONNECT: Duration = Duration::from_secs(1);

/// For the answer, beyond the time that the question was to be held.
const ANSWER: Duration = Duration::from_secs(2);

/// Servers that one question is brought before.
const MOST: usize = 8;

/// Asks for the nodes of one swarm.
pub(in crate::upstream) struct Client {
    resolver: Rc<Resolver>,
    host: String,
    port: u16,
    /// `Host` of a question.
    authority: String,
    token_file: Option<PathBuf>,
    /// Addresses of `host`.
    addresses: AddressSet,
    last: Option<Last>,
}

/// The last answer and whose it was.
struct Last {
    server: SocketAddr,
    tag: Option<HeaderValue>,
    nodes: Nodes,
}

impl Client {
    /// A client that has not asked anybody yet.
    pub(in crate::upstream) fn new(resolver: Rc<Resolver>, host: &str, port: u16, token: Option<PathBuf>) -> Self {
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let addresses = AddressSet::default();
        Self { resolver, host: host.to_owned(), port, authority, token_file: token, addresses, last: None }
    }

    /// The nodes: as soon as they are other ones than the last time, or after a while.
    ///
    /// # Errors
    /// Why nobody could be asked, or how the one of the lowest address failed.
    pub(in crate::upstream) async fn ask(&mut self) -> Result<Nodes, String> {
        let token = self.token_file.as_deref().map(token::read).transpose().map_err(|error| error.to_string())?;
        let servers = self.servers().await?;
        let mut failures = Vec::new();
        let last = self.last.as_ref().map(|last| last.server);
        for server in order(&servers, last, fastrand::f64()).into_iter().take(MOST) {
            match self.ask_one(server, token.as_ref().and_then(Option::as_ref)).await {
                Ok(last) => return Ok(self.last.insert(last).nodes.clone()),
                Err(failure) => failures.push((server, failure)),
            }
            // Whoever failed is asked anew the next time, and not to hold the question.
            self.last = None;
        }
        failures.sort_by_key(|(server, _)| *server);
        let others = if failures.len() > 1 { format!(" ({} more failed)", failures.len() - 1) } else { String::new() };
        match failures.first() {
            Some((server, failure)) => Err(format!("{server}: {failure}{others}")),
            None => Err("no addresses".to_owned()),
        }
    }

    /// Where watches are. As with endpoints, the last good answer of the name servers holds.
    async fn servers(&mut self) -> Result<BTreeSet<SocketAddr>, String> {
        if let Ok(address) = self.host.parse() {
            return Ok(BTreeSet::from([SocketAddr::new(address, self.port)]));
        }
        let Decision { addresses, error } = decide(&self.addresses, &self.resolver.resolve(&self.host).await);
        if let Some(addresses) = addresses {
            self.addresses = addresses;
        }
        let servers = self.addresses.at_port(self.port);
        match error {
            Some(error) if servers.is_empty() => Err(format!("{}: {error}", self.host)),
            _ => Ok(servers),
        }
    }

    async fn ask_one(&self, server: SocketAddr, token: Option<&HeaderValue>) -> Result<Last, Failure> {
        let last = self.last.as_ref().filter(|last| last.server == server);
        let tag = last.and_then(|last| last.tag.as_ref());
        let stream = timeout(CONNECT, probe::connect(server)).await.map_err(|_| Failure::Timeout(CONNECT))?;
        let stream = stream.map_err(|error| Failure::Connect(error.kind()))?;
        let patience = if tag.is_some() { HOLD + ANSWER } else { ANSWER };
        let request = self.question(tag, token)?;
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
        match (timeout(patience, exchange).await.map_err(|_| Failure::Timeout(patience))??, last) {
            (Some((tag, nodes)), _) => Ok(Last { server, tag, nodes }),
            (None, Some(last)) => Ok(Last { server, tag: last.tag.clone(), nodes: last.nodes.clone() }),
            (None, None) => Err(Failure::of(StatusCode::NOT_MODIFIED)),
        }
    }

    fn question(
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
            // Nothing in it can be wrong: the host is a name or an address.
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
