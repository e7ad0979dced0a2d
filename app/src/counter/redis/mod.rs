//! The count in Redis: the key `hits`, a plain integer, so that the tutorial's program and this one
//! can count side by side. docs/counting.md says what is guaranteed and why it holds.
//!
//! An addition is a script with a sequence number, which counts it once however often it is sent,
//! followed in the same write by a `WAIT` for the replicas (`script`, `replicas`). With sentinels, the
//! last step asks them whether the master still is one (`super::sentinel`).
//!
//! Properties of the client library that matter here: its connection is one socket with a task of its
//! own, and it never sends a command again, unlike its cluster client. It keeps a connection after a
//! timeout and after READONLY, which would bind the counter to a dead or demoted master, so here
//! any failure drops the connection. It reports the loss of an idle connection by a push message,
//! which needs RESP3, that is Redis 6 or later.

mod config;
mod replicas;
mod script;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Cmd, PushInfo, PushKind, RedisError, Value};
use redis_config::{Connection, Location, Peer, Place};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tracing::{error, info};

pub use self::config::{Degraded, Durability, RedisConfig};
use self::{
    replicas::Replicas,
    script::{Outcome, Producer, not_connected, not_counted},
};
use super::{
    error::{StoreError, UnmetRequirement},
    metrics::CounterMetrics,
    sentinel::{MasterWatcher, Verdict},
    store::{Addition, Store},
};

/// How long one `WAIT` may take; several fit into a hit's deadline.
const WAIT: Duration = Duration::from_millis(150);

/// The pause before sentinels that did not confirm the master are asked again.
const CONFIRM_PAUSE: Duration = Duration::from_millis(20);

/// A connection to a Redis server, if there is one.
pub(super) struct Redis {
    config: RedisConfig,
    metrics: CounterMetrics,
    producer: Producer,
    /// Set by the first `connect`, which has a runtime to start it on.
    sentinels: Option<MasterWatcher>,
    /// The task that follows changes of the files with the login. Started like `sentinels`.
    follower: Option<Follower>,
    link: Option<Link>,
    /// The largest number returned so far: the count cannot be less.
    floor: u64,
    /// The master that the previous connection led to.
    master: Option<SocketAddr>,
    /// What the call under way is waiting for.
    unmet: Option<UnmetRequirement>,
}

/// A task that ends when this is dropped.
struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Link {
    commands: Connection,
    /// Notified by the library when the socket closes.
    closed: Arc<Notify>,
    /// With sentinels: the master that it leads to.
    master: Option<SocketAddr>,
    digest: String,
    replicas: Replicas,
}

impl Redis {
    pub(super) fn new(config: &RedisConfig, metrics: &CounterMetrics) -> Self {
        Self {
            config: config.clone(),
            metrics: metrics.clone(),
            producer: Producer::new(),
            sentinels: None,
            follower: None,
            link: None,
            floor: 0,
            master: None,
            unmet: None,
        }
    }

    /// Opens a connection and loads the script.
    async fn open(&mut self) -> Result<Link, StoreError> {
        let location = &self.config.location;
        self.follower.get_or_insert_with(|| {
            let location = location.clone();
            Follower(tokio::spawn(async move { location.follow().await }))
        });
        let master = match location.place() {
            Place::Server(_) => None,
            Place::Sentinels(sentinels) => {
                let start = || MasterWatcher::start(location.clone(), sentinels.clone());
                let watcher = self.sentinels.get_or_insert_with(start);
                self.unmet = Some(UnmetRequirement::Master);
                let master = watcher.master().await;
                self.unmet = None;
                Some(master)
            }
        };
        let moved = moved(self.sentinels.as_ref(), master);
        // A master that died may be silent. The sentinels may name another before the time to connect is over.
        let link = tokio::select! {
            link = dial(location, master, self.config.durability) => link?,
            () = moved => return Err(StoreError::Lost(MOVED.into())),
        };
        if let (Some(now), Some(before)) = (master, self.master)
            && now != before
        {
            info!(master = %now, %before, "following the new master");
            self.metrics.switches.inc();
        }
        self.master = master.or(self.master);
        Ok(link)
    }

