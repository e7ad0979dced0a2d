//! `edge dns NAME`: checks whether clients find the edges by their name.
//!
//! [`resolve`] queries name servers, and [`probe`] determines for each address whether an edge responds there and which
//! certificate it presents. Both only record what they observe, as [`facts`]. [`findings`] derives problems and hints
//! from the facts, each with advice, without a socket or a clock. [`report`] prints all of it as text or as JSON.
//! Queries run concurrently, and so do probes; each has a time limit. The report does not depend on the order in which
//! they end.
//!
//! An edge is recognised by its response to `OPTIONS *` with `Max-Forwards: 0`; see [`crate::proxy::max_forwards`]. The
//! response identifies the program; only the certificate proves whose edge it is.

mod answer;
mod date;
mod exchange;
pub mod facts;
pub mod findings;
pub mod flags;
pub mod probe;
pub mod report;
mod resolve;
mod suitable;
#[cfg(test)]
mod testing;
mod tls;

use std::{collections::BTreeSet, io, net::IpAddr, time::SystemTime};

use tokio::{runtime::Builder, task::JoinSet};

use self::{facts::Facts, flags::NameCheck, probe::Prober, report::Report, resolve::Resolver};

/// The largest number of addresses to probe. No name of edges has more.
const MAX_ADDRESSES: usize = 256;

/// Checks a name. Takes at most three times the time limit.
///
/// # Errors
/// The system cannot create a runtime.
pub fn run(check: &NameCheck) -> io::Result<Report> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let facts = runtime.block_on(collect(check));
    Ok(Report::new(facts))
}

async fn collect(check: &NameCheck) -> Facts {
    let system = check.system.then(Resolver::system).into_iter();
    let resolvers = system.chain(check.resolvers.iter().copied().map(Resolver::at));
    let mut queries = JoinSet::new();
    for (index, resolver) in resolvers.enumerate() {
        let (name, timeout) = (check.name.clone(), check.timeout);
        queries.spawn(async move { (index, resolver.resolve(&name, timeout).await) });
    }
    let mut resolvers = queries.join_all().await;
    resolvers.sort_by_key(|(index, _)| *index);
    let resolvers: Vec<_> = resolvers.into_iter().map(|(_, resolver)| resolver).collect();

    let all: BTreeSet<IpAddr> = resolvers.iter().flat_map(suitable::usable).collect();
    let prober = Prober::new(check);
    let mut probes = JoinSet::new();
    for address in all.into_iter().take(MAX_ADDRESSES) {
        let prober = prober.clone();
        probes.spawn(async move { prober.probe(address).await });
    }
    let mut addresses = probes.join_all().await;
    addresses.sort_by_key(|address| address.address);
    Facts {
        name: check.name.clone(),
        now: SystemTime::now(),
        hosts_file: if check.system { resolve::in_hosts_file(&check.name) } else { Vec::new() },
        resolvers,
        addresses,
        ports: prober.ports(),
    }
}
