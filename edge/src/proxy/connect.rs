//! Picks an endpoint, and takes an idle connection to it or opens a new one.

use std::{rc::Rc, sync::Arc};

use tokio::time::{Instant, timeout_at};

use crate::{
    error::{Error, Kind},
    observe::decisions::Decision,
    proxy::{
        outcome::{connect_failed, connected},
        pick::{Picked, has_untried, pick},
        race, recovery,
        request::never,
        request_record::RequestRecord,
        retry_state::RetryState,
        wait::wait,
    },
    upstream::connection::{body_source::BodySource, pool::PooledConnection},
    worker::{PoolView, Worker},
};

/// Picks an endpoint, and takes an idle connection to it or opens a new one, until `end` if there is one.
///
/// # Errors
/// Why there is no connection.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    pool: &PoolView,
    retry_state: &mut RetryState,
    source: &mut impl BodySource,
    record: &mut RequestRecord,
    end: Option<Instant>,
) -> Result<PooledConnection, Error> {
    let connecting = connect_at_any_time(worker, pool, retry_state, source, record);
    let Some(end) = end else { return connecting.await };
    // Boxed because most requests have no such limit and must not carry the memory for it.
    Box::pin(timeout_at(end, connecting)).await.unwrap_or_else(|_elapsed| Err(never(Kind::ResponseTimeout)))
}

async fn connect_at_any_time(
    worker: &Rc<Worker>,
    pool: &PoolView,
    retry_state: &mut RetryState,
    source: &mut impl BodySource,
    record: &mut RequestRecord,
) -> Result<PooledConnection, Error> {
    retry_state.begin();
    loop {
        let error = match connect_once(worker, pool, retry_state, source, record).await {
            Err(error) if is_unreachable(&error) => error,
            done => return done,
        };
        // Nothing was sent: once all endpoints have failed, to try the next one is no other attempt.
        let goes_on = if has_untried(pool, retry_state) {
            retry_state.has_begun_again() && recovery::remaining(pool, retry_state, worker.clock.now()).is_some()
        } else {
            begins_again(worker, pool, retry_state, source).await?
        };
        if !goes_on {
            return Err(error);
        }
        record.retry(Some(error.kind));
    }
}

fn is_unreachable(error: &Error) -> bool {
    matches!(error.kind, Kind::Connect | Kind::ConnectTimeout)
}

/// Waits until the endpoints that failed may be tried again. Returns false if they must not be, or if it is not worth
/// waiting for them.
async fn begins_again(
    worker: &Rc<Worker>,
    pool: &PoolView,
    retry_state: &mut RetryState,
    source: &mut impl BodySource,
) -> Result<bool, Error> {
    if !retry_state.may_begin_again() {
        return Ok(false);
    }
    let Some(remaining) = recovery::remaining(pool, retry_state, worker.clock.now()) else { return Ok(false) };
    pool.handle.stats.of(worker.index).decisions.add(Decision::TriedAgain);
    // Boxed because most requests wait for nothing and must not carry the memory for it.
    Box::pin(recovery::wait(worker, pool, retry_state, source, remaining)).await
}

async fn connect_once(
    worker: &Rc<Worker>,
    pool: &PoolView,
    retry_state: &mut RetryState,
    source: &mut impl BodySource,
    record: &mut RequestRecord,
) -> Result<PooledConnection, Error> {
    let picked = match pick(worker, pool, retry_state) {
        Err(error) if error.kind == Kind::NoEndpoint && begins_again(worker, pool, retry_state, source).await? => {
            pick(worker, pool, retry_state)
        }
        picked => picked,
    };
    let picked = match picked {
        Err(error) if error.kind == Kind::PoolFull => Box::pin(wait(worker, pool, retry_state, source)).await,
        picked => picked,
    };
    let connecting = match picked? {
        Picked::Idle(connection) => {
            record.attempt(connection.endpoint());
            return Ok(PooledConnection::new(connection, &worker.connections));
        }
        Picked::New(connecting) if pool.handle.config.mesh => {
            let connection = Box::pin(race::connect(worker, pool, retry_state, connecting, record)).await?;
            return Ok(PooledConnection::new(connection, &worker.connections));
        }
        Picked::New(connecting) => connecting,
    };
    let endpoint = Arc::clone(connecting.endpoint());
    let stats = endpoint.stats.of(worker.index);
    record.attempt(&endpoint);
    match connecting.open(&pool.handle.config, pool.handle.config.timeouts.connect).await {
        Ok(connection) => {
            connected(pool, &endpoint);
            stats.connections.add(1);
            Ok(PooledConnection::new(connection, &worker.connections))
        }
        Err(error) => {
            if error.kind == Kind::NoResources {
                worker.log_shortage(&error);
            } else {
                connect_failed(worker, pool, &endpoint);
                retry_state.trial_failed(endpoint.id);
            }
            retry_state.exclude(&endpoint);
            Err(error)
        }
    }
}
