//! The count in Redis: the key `hits`, a plain integer, so that the tutorial's program and this one
//! can count side by side. docs/counting.md says what is promised and why it holds.
//!
//! An addition is a script with a sequence number, which counts it once however often it is sent, and
//! behind it, in the same write, `WAIT` for the replicas (`script`, `replicas`). With sentinels, they
//! are asked last whether the master still is one (`super::sentinel`).
//!
//! The library's habits that matter here. Its connection is one socket with a task of its own; a
//! command on it is never sent again, unlike with its cluster client. It keeps a connection after a
//! time-out and after READONLY, which would leave a replica bound to a dead or demoted master: here
//! every failure of any kind drops the connection. Losing the connection while it is idle is told
//! by a push message, which needs RESP3, that is Redis 6 or later.

mod config;
mod replicas;
mod script;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Cmd, PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tracing::{error, info};

pub(super) use self::config::tcp_settings;
pub use self::config::{Degraded, Durability, Login, RedisConfig, RedisConfigError};
use self::{
    config::Place,
    replicas::Replicas,
    script::{Done, Producer, not_connected, not_counted},
};
use super::{
    Addition, Doubt, Store, StoreError,
    sentinel::{Sentinels, Verdict},
};
use crate::metrics::CounterMetrics;

/// How long one `WAIT` may take; many fit into a visitor's patience.
const WAIT: Duration = Duration::from_millis(150);

/// The pause before sentinels that had doubts are asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// A connection to one Redis, or the lack of it.
pub(super) struct Redis {
    config: RedisConfig,
    metrics: CounterMetrics,
    producer: Producer,
    /// Told from the first `connect` on, which has a runtime.
    sentinels: Option<Sentinels>,
    link: Option<Link>,
    /// The largest number that we told: the count cannot be less.
    floor: u64,
    /// The master of the connection before.
    master: Option<SocketAddr>,
    /// What a call that takes long is waiting for.
    doubt: Option<Doubt>,
}

struct Link {
    commands: MultiplexedConnection,
    /// Told by the library when the socket closes.
    closed: Arc<Notify>,
    /// With sentinels: which master it leads to.
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
            link: None,
            floor: 0,
            master: None,
            doubt: None,
        }
    }

    /// Opens a connection and gets the script into the server.
    async fn open(&mut self) -> Result<Link, StoreError> {
        let (client, master) = match &self.config.place {
            Place::Server(client) => (Arc::clone(client), None),
            Place::Sentinels { directory, login } => {
                let sentinels = self.sentinels.get_or_insert_with(|| Sentinels::watch(directory.clone()));
                self.doubt = Some(Doubt::NoMaster);
                let master = sentinels.master().await;
                self.doubt = None;
                (Arc::new(config::client_of(master, login).map_err(not_connected)?), Some(master))
            }
        };
        let closed = Arc::new(Notify::new());
        let signal = Arc::clone(&closed);
        let config = AsyncConnectionConfig::new()
            // The caller bounds every call itself.
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    signal.notify_one();
                }
                Ok::<(), io::Error>(())
            });
        let mut commands = client.get_multiplexed_async_connection_with_config(&config).await.map_err(not_connected)?;
        let digest = script::load().query_async(&mut commands).await.map_err(not_connected)?;
        if self.config.durability == Durability::Fsync {
            let probe: Result<Value, RedisError> =
                redis::cmd("WAITAOF").arg(0).arg(0).arg(1).query_async(&mut commands).await;
            probe.map_err(|error| StoreError::Refused(NoWaitAof(error).into()))?;
        }
        if let (Some(now), Some(before)) = (master, self.master)
            && now != before
        {
            info!(master = %now, %before, "following the new master");
            self.metrics.switches.inc();
        }
        self.master = master.or(self.master);
        Ok(Link { commands, closed, master, digest, replicas: Replicas::new() })
    }

    /// Sends an addition and waits until it is counted and as safe as it has to be. Does not end while it
    /// is not: the caller's patience does.
    async fn commit(&mut self, link: &mut Link, addition: Addition) -> Result<u64, StoreError> {
        self.doubt = None;
        let floor = if self.config.durability == Durability::Local { 0 } else { self.floor };
        let mut sent = self.send(link, Some(&link.digest.clone()), addition, floor).await?;
        if sent.counted.as_ref().is_err_and(script::is_missing) {
            sent = self.send(link, None, addition, floor).await?;
        }
        let (done, count) = script::done(sent.counted.map_err(not_counted)?)?;
        if done == Done::Raised {
            error!(floor, count, "the count was below a number that was told: a loss beyond what is promised");
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
                self.waits_for(Doubt::NoReplica);
                held = self.wait(link).query_async(&mut link.commands).await.map_err(not_counted)?;
            }
            safe &= self.confirm(link).await;
        }
        self.doubt = None;
        self.metrics.degraded.set(i64::from(!safe));
        if count < addition.hits {
            return Err(StoreError::NotACount(format!("it was below zero ({count})")));
        }
        self.floor = self.floor.max(count);
        Ok(count)
    }

    /// One round trip: counts, and asks who has it.
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
                return Err(StoreError::Refused("it is no master".into()));
            };
            let acknowledged: Vec<u64> = replicas.into_iter().map(|(_ip, _port, offset)| offset).collect();
            link.replicas.look(offset, &acknowledged, now);
        }
        Ok(Sent { counted: next(), held: if waits { next() } else { Ok(Value::Nil) } })
    }

    /// The command that waits until what this connection wrote is held where it has to be.
    fn wait(&self, link: &Link) -> Cmd {
        let ask = if self.needs_replica() { link.replicas.ask() } else { 0 };
        let time = u64::try_from(WAIT.as_millis()).unwrap_or(u64::MAX);
        if self.config.durability == Durability::Fsync {
            redis::cmd("WAITAOF").arg(1).arg(ask).arg(time).to_owned()
        } else {
            redis::cmd("WAIT").arg(ask).arg(time).to_owned()
        }
    }

    /// Whether the answer to [`Redis::wait`] is enough.
    fn is_held(&self, link: &mut Link, answer: Value) -> Result<bool, StoreError> {
        let odd = |error: redis::ParsingError| StoreError::Lost(error.into());
        let (local, replicas): (u64, u64) = match self.config.durability {
            Durability::Fsync => redis::from_redis_value(answer).map_err(odd)?,
            Durability::Local | Durability::Replica => (1, redis::from_redis_value(answer).map_err(odd)?),
        };
        link.replicas.acknowledged(replicas);
        self.metrics.replicas.set(i64::try_from(replicas).unwrap_or(i64::MAX));
        Ok(local >= 1 && (replicas >= 1 || !self.needs_replica()))
    }

    fn needs_replica(&self) -> bool {
        match self.config.durability {
            Durability::Local => false,
            Durability::Replica => true,
            Durability::Fsync => matches!(self.config.place, Place::Sentinels { .. }),
        }
    }

    /// Asks the sentinels until they say that the master still is one, and returns true. False means to
    /// go on without, which is only done when they cannot be asked, never when they name a doubt.
    async fn confirm(&mut self, link: &Link) -> bool {
        let (Some(sentinels), Some(master)) = (&self.sentinels, link.master) else { return true };
        loop {
            match sentinels.confirm(master).await {
                Verdict::Master => return true,
                Verdict::Unknown if self.config.degraded == Degraded::GoOn => return false,
                Verdict::Unknown | Verdict::Doubtful => {}
            }
            self.doubt = Some(Doubt::NoVote);
            self.metrics.degraded.set(1);
            sleep(AGAIN).await;
        }
    }

    fn waits_for(&mut self, doubt: Doubt) {
        self.doubt = Some(doubt);
        self.metrics.degraded.set(1);
    }
}

