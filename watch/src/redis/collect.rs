//! Looks at all servers again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use futures_util::future::join_all;
use redis::{Client, RedisError, aio::MultiplexedConnection};
use redis_config::Location;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    connect::connect,
    connections::Links,
    info::{Replication, replication},
    sentinel,
};
use crate::{
    cluster_state::{Redis, RedisServer, Role},
    engine,
    host_port::Directory,
};

/// How often: the count on the page is to be seen counting.
const PERIOD: Duration = Duration::from_secs(1);

/// The counter's key, which is the tutorial's.
const KEY: &str = "hits";

/// Looks until nobody wants to know any more.
pub async fn run(location: Location, publish: watch::Sender<Option<Redis>>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Redis::default();
    let mut eyes = Eyes::new(&location);
    while !publish.is_closed() {
        ticks.tick().await;
        let mut seen = eyes.look().await;
        if seen.servers.iter().any(|server| server.up) || seen.sentinels_up > 0 {
            seen.at = Some(engine::now());
        } else {
            // What was known last, with the age that it has.
            seen.at = last.at;
        }
        if seen.count.is_none() {
            seen.count = last.count;
        }
        if seen.servers.is_empty() {
            seen.servers.clone_from(&last.servers);
            seen.servers.iter_mut().for_each(|server| server.up = false);
        }
        last = seen.clone();
        publish.send_if_modified(|before| {
            let is_news = before.as_ref() != Some(&seen);
            *before = Some(seen);
            is_news
        });
    }
}

/// What one round needs.
enum Eyes {
    Server { client: Box<Client>, open: Option<MultiplexedConnection> },
    Sentinels { directory: Directory, master: String, sentinels: Links, servers: Links },
}

impl Eyes {
    fn new(location: &Location) -> Self {
        match location {
            Location::Server(client) => Self::Server { client: client.clone(), open: None },
            Location::Sentinels(sentinels) => Self::Sentinels {
                directory: Directory::of_hosts(&sentinels.addresses),
                master: sentinels.master.clone(),
                sentinels: Links::new(sentinels.login.clone()),
                servers: Links::new(sentinels.server_login.clone()),
            },
        }
    }

    async fn look(&mut self) -> Redis {
        match self {
            Self::Server { client, open } => {
                let address = client.get_connection_info().addr().to_string();
                match server(client, open).await {
                    Ok((replication, count)) => one(address, &replication, count.as_deref()),
                    Err(error) => Redis {
                        servers: vec![RedisServer { address, role: Role::Master, ..RedisServer::default() }],
                        error: Some(error.to_string()),
                        ..Redis::default()
                    },
                }
            }
            Self::Sentinels { directory, master, sentinels, servers } => {
                let addresses = directory.look_up().await;
                let asked = addresses.len().max(directory.names().len());
                let views = sentinel::ask(sentinels, &addresses, master).await;
                let named = sentinel::master(&views);
                let known: BTreeSet<SocketAddr> =
                    views.iter().flat_map(|view| view.replicas.iter().chain([&view.master])).copied().collect();
                let told = ask(servers, &known).await;
                let mut redis = many(named, &known, &told);
                redis.sentinels = u32::try_from(asked).unwrap_or(u32::MAX);
                redis.sentinels_up = u32::try_from(views.len()).unwrap_or(u32::MAX);
                if views.is_empty() {
                    redis.error = Some("no sentinel answers".to_owned());
                }
                redis
            }
        }
    }
}

/// What one server says, and the count as it stands there.
type Told = (Replication, Option<String>);

fn question() -> redis::Pipeline {
    let mut questions = redis::pipe();
    questions.cmd("INFO").arg("replication").cmd("GET").arg(KEY);
    questions
}

async fn server(client: &Client, open: &mut Option<MultiplexedConnection>) -> Result<Told, RedisError> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => connect(client).await?,
    };
    let (text, count): (String, Option<String>) = question().query_async(&mut connection).await?;
    *open = Some(connection);
    Ok((replication(&text), count))
}

