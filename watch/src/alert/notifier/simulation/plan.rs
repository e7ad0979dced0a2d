//! What happens in a simulation, and what fails.

use super::*;

/// What may fail in addition to the nodes that alerts are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    /// Nothing; leaders change.
    Healthy,
    /// The log is unavailable for a few seconds, again and again.
    Failover,
    /// Instances die and restart with no state, also between a message and its entry in the log. The log is
    /// unavailable, loses responses and data. Channels fail.
    Hostile,
}

/// From, until.
pub(super) type Span = (Millis, Millis);

pub(super) fn within(spans: &[Span], now: Millis) -> bool {
    spans.iter().any(|(from, until)| (*from..*until).contains(&now))
}

#[derive(Debug)]
pub(super) struct Plan {
    /// When nodes are down, by node.
    pub(super) outages: BTreeMap<String, Vec<Span>>,
    /// The leaders, each with the time since when it leads.
    pub(super) leaders: Vec<(Millis, usize)>,
    pub(super) dead: [Vec<Span>; 3],
    pub(super) log_down: Vec<Span>,
    pub(super) log_lost: Vec<Millis>,
    pub(super) channel_down: [Vec<Span>; 2],
    pub(super) lag: [Millis; 3],
}

impl Plan {
    pub(super) fn new(world: World, rng: &mut Rng) -> Self {
        let span = |rng: &mut Rng, longest: Millis| {
            let from = rng.i64(1000..ACTIVE - 1000);
            (from, (from + rng.i64(500..longest)).min(ACTIVE))
        };
        let spans = |rng: &mut Rng, most: usize, longest| {
            let count = rng.usize(0..=most);
            (0..count).map(|_| span(rng, longest)).collect::<Vec<_>>()
        };
        let mut outage = |name: &str| {
            let mut all = spans(rng, 3, 150_000);
            all.push(span(rng, 150_000));
            (name.to_owned(), all)
        };
        let outages = [outage("w1"), outage("w2"), outage("w3")].into();
        let mut leaders = vec![(0, rng.usize(0..3))];
        // A new leader that cannot use the log would repeat what the old one sent.
        let changes = if world == World::Failover { 0 } else { rng.usize(0..4) };
        leaders.extend((0..changes).map(|_| (rng.i64(0..ACTIVE), rng.usize(0..3))));
        leaders.sort_unstable();
        let hostile = usize::from(world == World::Hostile);
        let log_down = match world {
            World::Healthy => Vec::new(),
            // Shorter than the others wait, and far enough apart that they can wait in between.
            World::Failover => {
                let span = |number: Millis| {
                    let at = number * 40_000 + rng.i64(0..20_000);
                    (at, at + rng.i64(500..7000))
                };
                (0..10).map(span).collect()
            }
            World::Hostile => spans(rng, 4, 60_000),
        };
        let mut deaths = || {
            // Not all at once, so that an instance remains.
            let third = rng.i64(0..3) * ACTIVE / 3;
            let from = third + rng.i64(0..ACTIVE / 6);
            let dies = hostile == 1 && rng.bool();
            dies.then(|| (from, from + rng.i64(500..ACTIVE / 6))).into_iter().collect()
        };
        let dead = [deaths(), deaths(), deaths()];
        Self {
            outages,
            leaders,
            dead,
            log_down,
            log_lost: spans(rng, hostile, 2000).into_iter().map(|(at, _)| at).collect(),
            channel_down: [spans(rng, 2 * hostile, 60_000), spans(rng, 2 * hostile, 60_000)],
            lag: [0; 3].map(|_| rng.i64(0..1500)),
        }
    }

    /// Returns what the instance's engine reports.
    pub(super) fn cluster(&self, instance: usize, now: Millis) -> ClusterState {
        let seen = now - self.lag[instance];
        let (_, leader) = *self.leaders.iter().rev().find(|(since, _)| *since <= seen).unwrap_or(&self.leaders[0]);
        let manager = |(index, name): (usize, &&str)| {
            let node = Node {
                role: NodeRole::Manager,
                state: NodeState::Ready,
                reachable: Some(true),
                leader: index == leader,
                ..Node::default()
            };
            ((*name).to_owned(), node)
        };
        let worker = |(name, spans): (&String, &Vec<Span>)| {
            let state = if within(spans, seen) { NodeState::Down } else { NodeState::Ready };
            (name.clone(), Node { state, ..Node::default() })
        };
        ClusterState {
            source: Source {
                node: INSTANCES[instance].to_owned(),
                leader: instance == leader,
                at: Some(now),
                ..Source::default()
            },
            nodes: INSTANCES.iter().enumerate().map(manager).chain(self.outages.iter().map(worker)).collect(),
            ..ClusterState::default()
        }
    }
}
