//! Why an edge cannot start.

use std::{io, net::SocketAddr};

use net::tls::AuthorityError;

use crate::{
    config::token::TokenError,
    control::{inherited::UnusedSocket, rule_files::RuleFileError, takeover::TakeoverError},
    downstream::{listener::BindError, tls::TlsError},
};

/// Why an edge cannot start, or a reload is refused.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A token, for a swarm or for orders, cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The authorities that the health checks of a pool trust cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file that a rule of a route names cannot be used.
    #[error(transparent)]
    RuleFile(#[from] RuleFileError),
    /// A socket was inherited that the configuration does not use.
    #[error(transparent)]
    Unused(#[from] UnusedSocket),
    /// A socket that was inherited or taken over cannot be used.
    #[error("cannot use a socket that was open before: {0}")]
    Inherit(#[source] io::Error),
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The sockets of the edge that runs cannot be taken over, or not be offered to the next one.
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    /// A reload adds a listener whose address the admin listener has.
    #[error("cannot listen on {0}: the status page of this edge has the address until the edge restarts")]
    AdminAddress(SocketAddr),
    /// The access log cannot be written.
    #[error("{0}")]
    AccessLog(#[source] io::Error),
    /// The system refused a thread or a runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}
