//! A run: rounds of load with one fault each, recorded.

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::clients::Clients;
use super::cluster::{Cluster, Counter, Unhealthy};
use super::history::{History, Round};
use super::nemesis::strike;
use super::plan::Fault;
use crate::wait::pause;

/// How long clients run before a fault and after the recovery.
const CALM: Duration = Duration::from_millis(400);

/// Runs `faults` on a cluster of `counter`s in `folder`, one per round, while `keep_going` returns true for the history
/// so far. Returns the history, up to the round in which the cluster did not recover.
///
/// # Errors
/// The cluster did not become healthy at the start.
///
/// # Panics
/// A process cannot be started.
pub async fn run(
    folder: &Path,
    counter: Counter,
    faults: impl IntoIterator<Item = Fault>,
    seed: u64,
    mut keep_going: impl FnMut(&History) -> bool,
) -> Result<(History, Option<Unhealthy>), Unhealthy> {
    let mut cluster = Cluster::start(folder, counter).await?;
    let zero = Instant::now();
    let (clients, mut stopped) = Clients::stopped(&cluster.apps(), zero, &mut Rng::with_seed(seed)).await;
    let mut history = History::default();
    let mut before = cluster.count().await?;
    for fault in faults {
        let promotions = cluster.promotions();
        let began = zero.elapsed();
        drop(stopped);
        pause(CALM).await;
        let injected = zero.elapsed();
        let healed = match strike(&mut cluster, fault).await {
            Ok(()) => cluster.until_healthy().await,
            Err(error) => Err(error),
        };
        let recovered = zero.elapsed();
        pause(CALM).await;
        stopped = clients.stop().await;
        let ended = zero.elapsed();
        history.hits.extend(clients.take());
        let after = match healed {
            Ok(()) => cluster.count().await,
            Err(error) => Err(error),
        };
        let after = match after {
            Ok(after) => after,
            Err(error) => return Ok((history, Some(error))),
        };
        let promotions = cluster.promotions() - promotions;
        let (kind, fault) = (fault.kind(), fault.to_string());
        history.rounds.push(Round { kind, fault, began, injected, recovered, ended, before, after, promotions });
        before = after;
        if !keep_going(&history) {
            break;
        }
    }
    Ok((history, None))
}
