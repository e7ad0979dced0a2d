//! What operators and their tools read: a status page, its JSON, metrics, liveness and readiness.
//!
//! `AdminState -> Status -> page | JSON | metrics | respond`. [`Status::collect`] reads the counters once; all
//! that is shown is made of that value and of nothing else, so page and metrics of one moment agree and
//! are tested without a socket. Runs on the control thread, so it answers while workers are stuck, which
//! is what liveness is about.
//!
//! There is nothing to change here and no secret to read, so nobody has to log in; the address is
//! loopback unless configured otherwise.

mod collect;
mod family_writer;
mod latency;
mod metrics;
mod page;
mod respond;
mod serve;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use self::{
    serve::serve,
    state::{AdminState, BoundListener, Reload},
    status::{
        AccessLogStatus, CertificateStatus, EndpointReport, ErrorCount, LatencyStatus, ListenerStatus, PoolStatus,
        ReloadStatus, Responses, RouteStatus, SourceReport, Status, WorkerStatus,
    },
};
