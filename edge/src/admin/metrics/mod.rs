//! Renders the metrics of a [`Status`] in the OpenMetrics text format, which Prometheus reads.
//!
//! Names begin with `edge_` and end with the unit, followed only by `_total` for counters. The series of an endpoint
//! end when it leaves its pool, and those of a replica when no worker knows it any more; of these there are a bounded
//! number, because replicas name themselves. `worker` is a label only where an imbalance between workers matters.

mod clients;
mod endpoints;
mod family_writer;
mod mesh;
mod pools;
mod process;
mod series;

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::Registry,
};

use self::family_writer::FamilyWriter;
use super::status::Status;

/// The `Content-Type` of the result of [`render`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Renders all metrics.
///
/// # Errors
/// None in practice: writing to a `String` does not fail.
pub(super) fn render(status: &Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("edge");
    registry.register_collector(Box::new(Metrics(status.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Metrics(Status);

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = FamilyWriter(encoder);
        process::encode(&mut families, &self.0)?;
        clients::encode(&mut families, &self.0)?;
        pools::encode(&mut families, &self.0.pools)?;
        endpoints::encode(&mut families, &self.0.pools)?;
        mesh::encode(&mut families, &self.0.pools)?;
        process::encode_certificates(&mut families, &self.0)
    }
}
