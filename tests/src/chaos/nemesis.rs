//! Injects the faults of a plan into a cluster, and heals them.

use std::time::{Duration, Instant};

use super::cluster::{Cluster, Unhealthy};
use super::network::{HOSTS, Kind};
use super::plan::{Cut, Fault, Return, Victim};
use crate::relay::Link;
use crate::wait::{SOON, pause, try_eventually};

/// The time limit for a promotion, which takes two seconds unless the sentinels have to vote again.
const PROMOTION: Duration = Duration::from_secs(15);

/// The processes of a host.
const PROCESSES: [Kind; 3] = [Kind::Redis, Kind::Sentinel, Kind::App];

/// How long a starved host runs between two pauses.
const BREATH: Duration = Duration::from_millis(50);

/// The step back by which a clock must be set at least for the sentinel's script to restart it, in seconds.
const RESTARTING_STEP: i64 = 12;

/// Injects a fault for its duration and heals it. Does not wait for the recovery.
///
/// # Errors
/// No sentinel names a master, or a sentinel does not restart after its clock was set back.
pub async fn strike(cluster: &mut Cluster, fault: Fault) -> Result<(), Unhealthy> {
    // Between two faults the cluster is healthy, so there is a master.
    let master = cluster.master().await.ok_or_else(|| Unhealthy::of("no sentinel names a master"))?;
    match fault {
        Fault::KillMaster(down, back) => {
            cluster.host(master).kill(Kind::Redis);
            pause(down).await;
            cluster.bring_back(master, back, master);
        }
        Fault::KillReplica(which, down) => {
            let host = Cluster::host_of(Victim::Replica(which), master);
            cluster.host(host).kill(Kind::Redis);
            pause(down).await;
            cluster.bring_back(host, Return::AsItWas, master);
        }
        Fault::KillSentinel(victim, down) => {
            let host = Cluster::host_of(victim, master);
            cluster.host(host).kill(Kind::Sentinel);
            pause(down).await;
            cluster.start_sentinel(host).await;
        }
        Fault::KillApp(victim, down) => {
            let host = cluster.host(Cluster::host_of(victim, master));
            host.kill(Kind::App);
            pause(down).await;
            host.start_app();
        }
        Fault::KillHost(victim, down, back) => {
            let index = Cluster::host_of(victim, master);
            for kind in PROCESSES {
                cluster.host(index).kill(kind);
            }
            pause(down).await;
            return_host(cluster, index, back, master).await;
        }
        Fault::KillMasterHostStopSentinels(duration) => {
            for index in others(master) {
                cluster.host(index).freeze(Kind::Sentinel);
            }
            for kind in PROCESSES {
                cluster.host(master).kill(kind);
            }
            pause(duration).await;
            for index in others(master) {
                cluster.host(index).thaw(Kind::Sentinel);
            }
            // Without a failover, the judge sees the outage.
            try_eventually(PROMOTION, async || cluster.promoted(master).await).await;
            return_host(cluster, master, Return::Guarded, master).await;
        }
        Fault::StopSentinels(spared, duration) => {
            let stopped = others(Cluster::host_of(spared, master));
            for index in stopped {
                cluster.host(index).freeze(Kind::Sentinel);
            }
            pause(duration).await;
            for index in stopped {
                cluster.host(index).thaw(Kind::Sentinel);
            }
        }
        Fault::Starve(victim, pauses, duration) => {
            let index = Cluster::host_of(victim, master);
            let end = Instant::now() + duration;
            while Instant::now() < end {
                for kind in PROCESSES {
                    cluster.host(index).freeze(kind);
                }
                pause(pauses).await;
                for kind in PROCESSES {
                    cluster.host(index).thaw(kind);
                }
                pause(BREATH).await;
            }
        }
        Fault::StepClock(victim, seconds) => set_clock(cluster, Cluster::host_of(victim, master), seconds).await?,
        Fault::PauseMaster(duration) => {
            cluster.host(master).freeze(Kind::Redis);
            pause(duration).await;
            cluster.host(master).thaw(Kind::Redis);
        }
        Fault::PauseMasterUntilPromotion(after) => {
            cluster.host(master).freeze(Kind::Redis);
            let promoted = try_eventually(PROMOTION, async || cluster.promoted(master).await).await;
            // Without a failover, which is not the counter's fault, the judge sees the outage.
            if promoted.is_some() {
                pause(after).await;
            }
            cluster.host(master).thaw(Kind::Redis);
        }
        Fault::CutPair(a, b, cut, duration) => {
            cut_links(cluster, &[(Cluster::host_of(a, master), Cluster::host_of(b, master))], cut, duration).await;
        }
        Fault::Isolate(victim, cut, duration) => {
            cut_links(cluster, &links_of(Cluster::host_of(victim, master)), cut, duration).await;
        }
        Fault::Delay(victim, by, duration) => {
            let links = links_of(Cluster::host_of(victim, master));
            set(cluster, &links, Link::Slow(by));
            pause(duration).await;
            set(cluster, &links, Link::Open);
        }
        Fault::DropReplies(duration) => {
            cluster.network.drop_replies_of(Some(master));
            pause(duration).await;
            cluster.network.drop_replies_of(None);
        }
        Fault::RestartSentinels => {
            for index in 0..HOSTS {
                cluster.host(index).kill(Kind::Sentinel);
            }
            for index in 0..HOSTS {
                cluster.start_sentinel(index).await;
            }
        }
        Fault::EmptyMaster => {
            cluster.host(master).kill(Kind::Redis);
            cluster.host(master).lose_data();
            cluster.bring_back(master, Return::Guarded, master);
        }
    }
    Ok(())
}

/// Restarts all processes of a killed host.
async fn return_host(cluster: &mut Cluster, index: usize, back: Return, master: usize) {
    cluster.host(index).start_app();
    cluster.start_sentinel(index).await;
    cluster.bring_back(index, back, master);
}

/// Sets a host's clock. If that ends the sentinel, restarts it, as the swarm does.
async fn set_clock(cluster: &mut Cluster, index: usize, seconds: i64) -> Result<(), Unhealthy> {
    let host = cluster.host(index);
    let step = seconds - host.clock();
    host.set_clock(seconds);
    if step > -RESTARTING_STEP {
        return Ok(());
    }
    let ended = try_eventually(SOON, async || host.sentinel_ended().then_some(())).await;
    ended.ok_or_else(|| Unhealthy::of("a sentinel runs on after its clock was set back"))?;
    cluster.start_sentinel(index).await;
    Ok(())
}

async fn cut_links(cluster: &Cluster, links: &[(usize, usize)], kind: Cut, duration: Duration) {
    set(cluster, links, if kind == Cut::Reset { Link::Reset } else { Link::Silent });
    pause(duration).await;
    if kind == Cut::SilentThenReset {
        set(cluster, links, Link::Reset);
    }
    set(cluster, links, Link::Open);
}

fn set(cluster: &Cluster, links: &[(usize, usize)], link: Link) {
    for (a, b) in links {
        cluster.network.set(*a, *b, link);
    }
}

/// Returns the other hosts.
fn others(host: usize) -> [usize; HOSTS - 1] {
    std::array::from_fn(|step| (host + 1 + step) % HOSTS)
}

/// Returns the links of a host with the others.
fn links_of(host: usize) -> [(usize, usize); HOSTS - 1] {
    others(host).map(|other| (host, other))
}
