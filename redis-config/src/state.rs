//! What is known of the logins that the files contain, and which of them work. Pure.

use std::{net::SocketAddr, sync::Arc};

use redis::RedisConnectionInfo;
use tokio_rustls::rustls::ClientConfig;

/// Whom to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The server of the URL.
    Server,
    /// A server that a sentinel named, without TLS.
    Named(SocketAddr),
    /// A sentinel, without TLS.
    Sentinel(SocketAddr),
}

/// How to log in, and whom to trust.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) server: RedisConnectionInfo,
    pub(crate) sentinel: RedisConnectionInfo,
    /// For a server with TLS.
    pub(crate) trust: Option<Arc<ClientConfig>>,
}

impl Keys {
    pub(crate) fn login(&self, peer: Peer) -> &RedisConnectionInfo {
        match peer {
            Peer::Server | Peer::Named(_) => &self.server,
            Peer::Sentinel(_) => &self.sentinel,
        }
    }
}

/// The newest keys, and who has accepted them.
pub(crate) struct State {
    pub(crate) keys: Keys,
    /// The number of `keys`: 1, and one more with each change.
    pub(crate) version: u64,
    /// Of the last contents of the files, usable or not.
    pub(crate) fingerprint: u64,
    servers: Known,
    sentinels: Known,
}

/// What is known of the servers, or of the sentinels.
#[derive(Default)]
struct Known {
    /// The peer that last accepted a login.
    peer: Option<Peer>,
    /// The login that it accepted, and the version of the keys that it is from.
    accepted: Option<(u64, RedisConnectionInfo)>,
    /// The one before that from other keys: another server may not know the newer one yet.
    previous: Option<(u64, RedisConnectionInfo)>,
    /// The version of the keys that a peer refused and accepted earlier ones instead.
    refused: u64,
    /// The version of the keys whose failure was reported.
    reported: u64,
}

impl State {
    /// `fingerprint` is that of the files from which the keys are.
    pub(crate) fn new(keys: Keys, fingerprint: u64) -> Self {
        Self { keys, version: 1, fingerprint, servers: Known::default(), sentinels: Known::default() }
    }

    /// Replaces the keys by those of changed files.
    pub(crate) fn replace(&mut self, keys: Keys) {
        self.keys = keys;
        self.version += 1;
    }

    /// Records that a peer accepted a login, which is not the newest one only if that was refused.
    pub(crate) fn accept(&mut self, peer: Peer, version: u64, login: &RedisConnectionInfo) {
        let newest = self.version;
        let known = self.known(peer);
        known.refused = if version == newest { 0 } else { newest };
        known.peer = Some(peer);
        let before = known.accepted.replace((version, login.clone()));
        if before.as_ref().is_some_and(|before| before.0 != version) {
            known.previous = before;
        }
    }

    /// The login that was accepted last, if it is not from the keys with this version.
    pub(crate) fn accepted_before(&mut self, peer: Peer, version: u64) -> Option<(u64, RedisConnectionInfo)> {
        let known = self.known(peer);
        [&known.accepted, &known.previous].into_iter().flatten().find(|accepted| accepted.0 != version).cloned()
    }

    /// The login to begin with, if it is not the newest one.
    pub(crate) fn preferred(&mut self, peer: Peer) -> Option<(u64, RedisConnectionInfo)> {
        let version = self.version;
        if self.known(peer).refused == version { self.accepted_before(peer, version) } else { None }
    }

    /// Whether the newest keys are those that were accepted last.
    pub(crate) fn has_accepted_newest(&mut self, peer: Peer) -> bool {
        let version = self.version;
        self.known(peer).accepted.as_ref().is_some_and(|accepted| accepted.0 == version)
    }

    /// A server and a sentinel, as far as they have accepted a login.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        [&self.servers, &self.sentinels].into_iter().filter_map(|known| known.peer).collect()
    }

    /// Whether a peer that accepted earlier keys has not accepted the newest ones.
    pub(crate) fn is_untried(&self) -> bool {
        let mut accepted = [&self.servers, &self.sentinels].into_iter().filter_map(|known| known.accepted.as_ref());
        accepted.any(|(version, _login)| *version != self.version)
    }

    /// Whether the failure of the newest keys has not been reported yet. It counts as reported from now on.
    pub(crate) fn is_news(&mut self, peer: Peer) -> bool {
        let version = self.version;
        std::mem::replace(&mut self.known(peer).reported, version) != version
    }

    /// Makes the next failure news again.
    pub(crate) fn report_again(&mut self) {
        self.servers.reported = 0;
        self.sentinels.reported = 0;
    }

    fn known(&mut self, peer: Peer) -> &mut Known {
        match peer {
            Peer::Server | Peer::Named(_) => &mut self.servers,
            Peer::Sentinel(_) => &mut self.sentinels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(password: &str) -> Keys {
        let login = RedisConnectionInfo::default().set_password(password);
        Keys { server: login.clone(), sentinel: login, trust: None }
    }

    #[test]
    fn the_login_that_worked_is_kept_until_a_newer_one_is_accepted() {
        let mut state = State::new(keys("old"), 0);
        assert!(!state.is_untried() && state.peers().is_empty());
        state.accept(Peer::Server, 1, &keys("old").server);
        assert!(state.accepted_before(Peer::Server, 1).is_none() && !state.is_untried());
        state.replace(keys("new"));
        assert!(state.is_untried() && !state.has_accepted_newest(Peer::Server));
        let (version, login) = state.accepted_before(Peer::Server, 2).unwrap();
        assert_eq!((version, login.password()), (1, Some("old")));
        assert!(state.preferred(Peer::Server).is_none());
        state.accept(Peer::Server, 1, &login);
        assert_eq!(
            state.preferred(Peer::Server).map(|(version, _login)| version),
            Some(1),
            "the newest one was refused"
        );
        state.accept(Peer::Server, 2, &keys("new").server);
        assert!(!state.is_untried());
        let (version, login) = state.accepted_before(Peer::Server, 2).unwrap();
        assert_eq!((version, login.password()), (1, Some("old")), "another server may still need it");
        assert!(state.preferred(Peer::Server).is_none());
        assert!(state.has_accepted_newest(Peer::Server));
    }

    #[test]
    fn servers_and_sentinels_are_known_separately_and_each_failure_is_reported_once() {
        let sentinel = Peer::Sentinel(([127, 0, 0, 1], 26379).into());
        let mut state = State::new(keys("old"), 0);
        state.accept(Peer::Server, 1, &keys("old").server);
        assert_eq!(state.peers(), [Peer::Server]);
        assert!(state.accepted_before(sentinel, 2).is_none());
        assert!(state.is_news(Peer::Server) && !state.is_news(Peer::Server) && state.is_news(sentinel));
        state.report_again();
        assert!(state.is_news(Peer::Server));
        state.replace(keys("new"));
        assert!(state.is_news(Peer::Server));
    }
}