/// `ROLE` of a master: the word, its offset, and of each online replica the address, port and offset.
type Role = (String, u64, Vec<(String, u16, u64)>);

/// What came back from one round trip.
struct Sent {
    counted: Result<Value, RedisError>,
    held: Result<Value, RedisError>,
}

/// A server that cannot do what `fsync` needs.
#[derive(Debug, thiserror::Error)]
#[error("durability fsync needs WAITAOF, which Redis has from 7.2 on, and the right to use it")]
struct NoWaitAof(#[source] RedisError);

impl Store for Redis {
    async fn connect(&mut self) -> Result<(), StoreError> {
        // Whatever the old connection still owes is of no interest, and must not be taken for an
        // answer on the new one.
        self.link = None;
        let link = self.open().await?;
        self.link = Some(link);
        self.add(Addition::PROBE).await.map(|_count| ())
    }

    async fn add(&mut self, addition: Addition) -> Result<u64, StoreError> {
        // Taken, not borrowed: if this future is dropped or fails, the connection goes with it.
        let Some(mut link) = self.link.take() else {
            return Err(StoreError::Connect("not connected".into()));
        };
        let moved = moved(&self.sentinels, &link);
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

    async fn lost(&mut self) -> StoreError {
        let Some(link) = &self.link else { return StoreError::Lost("not connected".into()) };
        tokio::select! {
            () = link.closed.notified() => StoreError::Lost("closed by Redis".into()),
            () = moved(&self.sentinels, link) => StoreError::Lost(MOVED.into()),
        }
    }

    async fn news(&mut self) {
        match &mut self.sentinels {
            Some(sentinels) => sentinels.news().await,
            None => std::future::pending().await,
        }
    }

    fn late(&self) -> StoreError {
        self.doubt.map_or(StoreError::Silent, StoreError::Unconfirmed)
    }

    fn repeats(&self, failure: &StoreError) -> bool {
        match failure {
            StoreError::Connect(_) | StoreError::Silent | StoreError::Lost(_) | StoreError::Unconfirmed(_) => true,
            // With sentinels another server may not refuse.
            StoreError::Refused(_) => self.sentinels.is_some(),
            StoreError::NotACount(_) => false,
        }
    }
}

const MOVED: &str = "the sentinels name another master";

/// Returns when the sentinels name another master than the one of `link`; without sentinels never.
fn moved(sentinels: &Option<Sentinels>, link: &Link) -> impl Future<Output = ()> + Send + 'static {
    let moved = sentinels.as_ref().zip(link.master).map(|(sentinels, master)| sentinels.moved(master));
    async move {
        match moved {
            Some(moved) => moved.await,
            None => std::future::pending().await,
        }
    }
}