    /// Sends an addition and waits until it is counted and as durable as configured. It does not return before that;
    /// the caller limits the time.
    async fn commit(&mut self, link: &mut Link, addition: Addition) -> Result<u64, StoreError> {
        self.unmet = None;
        let floor = if self.config.durability == Durability::Local { 0 } else { self.floor };
        let mut sent = self.send(link, Some(&link.digest.clone()), addition, floor).await?;
        if sent.counted.as_ref().is_err_and(script::is_missing) {
            sent = self.send(link, None, addition, floor).await?;
        }
        let (outcome, count) = script::outcome(sent.counted.map_err(not_counted)?)?;
        if outcome == Outcome::Raised {
            error!(floor, count, "the count was below a number that was returned: more was lost than is guaranteed");
            self.metrics.raised.inc();
        }
        let mut safe = true;
        if self.config.durability != Durability::Local {
            let mut held = sent.held.map_err(not_counted)?;
            while !self.is_held(link, held)? {
                if self.config.degraded == Degraded::GoOn {
                    safe = false;
                    break;
                }
                self.wait_for(UnmetRequirement::Replica);
                held = self.wait(link).query_async(&mut link.commands).await.map_err(not_counted)?;
            }
            safe &= self.confirm(link).await;
        }
        self.unmet = None;
        self.metrics.degraded.set(i64::from(!safe));
        if count < addition.hits {
            return Err(StoreError::NotACount(format!("it was below zero ({count})")));
        }
        self.floor = self.floor.max(count);
        Ok(count)
    }

    /// Makes one round trip: counts, and asks where the count is held.
    async fn send(
        &self,
        link: &mut Link,
        digest: Option<&str>,
        addition: Addition,
        floor: u64,
    ) -> Result<Sent, StoreError> {
        let now = Instant::now();
        let waits = self.config.durability != Durability::Local;
        let looks = waits && link.replicas.is_due(now);
        let mut commands = redis::pipe();
        commands.ignore_errors();
        if looks {
            commands.cmd("ROLE");
        }
        commands.add_command(script::count(digest, &self.producer, addition, floor));
        if waits {
            commands.add_command(self.wait(link));
        }
        let answers: Vec<Result<Value, RedisError>> =
            commands.query_async(&mut link.commands).await.map_err(not_counted)?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        if looks {
            let role = next().map_err(not_counted)?;
            let Ok((_master, offset, replicas)) = redis::from_redis_value::<Role>(role) else {
                return Err(StoreError::Refused("it is not a master".into()));
            };
            let acknowledged: Vec<u64> = replicas.into_iter().map(|(_ip, _port, offset)| offset).collect();
            link.replicas.look(offset, &acknowledged, now);
        }
        Ok(Sent { counted: next(), held: if waits { next() } else { Ok(Value::Nil) } })
    }

    /// The command that waits until the writes of this connection are as durable as configured.
    fn wait(&self, link: &Link) -> Cmd {
        let required = if self.needs_replica() { link.replicas.required() } else { 0 };
        let time = u64::try_from(WAIT.as_millis()).unwrap_or(u64::MAX);
        if self.config.durability == Durability::Fsync {
            redis::cmd("WAITAOF").arg(1).arg(required).arg(time).to_owned()
        } else {
            redis::cmd("WAIT").arg(required).arg(time).to_owned()
        }
    }

    /// Whether the answer to [`Redis::wait`] is enough.
    fn is_held(&self, link: &mut Link, answer: Value) -> Result<bool, StoreError> {
        let malformed = |error: redis::ParsingError| StoreError::Lost(error.into());
        let (local, replicas): (u64, u64) = match self.config.durability {
            Durability::Fsync => redis::from_redis_value(answer).map_err(malformed)?,
            Durability::Local | Durability::Replica => (1, redis::from_redis_value(answer).map_err(malformed)?),
        };
        link.replicas.acknowledged(replicas);
        self.metrics.replicas.set(i64::try_from(replicas).unwrap_or(i64::MAX));
        Ok(local >= 1 && (replicas >= 1 || !self.needs_replica()))
    }

    fn needs_replica(&self) -> bool {
        match self.config.durability {
            Durability::Local => false,
            Durability::Replica => true,
            Durability::Fsync => matches!(self.config.location.place(), Place::Sentinels(_)),
        }
    }

    /// Asks the sentinels until they confirm that the master still is one, and returns true. Returns false to continue
    /// without confirmation: only if too few sentinels answer, never if they contradict the master.
    async fn confirm(&mut self, link: &Link) -> bool {
        let (Some(sentinels), Some(master)) = (&self.sentinels, link.master) else { return true };
        loop {
            match sentinels.confirm(master).await {
                Verdict::Confirmed => return true,
                Verdict::Unknown if self.config.degraded == Degraded::GoOn => return false,
                Verdict::Unknown | Verdict::Doubtful => {}
            }
            self.unmet = Some(UnmetRequirement::Votes);
            self.metrics.degraded.set(1);
            sleep(CONFIRM_PAUSE).await;
        }
    }

