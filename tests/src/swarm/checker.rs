//! The checker of the count on the swarm: visitors arrive all the time, and a judge decides after every event.
//!
//! There are three kinds of visitors. Most find the edges by DNS and try the next address when one fails, as browsers
//! do. One per node uses that node's edge only, like a client without an alternative. The others visit the counter
//! itself, through the routing mesh of one node after the other.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::cluster::{Cluster, SITE};
use super::table::{Latency, Row, Table};
use crate::chaos::clients::{Clients, FailedVisit, Stopped, Target, Visitor};
use crate::chaos::history::{History, Hit, Outcome, Round};
use crate::chaos::judge::{Limits, Verdict, judge, longest_outages};
use crate::wait::pause;

const BY_DNS: usize = 6;
const BY_MESH: usize = 3;

/// The mean pause between visits. It results in about 180 visits a second: enough to notice a gap, and a light load for
/// two cores that run three machines.
const THINK: Duration = Duration::from_millis(60);

/// The time limit for opening a connection. Browsers give up sooner.
const CONNECT: Duration = Duration::from_secs(1);

/// The time limit for a response. A machine without power sends none.
const TIMEOUT: Duration = Duration::from_secs(12);

/// The time limit for a visit that gets a response. The counter has a deadline of 1.8 s; the edge gives up a connection
/// after 3 s, and tries two more, each for a second, when more than one machine is down.
const ANSWERED: Duration = Duration::from_secs(10);

/// The number of attempts of a visitor by DNS: one per address, and another at the first one.
const ATTEMPTS: usize = 4;

/// How long the visitors run before an event, and after the recovery.
const CALM: Duration = Duration::from_secs(1);

/// The time limit for the recovery. The swarm notices a lost node after 15 s, or 40 s when it was the leader, and a
/// Redis server has 50 s to read its file.
const RECOVERY: Duration = Duration::from_secs(240);

/// The time limit for a visit, with or without a response.
const HIT: Duration = Duration::from_secs(14);

/// The longest outage for all visitors while the swarm recovers on its own.
const OUTAGE: Duration = Duration::from_secs(90);

/// The longest outage while an operator works, who waits for machines.
const OPERATOR_OUTAGE: Duration = Duration::from_secs(600);

/// The visitors, and their observations so far.
#[derive(Debug)]
pub struct Checker {
    clients: Clients,
    stopped: Option<Stopped>,
    zero: Instant,
    history: History,
    hosts: usize,
    /// The cost of each event.
    pub table: Table,
}

/// The observations of one event.
#[derive(Debug)]
pub struct Observations {
    /// The judge's verdict.
    pub verdict: Verdict,
    /// The attempts of visitors by DNS.
    pub by_dns: Vec<Hit>,
    /// The attempts of visitors with one edge each.
    pub one_address: Vec<Hit>,
    /// The attempts of visitors of the counter through the mesh.
    pub by_mesh: Vec<Hit>,
    /// Visits by DNS that failed after all attempts.
    pub failed: Vec<FailedVisit>,
    /// The number of promoted Redis replicas.
    pub promotions: usize,
    /// The longest time without service for visitors by DNS.
    pub outage: Duration,
}

impl Observations {
    /// Returns the attempts of visitors of the edges, by DNS or at one address.
    pub fn by_edges(&self) -> impl Iterator<Item = &Hit> {
        self.by_dns.iter().chain(&self.one_address)
    }

    /// Asserts that every attempt at the edges got a number: for events in which no edge stops.
    ///
    /// # Panics
    /// An attempt got none.
    pub fn assert_all_counted(&self) {
        let others: Vec<&Hit> = self.by_edges().filter(|hit| hit.number().is_none()).collect();
        assert!(others.is_empty(), "{} attempts without a number: {:?}", others.len(), &others[..others.len().min(5)]);
    }
}

impl Checker {
    /// Creates visitors that wait for the first event.
    pub async fn start(cluster: &Cluster) -> Self {
        let zero = Instant::now();
        let visitor = |target, first, attempts| Visitor {
            target,
            first,
            think: THINK,
            connect: CONNECT,
            timeout: TIMEOUT,
            attempts,
        };
        let edges = cluster.addresses(80);
        let by_dns = (0..BY_DNS).map(|first| visitor(Target::Name(SITE.to_owned(), 80), first, ATTEMPTS));
        let one_address = edges.iter().map(|edge| visitor(Target::Addresses(vec![*edge]), 0, 1));
        let nodes: Vec<SocketAddr> = cluster.addresses(8000);
        let by_mesh = (0..BY_MESH).map(|first| visitor(Target::Addresses(nodes.clone()), first, 1));
        let all: Vec<Visitor> = by_dns.chain(one_address).chain(by_mesh).collect();
        let (clients, stopped) = Clients::of(all, zero, &mut Rng::with_seed(1)).await;
        Self {
            clients,
            stopped: Some(stopped),
            zero,
            history: History::default(),
            hosts: edges.len(),
            table: Table::default(),
        }
    }

