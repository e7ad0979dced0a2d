//! Three instances, one ledger and two channels, in a time of their own: whatever goes wrong, everything is
//! announced, and once when nothing does.

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
        notification_log::Book,
        rule::{Rule, Rules},
    },
    cluster_state::{Node, NodeRole, NodeState, Source},
};

const STEP: Millis = 50;
const OBSERVE: Millis = 500;
const CLAIM: Millis = 20_000;
/// Trouble and faults begin and end before; then all is well and everything has to come to its end.
const ACTIVE: Millis = 400_000;
const END: Millis = 700_000;
const INSTANCES: [&str; 3] = ["a", "b", "c"];
const LINES: [&str; 2] = ["mail", "sms"];

/// Something under way.
enum Step {
    Claim(Job),
    Send(Notice),
    Sync(Push),
}

struct Pending {
    /// When it ends.
    at: Millis,
    /// Whose, in which life.
    index: usize,
    life: u32,
    step: Step,
    /// The ledger was away when it was asked.
    fails: bool,
}

impl Pending {
    fn is_of_ledger(&self) -> bool {
        !matches!(self.step, Step::Send(_))
    }
}

struct Instance {
    desk: Desk,
    life: u32,
    synced: Millis,
    is_syncing: bool,
}

/// One message that came out of a channel.
#[derive(Clone, Debug)]
struct Message {
    at: Millis,
    line: String,
    word: Word,
    kind: Kind,
    fingerprints: Vec<String>,
    /// Who sent it, in which life.
    sender: (usize, u32),
    /// The ledger has it. What somebody sent who died before is not known to anybody.
    is_recorded: bool,
}

struct Simulation {
    world: World,
    plan: Plan,
    rng: Rng,
    orders: Arc<Orders>,
    instances: Vec<Instance>,
    book: Book,
    steps: Vec<Pending>,
    messages: Vec<Message>,
}

fn orders() -> Orders {
    let line = |name: &str| Line { name: name.to_owned(), minimum: Severity::Warning, resolved: true, repeat: END };
    let mut rules = Rules::default();
    // It has its own tests, and its messages would have to be told from the others.
    rules.of_mut(Rule::ChannelFailing).enabled = false;
    Orders {
        rules,
        silences: Vec::new(),
        lines: LINES.iter().map(|name| line(name)).collect(),
        delays: Delays { group_wait: 2000, group_interval: 60_000, takeover: 5000, blind: 15_000 },
    }
}

impl Simulation {
    fn run(world: World, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::new(world, &mut rng);
        let orders = Arc::new(orders());
        let instance =
            |name: &str| Instance { desk: Desk::new(name, orders.clone()), life: 0, synced: -END, is_syncing: false };
        let instances = INSTANCES.iter().map(|name| instance(name)).collect();
        let mut simulation = Self {
            world,
            plan,
            rng,
            orders,
            instances,
            book: Book::default(),
            steps: Vec::new(),
            messages: Vec::new(),
        };
        for now in (0..END).step_by(usize::try_from(STEP).unwrap()) {
            simulation.step(now);
        }
        simulation
    }

    fn step(&mut self, now: Millis) {
        if self.plan.ledger_lost.iter().any(|at| (*at..at + STEP).contains(&now)) {
            self.book = Book::default();
        }
        for (index, name) in INSTANCES.iter().enumerate() {
            if within(&self.plan.dead[index], now) {
                let instance = &mut self.instances[index];
                instance.desk = Desk::new(&format!("{name}{}", instance.life), self.orders.clone());
                instance.life += 1;
                instance.is_syncing = false;
                continue;
            }
            if now % OBSERVE == 0 {
                self.instances[index].desk.observe(&self.plan.cluster(index, now), now);
                for job in self.instances[index].desk.next(now) {
                    self.begin(index, now, Step::Claim(job));
                }
            }
            let instance = &mut self.instances[index];
            if !instance.is_syncing && now - instance.synced >= instance.desk.pause() {
                instance.is_syncing = true;
                instance.synced = now;
                let push = instance.desk.push(now);
                self.begin(index, now, Step::Sync(push));
            }
        }
        // Whatever ends may end others with it, but begins none that ends at once.
        while let Some(next) =
            self.steps.iter().enumerate().filter(|(_, step)| step.at <= now).min_by_key(|(_, step)| step.at)
        {
            let pending = self.steps.remove(next.0);
            // What the dead have sent before has left already, or never will.
            if self.instances[pending.index].life == pending.life {
                self.end(pending, now);
            }
        }
    }

    fn begin(&mut self, index: usize, now: Millis, step: Step) {
        let mut pending = Pending { at: now, index, life: self.instances[index].life, step, fails: false };
        if pending.is_of_ledger() {
            // An instance asks the ledger one thing after the other.
            let last = self.steps.iter().filter(|other| other.index == index && other.is_of_ledger());
            let from = last.map(|other| other.at).max().unwrap_or(now).max(now);
            pending.fails = within(&self.plan.ledger_down, from);
            pending.at = from + if pending.fails { 1500 } else { self.rng.i64(10..300) };
        } else {
            pending.at = now + self.rng.i64(50..2000);
        }
        self.steps.push(pending);
    }

