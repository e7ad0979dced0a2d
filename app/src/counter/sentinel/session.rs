//! One connection to one sentinel: its commands, and the push message about a new master.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{AsyncConnectionConfig, ErrorKind, PushInfo, PushKind, RedisError};
use redis_config::{Connection, Location, Peer};
use tokio::sync::Notify;

use super::fence::{Answer, View};

/// The channel on which a sentinel announces that it follows another master.
const SWITCH: &str = "+switch-master";

/// A connection to a sentinel. Clones share it.
#[derive(Clone)]
pub(super) struct Session {
    connection: Connection,
    /// The sentinel's run id.
    id: String,
    /// The connection has ended.
    closed: Arc<AtomicBool>,
}

impl Session {
    /// Connects. From then on, a new master and the end of the connection notify `pushed`.
    pub(super) async fn open(
        address: SocketAddr,
        location: &Location,
        pushed: &Arc<Notify>,
    ) -> Result<Self, RedisError> {
        let closed = Arc::new(AtomicBool::new(false));
        let (ended, pushed) = (Arc::clone(&closed), Arc::clone(pushed));
        let config = AsyncConnectionConfig::new()
            // The caller bounds every call itself.
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    ended.store(true, Ordering::Relaxed);
                }
                if matches!(push.kind, PushKind::Disconnection | PushKind::Message) {
                    pushed.notify_one();
                }
                Ok::<(), io::Error>(())
            });
        let mut connection = location.connect(Peer::Sentinel(address), &config).await?;
        let id = redis::cmd("SENTINEL").arg("MYID").query_async(&mut connection).await?;
        connection.subscribe(SWITCH).await?;
        Ok(Self { connection, id, closed })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Requests the full answer about the master called `name`.
    pub(super) async fn view(&self, name: &str) -> Result<View, RedisError> {
        let fields: HashMap<String, String> =
            redis::cmd("SENTINEL").arg("MASTER").arg(name).query_async(&mut self.connection.clone()).await?;
        let field = |key: &str| fields.get(key).map(String::as_str).unwrap_or_default();
        let number =
            |key: &str| field(key).parse::<u64>().map_err(|_| malformed("a field of SENTINEL MASTER is missing"));
        let count = |key: &str| Ok::<_, RedisError>(usize::try_from(number(key)?).unwrap_or(usize::MAX));
        let epoch = number("config-epoch")?;
        // Requested after the epoch, so that a vote between the two is seen.
        let named = address(field("ip"), field("port"))?;
        let Answer { id, master, vote } = self.answer(name, named).await?;
        Ok(View {
            id,
            master,
            epoch,
            vote,
            sentinels: count("num-other-sentinels")?.saturating_add(1),
            quorum: count("quorum")?,
            failover_timeout: Duration::from_millis(number("failover-timeout")?),
            in_failover: field("flags").split(',').any(|flag| flag == "failover_in_progress"),
        })
    }

    /// Requests the name's master and the sentinel's last vote about `master`.
    pub(super) async fn answer(&self, name: &str, master: SocketAddr) -> Result<Answer, RedisError> {
        let (ip, port) = (master.ip().to_string(), master.port());
        let mut commands = redis::pipe();
        // No sentinel gives a new vote for epoch 0, so this only returns its last one. The command knows a
        // master by its address, and returns 0 for any other: so the name is requested after it.
        commands.cmd("SENTINEL").arg("IS-MASTER-DOWN-BY-ADDR").arg(ip).arg(port).arg(0).arg(&self.id);
        commands.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        type Answers = ((u8, String, u64), Option<(String, String)>);
        let ((_down, _leader, vote), named): Answers = commands.query_async(&mut self.connection.clone()).await?;
        let (ip, port) = named.ok_or_else(|| malformed("the sentinel knows no master of that name"))?;
        Ok(Answer { id: self.id.clone(), master: address(&ip, &port)?, vote })
    }
}

fn address(ip: &str, port: &str) -> Result<SocketAddr, RedisError> {
    match (ip.parse::<IpAddr>(), port.parse::<u16>()) {
        (Ok(ip), Ok(port)) => Ok(SocketAddr::new(ip, port)),
        _ => Err(malformed("the sentinel names its master by no address: unset `sentinel announce-hostnames`")),
    }
}

fn malformed(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, what))
}
