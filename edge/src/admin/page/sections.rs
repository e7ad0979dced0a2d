//! The sections of the page.

use std::{
    fmt::{self, Write},
    time::SystemTime,
};

use super::{
    facts,
    format::{Escaped, bytes, count, millis, percent, relative_time},
    mesh,
    parts::{MANY, alarming, folded, section, table},
};
use crate::admin::status::{EndpointReport, PoolStatus, Responses, Status};

/// Writes the section of a pool: its numbers, its endpoints, and those of its sources that are not addresses.
pub(super) fn pool(out: &mut String, pool: &PoolStatus, now: SystemTime) -> fmt::Result {
    let (known, usable) = (pool.endpoints.len(), pool.usable);
    let class = match usable {
        0 if !pool.routed => "idle",
        0 => "bad",
        _ if pool.panic || usable < known => "warn",
        _ => "good",
    };
    writeln!(out, "<section><h2>Pool {}", Escaped(&pool.name))?;
    writeln!(out, " <span class=\"state {class}\">{usable} of {known} usable</span></h2>")?;
    write!(
        out,
        "<p class=\"facts\">{} requests {} · ",
        count(pool.requests),
        rate(&format!("pool:{}", pool.name), pool.requests)
    )?;
    write!(out, "latency p50 {} p99 {} · ", millis(pool.latency.p50_ms), millis(pool.latency.p99_ms))?;
    if pool.over_budget > 0 {
        write!(out, "{} not retried, over budget · ", count(pool.over_budget))?;
    }
    if pool.hedges > 0 {
        write!(out, "{} hedged, {} of them won · ", count(pool.hedges), count(pool.hedges_won))?;
    }
    facts::decisions(out, pool)?;
    let note = if pool.routed { "" } else { " · no route uses this pool" };
    writeln!(out, "{}{note}</p>", pool.balance.replace('_', " "))?;
    responses(out, &pool.responses)?;
    endpoints(out, pool, now)?;
    mesh::tables(out, pool)?;
    sources(out, pool, now)?;
    writeln!(out, "</section>")
}

/// Writes the responses by class, as a bar and as numbers.
fn responses(out: &mut String, responses: &Responses) -> fmt::Result {
    let total: u64 = responses.classes().iter().map(|(_, number)| number).sum();
    if total == 0 {
        return Ok(());
    }
    out.write_str(
        "<div class=\"responses\"><svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
    )?;
    let mut left = 0.0;
    for (class, number) in responses.classes() {
        let width = number as f64 / total as f64 * 100.0;
        write!(out, "<rect class=\"c{class}\" x=\"{left:.3}\" width=\"{width:.3}\" height=\"1\"/>")?;
        left += width;
    }
    out.write_str("</svg><ul>")?;
    for (class, number) in responses.classes().into_iter().filter(|(_, number)| *number > 0) {
        let share = number as f64 / total as f64 * 100.0;
        write!(out, "<li class=\"c{class}\">{class} {} <small>{share:.2} %</small></li>", count(number))?;
    }
    writeln!(out, "</ul></div>")
}

/// Writes the endpoints. Of many, those that work as ever are folded up.
fn endpoints(out: &mut String, pool: &PoolStatus, now: SystemTime) -> fmt::Result {
    let all = pool.endpoints.iter();
    if pool.endpoints.len() <= MANY {
        return table_of_endpoints(out, all, now);
    }
    let (notable, usual): (Vec<_>, Vec<_>) = all.partition(|endpoint| facts::is_notable(endpoint, now));
    let summary = format!("{} endpoints that have been healthy for a while", count(usual.len() as u64));
    table_of_endpoints(out, notable, now)?;
    folded(out, &format!("endpoints-{}", pool.name), &summary, !usual.is_empty(), |out| {
        table_of_endpoints(out, usual, now)
    })
}

