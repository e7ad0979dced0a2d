//! Counters with deliberate mistakes that the checker must find. They run as a separate program.
//!
//! Each follows the sentinels like the real counter, and adds one per visit.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::cluster::MASTER;
use crate::wait::pause;

/// A mistake of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Repeats an increment that failed or got no reply, so that a counted visit is counted twice.
    SendsAgain,
    /// Responds without waiting for a replica, so that numbers acknowledged by a lost master are returned again.
    DoesNotWait,
    /// Waits for one replica, but does not check that the master still is one: a paused master that resumes before both
    /// replicas have left it gets its acknowledgement from the remaining one.
    TrustsOneReplica,
}

impl Mistake {
    /// All mistakes by name.
    pub const ALL: [(&str, Self); 3] = [
        ("sends-again", Self::SendsAgain),
        ("does-not-wait", Self::DoesNotWait),
        ("trusts-one-replica", Self::TrustsOneReplica),
    ];
}

/// The time limit for one Redis command.
const COMMAND: Duration = Duration::from_millis(500);

/// The time limit for a visit.
const VISIT: Duration = Duration::from_millis(1_800);

/// The pause before a retry.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Broken {
    mistake: Mistake,
    sentinels: Vec<String>,
    /// Connections to the master that are not in use.
    idle: Mutex<Vec<MultiplexedConnection>>,
}

/// Serves a counter with this mistake until the process ends.
///
/// # Errors
/// It cannot listen.
pub async fn serve(mistake: Mistake, listen: SocketAddr, sentinels: Vec<String>) -> io::Result<Infallible> {
    let listener = TcpListener::bind(listen).await?;
    let counter = Arc::new(Broken { mistake, sentinels, idle: Mutex::default() });
    loop {
        let (stream, _) = listener.accept().await?;
        let counter = counter.clone();
        let service = service_fn(move |request| {
            let counter = counter.clone();
            async move { Ok::<_, Infallible>(counter.answer(&request).await) }
        });
        tokio::spawn(async move {
            // The client may disconnect at any time.
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap_or(());
        });
    }
}

impl Broken {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let counted = match request.uri().path() {
            "/" => timeout(VISIT, self.visit()).await.unwrap_or(None),
            _ => timeout(VISIT, self.connect()).await.is_ok_and(|connected| connected.is_ok()).then_some(0),
        };
        let (status, text) = match counted {
            Some(number) => (StatusCode::OK, format!("Hello World! I have been seen {number} times.\n")),
            None => (StatusCode::SERVICE_UNAVAILABLE, "the store is unavailable\n".to_owned()),
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    }

    async fn visit(&self) -> Option<u64> {
        loop {
            match self.count().await {
                Ok(Some(number)) => return Some(number),
                Ok(None) | Err(_) if self.mistake == Mistake::SendsAgain => pause(RETRY_PAUSE).await,
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Increments the count. Returns `None` if no replica acknowledged it.
    async fn count(&self) -> Result<Option<u64>, RedisError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let number: u64 = redis::cmd("INCR").arg("hits").query_async(&mut connection).await?;
        let replicas: u64 = match self.mistake {
            Mistake::DoesNotWait => 1,
            Mistake::SendsAgain | Mistake::TrustsOneReplica => {
                redis::cmd("WAIT").arg(1).arg(400).query_async(&mut connection).await?
            }
        };
        // A failed connection is not kept.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok((replicas > 0).then_some(number))
    }

    /// Connects to the master named by the first sentinel that responds.
    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut failed = None;
        for sentinel in &self.sentinels {
            match through(sentinel).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::from(io::ErrorKind::NotFound).into()))
    }
}

async fn through(sentinel: &str) -> Result<MultiplexedConnection, RedisError> {
    let mut asked = open(sentinel).await?;
    let (host, port): (String, u16) =
        redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(MASTER).query_async(&mut asked).await?;
    open(&format!("{host}:{port}")).await
}

async fn open(address: &str) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(COMMAND)).set_response_timeout(Some(COMMAND));
    Client::open(format!("redis://{address}"))?.get_multiplexed_async_connection_with_config(&config).await
}