async fn ask(links: &mut Links, addresses: &BTreeSet<SocketAddr>) -> BTreeMap<SocketAddr, Result<Told, String>> {
    let asked = links.take(addresses).into_iter().map(|mut link| async {
        let told: Result<(String, Option<String>), _> = link.ask(&question()).await;
        (link, told)
    });
    let mut all = BTreeMap::new();
    for (link, told) in join_all(asked).await {
        let told = told.map(|(text, count)| (replication(&text), count));
        all.insert(link.address, told.map_err(|error| error.to_string()));
        links.put(link);
    }
    all
}

/// A server without sentinels, and the replicas that it tells of.
fn one(address: String, replication: &Replication, count: Option<&str>) -> Redis {
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
        lag_bytes: behind(replication.offset, replica.offset),
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

/// The servers that the sentinels know. The master that they name is one only if it says so, too.
fn many(
    named: Option<SocketAddr>,
    known: &BTreeSet<SocketAddr>,
    told: &BTreeMap<SocketAddr, Result<Told, String>>,
) -> Redis {
    let of = |address: &SocketAddr| told.get(address).and_then(|told| told.as_ref().ok());
    let master = named.and_then(|address| of(&address)).filter(|(replication, _)| replication.role == Role::Master);
    let offset = master.and_then(|(replication, _count)| replication.offset);
    let servers = known.iter().map(|address| {
        let role = if Some(*address) == named { Role::Master } else { Role::Replica };
        let told = of(address).map(|(replication, _count)| replication);
        let up = told.is_some_and(|told| told.role == role && (role == Role::Master || told.linked));
        let lag_bytes = told.filter(|_| role == Role::Replica && up).and_then(|told| behind(offset, told.offset));
        RedisServer { address: address.to_string(), role, up, lag_bytes }
    });
    let error = match (named, named.and_then(|address| told.get(&address))) {
        (None, _) => Some("the sentinels name no master".to_owned()),
        (Some(address), Some(Err(error))) => Some(format!("{address}: {error}")),
        (Some(address), Some(Ok((replication, _)))) if replication.role != Role::Master => {
            Some(format!("{address} is named as the master and is none: a failover is under way"))
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

fn behind(master: Option<u64>, replica: Option<u64>) -> Option<u64> {
    Some(master?.saturating_sub(replica?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn told(role: Role, linked: bool, offset: u64) -> Result<Told, String> {
        let replication = Replication { role, linked, offset: Some(offset), replicas: Vec::new() };
        Ok((replication, Some("42".to_owned())))
    }

    #[test]
    fn master_replicas_and_their_lag_are_told() {
        let known = BTreeSet::from([address(1), address(2), address(3)]);
        let told = BTreeMap::from([
            (address(1), told(Role::Replica, true, 90)),
            (address(2), told(Role::Master, false, 100)),
            (address(3), Err("refused".to_owned())),
        ]);
        let redis = many(Some(address(2)), &known, &told);
        assert_eq!((redis.count, redis.master.as_deref()), (Some(42), Some("127.0.0.1:2")));
        let servers: Vec<_> = redis.servers.iter().map(|s| (s.role, s.up, s.lag_bytes)).collect();
        let expected = [(Role::Replica, true, Some(10)), (Role::Master, true, None), (Role::Replica, false, None)];
        assert_eq!(servers, expected);
        assert_eq!(redis.error, None);
    }

    #[test]
    fn a_master_that_is_none_is_not_up_and_has_no_count() {
        let known = BTreeSet::from([address(1)]);
        let told = BTreeMap::from([(address(1), told(Role::Replica, true, 9))]);
        let redis = many(Some(address(1)), &known, &told);
        assert_eq!((redis.count, redis.servers[0].up), (None, false));
        assert!(redis.error.unwrap().contains("failover"));
    }
}
