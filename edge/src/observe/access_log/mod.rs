//! One JSON line for each request, written off the hot path.
//!
//! A worker moves a [`Record`] into a bounded queue of its own and continues: it formats nothing, makes no system call
//! and takes no lock. One thread empties all queues, formats the records, and writes many lines with one call. While
//! all queues are empty it polls them every 50 ms. Waking it would cost a system call per request; polling costs an
//! idle edge twenty wake-ups a second. If it cannot keep up, for example on a slow disk, the queues fill up, and
//! further records are dropped and counted. Requests never wait.
//!
//! The lines of one worker are in order. The lines of different workers may be out of order by one poll interval.

mod line;
mod log;
mod queue;
mod record;
mod request_text;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

pub use self::{log::AccessLog, queue::LogStats, record::Record, request_text::RequestText, sink::Sink};
