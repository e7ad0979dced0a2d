//! Which faults to inject, in which order. Pure: a seed determines the plan.
//!
//! A fault names its victims by their role at the time ("the master's host"), so that a plan does not depend on which
//! host has the master.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// A host by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The host whose Redis is the master.
    Master,
    /// One of the other two: the first or second host after the master's.
    Replica(usize),
}

/// What happens to the connections between two hosts while they are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing arrives, without an error on either side. Data sent meanwhile arrives when the cut is healed.
    SilentThenLate,
    /// As [`SilentThenLate`](Self::SilentThenLate), but healing resets the open connections.
    SilentThenReset,
    /// Connections are reset, and new ones are refused.
    Reset,
}

/// How a Redis server is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// In its old role: a former master believes that it still is one.
    AsItWas,
    /// By the stack's own script, which asks the sentinels first.
    Guarded,
}

/// A fault. A duration is how long it lasts, or how long a killed process stays down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL of the master.
    KillMaster(Duration, Return),
    /// SIGKILL of a replica.
    KillReplica(usize, Duration),
    /// SIGKILL of a host's sentinel.
    KillSentinel(Victim, Duration),
    /// SIGKILL of a host's counter.
    KillApp(Victim, Duration),
    /// SIGKILL of all processes of a host.
    KillHost(Victim, Duration, Return),
    /// SIGSTOP of the master, then SIGCONT.
    PauseMaster(Duration),
    /// SIGSTOP of the master, and SIGCONT when this duration has passed after the promotion of another.
    PauseMasterUntilPromotion(Duration),
    /// No connection between two hosts: the master's and a replica's, or both replicas'.
    CutPair(Victim, Victim, Cut, Duration),
    /// A host is cut off from both others. Its own processes and the clients still reach it.
    Isolate(Victim, Cut, Duration),
    /// Traffic between a host and both others is delayed by the first duration, for the second.
    Delay(Victim, Duration, Duration),
    /// The master's replies to the counters are lost for this duration; then their connections are reset.
    DropReplies(Duration),
    /// SIGKILL of all sentinels at once, followed by an immediate restart.
    RestartSentinels,
    /// SIGKILL of the master, loss of its disk, and an immediate restart.
    EmptyMaster,
    /// SIGSTOP of the sentinels of the hosts other than this one, then SIGCONT. After more than two seconds they are in
    /// TILT.
    StopSentinels(Victim, Duration),
    /// SIGKILL of all processes of the master's host while the other sentinels are stopped for this duration. The host
    /// returns after the promotion of another.
    KillMasterHostStopSentinels(Duration),
    /// All processes of a host are stopped for the first duration again and again, for the second in all.
    Starve(Victim, Duration, Duration),
    /// The wall clock of a host's Redis and sentinel is set to this many seconds from the others', and stays there.
    StepClock(Victim, i64),
}

