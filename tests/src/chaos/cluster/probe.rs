//! What servers and sentinels say about themselves. Asked at their own ports, not through the relays.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError, Value};

use super::MASTER;

/// How long an answer may take.
pub(super) const ANSWER: Duration = Duration::from_secs(1);

/// Connections to servers and sentinels by port, kept: thousands of closed ones would linger in the kernel's
/// tables, which the relays read.
#[derive(Debug, Default)]
pub(super) struct Probe {
    open: Mutex<HashMap<u16, MultiplexedConnection>>,
}

impl Probe {
    /// The answer to one command.
    pub(super) async fn ask(&self, port: u16, command: &[&str]) -> Result<Value, RedisError> {
        let asked = async {
            let open = self.lock().remove(&port);
            let mut connection = match open {
                Some(connection) => connection,
                None => Client::open(format!("redis://127.0.0.1:{port}"))?.get_multiplexed_async_connection().await?,
            };
            let (name, arguments) = command.split_first().expect("a command");
            let answer = redis::cmd(name).arg(arguments).query_async(&mut connection).await?;
            // One that failed is not kept.
            self.lock().insert(port, connection);
            Ok(answer)
        };
        let late = |_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into());
        tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(late)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u16, MultiplexedConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The count under the tutorial's key.
    pub(super) async fn count(&self, port: u16) -> Option<u64> {
        match self.ask(port, &["GET", "hits"]).await.ok()? {
            Value::Nil => Some(0),
            value => strings(value).first()?.parse().ok(),
        }
    }

    /// What a sentinel finds wrong while the server at `master` should be master.
    pub(super) async fn sentinel_flaw(&self, port: u16, master: u16) -> Option<String> {
        let answer = match self.ask(port, &["SENTINEL", "MASTER", MASTER]).await {
            Ok(answer) => strings(answer),
            Err(error) => return Some(error.to_string()),
        };
        let master = master.to_string();
        let wanted = [("port", &*master), ("flags", "master"), ("num-slaves", "2"), ("num-other-sentinels", "2")];
        if let Some(flaw) = differs(&answer, &wanted) {
            return Some(flaw);
        }
        for of in ["REPLICAS", "SENTINELS"] {
            let Ok(others) = self.ask(port, &["SENTINEL", of, MASTER]).await else { return Some(format!("no {of}")) };
            let Value::Array(others) = others else { return Some(format!("no {of}")) };
            for other in others {
                let fields = strings(other);
                let flags = field(&fields, "flags");
                let whole = match of {
                    "REPLICAS" => flags == Some("slave") && field(&fields, "master-port") == Some(&master),
                    _ => flags == Some("sentinel"),
                };
                if !whole {
                    return Some(format!("{of}: {:?} is {flags:?}", field(&fields, "name")));
                }
            }
        }
        let info = self.ask(port, &["INFO", "SENTINEL"]).await.map(info).unwrap_or_default();
        (!info.contains("sentinel_tilt:0")).then(|| "in TILT mode".to_owned())
    }

    /// What is wrong with a server that should be a replica of the one at `master`, or the master itself.
    pub(super) async fn redis_flaw(&self, port: u16, master: Option<u16>) -> Option<String> {
        let info = match self.ask(port, &["INFO", "REPLICATION"]).await {
            Ok(answer) => info(answer),
            Err(error) => return Some(error.to_string()),
        };
        let fields: Vec<String> =
            info.lines().filter_map(|line| line.split_once(':')).fold(Vec::new(), |mut all, pair| {
                all.extend([pair.0.to_owned(), pair.1.trim().to_owned()]);
                all
            });
        match master {
            Some(master) => differs(
                &fields,
                &[("role", "slave"), ("master_port", &master.to_string()), ("master_link_status", "up")],
            ),
            None => differs(&fields, &[("role", "master"), ("connected_slaves", "2"), ("min_slaves_good_slaves", "2")]),
        }
    }
}

/// All strings of an answer, in order.
pub(super) fn strings(value: Value) -> Vec<String> {
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

/// The first of `wanted` that is not so among names that alternate with their values.
fn differs(fields: &[String], wanted: &[(&str, &str)]) -> Option<String> {
    let wrong = wanted.iter().find(|(name, value)| field(fields, name) != Some(value))?;
    Some(format!("{} is {:?}, not {}", wrong.0, field(fields, wrong.0), wrong.1))
}

fn field<'a>(fields: &'a [String], name: &str) -> Option<&'a str> {
    fields.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1)).map(String::as_str)
}
