//! Injects the faults of a plan into a cluster, and heals it again.

use std::time::Duration;

use super::cluster::{Cluster, NotWhole};
use super::network::{HOSTS, Kind};
use super::plan::{Cut, Fault, Return, Victim};
use crate::relay::Link;
use crate::wait::{pause, try_eventually};

/// The time limit for a promotion. It takes two seconds, unless the sentinels have to vote again.
const PROMOTION: Duration = Duration::from_secs(15);

/// Injects a fault, lets it last, and heals it, but does not wait until all is whole.
///
/// # Errors
/// No sentinel names a master.
pub async fn strike(cluster: &mut Cluster, fault: Fault) -> Result<(), NotWhole> {
    // Between two faults the cluster is whole, so there is a master.
    let master = cluster.master().await.ok_or_else(|| NotWhole::of("no sentinel names a master"))?;
    match fault {
        Fault::KillMaster(down, back) => {
            cluster.host(master).kill(Kind::Redis);
            pause(down).await;
            cluster.bring_back(master, back, master);
        }
        Fault::KillReplica(which, down) => {
            let host = Cluster::find(Victim::Replica(which), master);
            cluster.host(host).kill(Kind::Redis);
            pause(down).await;
            cluster.bring_back(host, Return::AsItWas, master);
        }
        Fault::KillSentinel(victim, down) => {
            let host = Cluster::find(victim, master);
            cluster.host(host).kill(Kind::Sentinel);
            pause(down).await;
            cluster.start_sentinel(host).await;
        }
        Fault::KillApp(victim, down) => {
            let host = cluster.host(Cluster::find(victim, master));
            host.kill(Kind::App);
            pause(down).await;
            host.start_app();
        }
        Fault::KillHost(victim, down, back) => {
            let index = Cluster::find(victim, master);
            let host = cluster.host(index);
            host.kill(Kind::Redis);
            host.kill(Kind::Sentinel);
            host.kill(Kind::App);
            pause(down).await;
            cluster.host(index).start_app();
            cluster.start_sentinel(index).await;
            cluster.bring_back(index, back, master);
        }
        Fault::PauseMaster(lasting) => {
            cluster.host(master).freeze_redis();
            pause(lasting).await;
            cluster.host(master).thaw_redis();
        }
        Fault::PauseMasterUntilPromotion(after) => {
            cluster.host(master).freeze_redis();
            let promoted = try_eventually(PROMOTION, async || cluster.promoted(master).await).await;
            // A missing failover is not the counter's fault; the judge sees the outage.
            if promoted.is_some() {
                pause(after).await;
            }
            cluster.host(master).thaw_redis();
        }
        Fault::CutPair(a, b, how, lasting) => {
            cut(cluster, &[(Cluster::find(a, master), Cluster::find(b, master))], how, lasting).await;
        }
        Fault::Isolate(victim, how, lasting) => {
            cut(cluster, &around(Cluster::find(victim, master)), how, lasting).await;
        }
        Fault::Delay(victim, by, lasting) => {
            let links = around(Cluster::find(victim, master));
            set(cluster, &links, Link::Slow(by));
            pause(lasting).await;
            set(cluster, &links, Link::Open);
        }
        Fault::DropReplies(lasting) => {
            cluster.network.mute(Some(master));
            pause(lasting).await;
            cluster.network.mute(None);
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

async fn cut(cluster: &Cluster, links: &[(usize, usize)], how: Cut, lasting: Duration) {
    set(cluster, links, if how == Cut::Reset { Link::Reset } else { Link::Silent });
    pause(lasting).await;
    if how == Cut::SilentThenReset {
        set(cluster, links, Link::Reset);
    }
    set(cluster, links, Link::Open);
}

fn set(cluster: &Cluster, links: &[(usize, usize)], link: Link) {
    for (a, b) in links {
        cluster.network.set(*a, *b, link);
    }
}

/// The links of a host with the others.
fn around(host: usize) -> [(usize, usize); HOSTS - 1] {
    std::array::from_fn(|step| (host, (host + 1 + step) % HOSTS))
}
