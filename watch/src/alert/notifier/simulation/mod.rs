//! Simulates three instances, one log and two channels over virtual time. Whatever fails, every alert is
//! announced, and exactly once if nothing fails.

mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use proptest::prelude::*;

use self::plan::{Plan, Span, World, within};
use super::*;
use crate::{
    alert::{
        notification_log::NotificationLog,
        rule::{Rule, Rules},
    },
    cluster_state::{Node, NodeRole, NodeState, Severity, Source},
};

const STEP: Millis = 50;
const OBSERVE: Millis = 500;
const CLAIM: Millis = 20_000;
/// Alerts and faults begin and end before this time. After it, everything must settle.
const ACTIVE: Millis = 400_000;
const END: Millis = 700_000;
const INSTANCES: [&str; 3] = ["a", "b", "c"];
const RECEIVERS: [&str; 2] = ["mail", "sms"];

/// An operation in progress.
enum Step {
    Claim(AlertGroup),
    Send(Notification),
    Sync(LogSync),
}

struct Pending {
    /// When it completes.
    at: Millis,
    /// The instance, and its life.
    index: usize,
    life: u32,
    step: Step,
    /// The log was unavailable when the operation began.
    fails: bool,
}

impl Pending {
    fn uses_log(&self) -> bool {
        !matches!(self.step, Step::Send(_))
    }
}

struct Instance {
    notifier: Notifier,
    life: u32,
    synced: Millis,
    is_syncing: bool,
}

/// A message that a channel has sent.
#[derive(Clone, Debug)]
struct Message {
    at: Millis,
    receiver: String,
    status: Status,
    kind: Kind,
    fingerprints: Vec<String>,
    /// The sending instance, and its life.
    sender: (usize, u32),
    /// The log has it. No instance knows what was sent by one that died before it was logged.
    is_recorded: bool,
}

struct Simulation {
    world: World,
    plan: Plan,
    rng: Rng,
    config: Arc<NotifierConfig>,
    instances: Vec<Instance>,
    log: NotificationLog,
    steps: Vec<Pending>,
    messages: Vec<Message>,
}

fn config() -> NotifierConfig {
    let receiver =
        |name: &str| Receiver { name: name.to_owned(), minimum: Severity::Warning, resolved: true, repeat: END };
    let mut rules = Rules::default();
    // It has tests of its own, and its messages would mix with the others.
    rules.of_mut(Rule::ChannelFailing).enabled = false;
    NotifierConfig {
        rules,
        silences: Vec::new(),
        receivers: RECEIVERS.iter().map(|name| receiver(name)).collect(),
        delays: Delays { group_wait: 2000, group_interval: 60_000, takeover: 5000, takeover_blind: 15_000 },
    }
}

impl Simulation {
    fn run(world: World, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::new(world, &mut rng);
        let config = Arc::new(config());
        let instance = |name: &str| Instance {
            notifier: Notifier::new(name, config.clone()),
            life: 0,
            synced: -END,
            is_syncing: false,
        };
        let instances = INSTANCES.iter().map(|name| instance(name)).collect();
        let mut simulation = Self {
            world,
            plan,
            rng,
            config,
            instances,
            log: NotificationLog::default(),
            steps: Vec::new(),
            messages: Vec::new(),
        };
        for now in (0..END).step_by(usize::try_from(STEP).unwrap()) {
            simulation.step(now);
        }
        simulation
    }

