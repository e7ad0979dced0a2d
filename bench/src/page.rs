//! Two pages with which the counter is compared.

use anyhow::{Context, Result};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use redis::aio::MultiplexedConnection;
use tokio::{net::TcpListener, runtime};

use crate::{args::Page, port};

/// Serves the same page to every request.
pub(crate) fn constant(page: &Page) -> Result<()> {
    serve(page, async || Ok(Router::new().route("/", get(async || "Hello World! I have been seen 1000 times.\n"))))
}

/// Serves a page that increments a counter in Redis for each request, over one shared connection.
pub(crate) fn naive(page: &Page) -> Result<()> {
    let url = page.redis.as_deref().context("--redis is missing")?;
    serve(page, async || {
        let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        Ok(Router::new().route("/", get(count)).with_state(connection))
    })
}

async fn count(State(mut connection): State<MultiplexedConnection>) -> Result<String, StatusCode> {
    let hits: redis::RedisResult<u64> = redis::cmd("INCR").arg("hits").query_async(&mut connection).await;
    let hits = hits.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("Hello World! I have been seen {hits} times.\n"))
}

/// Serves a page with one thread per core that the process may use.
fn serve(page: &Page, router: impl AsyncFnOnce() -> Result<Router>) -> Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = port::listener(*page.listen.ip(), page.listen.port())?;
        listener.set_nonblocking(true)?;
        Ok(axum::serve(TcpListener::from_std(listener)?, router().await?).await?)
    })
}
