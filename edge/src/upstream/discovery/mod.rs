//! Finds the endpoints of a pool: name servers are queried, swarms are asked for their nodes.

mod answer;
pub(crate) mod dns;
pub(super) mod poll;
pub(super) mod source_state;
pub(super) mod swarm;

pub use self::{
    answer::{AddressSet, Answer, Decision, Failure, MAX_ADDRESSES, decide},
    swarm::addresses_in_list,
};
