//! Queries the SRV records of a name, and the addresses of their targets.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{endpoints, usable};
use crate::upstream::discovery::{
    AddressSet, Answer, Decision, Failure, answer::ServiceRecord, decide, dns::Resolver, listing::Listing,
};

/// How many targets are resolved at the same time.
const CONCURRENT: usize = 32;

/// Queries the endpoints of one name.
pub(in crate::upstream) struct Client {
    resolver: Rc<Resolver>,
    name: String,
    /// The addresses of the targets of the last answer. As with other names, the last good answer stays valid.
    targets: HashMap<String, AddressSet>,
}

impl Client {
    /// Creates a client that has sent no query yet.
    pub(in crate::upstream) fn new(resolver: Rc<Resolver>, name: &str) -> Self {
        Self { resolver, name: name.to_owned(), targets: HashMap::new() }
    }

    /// Returns the endpoints, and the shortest TTL of all answers; `None` if one of them failed.
    pub(in crate::upstream) async fn query(&mut self) -> (Result<Listing, String>, Option<Duration>) {
        let (records, ttl) = match self.resolver.services(&self.name).await {
            Ok(answer) => answer,
            Err(failure) => return (Err(failure.to_string()), None),
        };
        let records = match usable(records) {
            Ok(records) => records,
            Err(reason) => return (Err(reason.to_owned()), None),
        };
        let (failures, ttl_of_targets) = self.resolve_targets(&records).await;
        let endpoints = endpoints(&records, &self.targets);
        let others = if failures.len() > 1 { format!(" ({} more failed)", failures.len() - 1) } else { String::new() };
        let warning = failures.first().map(|failure| format!("{failure}{others}"));
        if endpoints.is_empty() {
            return (Err(warning.unwrap_or_else(|| "no addresses".to_owned())), None);
        }
        let ttl = if warning.is_some() { None } else { ttl.into_iter().chain(ttl_of_targets).min() };
        (Ok(Listing { endpoints, warning }), ttl)
    }

    /// Updates the addresses of the targets. Returns what failed, in the order of the targets, and the shortest TTL.
    async fn resolve_targets(&mut self, records: &[ServiceRecord]) -> (Vec<String>, Option<Duration>) {
        let names: BTreeSet<&String> = records.iter().map(|record| &record.target).collect();
        self.targets.retain(|target, _| names.contains(target));
        // Each query ends by itself, but with many targets some wait for others.
        let deadline = Instant::now() + 2 * self.resolver.timeout();
        let permits = Rc::new(Semaphore::new(CONCURRENT));
        let mut queries = JoinSet::new();
        for target in names.iter().copied().cloned() {
            let (resolver, permits) = (Rc::clone(&self.resolver), Rc::clone(&permits));
            queries.spawn_local(async move {
                let _permit = permits.acquire().await;
                let answer = resolver.resolve(&target).await;
                (target, answer)
            });
        }
        let mut answers = HashMap::new();
        while let Ok(Some(query)) = timeout_at(deadline, queries.join_next()).await {
            answers.extend(query);
        }
        let (mut failures, mut ttls) = (Vec::new(), Vec::new());
        for target in names {
            let (answer, ttl) = answers.remove(target).unwrap_or_else(|| {
                let late = || Err(Failure::Timeout(self.resolver.timeout()));
                (Answer { v4: late(), v6: late() }, None)
            });
            let addresses = self.targets.entry(target.clone()).or_default();
            let Decision { addresses: new, error } = decide(addresses, &answer);
            if let Some(new) = new {
                *addresses = new;
            }
            ttls.extend(ttl);
            failures.extend(error.map(|error| format!("{}: {error}", target.trim_end_matches('.'))));
        }
        (failures, ttls.into_iter().min())
    }
}
