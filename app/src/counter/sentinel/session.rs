//! One connection to one sentinel: its questions, and the push that tells of a new master.

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

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, PushInfo, PushKind,
    RedisConnectionInfo, RedisError, aio::MultiplexedConnection,
};
use tokio::sync::Notify;

use super::{
    super::redis::tcp_settings,
    fence::{Answer, View},
};

/// The channel on which a sentinel tells that it follows another master.
const SWITCH: &str = "+switch-master";

#[derive(Clone)]
pub(super) struct Session {
    connection: MultiplexedConnection,
    id: String,
    closed: Arc<AtomicBool>,
}

impl Session {
    /// Connects, and has `news` told of a new master and of the end of the connection.
    pub(super) async fn open(
        address: SocketAddr,
        login: &RedisConnectionInfo,
        news: &Arc<Notify>,
    ) -> Result<Self, RedisError> {
        let place = ConnectionAddr::Tcp(address.ip().to_string(), address.port());
        let info = place.into_connection_info()?.set_redis_settings(login.clone()).set_tcp_settings(tcp_settings());
        let closed = Arc::new(AtomicBool::new(false));
        let (ended, news) = (Arc::clone(&closed), Arc::clone(news));
        let config = AsyncConnectionConfig::new()
            // The caller bounds every call itself.
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    ended.store(true, Ordering::Relaxed);
                }
                if matches!(push.kind, PushKind::Disconnection | PushKind::Message) {
                    news.notify_one();
                }
                Ok::<(), io::Error>(())
            });
        let mut connection = Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await?;
        let id = redis::cmd("SENTINEL").arg("MYID").query_async(&mut connection).await?;
        connection.subscribe(SWITCH).await?;
        Ok(Self { connection, id, closed })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Asks everything about the master called `name`.
    pub(super) async fn view(&self, name: &str) -> Result<View, RedisError> {
        let fields: HashMap<String, String> =
            redis::cmd("SENTINEL").arg("MASTER").arg(name).query_async(&mut self.connection.clone()).await?;
        let field = |key: &str| fields.get(key).map(String::as_str).unwrap_or_default();
        let number = |key: &str| field(key).parse::<u64>().map_err(|_| odd("a field of SENTINEL MASTER is missing"));
        let count = |key: &str| Ok::<_, RedisError>(usize::try_from(number(key)?).unwrap_or(usize::MAX));
        let epoch = number("config-epoch")?;
        // After the epoch: a vote that comes between the two is seen.
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

    /// Asks which master it names, and for its last vote about `master`.
    pub(super) async fn answer(&self, name: &str, master: SocketAddr) -> Result<Answer, RedisError> {
        let (ip, port) = (master.ip().to_string(), master.port());
        let mut questions = redis::pipe();
        // In epoch 0 nobody gets a vote that was not given before, so this only tells the last one. It
        // knows a master by its address, and says 0 of any other: so ask for the name after it.
        questions.cmd("SENTINEL").arg("IS-MASTER-DOWN-BY-ADDR").arg(ip).arg(port).arg(0).arg(&self.id);
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        type Answers = ((u8, String, u64), Option<(String, String)>);
        let ((_down, _leader, vote), named): Answers = questions.query_async(&mut self.connection.clone()).await?;
        let (ip, port) = named.ok_or_else(|| odd("the sentinel knows no master of that name"))?;
        Ok(Answer { id: self.id.clone(), master: address(&ip, &port)?, vote })
    }
}

fn address(ip: &str, port: &str) -> Result<SocketAddr, RedisError> {
    match (ip.parse::<IpAddr>(), port.parse::<u16>()) {
        (Ok(ip), Ok(port)) => Ok(SocketAddr::new(ip, port)),
        _ => Err(odd("the sentinel names its master by no address: unset `sentinel announce-hostnames`")),
    }
}

fn odd(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, what))
}