    /// Starts the visitors, runs `event`, waits for the recovery, stops the visitors and judges what they observed.
    ///
    /// # Panics
    /// The swarm does not recover, or the judge finds a violation.
    pub async fn round(
        &mut self,
        cluster: &mut Cluster,
        kind: &'static str,
        event: impl AsyncFnOnce(&mut Cluster) -> Event,
    ) -> Observations {
        if self.stopped.is_none() {
            // The previous event failed: its observations are not judged.
            self.stopped = Some(self.clients.stop().await);
            drop((self.clients.take(), self.clients.take_failed_visits()));
            cluster.until_healthy(RECOVERY).await;
        }
        let (before, epoch) = (cluster.store.count(&cluster.hosts).await, cluster.store.epoch(&cluster.hosts).await);
        self.clients.reset();
        let began = self.zero.elapsed();
        self.stopped = None;
        pause(CALM).await;
        let injected = self.zero.elapsed();
        let event = event(cluster).await;
        cluster.until_healthy(RECOVERY).await;
        let recovered = self.zero.elapsed();
        pause(CALM).await;
        self.stopped = Some(self.clients.stop().await);
        let ended = self.zero.elapsed();
        let after = cluster.store.count(&cluster.hosts).await;
        let promotions = cluster.store.epoch(&cluster.hosts).await.saturating_sub(epoch);
        let fault = event.name;
        let round = Round { kind, fault: fault.clone(), began, injected, recovered, ended, before, after, promotions };

        let hits = self.clients.take();
        let failed_visits = self.clients.take_failed_visits();
        let limits = Limits { hit: HIT, outage: event.max_outage };
        for hit in &hits {
            let answered = match &hit.outcome {
                Outcome::Counted(_) => true,
                // A response with another status.
                Outcome::Unknown(why) => why.starts_with(|c: char| c.is_ascii_digit()),
                Outcome::Unsent => false,
            };
            assert!(!answered || hit.took() < ANSWERED, "{fault}: answered after {:?}: {hit:?}", hit.took());
        }
        if let Some(last) = self.history.rounds.last() {
            assert!(before >= last.after, "{fault}: the count is {before} and was {} before", last.after);
        }
        let verdict = judge(&History { hits: hits.clone(), rounds: vec![round.clone()] }, limits);
        let of = |clients: Range<usize>| -> Vec<Hit> {
            hits.iter().filter(|hit| clients.contains(&hit.client)).cloned().collect()
        };
        let longest = |hits: &[Hit]| {
            let history = History { hits: hits.to_vec(), rounds: vec![round.clone()] };
            longest_outages(&history).first().copied().unwrap_or_default()
        };
        let edges = BY_DNS..BY_DNS + self.hosts;
        let by_dns = of(0..BY_DNS);
        let latency = event.dead.map(|dead| {
            let dead = dead.start.duration_since(self.zero)..dead.end.duration_since(self.zero);
            // Counting may stop at first. The second half says how visitors fare while the machine stays dead.
            let middle = dead.start + dead.end.saturating_sub(dead.start) / 2;
            Latency { before: p99(&by_dns, injected..dead.start), dead: p99(&by_dns, middle..dead.end) }
        });
        let seen = Observations {
            outage: longest(&by_dns),
            by_dns,
            one_address: of(edges.clone()),
            by_mesh: of(edges.end..edges.end + BY_MESH),
            failed: failed_visits.into_iter().filter(|visit| visit.client < BY_DNS).collect(),
            promotions,
            verdict,
        };
        let wrong = [&seen.verdict.unique, &seen.verdict.exact, &seen.verdict.ordered];
        let row = Row {
            event: if promotions > 0 { format!("{fault}, {promotions} failovers") } else { fault },
            through_dns: seen.outage,
            one_address: edges.map(|client| longest(&of(client..client + 1))).max().unwrap_or_default(),
            wrong: wrong.iter().map(|violations| violations.len()).sum(),
            failed: seen.failed.len(),
            visits: hits.iter().filter(|hit| hit.outcome != Outcome::Unsent).count(),
            elsewhere: event.elsewhere,
            latency,
            alerted: None,
            recovered: recovered.saturating_sub(injected),
        };
        print_progress(&row);
        self.table.0.push(row);
        self.history.hits.extend(hits);
        self.history.rounds.push(round);
        assert!(seen.verdict.holds(), "{}", Violations(&seen.verdict));
        seen
    }

    /// Judges everything since the start, across all events.
    #[must_use]
    pub fn judge(&self) -> Verdict {
        judge(&self.history, Limits { hit: HIT, outage: OPERATOR_OUTAGE })
    }

    /// Returns the number of visits that got a number.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.history.acknowledged()
    }
}

/// Returns the 99th percentile of how long the visits took that began in `period` and got a number.
fn p99(hits: &[Hit], period: Range<Duration>) -> Duration {
    let counted = hits.iter().filter(|hit| hit.number().is_some() && period.contains(&hit.started));
    let mut took: Vec<Duration> = counted.map(Hit::took).collect();
    took.sort_unstable();
    took.get(took.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
}

/// Prints one line per event while the journey runs.
#[expect(clippy::print_stdout, reason = "the progress of the test")]
fn print_progress(row: &Row) {
    println!("\n    {}: recovered after {:.0} s", row.event, row.recovered.as_secs_f64());
}

/// What happened to the swarm.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its name in the table.
    pub name: String,
    /// The time until all lost tasks ran elsewhere, if tasks were lost.
    pub elsewhere: Option<Duration>,
    /// From when to when a machine was dead, if one was.
    pub dead: Option<Range<Instant>>,
    /// The longest permitted outage.
    pub max_outage: Duration,
}

impl Event {
    /// Creates an event from which the swarm recovers on its own.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), elsewhere: None, dead: None, max_outage: OUTAGE }
    }

    /// Creates an event with an outage that lasts until an operator is done.
    #[must_use]
    pub fn by_operator(name: &str) -> Self {
        Self { max_outage: OPERATOR_OUTAGE, ..Self::new(name) }
    }
}

/// Displays the violations of a verdict, one per line.
pub struct Violations<'a>(pub &'a Verdict);

impl std::fmt::Display for Violations<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, violations) in self.0.invariants().into_iter().filter(|(_, violations)| !violations.is_empty()) {
            writeln!(f, "BROKEN {name}")?;
            for violation in violations.iter().take(5) {
                writeln!(f, "        {violation}")?;
            }
        }
        Ok(())
    }
}
