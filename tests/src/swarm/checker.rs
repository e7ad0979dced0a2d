//! The checker of the count on the swarm: constant visitors, and a judge after every event.
//!
//! There are three kinds of visitors. Most find the edges by DNS and try the next address when one fails, as browsers
//! do. One for each node uses that node's edge only, like a client without an alternative. And some use the counter
//! itself, through the routing mesh of one node after the other.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::cluster::{Cluster, SITE};
use super::table::{Row, Table};
use crate::chaos::clients::{Clients, GivenUp, Stopped, Target, Visitor};
use crate::chaos::history::{History, Hit, Outcome, Round};
use crate::chaos::judge::{Limits, Verdict, judge, longest_outages};
use crate::wait::pause;

const BY_DNS: usize = 6;
const BY_MESH: usize = 3;

/// The pause between visits. It gives about 180 visits a second: enough to see a gap, and a light load for two cores
/// that run three machines.
const THINK: Duration = Duration::from_millis(60);

/// The time limit for a connection. Browsers give up sooner.
const CONNECT: Duration = Duration::from_secs(1);

/// The time limit for an answer. A machine without power sends none.
const PATIENCE: Duration = Duration::from_secs(12);

/// The time limit for a visit that is answered. The counter has 1.8 s; the edge gives up a connection after 3 s, and
/// tries two more, each for a second, when more than one machine is down.
const ANSWERED: Duration = Duration::from_secs(10);

/// The number of attempts of a visitor by DNS: each address, and the first one again.
const TRIES: usize = 4;

/// How long the visitors run before an event, and after the recovery.
const CALM: Duration = Duration::from_secs(1);

/// The time limit for the recovery. The swarm notices a lost node after 15 s, or 40 s when it was the leader, and a Redis
/// server has 50 s to read its file.
const WHOLE: Duration = Duration::from_secs(240);

/// The time limit for a visit, answered or not.
const HIT: Duration = Duration::from_secs(14);

/// The longest outage for all visitors while the swarm recovers on its own.
const OUTAGE: Duration = Duration::from_secs(90);

/// The same while an operator works, who waits for machines.
const BY_HAND: Duration = Duration::from_secs(600);

/// The visitors, and everything that they observed.
#[derive(Debug)]
pub struct Checker {
    clients: Clients,
    stopped: Option<Stopped>,
    zero: Instant,
    history: History,
    given_up: Vec<GivenUp>,
    hosts: usize,
    /// The cost of each event.
    pub table: Table,
}

/// The observations of one event.
#[derive(Debug)]
pub struct Seen {
    /// The verdict of the judge.
    pub verdict: Verdict,
    /// The attempts of visitors by DNS.
    pub by_dns: Vec<Hit>,
    /// The attempts of visitors with one edge each.
    pub one_address: Vec<Hit>,
    /// The attempts of visitors of the counter through the mesh.
    pub by_mesh: Vec<Hit>,
    /// Visits by DNS that failed after all attempts.
    pub failed: Vec<GivenUp>,
    /// The number of promotions of a Redis replica.
    pub promotions: usize,
    /// The longest time without service for visitors by DNS.
    pub outage: Duration,
}

impl Seen {
    /// The attempts of visitors of the edges, by DNS or at one address.
    pub fn by_edges(&self) -> impl Iterator<Item = &Hit> {
        self.by_dns.iter().chain(&self.one_address)
    }

    /// Asserts that every attempt at the edges got a number: for events in which no edge stops.
    ///
    /// # Panics
    /// One did not.
    pub fn all_counted(&self) {
        let others: Vec<&Hit> = self.by_edges().filter(|hit| hit.number().is_none()).collect();
        assert!(others.is_empty(), "{} attempts without a number: {:?}", others.len(), &others[..others.len().min(5)]);
    }
}

