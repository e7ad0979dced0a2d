//! Forwards a request, whatever its protocol: checks, route, attempts, response.

mod affinity;
pub mod attempt;
mod candidates;
mod client_limits;
mod connect;
mod exchange;
mod hedge;
pub mod max_forwards;
mod outcome;
mod pick;
pub mod prepare;
mod race;
mod recovery;
pub mod request;
pub mod request_record;
pub mod respond;
mod retry_rules;
mod retry_state;
mod rules;
mod session;
mod suspects;
pub mod upgrade;
mod wait;