    fn wait_for(&mut self, unmet: UnmetRequirement) {
        self.unmet = Some(unmet);
        self.metrics.degraded.set(1);
    }
}

/// Connects to a server and loads the script.
async fn dial(location: &Location, master: Option<SocketAddr>, durability: Durability) -> Result<Link, StoreError> {
    let closed = Arc::new(Notify::new());
    let signal = Arc::clone(&closed);
    let config = AsyncConnectionConfig::new()
        // The caller bounds every call itself.
        .set_response_timeout(None)
        .set_push_sender(move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                signal.notify_one();
            }
            Ok::<(), io::Error>(())
        });
    let mut commands =
        location.connect(master.map_or(Peer::Server, Peer::Named), &config).await.map_err(not_connected)?;
    let digest = script::load().query_async(&mut commands).await.map_err(not_connected)?;
    if durability == Durability::Fsync {
        let probe: Result<Value, RedisError> =
            redis::cmd("WAITAOF").arg(0).arg(0).arg(1).query_async(&mut commands).await;
        probe.map_err(|error| StoreError::Refused(NoWaitAof(error).into()))?;
    }
    Ok(Link { commands, closed, master, digest, replicas: Replicas::new() })
}

/// The answer to `ROLE` of a master: its role, its offset, and each online replica's address, port and offset.
type Role = (String, u64, Vec<(String, u16, u64)>);

/// The answers of one round trip.
struct Sent {
    counted: Result<Value, RedisError>,
    held: Result<Value, RedisError>,
}

/// A server that lacks what `fsync` needs.
#[derive(Debug, thiserror::Error)]
#[error("durability fsync needs WAITAOF, which Redis has since 7.2, and the permission to use it")]
struct NoWaitAof(#[source] RedisError);

impl Store for Redis {
    async fn connect(&mut self) -> Result<(), StoreError> {
        // A late answer on the old connection must not be mistaken for one on the new connection.
        self.link = None;
        let link = self.open().await?;
        self.link = Some(link);
        self.add(Addition::PROBE).await.map(|_count| ())
    }

    async fn add(&mut self, addition: Addition) -> Result<u64, StoreError> {
        // Taken, not borrowed: if this future is dropped or fails, the connection is dropped with it.
        let Some(mut link) = self.link.take() else {
            return Err(StoreError::Connect("not connected".into()));
        };
        let moved = moved(self.sentinels.as_ref(), link.master);
        let result = tokio::select! {
            biased;
            result = self.commit(&mut link, addition) => result,
            () = moved => Err(StoreError::Lost(MOVED.into())),
        };
        let count = result.inspect_err(|failure| {
            if matches!(failure, StoreError::Unconfirmed(_)) {
                self.metrics.degraded.set(1);
            }
        })?;
        self.link = Some(link);
        Ok(count)
    }

    async fn disconnected(&mut self) -> StoreError {
        let Some(link) = &self.link else { return StoreError::Lost("not connected".into()) };
        tokio::select! {
            () = link.closed.notified() => StoreError::Lost("closed by Redis".into()),
            () = moved(self.sentinels.as_ref(), link.master) => StoreError::Lost(MOVED.into()),
        }
    }

    async fn retry_hint(&mut self) {
        match &mut self.sentinels {
            Some(sentinels) => sentinels.changed().await,
            None => std::future::pending().await,
        }
    }

    fn timeout_error(&self) -> StoreError {
        self.unmet.map_or(StoreError::Silent, StoreError::Unconfirmed)
    }

    fn can_repeat(&self, failure: &StoreError) -> bool {
        match failure {
            StoreError::Connect(_) | StoreError::Silent | StoreError::Lost(_) | StoreError::Unconfirmed(_) => true,
            // With sentinels, another server may accept it.
            StoreError::Refused(_) => self.sentinels.is_some(),
            StoreError::NotACount(_) => false,
        }
    }
}

const MOVED: &str = "the sentinels name another master";

/// Completes when the sentinels name another master than `master`; without sentinels never.
fn moved(sentinels: Option<&MasterWatcher>, master: Option<SocketAddr>) -> impl Future<Output = ()> + Send + 'static {
    let moved = sentinels.zip(master).map(|(sentinels, master)| sentinels.moved(master));
    async move {
        match moved {
            Some(moved) => moved.await,
            None => std::future::pending().await,
        }
    }
}
