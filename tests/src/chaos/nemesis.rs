//! Injects the faults of a plan into a cluster, and heals them.

use std::time::Duration;

use super::cluster::{Cluster, Unhealthy};
use super::network::{HOSTS, Kind};
use super::plan::{Cut, Fault, Return, Victim};
use crate::relay::Link;
use crate::wait::{pause, try_eventually};

/// The time limit for a promotion, which takes two seconds unless the sentinels have to vote again.
const PROMOTION: Duration = Duration::from_secs(15);

/// Injects a fault for its duration and heals it. Does not wait for the recovery.
///
/// # Errors
/// No sentinel names a master.
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
            let host = cluster.host(index);
            host.kill(Kind::Redis);
            host.kill(Kind::Sentinel);
            host.kill(Kind::App);
            pause(down).await;
            cluster.host(index).start_app();
            cluster.start_sentinel(index).await;
            cluster.bring_back(index, back, master);
        }
        Fault::PauseMaster(duration) => {
            cluster.host(master).freeze_redis();
            pause(duration).await;
            cluster.host(master).thaw_redis();
        }
        Fault::PauseMasterUntilPromotion(after) => {
            cluster.host(master).freeze_redis();
            let promoted = try_eventually(PROMOTION, async || cluster.promoted(master).await).await;
            // Without a failover, which is not the counter's fault, the judge sees the outage.
            if promoted.is_some() {
                pause(after).await;
            }
            cluster.host(master).thaw_redis();
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

/// Returns the links of a host with the others.
fn links_of(host: usize) -> [(usize, usize); HOSTS - 1] {
    std::array::from_fn(|step| (host, (host + 1 + step) % HOSTS))
}