    fn end(&mut self, pending: Pending, now: Millis) {
        let Pending { index, step, fails, .. } = pending;
        // The ledger's own clock.
        let there = now + 7_000_000;
        let fails = fails || within(&self.plan.ledger_down, now);
        let is_lost = self.world == World::Cruel && now < ACTIVE && self.rng.u8(0..20) == 0;
        if fails && !matches!(step, Step::Send(_)) {
            // What waits behind a failure has waited for long enough.
            for other in self.steps.iter_mut().filter(|other| other.index == index && other.is_of_ledger()) {
                (other.at, other.fails) = (now, true);
            }
        }
        match step {
            Step::Claim(job) => {
                let owner = self.instances[index].desk.me.clone();
                let verdicts = if fails {
                    Err(())
                } else {
                    let verdicts = job.claim(&owner, &mut self.book, CLAIM, there);
                    self.book.prune(there);
                    if is_lost { Err(()) } else { Ok(verdicts) }
                };
                if let Some(notice) = self.instances[index].desk.claimed(&job, verdicts, now) {
                    self.begin(index, now, Step::Send(notice));
                }
            }
            Step::Send(notice) => {
                let channel = LINES.iter().position(|line| *line == notice.line).unwrap();
                let outcome = if within(&self.plan.channel_down[channel], now) {
                    let pause = Duration::from_secs(1 << notice.failures.min(5));
                    Err(Failure { error: "down".to_owned(), retry: Retry::After(pause) })
                } else {
                    self.messages.push(Message {
                        at: now,
                        line: notice.line.clone(),
                        word: notice.kind.word(),
                        kind: notice.kind,
                        fingerprints: notice.items.iter().map(|item| item.fingerprint.clone()).collect(),
                        sender: (index, self.instances[index].life),
                        is_recorded: false,
                    });
                    Ok(())
                };
                // Sent, and dead before it could be written down.
                if self.world == World::Cruel && now < ACTIVE && self.rng.u8(0..20) == 0 {
                    self.plan.dead[index].push((now, now + 3000));
                }
                self.instances[index].desk.sent(&notice, outcome, now);
            }
            Step::Sync(push) => {
                let told = if fails {
                    Err(())
                } else {
                    let told = push.apply(&mut self.book, there);
                    self.book.prune(there);
                    if is_lost { Err(()) } else { Ok(told) }
                };
                let instance = &mut self.instances[index];
                instance.is_syncing = false;
                if told.is_ok() {
                    let own =
                        |message: &&mut Message| message.sender == (index, instance.life) && message.at <= push.at;
                    self.messages.iter_mut().filter(own).for_each(|message| message.is_recorded = true);
                }
                instance.desk.synced(&push, told, now);
            }
        }
    }

    /// The messages about one node through one channel.
    fn about(&self, line: &str, node: &str) -> Vec<&Message> {
        let fingerprint = format!("node_down/{node}");
        let about = |message: &&Message| message.line == line && message.fingerprints.contains(&fingerprint);
        self.messages.iter().filter(about).collect()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (node, spans) in &self.plan.troubles {
            for line in LINES {
                let about = self.about(line, node);
                let words: Vec<_> = about.iter().map(|message| (message.at, message.kind)).collect();
                prop_assert!(
                    about.first().is_none_or(|first| first.kind != Kind::Resolved),
                    "an end without a beginning: {node} {line} {words:?}"
                );
                prop_assert!(
                    about.last().is_none_or(|last| last.word == Word::Resolved || !last.is_recorded),
                    "never resolved: {node} {line} {words:?}"
                );
                if self.world != World::Cruel {
                    let alternate = about.windows(2).all(|pair| pair[0].word != pair[1].word);
                    prop_assert!(alternate, "twice: {node} {line} {words:?} {spans:?}");
                }
                self.check_told(node, line, spans, &about)?;
            }
        }
        for instance in &self.instances {
            let left: BTreeSet<_> = instance.desk.alerts().into_keys().collect();
            prop_assert!(!instance.desk.is_ahead(), "still something to write down; {left:?}");
        }
        Ok(())
    }

    /// Whatever lasted was told, in time where nothing went wrong.
    fn check_told(&self, node: &str, line: &str, spans: &[Span], about: &[&Message]) -> Result<(), TestCaseError> {
        for &(from, until) in spans {
            let (longer, within) = match self.world {
                // Patience, grouping, looks, a lag, a claim and a message, and one before it.
                World::Kind => (8000, 3000 + 2000 + 1500 + 1500 + 2 * (600 + 2000)),
                // And what it takes to find out that nobody answers.
                World::Failover => (8000, 3000 + 2000 + 1500 + 1500 + 2 * (3600 + 2000)),
                // Also all that can be away, one after the other, and a claim of somebody who died.
                World::Cruel => (100_000, 300_000),
            };
            if until - from < longer {
                continue;
            }
            // Told at the time, or known already from a trouble just before, which is then not over.
            // An end that nobody knows to have been told leaves it known, too.
            let last = about.iter().rfind(|message| message.at <= from);
            let known = last.is_some_and(|last| last.word == Word::Firing || !last.is_recorded);
            let told = about.iter().any(|message| {
                (from..from + within).contains(&message.at)
                    && (message.word == Word::Firing || message.kind == Kind::Late)
            });
            let words: Vec<_> = about.iter().map(|message| (message.at, message.kind)).collect();
            prop_assert!(known || told, "not told: {node} {line} {from}..{until} {words:?}");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_announced_once_while_nothing_goes_wrong(seed: u64) {
        Simulation::run(World::Kind, seed).check()?;
    }

    #[test]
    fn a_failover_of_the_ledger_delays_little_and_doubles_nothing(seed: u64) {
        Simulation::run(World::Failover, seed).check()?;
    }

    #[test]
    fn everything_is_announced_whatever_goes_wrong(seed: u64) {
        Simulation::run(World::Cruel, seed).check()?;
    }
}
