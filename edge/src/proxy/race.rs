//! Gets a connection behind a mesh while no idle one is there: opens one, and a second one if the first is late. A
//! connection that becomes idle meanwhile is as good. What is opened in vain becomes idle and serves the next request.

use std::{rc::Rc, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    error::{Error, Kind},
    observe::decisions::Decision,
    proxy::{
        candidates::Candidates,
        pick::{Picked, pick, take_warm},
        request::never,
        request_record::RequestRecord,
        retry_state::RetryState,
    },
    upstream::connection::{Connecting, Connection, pool::Demand},
    worker::{
        PoolView, Worker,
        opening::{Opened, keep, open_for_request},
    },
};

/// The most connections that are opened for one request at the same time.
const RACERS: usize = 2;

/// Waits for the first of: the connection that `first` opens, a second one, an idle one.
///
/// # Errors
/// Why the last of them could not be opened; any request may then be sent to another endpoint.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    pool: &PoolView,
    retry_state: &mut RetryState,
    first: Connecting,
    record: &mut RequestRecord,
) -> Result<Box<Connection>, Error> {
    let config = &pool.handle.config;
    let mesh = worker.connections.mesh(&pool.handle.queue);
    let late_after = mesh.times().borrow().late_after(config.timeouts.connect);
    let late = Instant::now() + late_after;
    let stats = pool.handle.stats.of(worker.index);
    // Whether it is the second one, and what became of it.
    let (opened, mut arrivals) = mpsc::channel::<(bool, Opened)>(RACERS);
    let mut racers = 1;
    let mut pending = 1;
    let endpoint = Arc::clone(first.endpoint());
    open_for_request(worker, config, &mesh, first, opened.clone(), false);
    let connection = loop {
        tokio::select! {
            biased;
            arrival = arrivals.recv() => match arrival {
                Some((is_second, Ok(connection))) => {
                    if is_second {
                        stats.decisions.add(Decision::RaceWon);
                    }
                    break connection;
                }
                Some((_, Err((failed, error)))) => {
                    if error.kind != Kind::NoResources {
                        retry_state.trial_failed(failed);
                    }
                    retry_state.endpoints.push(failed);
                    pending -= 1;
                    if pending == 0 || error.kind == Kind::NoResources {
                        record.attempt(&endpoint);
                        return Err(error);
                    }
                }
                None => return Err(never(Kind::NoEndpoint)),
            },
            () = mesh.freed(Duration::from_secs(1)) => {
                let snapshot = pool.handle.snapshot.load();
                let candidates = Candidates::new(&snapshot, retry_state);
                if let Some(connection) = take_warm(worker, &mesh, &snapshot, &candidates, retry_state, retry_state.demand()) {
                    break connection;
                }
            }
            () = sleep_until(late), if racers < RACERS => {
                racers += 1;
                // Rather an idle one that its endpoint may be about to close than one to a machine that may be dead.
                let snapshot = pool.handle.snapshot.load();
                let candidates = Candidates::new(&snapshot, retry_state);
                let open = Demand::OpenInKernel;
                if let Some(connection) = take_warm(worker, &mesh, &snapshot, &candidates, retry_state, open) {
                    break connection;
                }
                match pick(worker, pool, retry_state) {
                    Ok(Picked::Idle(connection)) => break connection,
                    Ok(Picked::New(second)) => {
                        pending += 1;
                        stats.decisions.add(Decision::Raced);
                        open_for_request(worker, config, &mesh, second, opened.clone(), true);
                    }
                    // The first one may still arrive.
                    Err(_) => {}
                }
            }
        }
    };
    arrivals.close();
    while let Ok((_, other)) = arrivals.try_recv() {
        if let Ok(connection) = other {
            keep(worker, connection);
        }
    }
    record.attempt(connection.endpoint());
    Ok(connection)
}
