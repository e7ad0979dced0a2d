//! The admin listener for operators and their tools: a status page, its data as JSON, metrics, liveness, readiness, and
//! orders to endpoints.
//!
//! `AdminState -> Status -> page | JSON | metrics | liveness | readiness`. [`Status::collect`] reads every counter
//! once, and every response is rendered from that value alone. So the responses are consistent and are tested without a
//! socket. The listener runs on the control thread, so it responds even while workers are stuck, which is what liveness
//! reports.
//!
//! Reading needs no authentication, because there are no secrets to read. Orders to endpoints need a token: see
//! [`orders`]. The address is a loopback address unless configured otherwise.

mod collect;
mod decisions;
mod latency;
mod mesh;
mod metrics;
mod orders;
mod page;
mod respond;
mod rfc3339;
mod serve;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use self::{
    decisions::DecisionReport,
    mesh::{MeshView, NodeView, ReplicaView},
    serve::serve,
    state::{AdminState, BoundListener, EndpointOrder, Reload},
    status::{
        AccessLogStatus, CertificateStatus, EndpointReport, ErrorCount, FlipReport, LatencyStatus, ListenerStatus,
        PoolStatus, ReloadStatus, Responses, RouteStatus, SourceReport, Status, WorkerStatus,
    },
};
