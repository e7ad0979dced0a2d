//! The checker of the count, on the swarm: visitors all the time, and a judge after every event.
//!
//! Three kinds of visitors. Most go by DNS, to the edges, and try the next address when one fails, as browsers do.
//! One for each node goes to that node's edge and nowhere else, as somebody without a choice. And some go to the
//! counter itself, through the routing mesh of one node after the other.

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

/// Visits are some 180 a second: enough to see a gap, and little for two cores that run three machines.
const THINK: Duration = Duration::from_millis(60);

/// How long a connection may take. Browsers give up sooner.
const CONNECT: Duration = Duration::from_secs(1);

/// How long somebody waits for an answer. From a machine that is gone none comes.
const PATIENCE: Duration = Duration::from_secs(12);

/// How long an answer that comes may take. The counter has 1.8 s; the edge gives a connection up after 3 s, and tries
/// two more, each for a second, when more machines are gone than one.
const ANSWERED: Duration = Duration::from_secs(10);

/// How many addresses one tries who goes by DNS: each of them, and the first one once more.
const TRIES: usize = 4;

/// How long all run before an event, and after all is whole again.
const CALM: Duration = Duration::from_secs(1);

/// How long it may take until everything is as before. The swarm notices a lost node after 15 s, or 40 s when it
/// was the leader, and a server of Redis has 50 s to read its file.
const WHOLE: Duration = Duration::from_secs(240);

/// How long a visit may take that may be without an answer.
const HIT: Duration = Duration::from_secs(14);

/// How long all may be without an answer while the swarm mends itself.
const OUTAGE: Duration = Duration::from_secs(90);

/// The same while an operator does, who waits for machines.
const BY_HAND: Duration = Duration::from_secs(600);

/// Visitors, and all that they saw.
#[derive(Debug)]
pub struct Checker {
    clients: Clients,
    stopped: Option<Stopped>,
    zero: Instant,
    history: History,
    given_up: Vec<GivenUp>,
    hosts: usize,
    /// What each event cost.
    pub table: Table,
}

/// What was seen of one event.
#[derive(Debug)]
pub struct Seen {
    /// What the judge says.
    pub verdict: Verdict,
    /// The tries of those who go by DNS.
    pub by_dns: Vec<Hit>,
    /// The tries of those who have one edge each.
    pub one_address: Vec<Hit>,
    /// The tries of those who go to the counter through the mesh.
    pub by_mesh: Vec<Hit>,
    /// Visits by DNS that have failed after all.
    pub failed: Vec<GivenUp>,
    /// How many times a replica of Redis was made master.
    pub promotions: usize,
    /// The longest time that nobody was served who goes by DNS.
    pub outage: Duration,
}

impl Seen {
    /// The tries of those who go to the edges, by DNS or to one address.
    pub fn by_edges(&self) -> impl Iterator<Item = &Hit> {
        self.by_dns.iter().chain(&self.one_address)
    }

    /// Sees that every try of those who go to the edges was answered with a number: where no edge is to go away.
    ///
    /// # Panics
    /// One was not.
    pub fn all_counted(&self) {
        let others: Vec<&Hit> = self.by_edges().filter(|hit| hit.number().is_none()).collect();
        assert!(others.is_empty(), "{} tries without a number: {:?}", others.len(), &others[..others.len().min(5)]);
    }
}

impl Checker {
    /// Visitors that wait for the first event.
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

    /// Lets the visitors go, does `event`, waits until all is whole, stops them and judges what they saw. The event
    /// may say when what it had stopped ran elsewhere.
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
            // An event before this one went wrong: what was seen of it is not judged.
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

    /// How many visits were answered with a number.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.history.acknowledged()
    }
}

/// Told for the reader's patience.
#[expect(clippy::print_stdout, reason = "what the test has to say")]
fn progress(row: &Row) {
    println!("\n    {}: whole after {:.0} s", row.event, row.whole.as_secs_f64());
}

/// What an event was.
#[derive(Clone, Debug)]
pub struct Happened {
    /// For the table.
    pub what: String,
    /// How long it took until what was lost ran elsewhere.
    pub elsewhere: Option<Duration>,
    /// How long nobody may have been served.
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

/// The breaches of a verdict, a line each.
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