fn table_of_endpoints<'a>(
    out: &mut String,
    endpoints: impl IntoIterator<Item = &'a EndpointReport>,
    now: SystemTime,
) -> fmt::Result {
    let columns = [
        ("Endpoint", ""),
        ("State", ""),
        ("Since", ""),
        ("In flight", "n"),
        ("Requests", "n"),
        ("4xx", "n"),
        ("5xx", "n"),
        ("Connect failures", "n"),
        ("Resets", "n"),
        ("Timeouts", "n"),
        ("Connections", "n"),
        ("Reused", "n"),
    ];
    table(out, &columns, endpoints, |endpoint| {
        [
            address(endpoint),
            state(endpoint, now),
            relative_time(endpoint.since, now),
            count(endpoint.in_flight),
            count(endpoint.requests),
            count(endpoint.responses.client_error),
            alarming(endpoint.responses.server_error),
            alarming(endpoint.connect_failures),
            alarming(endpoint.resets),
            alarming(endpoint.timeouts),
            count(endpoint.connections_open),
            percent(endpoint.reuse),
        ]
    })
}

fn address(endpoint: &EndpointReport) -> String {
    let address = endpoint.address.to_string();
    let source = Some(&endpoint.source).filter(|source| **source != address);
    let notes: Vec<_> = source.into_iter().cloned().chain(facts::placement(endpoint)).collect();
    if notes.is_empty() { address } else { format!("{address} <small>{}</small>", Escaped(notes.join(" · "))) }
}

fn state(endpoint: &EndpointReport, now: SystemTime) -> String {
    let class = match endpoint.state {
        "healthy" => "good",
        "unhealthy" => "bad",
        "ejected" | "probation" | "draining" => "warn",
        _ => "idle",
    };
    let used = if endpoint.usable && endpoint.state != "healthy" { ", used" } else { "" };
    // Failing checks hide a drain.
    let is_hidden = endpoint.order == "drain" && endpoint.state != "draining";
    let drained = if is_hidden { ", drained" } else { "" };
    let suspect = endpoint.suspect.map_or(String::new(), |why| format!(", suspect: {why}"));
    let reason = Escaped(&endpoint.reason);
    let history = facts::history(endpoint, now);
    format!(
        "<span class=\"state {class}\">{}{drained}{used}{suspect}</span> <small>{reason}{history}</small>",
        endpoint.state
    )
}

fn sources(out: &mut String, pool: &PoolStatus, now: SystemTime) -> fmt::Result {
    let named: Vec<_> =
        pool.sources.iter().filter(|source| source.source.parse::<std::net::SocketAddr>().is_err()).collect();
    table(out, &[("Source", ""), ("Endpoints", "n"), ("Last resolved", ""), ("Problem", "")], named, |source| {
        [
            Escaped(&source.source).to_string(),
            count(source.endpoints as u64),
            source.resolved.map_or_else(|| "never".to_owned(), |time| relative_time(time, now)),
            match &source.error {
                Some(error) => format!("<span class=\"state warn\">{}</span>", Escaped(error)),
                None => "none".to_owned(),
            },
        ]
    })
}

/// Writes the section of routes.
pub(super) fn routes(out: &mut String, status: &Status) -> fmt::Result {
    section(out, "Routes", |out| {
        let columns = [("Host", ""), ("Path", ""), ("Pool", ""), ("Max. body", "n"), ("Rules", "")];
        table(out, &columns, &status.routes, |route| {
            [
                Escaped(&route.host).to_string(),
                Escaped(&route.path).to_string(),
                Escaped(&route.pool).to_string(),
                route.max_body_bytes.map_or_else(|| "unlimited".to_owned(), bytes),
                if route.rules.is_empty() { "–".to_owned() } else { route.rules.join(", ") },
            ]
        })
    })
}