impl Checker {
    /// Makes visitors that wait for the first event.
    pub async fn start(cluster: &Cluster) -> Self {
        let zero = Instant::now();
        let visitor =
            |target, first, tries| Visitor { target, first, think: THINK, connect: CONNECT, patience: PATIENCE, tries };
        let edges = cluster.addresses(80);
        let by_dns = (0..BY_DNS).map(|first| visitor(Target::Name(SITE.to_owned(), 80), first, TRIES));
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
            given_up: Vec::new(),
            hosts: edges.len(),
            table: Table::default(),
        }
    }

    /// Starts the visitors, runs `event`, waits for the recovery, stops them and judges what they observed. The event
    /// may report how long lost tasks took to run elsewhere.
    ///
    /// # Panics
    /// The swarm does not become whole again, or the count was wrong.
    pub async fn round(
        &mut self,
        cluster: &mut Cluster,
        kind: &'static str,
        event: impl AsyncFnOnce(&mut Cluster) -> Happened,
    ) -> Seen {
        if self.stopped.is_none() {
            // The event before this one failed: its observations are not judged.
            self.stopped = Some(self.clients.stop().await);
            drop((self.clients.take(), self.clients.take_given_up()));
            cluster.whole(WHOLE).await;
        }
        let (before, epoch) = (cluster.store.count(&cluster.hosts).await, cluster.store.epoch(&cluster.hosts).await);
        self.clients.send_home();
        let began = self.zero.elapsed();
        self.stopped = None;
        pause(CALM).await;
        let injected = self.zero.elapsed();
        let happened = event(cluster).await;
        cluster.whole(WHOLE).await;
        let whole = self.zero.elapsed();
        pause(CALM).await;
        self.stopped = Some(self.clients.stop().await);
        let ended = self.zero.elapsed();
        let after = cluster.store.count(&cluster.hosts).await;
        let promotions = cluster.store.epoch(&cluster.hosts).await.saturating_sub(epoch);
        let fault = happened.what;
        let round = Round { kind, fault: fault.clone(), began, injected, whole, ended, before, after, promotions };

        let hits = self.clients.take();
        let given_up = self.clients.take_given_up();
        let limits = Limits { hit: HIT, outage: happened.outage };
        for hit in &hits {
            let answered = match &hit.outcome {
                Outcome::Counted(_) => true,
                // With a status.
                Outcome::Unknown(why) => why.starts_with(|c: char| c.is_ascii_digit()),
                Outcome::Unsent => false,
            };
            assert!(!answered || hit.took() < ANSWERED, "{fault}: answered after {:?}: {hit:?}", hit.took());
        }
        if let Some(last) = self.history.rounds.last() {
            assert!(before >= last.after, "{fault}: began at {before}, after {}", last.after);
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
        let seen = Seen {
            outage: longest(&by_dns),
            by_dns,
            one_address: of(edges.clone()),
            by_mesh: of(edges.end..edges.end + BY_MESH),
            failed: given_up.iter().filter(|visit| visit.client < BY_DNS).cloned().collect(),
            promotions,
            verdict,
        };
        let wrong = [&seen.verdict.unique, &seen.verdict.exact, &seen.verdict.ordered];
        let row = Row {
            event: if promotions > 0 { format!("{fault}, {promotions} failovers") } else { fault },
            through_dns: seen.outage,
            one_address: edges.map(|client| longest(&of(client..client + 1))).max().unwrap_or_default(),
            wrong: wrong.iter().map(|breaches| breaches.len()).sum(),
            failed: seen.failed.len(),
            visits: hits.iter().filter(|hit| hit.outcome != Outcome::Unsent).count(),
            elsewhere: happened.elsewhere,
            told: None,
            whole: whole.saturating_sub(injected),
        };
        progress(&row);
        self.table.0.push(row);
        self.history.hits.extend(hits);
        self.history.rounds.push(round);
        self.given_up.extend(given_up);
        assert!(seen.verdict.holds(), "{}", Breaches(&seen.verdict));
        seen
    }

    /// Judges everything since the start: also what went on from one event to the next.
    #[must_use]
    pub fn judge(&self) -> Verdict {
        judge(&self.history, Limits { hit: HIT, outage: BY_HAND })
    }

    /// The number of visits that got a number.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.history.acknowledged()
    }
}

/// Prints the progress for the reader.
#[expect(clippy::print_stdout, reason = "what the test has to say")]
fn progress(row: &Row) {
    println!("\n    {}: whole after {:.0} s", row.event, row.whole.as_secs_f64());
}

/// A description of an event.
#[derive(Clone, Debug)]
pub struct Happened {
    /// For the table.
    pub what: String,
    /// How long the lost tasks took to run elsewhere.
    pub elsewhere: Option<Duration>,
    /// The limit for the outage.
    pub outage: Duration,
}

impl Happened {
    /// An event after which nothing has to move.
    #[must_use]
    pub fn of(what: &str) -> Self {
        Self { what: what.to_owned(), elsewhere: None, outage: OUTAGE }
    }

    /// An event that takes the site away until an operator is done.
    #[must_use]
    pub fn by_hand(what: &str) -> Self {
        Self { outage: BY_HAND, ..Self::of(what) }
    }
}

/// The breaches of a verdict, one line each.
pub struct Breaches<'a>(pub &'a Verdict);

impl std::fmt::Display for Breaches<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, breaches) in self.0.invariants().into_iter().filter(|(_, breaches)| !breaches.is_empty()) {
            writeln!(f, "BROKEN {name}")?;
            for breach in breaches.iter().take(5) {
                writeln!(f, "        {breach}")?;
            }
        }
        Ok(())
    }
}
