//! A new edge takes over the listening sockets of the one that runs, so that no connection is refused or reset.
//!
//! The edge that runs listens on a Unix socket at [`Config::takeover`](crate::config::Config::takeover). A new one
//! connects there when it starts, receives the sockets as files (`SCM_RIGHTS` of `unix(7)`), and gets ready. Only then
//! does the old one stop accepting; a new one that fails before changes nothing. The sockets are never closed, and their
//! queues of waiting connections stay: closing is what makes the kernel reset connections, as with `SO_REUSEPORT`.
//! HAProxy (`expose-fd listeners`), Envoy (hot restart) and Pingora (`upgrade_sock`) do the same.
//!
//! ```text
//! new                               old
//! edge-takeover 1           ->
//!                           <-      socket 203.0.113.7:80      with a file, for each socket
//!                           <-      channel                    with the Unix socket itself
//!                           <-      end
//! serves 203.0.113.7:80     ->                                 for each address that the new one has as well
//! ready                     ->
//!                           <-      yours
//! ```
//!
//! The Unix socket is handed over, too: its file stays the same, and the next edge finds the newest one behind it. A
//! lock beside the file ([`socket_file`]) lets only one edge start at a time.

mod message;
mod predecessor;
mod socket_file;
mod successor;

use std::{io, path::PathBuf, time::Duration};

pub(super) use self::{
    predecessor::Start,
    successor::{Event, Offer},
};

/// How long either side waits for a message that the other sends at once.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a new edge may take to get ready. It waits at most two seconds for endpoints.
const READY: Duration = Duration::from_secs(60);

/// Why the sockets of the edge that runs cannot be taken over, or be offered to the next one.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The file is not a socket, belongs to another user, or cannot be used.
    #[error("takeover: {}: {reason}", path.display())]
    File {
        /// The path of the Unix socket.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Another edge is starting at the same time, and takes long.
    #[error("takeover: {}: another edge has been starting for {}; wait for it or stop it", path.display(), humantime::format_duration(ANSWER))]
    Busy {
        /// The path of the Unix socket.
        path: PathBuf,
    },
    /// The edge that runs refused.
    #[error("takeover: the edge that runs refuses: {0}")]
    Refused(String),
    /// The edge that runs sent something unexpected, or nothing in time.
    #[error("takeover: cannot get the sockets of the edge that runs: {0}")]
    Exchange(#[source] io::Error),
}
