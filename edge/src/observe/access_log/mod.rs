//! One JSON line for each request, written off the hot path.
//!
//! A worker moves a [`Record`] into a bounded queue of its own and goes on: no formatting, no system
//! call, no lock. One thread empties all queues, formats, and writes many lines with one call. While
//! there is nothing to do it looks every 50 ms: being woken would cost a system call per request,
//! looking costs an idle edge twenty wake-ups a second. When it cannot keep up (a slow disk) the queues
//! fill and records are dropped and counted; requests never wait.
//!
//! Lines of one worker are in order; those of different workers may be up to a pause apart.

mod line;
mod log;
mod queue;
mod record;
mod sink;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use self::{log::AccessLog, queue::LogStats, record::Record, sink::Sink, text::Text};