impl Fault {
    /// Returns its kind, for a table.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::KillMaster(_, Return::AsItWas) => "kill master, back as it was",
            Self::KillMaster(_, Return::Guarded) => "kill master, back guarded",
            Self::KillReplica(..) => "kill replica",
            Self::KillSentinel(..) => "kill sentinel",
            Self::KillApp(..) => "kill counter",
            Self::KillHost(Victim::Master, ..) => "kill master's host",
            Self::KillHost(Victim::Replica(_), ..) => "kill replica's host",
            Self::PauseMaster(_) => "pause master",
            Self::PauseMasterUntilPromotion(_) => "pause master until promotion",
            Self::CutPair(..) => "cut between two hosts",
            Self::Isolate(Victim::Master, ..) => "isolate master's host",
            Self::Isolate(Victim::Replica(_), ..) => "isolate replica's host",
            Self::Delay(..) => "delay",
            Self::DropReplies(_) => "drop the master's replies",
            Self::RestartSentinels => "restart all sentinels",
            Self::EmptyMaster => "master back empty",
            Self::StopSentinels(..) => "stop two sentinels",
            Self::KillMasterHostStopSentinels(_) => "kill host, stop sentinels",
            Self::Starve(..) => "starve a host",
            Self::StepClock(..) => "step a clock",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Returns the endless faults of `seed`, dealt like cards: every kind appears before any repeats, and those that cause
/// a failover appear several times.
pub fn faults(seed: u64) -> impl Iterator<Item = Fault> {
    let mut rng = Rng::with_seed(seed);
    let mut deck: Vec<Fault> = Vec::new();
    std::iter::from_fn(move || {
        if deck.is_empty() {
            deck = shuffled(&mut rng);
        }
        deck.pop()
    })
}

fn shuffled(rng: &mut Rng) -> Vec<Fault> {
    let mut deck = vec![
        Fault::KillMaster(ms(rng, 100..600), any_return(rng)),
        Fault::KillMaster(ms(rng, 1_000..2_500), Return::AsItWas),
        Fault::KillMaster(ms(rng, 2_000..4_000), Return::Guarded),
        Fault::KillReplica(rng.usize(0..2), ms(rng, 200..3_000)),
        Fault::KillSentinel(any_host(rng), ms(rng, 200..3_000)),
        Fault::KillApp(any_host(rng), ms(rng, 100..1_000)),
        Fault::KillHost(Victim::Master, ms(rng, 1_500..4_000), any_return(rng)),
        Fault::KillHost(Victim::Master, ms(rng, 2_000..4_000), any_return(rng)),
        Fault::KillHost(Victim::Replica(rng.usize(0..2)), ms(rng, 500..3_000), any_return(rng)),
        Fault::PauseMaster(ms(rng, 600..1_200)),
        Fault::PauseMaster(ms(rng, 1_200..2_500)),
        Fault::PauseMasterUntilPromotion(ms(rng, 0..5)),
        Fault::PauseMasterUntilPromotion(ms(rng, 0..150)),
        Fault::PauseMasterUntilPromotion(ms(rng, 100..1_500)),
        Fault::CutPair(Victim::Master, Victim::Replica(rng.usize(0..2)), any_cut(rng), ms(rng, 1_000..4_000)),
        Fault::CutPair(Victim::Replica(0), Victim::Replica(1), any_cut(rng), ms(rng, 500..3_000)),
        Fault::Isolate(Victim::Master, any_cut(rng), ms(rng, 300..1_500)),
        Fault::Isolate(Victim::Master, any_cut(rng), ms(rng, 2_000..5_000)),
        Fault::Isolate(Victim::Master, any_cut(rng), ms(rng, 2_000..5_000)),
        Fault::Isolate(Victim::Replica(rng.usize(0..2)), any_cut(rng), ms(rng, 500..4_000)),
        Fault::Delay(any_host(rng), ms(rng, 5..200), ms(rng, 1_000..2_500)),
        Fault::DropReplies(ms(rng, 1..500)),
        Fault::DropReplies(ms(rng, 500..2_500)),
        Fault::RestartSentinels,
        Fault::EmptyMaster,
        Fault::StopSentinels(any_host(rng), ms(rng, 1_500..4_000)),
        Fault::KillMasterHostStopSentinels(ms(rng, 2_100..4_000)),
        Fault::Starve(Victim::Master, ms(rng, 100..700), ms(rng, 2_000..5_000)),
        Fault::Starve(Victim::Replica(rng.usize(0..2)), ms(rng, 100..700), ms(rng, 2_000..5_000)),
        Fault::StepClock(any_host(rng), rng.i64(-90..90)),
    ];
    rng.shuffle(&mut deck);
    deck
}

fn ms(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

fn any_return(rng: &mut Rng) -> Return {
    if rng.bool() { Return::AsItWas } else { Return::Guarded }
}

fn any_cut(rng: &mut Rng) -> Cut {
    match rng.u8(0..3) {
        0 => Cut::SilentThenLate,
        1 => Cut::SilentThenReset,
        _ => Cut::Reset,
    }
}

fn any_host(rng: &mut Rng) -> Victim {
    match rng.usize(0..3) {
        2 => Victim::Master,
        replica => Victim::Replica(replica),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_determines_the_plan() {
        let plan = |seed| faults(seed).take(100).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn the_first_deck_contains_every_kind() {
        let kinds: HashSet<&str> = faults(1).take(30).map(|fault| fault.kind()).collect();
        // The third killed master returns in one of the two ways.
        assert_eq!(kinds.len(), 20, "{kinds:?}");
    }
}
