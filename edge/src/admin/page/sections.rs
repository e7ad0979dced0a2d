//! The sections of the page.

use std::{
    fmt::{self, Display, Write},
    time::SystemTime,
};

use super::format::{Escaped, bytes, count, millis, percent, relative_time};
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
    write!(out, "{} retries · {} without an endpoint · ", count(pool.retries), count(pool.no_endpoint))?;
    if pool.over_budget > 0 {
        write!(out, "{} not retried, over budget · ", count(pool.over_budget))?;
    }
    if pool.hedges > 0 {
        write!(out, "{} hedged, {} of them won · ", count(pool.hedges), count(pool.hedges_won))?;
    }
    if pool.queued > 0 {
        write!(out, "{} waited for a connection · ", count(pool.queued))?;
    }
    let note = if pool.routed { "" } else { " · no route uses this pool" };
    writeln!(out, "{}{note}</p>", pool.balance.replace('_', " "))?;
    responses(out, &pool.responses)?;
    endpoints(out, pool, now)?;
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

fn endpoints(out: &mut String, pool: &PoolStatus, now: SystemTime) -> fmt::Result {
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
    table(out, &columns, &pool.endpoints, |endpoint| {
        [
            address(endpoint),
            state(endpoint),
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
    if endpoint.source == address { address } else { format!("{address} <small>{}</small>", Escaped(&endpoint.source)) }
}

fn state(endpoint: &EndpointReport) -> String {
    let class = match endpoint.state {
        "healthy" => "good",
        "unhealthy" => "bad",
        "ejected" | "draining" => "warn",
        _ => "idle",
    };
    let used = if endpoint.usable && endpoint.state != "healthy" { ", used" } else { "" };
    // Failing checks hide a drain.
    let is_hidden = endpoint.order == "drain" && endpoint.state != "draining";
    let drained = if is_hidden { ", drained" } else { "" };
    let reason = Escaped(&endpoint.reason);
    format!("<span class=\"state {class}\">{}{drained}{used}</span> <small>{reason}</small>", endpoint.state)
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
        table(out, &[("Host", ""), ("Path", ""), ("Pool", ""), ("Max. body", "n")], &status.routes, |route| {
            [
                Escaped(&route.host).to_string(),
                Escaped(&route.path).to_string(),
                Escaped(&route.pool).to_string(),
                route.max_body_bytes.map_or_else(|| "unlimited".to_owned(), bytes),
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

/// Formats a number that should be zero.
fn alarming(number: u64) -> String {
    if number == 0 { count(number) } else { format!("<b class=\"alarming\">{}</b>", count(number)) }
}

fn section(out: &mut String, title: &str, content: impl FnOnce(&mut String) -> fmt::Result) -> fmt::Result {
    writeln!(out, "<section><h2>{title}</h2>")?;
    content(out)?;
    writeln!(out, "</section>")
}

/// Writes a table, or nothing if it would be empty. Columns are `(title, class)`. Cells carry their title as well,
/// because each row becomes a list on a narrow screen.
fn table<T, const N: usize, C: Display>(
    out: &mut String,
    columns: &[(&str, &str); N],
    rows: impl IntoIterator<Item = T>,
    cells: impl Fn(T) -> [C; N],
) -> fmt::Result {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    out.write_str("<div class=\"scroll\"><table><thead><tr>")?;
    for (title, class) in columns {
        write!(out, "<th scope=\"col\" class=\"{class}\">{title}</th>")?;
    }
    out.write_str("</tr></thead><tbody>\n")?;
    for row in rows {
        out.write_str("<tr>")?;
        for ((title, class), cell) in columns.iter().zip(cells(row)) {
            write!(out, "<td class=\"{class}\" data-title=\"{title}\"><span>{cell}</span></td>")?;
        }
        out.write_str("</tr>\n")?;
    }
    writeln!(out, "</tbody></table></div>")
}
