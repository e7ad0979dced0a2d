//! The rules by name, with their defaults.

use std::{fmt, time::Duration};

use crate::cluster_state::Severity;

/// What can be wrong, in the order of the reference and of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`description` documents them, for the reference as well")]
pub enum Rule {
    QuorumLost,
    NodeDown,
    ManagerUnreachable,
    QuorumAtRisk,
    RedisMaster,
    RedisReplica,
    EdgePool,
    EdgeDown,
    ServiceBelow,
    UpdateFailed,
    CrashLoop,
    JobFailed,
    Disk,
    Certificate,
    SelfSigned,
    PictureStale,
    ChannelFailing,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 17] = [
        Self::QuorumLost,
        Self::NodeDown,
        Self::ManagerUnreachable,
        Self::QuorumAtRisk,
        Self::RedisMaster,
        Self::RedisReplica,
        Self::EdgePool,
        Self::EdgeDown,
        Self::ServiceBelow,
        Self::UpdateFailed,
        Self::CrashLoop,
        Self::JobFailed,
        Self::Disk,
        Self::Certificate,
        Self::SelfSigned,
        Self::PictureStale,
        Self::ChannelFailing,
    ];

    /// Returns the rule's name in the file, in messages and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QuorumLost => "quorum_lost",
            Self::NodeDown => "node_down",
            Self::ManagerUnreachable => "manager_unreachable",
            Self::QuorumAtRisk => "quorum_at_risk",
            Self::RedisMaster => "redis_master",
            Self::RedisReplica => "redis_replica",
            Self::EdgePool => "edge_pool",
            Self::EdgeDown => "edge_down",
            Self::ServiceBelow => "service_below",
            Self::UpdateFailed => "update_failed",
            Self::CrashLoop => "crash_loop",
            Self::JobFailed => "job_failed",
            Self::Disk => "disk",
            Self::Certificate => "certificate",
            Self::SelfSigned => "self_signed",
            Self::PictureStale => "picture_stale",
            Self::ChannelFailing => "channel_failing",
        }
    }

    /// Returns the rule of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Describes in one sentence when the rule holds.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::QuorumLost => "Too few managers are reachable: nothing in the swarm can be changed",
            Self::NodeDown => "The swarm no longer hears from a node",
            Self::ManagerUnreachable => "The other managers cannot reach a manager",
            Self::QuorumAtRisk => "Losing one more manager would lose the quorum",
            Self::RedisMaster => "No Redis is master, or no sentinel answers",
            Self::RedisReplica => "The master has no replica, so it accepts no writes",
            Self::EdgePool => "A pool of an edge has no usable endpoint or is in panic",
            Self::EdgeDown => "An edge does not answer",
            Self::ServiceBelow => "A service runs fewer tasks than desired",
            Self::UpdateFailed => "An update of a service was paused or rolled back",
            Self::CrashLoop => "Tasks keep ending in the same slot",
            Self::JobFailed => "A task of a job failed and is not run again",
            Self::Disk => "A node's disk is almost full",
            Self::Certificate => "A certificate expires soon",
            Self::SelfSigned => "An edge presents a self-signed certificate",
            Self::PictureStale => "The engine reports no newer cluster state to this instance",
            Self::ChannelFailing => "Messages through a channel fail, or do not reach everyone",
        }
    }

    /// Describes the default severity.
    #[must_use]
    pub fn default_severity(self) -> &'static str {
        match self {
            Self::NodeDown => "critical; warning if it is drained",
            Self::EdgeDown => "warning; critical if none answers",
            Self::ServiceBelow => "warning; critical if none runs",
            Self::UpdateFailed => "critical while paused; otherwise warning",
            Self::Disk | Self::Certificate => "warning; critical below a second limit",
            Self::ManagerUnreachable | Self::QuorumAtRisk | Self::CrashLoop | Self::JobFailed | Self::PictureStale => {
                "warning"
            }
            Self::SelfSigned => "info",
            Self::QuorumLost | Self::RedisMaster | Self::RedisReplica | Self::EdgePool => "critical",
            Self::ChannelFailing => "warning; critical once it lasts 15 min",
        }
    }

    /// Returns the default timing.
    #[must_use]
    pub fn timing(self) -> Timing {
        let (wait, resolve_after) = match self {
            // The swarm takes about 15 s to call a node down, and an alert is promised within 30 s.
            Self::NodeDown => (3, 10),
            // After the loss of a leader there is none for 10 to 20 s, longer if votes are split. Until then the
            // swarm looks the same.
            Self::QuorumLost => (45, 10),
            // Longer than the swarm takes to call the node down, which is the better alert.
            Self::ManagerUnreachable => (20, 15),
            Self::QuorumAtRisk => (30, 15),
            // A failover takes less, and so does the time without ready replicas during it.
            Self::RedisMaster => (20, 10),
            Self::RedisReplica | Self::EdgePool => (30, 15),
            // Longer than it takes until the node is down, even if it was the leader's.
            Self::EdgeDown | Self::ServiceBelow => (60, 15),
            Self::UpdateFailed => (0, 15),
            Self::CrashLoop => (0, 60),
            // The swarm takes a moment to decide whether the task is run again.
            Self::JobFailed => (10, 15),
            Self::Disk => (60, 300),
            Self::Certificate | Self::SelfSigned => (60, 60),
            Self::PictureStale => (30, 10),
            // A restart of the service that receives messages takes less, and greylisting not much more.
            Self::ChannelFailing => (300, 30),
        };
        Timing { wait: Duration::from_secs(wait), resolve_after: Duration::from_secs(resolve_after) }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How long a condition must hold, and be absent, before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long it must hold before the alert fires; `for` in the file.
    pub wait: Duration,
    /// How long it must be absent before the alert is resolved.
    pub resolve_after: Duration,
}

/// The configuration of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whether the rule is evaluated.
    pub enabled: bool,
    /// The severity; `None` uses the rule's own.
    pub severity: Option<Severity>,
    /// The rule's timing.
    pub timing: Timing,
}

/// The configuration of all rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// In the order of [`Rule::ALL`].
    settings: [Setting; Rule::ALL.len()],
    /// What counts as a crash loop.
    pub crash_loop: CrashLoop,
    /// Remaining lifetime of a certificate.
    pub certificate: Thresholds<Duration>,
    /// Free share of a disk.
    pub disk: Thresholds<f64>,
    /// How long a completed roll-back is reported.
    pub rollback_recent: Duration,
}

/// What counts as a crash loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashLoop {
    /// This many tasks in the same slot that ended by themselves
    pub restarts: u32,
    /// within this time.
    pub window: Duration,
}

/// Limits below which a value is reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds<T> {
    /// A value below this is a warning.
    pub warning: T,
    /// A value below this is critical.
    pub critical: T,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Rules {
    fn default() -> Self {
        Self {
            settings: Rule::ALL.map(|rule| Setting { enabled: true, severity: None, timing: rule.timing() }),
            crash_loop: CrashLoop { restarts: 3, window: Duration::from_secs(10 * 60) },
            certificate: Thresholds { warning: 14 * DAY, critical: 3 * DAY },
            disk: Thresholds { warning: 0.10, critical: 0.05 },
            rollback_recent: Duration::from_secs(60 * 60),
        }
    }
}

impl Rules {
    /// Returns the configuration of `rule`.
    #[must_use]
    pub fn of(&self, rule: Rule) -> &Setting {
        &self.settings[rule as usize]
    }

    /// Returns the configuration of `rule` for changes.
    pub fn of_mut(&mut self, rule: Rule) -> &mut Setting {
        &mut self.settings[rule as usize]
    }
}
