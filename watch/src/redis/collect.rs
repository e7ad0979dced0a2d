//! Polls all servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use futures_util::future::join_all;
use net::Resolver;
use redis::RedisError;
use redis_config::{Connection, Location, Peer, Place};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    connect::connect,
    connections::Connections,
    info::{Replication, replication},
    sentinel,
};
use crate::{
    clock,
    cluster_state::{Redis, RedisServer, Role},
};

/// Polling interval, short enough for the count on the page to look live.
const INTERVAL: Duration = Duration::from_secs(1);

/// Key of the counter, as in the tutorial.
const KEY: &str = "hits";

/// Polls until all receivers are dropped.
pub async fn run(location: Location, publish: watch::Sender<Option<Redis>>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Redis::default();
    let mut poller = Poller::new(&location);
    while !publish.is_closed() {
        ticks.tick().await;
        let mut state = poller.poll().await;
        if state.servers.iter().any(|server| server.up) || state.sentinels_up > 0 {
            state.at = Some(clock::now());
        } else {
            // The last known state keeps its time.
            state.at = last.at;
        }
        if state.count.is_none() {
            state.count = last.count;
        }
        if state.servers.is_empty() {
            state.servers.clone_from(&last.servers);
            state.servers.iter_mut().for_each(|server| server.up = false);
        }
        last = state.clone();
        publish.send_if_modified(|before| {
            let is_changed = before.as_ref() != Some(&state);
            *before = Some(state);
            is_changed
        });
    }
}

/// The target of the polls, with its open connections.
enum Poller {
    Server { location: Location, address: String, open: Option<Connection> },
    Sentinels { resolver: Box<Resolver>, master: String, sentinels: Connections, servers: Connections },
}

impl Poller {
    fn new(location: &Location) -> Self {
        match location.place() {
            Place::Server(address) => {
                Self::Server { location: location.clone(), address: address.to_string(), open: None }
            }
            Place::Sentinels(sentinels) => Self::Sentinels {
                resolver: Box::new(Resolver::new(sentinels.addresses.clone())),
                master: sentinels.master.clone(),
                sentinels: Connections::new(location, Peer::Sentinel),
                servers: Connections::new(location, Peer::Named),
            },
        }
    }

    async fn poll(&mut self) -> Redis {
        match self {
            Self::Server { location, address, open } => {
                let address = address.clone();
                match server(location, open).await {
                    Ok((replication, count)) => standalone(address, &replication, count.as_deref()),
                    Err(error) => Redis {
                        servers: vec![RedisServer { address, role: Role::Master, ..RedisServer::default() }],
                        error: Some(error.to_string()),
                        ..Redis::default()
                    },
                }
            }
            Self::Sentinels { resolver, master, sentinels, servers } => {
                let addresses = resolver.resolve().await;
                let configured = addresses.len().max(resolver.hosts().len());
                let views = sentinel::poll(sentinels, &addresses, master).await;
                let named = sentinel::master(&views);
                let known: BTreeSet<SocketAddr> =
                    views.iter().flat_map(|view| view.replicas.iter().chain([&view.master])).copied().collect();
                let replies = poll(servers, &known).await;
                let mut redis = replicated(named, &known, &replies);
                redis.sentinels = u32::try_from(configured).unwrap_or(u32::MAX);
                redis.sentinels_up = u32::try_from(views.len()).unwrap_or(u32::MAX);
                if views.is_empty() {
                    redis.error = Some("no sentinel answers".to_owned());
                }
                redis
            }
        }
    }
}

/// The replication state of one server, and its copy of the count.
type Reply = (Replication, Option<String>);

fn commands() -> redis::Pipeline {
    let mut commands = redis::pipe();
    commands.cmd("INFO").arg("replication").cmd("GET").arg(KEY);
    commands
}

async fn server(location: &Location, open: &mut Option<Connection>) -> Result<Reply, RedisError> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => connect(location, Peer::Server).await?,
    };
    let (text, count): (String, Option<String>) = commands().query_async(&mut connection).await?;
    *open = Some(connection);
    Ok((replication(&text), count))
}

async fn poll(
    connections: &mut Connections,
    addresses: &BTreeSet<SocketAddr>,
) -> BTreeMap<SocketAddr, Result<Reply, String>> {
    let polls = connections.take(addresses).into_iter().map(|mut connection| async {
        let reply: Result<(String, Option<String>), _> = connection.query(&commands()).await;
        (connection, reply)
    });
    let mut all = BTreeMap::new();
    for (connection, reply) in join_all(polls).await {
        let reply = reply.map(|(text, count)| (replication(&text), count));
        all.insert(connection.address, reply.map_err(|error| error.to_string()));
        connections.put(connection);
    }
    all
}