    fn step(&mut self, now: Millis) {
        if self.plan.log_lost.iter().any(|at| (*at..at + STEP).contains(&now)) {
            self.log = NotificationLog::default();
        }
        for (index, name) in INSTANCES.iter().enumerate() {
            if within(&self.plan.dead[index], now) {
                let instance = &mut self.instances[index];
                instance.notifier = Notifier::new(&format!("{name}{}", instance.life), self.config.clone());
                instance.life += 1;
                instance.is_syncing = false;
                continue;
            }
            if now % OBSERVE == 0 {
                self.instances[index].notifier.observe(&self.plan.cluster(index, now), now);
                for group in self.instances[index].notifier.next(now) {
                    self.begin(index, now, Step::Claim(group));
                }
            }
            let instance = &mut self.instances[index];
            if !instance.is_syncing && now - instance.synced >= instance.notifier.pause() {
                instance.is_syncing = true;
                instance.synced = now;
                let sync = instance.notifier.log_sync(now);
                self.begin(index, now, Step::Sync(sync));
            }
        }
        // A step that completes may make others complete, but starts none that completes at once.
        while let Some(next) =
            self.steps.iter().enumerate().filter(|(_, step)| step.at <= now).min_by_key(|(_, step)| step.at)
        {
            let pending = self.steps.remove(next.0);
            // What a dead instance sent before has left already, or never will.
            if self.instances[pending.index].life == pending.life {
                self.end(pending, now);
            }
        }
    }

    fn begin(&mut self, index: usize, now: Millis, step: Step) {
        let mut pending = Pending { at: now, index, life: self.instances[index].life, step, fails: false };
        if pending.uses_log() {
            // An instance uses the log for one request after the other.
            let last = self.steps.iter().filter(|other| other.index == index && other.uses_log());
            let from = last.map(|other| other.at).max().unwrap_or(now).max(now);
            pending.fails = within(&self.plan.log_down, from);
            pending.at = from + if pending.fails { 1500 } else { self.rng.i64(10..300) };
        } else {
            pending.at = now + self.rng.i64(50..2000);
        }
        self.steps.push(pending);
    }

    fn end(&mut self, pending: Pending, now: Millis) {
        let Pending { index, step, fails, .. } = pending;
        // The log has its own clock.
        let there = now + 7_000_000;
        let fails = fails || within(&self.plan.log_down, now);
        let is_lost = self.world == World::Hostile && now < ACTIVE && self.rng.u8(0..20) == 0;
        if fails && !matches!(step, Step::Send(_)) {
            // What waits behind a failure has waited for long enough.
            for other in self.steps.iter_mut().filter(|other| other.index == index && other.uses_log()) {
                (other.at, other.fails) = (now, true);
            }
        }
        match step {
            Step::Claim(group) => {
                let owner = self.instances[index].notifier.instance.clone();
                let results = if fails {
                    Err(())
                } else {
                    let results = group.claim(&owner, &mut self.log, CLAIM, there);
                    self.log.prune(there);
                    if is_lost { Err(()) } else { Ok(results) }
                };
                if let Some(notification) = self.instances[index].notifier.claimed(&group, results, now) {
                    self.begin(index, now, Step::Send(notification));
                }
            }
            Step::Send(notification) => {
                let channel = RECEIVERS.iter().position(|receiver| *receiver == notification.receiver).unwrap();
                let outcome = if within(&self.plan.channel_down[channel], now) {
                    let pause = Duration::from_secs(1 << notification.failures.min(5));
                    Err(Failure::new("down", Retry::After(pause)))
                } else {
                    self.messages.push(Message {
                        at: now,
                        receiver: notification.receiver.clone(),
                        status: notification.kind.status(),
                        kind: notification.kind,
                        fingerprints: notification.items.iter().map(|item| item.fingerprint.clone()).collect(),
                        sender: (index, self.instances[index].life),
                        is_recorded: false,
                    });
                    Ok(())
                };
                // The instance dies after sending and before logging.
                if self.world == World::Hostile && now < ACTIVE && self.rng.u8(0..20) == 0 {
                    self.plan.dead[index].push((now, now + 3000));
                }
                self.instances[index].notifier.sent(&notification, outcome, now);
            }
            Step::Sync(sync) => {
                let entries = if fails {
                    Err(())
                } else {
                    let entries = sync.apply(&mut self.log, there);
                    self.log.prune(there);
                    if is_lost { Err(()) } else { Ok(entries) }
                };
                let instance = &mut self.instances[index];
                instance.is_syncing = false;
                if entries.is_ok() {
                    // A step begins its syncs before its messages leave.
                    let own = |message: &&mut Message| message.sender == (index, instance.life) && message.at < sync.at;
                    self.messages.iter_mut().filter(own).for_each(|message| message.is_recorded = true);
                }
                instance.notifier.synced(&sync, entries, now);
            }
        }
    }

