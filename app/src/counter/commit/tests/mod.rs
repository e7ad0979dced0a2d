//! The task against a scripted store, in paused time.

mod batches;
mod closing;
mod deadlines;
mod fake;
mod outages;
