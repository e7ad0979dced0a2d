//! Finds the endpoints of a pool: name servers are queried, files are read, swarms are asked for their nodes.

mod answer;
pub(crate) mod dns;
pub(super) mod file;
pub(super) mod listing;
pub(super) mod poll;
pub(super) mod source_state;
pub(super) mod srv;
pub(super) mod swarm;

pub use self::{
    answer::{AddressSet, Answer, Decision, Failure, MAX_ADDRESSES, decide},
    file::addresses_in_file,
    swarm::addresses_in_list,
};