/// Writes the section of listeners with their certificates.
pub(super) fn listeners(out: &mut String, status: &Status) -> fmt::Result {
    let rows = status.listeners.iter().flat_map(|listener| {
        let certificates = listener.certificates.as_deref().unwrap_or_default();
        // A listener without TLS still has one row.
        let empty = certificates.is_empty().then_some((listener, None));
        certificates.iter().map(move |certificate| (listener, Some(certificate))).chain(empty)
    });
    section(out, "Listeners", |out| {
        let columns = [("Address", ""), ("Protocol", ""), ("Certificate for", ""), ("Expires", ""), ("Problem", "")];
        table(out, &columns, rows, |(listener, certificate)| {
            let Some(certificate) = certificate else {
                let nothing = || "–".to_owned();
                return [listener.address.to_string(), "HTTP".to_owned(), nothing(), nothing(), nothing()];
            };
            [
                listener.address.to_string(),
                "HTTPS".to_owned(),
                Escaped(certificate.names.join(", ")).to_string(),
                relative_time(certificate.not_after, status.now),
                match &certificate.warning {
                    Some(warning) => format!("<span class=\"state warn\">{}</span>", Escaped(warning)),
                    None => "none".to_owned(),
                },
            ]
        })
    })
}

/// Writes the section of workers.
pub(super) fn workers(out: &mut String, status: &Status) -> fmt::Result {
    let columns = [
        ("Worker", "n"),
        ("State", ""),
        ("Connections", "n"),
        ("Accepted", "n"),
        ("Refused", "n"),
        ("Shed", "n"),
        ("HTTP/1", "n"),
        ("HTTP/2", "n"),
        ("Tunnels", "n"),
        ("Handshakes", "n"),
        ("Failed handshakes", "n"),
        ("Not HTTP", "n"),
        ("Received", "n"),
        ("Sent", "n"),
    ];
    section(out, "Workers", |out| {
        table(out, &columns, &status.workers, |worker| {
            let (class, state) = if worker.stuck { ("bad", "stuck") } else { ("good", "running") };
            [
                worker.worker.to_string(),
                format!("<span class=\"state {class}\">{state}</span>"),
                count(worker.open),
                count(worker.accepted),
                alarming(worker.refused),
                alarming(worker.shed),
                count(worker.requests_h1),
                count(worker.requests_h2),
                count(worker.tunnels),
                count(worker.handshakes),
                count(worker.handshake_failures),
                count(worker.bad_heads),
                bytes(worker.bytes_in),
                bytes(worker.bytes_out),
            ]
        })
    })
}

/// Writes the section of errors, without the kinds that never occurred.
pub(super) fn errors(out: &mut String, status: &Status) -> fmt::Result {
    let occurred: Vec<_> = status.errors.iter().filter(|error| error.count > 0).collect();
    if occurred.is_empty() {
        return Ok(());
    }
    section(out, "Errors and local replies", |out| {
        table(out, &[("Kind", ""), ("Requests", "n"), ("Rate", "n")], occurred, |error| {
            let rate = rate(&format!("error:{}", error.kind), error.count);
            [error.kind.replace('_', " "), count(error.count), rate]
        })
    })
}

/// Writes the section of refused clients, without the reasons that never occurred.
pub(super) fn refusals(out: &mut String, status: &Status) -> fmt::Result {
    let occurred: Vec<_> = status.refusals.iter().filter(|refusal| refusal.count > 0).collect();
    if occurred.is_empty() {
        return Ok(());
    }
    section(out, "Refused clients", |out| {
        table(out, &[("Reason", ""), ("Refusals", "n"), ("Rate", "n")], occurred, |refusal| {
            let rate = rate(&format!("refusal:{}", refusal.reason), refusal.count);
            [refusal.reason.replace('_', " "), count(refusal.count), rate]
        })
    })
}

/// An element in which the script shows the increase of `value` per second. Empty without JavaScript.
pub(super) fn rate(key: &str, value: u64) -> String {
    format!("<span class=\"rate\" data-rate=\"{}\" data-value=\"{value}\"></span>", Escaped(key))
}

/// Like [`rate`], in bytes.
pub(super) fn rate_of_bytes(key: &str, value: u64) -> String {
    format!("<span class=\"rate\" data-rate=\"{}\" data-value=\"{value}\" data-bytes></span>", Escaped(key))
}