/// Converts the reply of a server without sentinels, which also lists its replicas.
fn standalone(address: String, replication: &Replication, count: Option<&str>) -> Redis {
    let own = RedisServer {
        address: address.clone(),
        role: replication.role,
        up: replication.role == Role::Master || replication.linked,
        lag_bytes: None,
    };
    let replicas = replication.replicas.iter().map(|replica| RedisServer {
        address: replica.address.to_string(),
        role: Role::Replica,
        up: replica.online,
        lag_bytes: lag(replication.offset, replica.offset),
    });
    let mut servers: Vec<RedisServer> = replicas.chain([own]).collect();
    servers.sort_by(|a, b| a.address.cmp(&b.address));
    Redis {
        count: count.and_then(|count| count.parse().ok()),
        master: (replication.role == Role::Master).then_some(address),
        servers,
        ..Redis::default()
    }
}

/// Converts the replies of the servers that the sentinels know. The named master counts as up only if it reports
/// the role itself.
fn replicated(
    named: Option<SocketAddr>,
    known: &BTreeSet<SocketAddr>,
    replies: &BTreeMap<SocketAddr, Result<Reply, String>>,
) -> Redis {
    let reply = |address: &SocketAddr| replies.get(address).and_then(|reply| reply.as_ref().ok());
    let master = named.and_then(|address| reply(&address)).filter(|(replication, _)| replication.role == Role::Master);
    let offset = master.and_then(|(replication, _count)| replication.offset);
    let servers = known.iter().map(|address| {
        let role = if Some(*address) == named { Role::Master } else { Role::Replica };
        let state = reply(address).map(|(replication, _count)| replication);
        let up = state.is_some_and(|state| state.role == role && (role == Role::Master || state.linked));
        let lag_bytes = state.filter(|_| role == Role::Replica && up).and_then(|state| lag(offset, state.offset));
        RedisServer { address: address.to_string(), role, up, lag_bytes }
    });
    let error = match (named, named.and_then(|address| replies.get(&address))) {
        (None, _) => Some("the sentinels name no master".to_owned()),
        (Some(address), Some(Err(error))) => Some(format!("{address}: {error}")),
        (Some(address), Some(Ok((replication, _)))) if replication.role != Role::Master => {
            Some(format!("the sentinels name {address}, which is not a master: a failover is in progress"))
        }
        _ => None,
    };
    Redis {
        count: master.and_then(|(_replication, count)| count.as_ref()?.parse().ok()),
        master: named.map(|address| address.to_string()),
        servers: servers.collect(),
        error,
        ..Redis::default()
    }
}

fn lag(master: Option<u64>, replica: Option<u64>) -> Option<u64> {
    Some(master?.saturating_sub(replica?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn reply(role: Role, linked: bool, offset: u64) -> Result<Reply, String> {
        let replication = Replication { role, linked, offset: Some(offset), replicas: Vec::new() };
        Ok((replication, Some("42".to_owned())))
    }

    #[test]
    fn master_replicas_and_their_lag_are_reported() {
        let known = BTreeSet::from([address(1), address(2), address(3)]);
        let replies = BTreeMap::from([
            (address(1), reply(Role::Replica, true, 90)),
            (address(2), reply(Role::Master, false, 100)),
            (address(3), Err("refused".to_owned())),
        ]);
        let redis = replicated(Some(address(2)), &known, &replies);
        assert_eq!((redis.count, redis.master.as_deref()), (Some(42), Some("127.0.0.1:2")));
        let servers: Vec<_> = redis.servers.iter().map(|s| (s.role, s.up, s.lag_bytes)).collect();
        let expected = [(Role::Replica, true, Some(10)), (Role::Master, true, None), (Role::Replica, false, None)];
        assert_eq!(servers, expected);
        assert_eq!(redis.error, None);
    }

    #[test]
    fn a_named_master_with_another_role_is_down_and_has_no_count() {
        let known = BTreeSet::from([address(1)]);
        let replies = BTreeMap::from([(address(1), reply(Role::Replica, true, 9))]);
        let redis = replicated(Some(address(1)), &known, &replies);
        assert_eq!((redis.count, redis.servers[0].up), (None, false));
        assert!(redis.error.unwrap().contains("failover"));
    }
}
