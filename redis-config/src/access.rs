//! Connects with the newest login and authorities that the files contain.
//!
//! The files are read again every few seconds, after a refused login or certificate, and on request. Open connections
//! stay: Redis keeps them logged in when a password changes, so a rotation interrupts nothing. Instead, changed files
//! are tried on a connection of their own, so that a mistake is found before a connection depends on them.
//!
//! A login that is refused does not replace the one that worked before, which is then still used. So it does not matter
//! whether the file or the server gets the new password first, and a file that is only half written does no harm. An
//! authority that was removed from its file is not trusted any more, whatever it signed.

use std::time::Duration;

use redis::{AsyncConnectionConfig, ConnectionAddr, ErrorKind, RedisError};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    connection::{Connection, Failure, Refused, open},
    location::{Change, Location, Place},
    state::Peer,
};

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(2);

/// After how many readings a login that was not accepted is tried again.
const RETRY: u32 = 15;

/// The time limit for reading the files, which may be on a network.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit for trying changed files.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

impl Location {
    /// Connects and logs in. If the login or the server's certificate is refused, it reads the files again and, if they
    /// have changed, tries once more; then it tries the login that was accepted last. If the newest login was refused
    /// before, it begins with the other one. Sets no time limit.
    ///
    /// # Errors
    /// The error of the newest login.
    pub async fn connect(&self, peer: Peer, config: &AsyncConnectionConfig) -> Result<Connection, RedisError> {
        let preferred = self.state().preferred(peer);
        if let Some((version, login)) = preferred {
            let trust = self.newest().1.trust;
            match open(&self.address(peer)?, &login, trust.as_ref(), config.clone().set_connection_timeout(None)).await
            {
                Ok(connection) => {
                    self.state().accept(peer, version, &login);
                    return Ok(connection);
                }
                Err(Failure { error, refused: None }) => return Err(error),
                Err(_) => {}
            }
        }
        self.connect_with_newest(peer, config).await
    }

    async fn connect_with_newest(&self, peer: Peer, config: &AsyncConnectionConfig) -> Result<Connection, RedisError> {
        let address = self.address(peer)?;
        // The caller limits the time.
        let config = config.clone().set_connection_timeout(None);
        let (mut version, mut keys) = self.newest();
        let mut result = open(&address, keys.login(peer), keys.trust.as_ref(), config.clone()).await;
        if matches!(result, Err(Failure { refused: Some(_), .. })) {
            self.reread().await;
            let newest = self.newest();
            if newest.0 != version {
                (version, keys) = newest;
                result = open(&address, keys.login(peer), keys.trust.as_ref(), config.clone()).await;
            }
        }
        let failure = match result {
            Ok(connection) => {
                self.state().accept(peer, version, keys.login(peer));
                return Ok(connection);
            }
            Err(failure) => failure,
        };
        let before = self.state().accepted_before(peer, version);
        if let (Some(Refused::Login), Some((earlier, login))) = (failure.refused, before)
            && let Ok(connection) = open(&address, &login, keys.trust.as_ref(), config).await
        {
            let is_news = {
                let mut state = self.state();
                state.accept(peer, earlier, &login);
                state.is_news(peer)
            };
            if is_news {
                warn!(
                    redis = %address, reason = %failure.error,
                    "the login in the changed files is refused; the previous one is still used"
                );
            }
            return Ok(connection);
        }
        Err(failure.error)
    }

    /// Reads the files and tries what they contain, now. The log says with what result. Connections stay open.
    pub async fn reload(&self) {
        if self.source().is_none() {
            info!("nothing to reload: no setting of Redis is in a file");
        } else if self.reread().await {
            self.state().report_again();
            self.try_keys().await;
        }
    }

    /// Reads the files every two seconds, and tries what they contain when they have changed. Never returns.
    pub async fn follow(&self) {
        if self.source().is_none() {
            std::future::pending::<()>().await;
        }
        let mut known = self.newest().0;
        let mut since_try = 0;
        loop {
            sleep(INTERVAL).await;
            self.reread().await;
            since_try += 1;
            let version = self.newest().0;
            if version != known || (since_try >= RETRY && self.state().is_untried()) {
                self.try_keys().await;
                (known, since_try) = (version, 0);
            }
        }
    }

    /// Reads the files. Returns whether they can be used; if not, the log says why, once, and the previous contents
    /// stay in use.
    async fn reread(&self) -> bool {
        let Some(source) = self.source() else { return true };
        let Ok(guard) = timeout(READ_TIMEOUT, self.reading().lock_owned()).await else { return false };
        let known = self.state().fingerprint;
        // If the reading hangs, no other one begins; and none begins before its result is in use, which would be older.
        let task = spawn_blocking(move || (source(known), guard));
        let (Change { fingerprint, location }, _guard) = match timeout(READ_TIMEOUT, task).await {
            Ok(Ok((Some(change), guard))) => (change, guard),
            Ok(Ok((None, _))) => return true,
            Ok(Err(_)) | Err(_) => {
                warn!("the files of Redis cannot be read in time; their previous contents stay in use");
                return false;
            }
        };
        let reason = {
            let mut state = self.state();
            if state.fingerprint == fingerprint {
                return true;
            }
            state.fingerprint = fingerprint;
            match location {
                Ok(keys) => {
                    state.replace(keys);
                    return true;
                }
                Err(reason) => reason,
            }
        };
        warn!(reason, "the files of Redis cannot be used; their previous contents stay in use");
        false
    }

    /// Connects to each kind of peer that has accepted a login before, and logs whether it accepts the newest one.
    async fn try_keys(&self) {
        let peers = self.state().peers();
        for peer in peers {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(TRY_TIMEOUT));
            let tried = timeout(TRY_TIMEOUT, self.connect_with_newest(peer, &config)).await;
            let address = self.address(peer).map_or_else(|_| String::new(), |address| address.to_string());
            let reason = match tried {
                Ok(Ok(_)) if self.state().has_accepted_newest(peer) => {
                    info!(redis = address, "the login and the certificates in the files work");
                    continue;
                }
                // Reported where the previous login was used.
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => "no answer in time".to_owned(),
            };
            if self.state().is_news(peer) {
                warn!(redis = address, reason, "cannot connect with the login and the certificates in the files");
            }
        }
    }

    fn address(&self, peer: Peer) -> Result<ConnectionAddr, RedisError> {
        match (peer, self.place()) {
            (Peer::Server, Place::Server(address)) => Ok(address.clone()),
            (Peer::Named(address) | Peer::Sentinel(address), _) => {
                Ok(ConnectionAddr::Tcp(address.ip().to_string(), address.port()))
            }
            (Peer::Server, Place::Sentinels(_)) => {
                Err(RedisError::from((ErrorKind::InvalidClientConfig, "the server is known to sentinels only")))
            }
        }
    }
}
