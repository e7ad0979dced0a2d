//! The metrics of the process: version, state, reloads, access log and certificates.

use std::fmt;

use prometheus_client::{metrics::MetricType, registry::Unit};

use super::{
    family_writer::FamilyWriter,
    series::{flag, unix},
};
use crate::admin::status::Status;

pub(super) fn encode(families: &mut FamilyWriter<'_>, status: &Status) -> fmt::Result {
    families
        .0
        .encode_descriptor("build", "The version of the edge", None, MetricType::Info)?
        .encode_info(&[("version", status.version)])?;
    families.gauge("start_time", Some(&Unit::Seconds), "When the edge started, as Unix time", unix(status.started))?;
    families.gauge("ready", None, "Whether the edge is ready for requests, 0 or 1", flag(status.ready))?;
    families.gauge("draining", None, "Whether the edge is draining, 0 or 1", flag(status.draining))?;
    if let Some(reload) = &status.reload {
        let good = flag(reload.error.is_none());
        families.gauge("reload_success", None, "Whether the last reload succeeded, 0 or 1", good)?;
        families.gauge(
            "reload_time",
            Some(&Unit::Seconds),
            "When the last reload was, as Unix time",
            unix(reload.at),
        )?;
    }
    let memory = &status.memory;
    let used = memory.used_bytes as f64;
    families.gauge("memory_used", Some(&Unit::Bytes), "Memory that clients make the edge hold", used)?;
    if let Some(limit) = memory.limit_bytes {
        families.gauge("memory_limit", Some(&Unit::Bytes), "Limit of that memory", limit as f64)?;
    }
    let log = &status.access_log;
    families.counters(
        "access_log_lines",
        None,
        "Access log lines by outcome",
        [
            ([("outcome", "written")], log.written),
            ([("outcome", "lost")], log.lost),
            ([("outcome", "dropped")], log.dropped),
        ],
    )?;
    families.counter("access_log_errors", None, "Failed writes to the access log", log.errors)
}

pub(super) fn encode_certificates(families: &mut FamilyWriter<'_>, status: &Status) -> fmt::Result {
    let expiries = status.listeners.iter().flat_map(|listener| {
        listener.certificates.iter().flatten().map(|certificate| {
            let file = certificate.file.clone().unwrap_or_else(|| "self-signed".to_owned());
            ([("listener", listener.address.to_string()), ("certificate", file)], unix(certificate.not_after))
        })
    });
    families.gauges("certificate_expiry", Some(&Unit::Seconds), "When a certificate expires, as Unix time", expiries)
}
