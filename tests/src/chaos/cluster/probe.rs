//! Queries servers and sentinels at their own ports, not through the relays.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisConnectionInfo, RedisError, Value};
use tokio::net::TcpStream;

use crate::netns;

/// The sentinels' name for the master.
pub const MASTER: &str = "counter";

/// The time limit for a response.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);

/// Where a server listens: a port of 127.0.0.1 in a network namespace, by default our own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) port: u16,
    pub(crate) namespace: Option<PathBuf>,
}

impl From<u16> for Endpoint {
    fn from(port: u16) -> Self {
        Self { port, namespace: None }
    }
}

impl Endpoint {
    async fn open(&self) -> Result<MultiplexedConnection, RedisError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = match &self.namespace {
            None => TcpStream::connect(address).await?,
            Some(namespace) => netns::connect(namespace, address, ANSWER).await?,
        };
        // The driver borrows it for its whole life.
        static SETTINGS: LazyLock<RedisConnectionInfo> = LazyLock::new(RedisConnectionInfo::default);
        let (connection, driver) = MultiplexedConnection::new(&SETTINGS, stream).await?;
        // Ends when the last handle of the connection is dropped.
        tokio::spawn(driver);
        Ok(connection)
    }
}

/// Open connections to servers and sentinels. A connection per query would leave thousands of closed ones in the
/// kernel's tables, which the relays read.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    open: Mutex<HashMap<Endpoint, MultiplexedConnection>>,
}

impl Probe {
    /// Returns the reply to one command.
    pub(crate) async fn ask(&self, endpoint: impl Into<Endpoint>, command: &[&str]) -> Result<Value, RedisError> {
        let endpoint = endpoint.into();
        let asked = async {
            let open = self.lock().remove(&endpoint);
            let mut connection = match open {
                Some(connection) => connection,
                None => endpoint.open().await?,
            };
            let (name, arguments) = command.split_first().expect("a command");
            let answer = redis::cmd(name).arg(arguments).query_async(&mut connection).await?;
            // A failed connection is not kept.
            self.lock().insert(endpoint.clone(), connection);
            Ok(answer)
        };
        let late = |_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into());
        tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(late)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, MultiplexedConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the count under the tutorial's key.
    pub(crate) async fn count(&self, endpoint: impl Into<Endpoint>) -> Option<u64> {
        match self.ask(endpoint, &["GET", "hits"]).await.ok()? {
            Value::Nil => Some(0),
            value => strings(value).first()?.parse().ok(),
        }
    }

    /// Returns the first problem in a sentinel's view if the server announced as `master` should be the master.
    pub(crate) async fn sentinel_problem(&self, endpoint: impl Into<Endpoint>, master: (&str, u16)) -> Option<String> {
        let endpoint = endpoint.into();
        let answer = match self.ask(endpoint.clone(), &["SENTINEL", "MASTER", MASTER]).await {
            Ok(answer) => strings(answer),
            Err(error) => return Some(error.to_string()),
        };
        let (host, port) = (master.0, master.1.to_string());
        let wanted =
            [("ip", host), ("port", &port), ("flags", "master"), ("num-slaves", "2"), ("num-other-sentinels", "2")];
        if let Some(problem) = differs(&answer, &wanted) {
            return Some(problem);
        }
        for kind in ["REPLICAS", "SENTINELS"] {
            let others = self.ask(endpoint.clone(), &["SENTINEL", kind, MASTER]).await;
            let Ok(others) = others else { return Some(format!("no {kind}")) };
            let Value::Array(others) = others else { return Some(format!("no {kind}")) };
            for other in others {
                let fields = strings(other);
                let flags = field(&fields, "flags");
                let is_healthy = match kind {
                    "REPLICAS" => {
                        let master = (field(&fields, "master-host"), field(&fields, "master-port"));
                        flags == Some("slave") && master == (Some(host), Some(port.as_str()))
                    }
                    _ => flags == Some("sentinel"),
                };
                if !is_healthy {
                    return Some(format!("{kind}: {:?} is {flags:?}", field(&fields, "name")));
                }
            }
        }
        let info = self.ask(endpoint, &["INFO", "SENTINEL"]).await.map(info).unwrap_or_default();
        (!info.contains("sentinel_tilt:0")).then(|| "in TILT mode".to_owned())
    }

    /// Returns the first problem of a server that should be a replica of the one announced as `master`; with `None` it
    /// should be the master.
    pub(crate) async fn redis_problem(
        &self,
        endpoint: impl Into<Endpoint>,
        master: Option<(&str, u16)>,
    ) -> Option<String> {
        let info = match self.ask(endpoint, &["INFO", "REPLICATION"]).await {
            Ok(answer) => info(answer),
            Err(error) => return Some(error.to_string()),
        };
        let fields: Vec<String> =
            info.lines().filter_map(|line| line.split_once(':')).fold(Vec::new(), |mut all, pair| {
                all.extend([pair.0.to_owned(), pair.1.trim().to_owned()]);
                all
            });
        match master {
            Some((host, port)) => differs(
                &fields,
                &[
                    ("role", "slave"),
                    ("master_host", host),
                    ("master_port", &port.to_string()),
                    ("master_link_status", "up"),
                ],
            ),
            None => differs(&fields, &[("role", "master"), ("connected_slaves", "2"), ("min_slaves_good_slaves", "2")]),
        }
    }
}

/// Returns all strings of a reply, in order.
pub(crate) fn strings(value: Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.into_iter().flat_map(strings).collect(),
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(&bytes).into_owned()],
        Value::SimpleString(text) => vec![text],
        _ => Vec::new(),
    }
}

fn info(answer: Value) -> String {
    match answer {
        Value::VerbatimString { text, .. } => text,
        other => strings(other).concat(),
    }
}

/// Describes the first of `wanted` that differs in `fields`, where names alternate with values.
fn differs(fields: &[String], wanted: &[(&str, &str)]) -> Option<String> {
    let wrong = wanted.iter().find(|(name, value)| field(fields, name) != Some(value))?;
    Some(format!("{} is {:?}, not {}", wrong.0, field(fields, wrong.0), wrong.1))
}

fn field<'a>(fields: &'a [String], name: &str) -> Option<&'a str> {
    fields.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1)).map(String::as_str)
}