    /// Returns the messages about one node through one channel.
    fn about(&self, receiver: &str, node: &str) -> Vec<&Message> {
        let fingerprint = format!("node_down/{node}");
        let about = |message: &&Message| message.receiver == receiver && message.fingerprints.contains(&fingerprint);
        self.messages.iter().filter(about).collect()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (node, spans) in &self.plan.outages {
            for receiver in RECEIVERS {
                let about = self.about(receiver, node);
                let messages: Vec<_> = about.iter().map(|message| (message.at, message.kind)).collect();
                prop_assert!(
                    about.first().is_none_or(|first| first.kind != Kind::Resolved),
                    "an end without a beginning: {node} {receiver} {messages:?}"
                );
                prop_assert!(
                    about.last().is_none_or(|last| last.status == Status::Resolved || !last.is_recorded),
                    "never resolved: {node} {receiver} {messages:?}"
                );
                if self.world != World::Hostile {
                    let alternate = about.windows(2).all(|pair| pair[0].status != pair[1].status);
                    prop_assert!(alternate, "twice: {node} {receiver} {messages:?} {spans:?}");
                }
                self.check_announced(node, receiver, spans, &about)?;
            }
        }
        for instance in &self.instances {
            let left: BTreeSet<_> = instance.notifier.alerts().into_keys().collect();
            prop_assert!(!instance.notifier.has_unlogged(), "still something to write down; {left:?}");
        }
        Ok(())
    }

    /// Checks that every lasting alert was announced, and in time if nothing failed.
    fn check_announced(
        &self,
        node: &str,
        receiver: &str,
        spans: &[Span],
        about: &[&Message],
    ) -> Result<(), TestCaseError> {
        for &(from, until) in spans {
            let (longer, within) = match self.world {
                // `for`, grouping, observation, lag, a claim and a message, and one message before it.
                World::Healthy => (8000, 3000 + 2000 + 1500 + 1500 + 2 * (600 + 2000)),
                // And the time until the log is known to be unavailable.
                World::Failover => (8000, 3000 + 2000 + 1500 + 1500 + 2 * (3600 + 2000)),
                // And all outages one after the other, and the claim of an instance that died.
                World::Hostile => (100_000, 300_000),
            };
            if until - from < longer {
                continue;
            }
            // Announced in time, or known from an alert just before, whose end was then not announced. An end
            // whose message no instance knows of leaves the alert announced, too.
            let last = about.iter().rfind(|message| message.at <= from);
            let known = last.is_some_and(|last| last.status == Status::Firing || !last.is_recorded);
            let announced = about.iter().any(|message| {
                (from..from + within).contains(&message.at)
                    && (message.status == Status::Firing || message.kind == Kind::Late)
            });
            let messages: Vec<_> = about.iter().map(|message| (message.at, message.kind)).collect();
            prop_assert!(known || announced, "not announced: {node} {receiver} {from}..{until} {messages:?}");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_announced_once_while_nothing_fails(seed: u64) {
        Simulation::run(World::Healthy, seed).check()?;
    }

    #[test]
    fn a_failover_of_the_log_delays_little_and_causes_no_duplicates(seed: u64) {
        Simulation::run(World::Failover, seed).check()?;
    }

    #[test]
    fn everything_is_announced_whatever_fails(seed: u64) {
        Simulation::run(World::Hostile, seed).check()?;
    }
}

/// An instance dies between its message and the log while a sync that began in the same step is under way.
#[test]
fn a_message_that_left_with_the_beginning_of_a_sync_is_not_in_it() {
    Simulation::run(World::Hostile, 10_799_249_542_107_983_069).check().unwrap();
}
