//! `edge dns NAME`: whether the world finds the edges by their name.
//!
//! [`resolve`] asks name servers, [`probe`] asks each address whether an edge answers there and what
//! certificate it shows; both only write down what they saw, as [`facts`]. [`findings`] derives findings from that,
//! each with what to do about it, without a socket or a clock, and [`report`] shows all of it, to people or as
//! JSON. Everything is asked at the same time and within one time-out each; what is shown does not depend on who
//! answered first.
//!
//! An edge is known by its answer to `OPTIONS *` with `Max-Forwards: 0`; see [`crate::proxy::max_forwards`]. That says which
//! program answers. That it is one's own edge is what its certificate proves.

mod date;
pub mod facts;
pub mod findings;
pub mod flags;
pub mod probe;
pub mod report;
mod resolve;
#[cfg(test)]
mod testing;
mod tls;

use std::{collections::BTreeSet, io, net::IpAddr, time::SystemTime};

use tokio::{runtime::Builder, task::JoinSet};

use self::{facts::Facts, probe::Contacts, report::Report, resolve::Resolver};
use crate::{dns_check::flags::NameCheck, upstream::discovery::AddressSet};

/// Addresses that are asked; a name with more is not one of edges.
const MOST: usize = 256;

/// Finds out everything about a name. Takes at most three times the time-out.
///
/// # Errors
/// The system refuses a runtime.
pub fn run(wanted: &NameCheck) -> io::Result<Report> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let facts = runtime.block_on(find_out(wanted));
    Ok(Report::new(facts))
}

async fn find_out(wanted: &NameCheck) -> Facts {
    let resolvers = wanted.system.then(Resolver::of_the_system).into_iter();
    let resolvers: Vec<_> = resolvers.chain(wanted.resolvers.iter().copied().map(Resolver::named)).collect();
    let mut asked = JoinSet::new();
    for (index, resolver) in resolvers.into_iter().enumerate() {
        let (name, timeout) = (wanted.name.clone(), wanted.timeout);
        asked.spawn(async move { (index, resolver.ask(&name, timeout).await) });
    }
    let mut resolvers = asked.join_all().await;
    resolvers.sort_by_key(|(index, _)| *index);
    let resolvers: Vec<_> = resolvers.into_iter().map(|(_, resolver)| resolver).collect();

    let all: BTreeSet<IpAddr> = resolvers.iter().flat_map(facts::Resolver::addresses).collect();
    let contacts = Contacts::new(wanted);
    let mut asked = JoinSet::new();
    for address in all.iter().copied().filter(AddressSet::is_usable).take(MOST) {
        let contacts = contacts.clone();
        asked.spawn(async move { contacts.ask(address).await });
    }
    let mut addresses = asked.join_all().await;
    addresses.sort_by_key(|address| address.address);
    Facts {
        name: wanted.name.clone(),
        now: SystemTime::now(),
        hosts_file: if wanted.system { resolve::in_hosts_file(&wanted.name) } else { Vec::new() },
        resolvers,
        addresses,
        ports: contacts.ports(),
    }
}
