//! The status page: one HTML document that loads no other resources.
//!
//! All of the page is rendered here. The script fetches the page every two seconds and replaces `main`, so no second
//! implementation in JavaScript can differ; it only adds rates, which need two samples. Without JavaScript the browser
//! reloads the page instead. Signs and words show states; colour only repeats them.

mod decisions;
mod facts;
mod format;
mod mesh;
mod parts;
mod sections;

use std::fmt::{self, Write};

use self::format::{Escaped, count, duration};
use super::status::Status;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The SHA-256 of [`STYLE`] and [`SCRIPT`]. After a change, a test shows the new values.
const STYLE_HASH: &str = "qdAe4YTNJeSyDLYQbnwJB17zl3eJuRymoICQ5jIZPGE=";
const SCRIPT_HASH: &str = "iT3ehqCRLT22KmcAlqT9TKGBbAZ9hUKucVk/IfM6v/g=";

/// Renders the page.
pub(super) fn render(status: &Status) -> String {
    let mut page = String::with_capacity(32 * 1024);
    // Writing to a `String` cannot fail.
    document(&mut page, status).ok();
    page
}

/// Returns its `Content-Security-Policy`, which allows its own style and script and fetches from its own origin.
pub(super) fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'sha256-{SCRIPT_HASH}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn document(out: &mut String, status: &Status) -> fmt::Result {
    out.write_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")?;
    out.write_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")?;
    out.write_str("<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n")?;
    out.write_str("<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n")?;
    let (_, state) = overall_state(status);
    writeln!(out, "<title>{state} · edge</title>")?;
    writeln!(out, "<style>{STYLE}</style>\n</head>\n<body>")?;
    out.write_str("<p id=\"lost\" role=\"status\" hidden></p>\n")?;
    let millis = status.now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    writeln!(out, "<main data-now=\"{millis}\">")?;
    header(out, status)?;
    banners(out, status)?;
    summary(out, status)?;
    for pool in &status.pools {
        sections::pool(out, pool, status.now)?;
    }
    decisions::decisions(out, status)?;
    sections::routes(out, status)?;
    sections::listeners(out, status)?;
    sections::workers(out, status)?;
    sections::errors(out, status)?;
    sections::refusals(out, status)?;
    out.write_str("</main>\n<footer><a href=\"/status.json\">JSON</a> <a href=\"/metrics\">Metrics</a> ")?;
    out.write_str("<a href=\"/readyz\">Readiness</a> <a href=\"/healthz\">Liveness</a></footer>\n")?;
    writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")
}

/// The CSS class and the name of the state of the edge.
fn overall_state(status: &Status) -> (&'static str, &'static str) {
    match (status.alive, status.draining, status.ready) {
        (false, ..) => ("bad", "Stuck"),
        (_, true, _) => ("warn", "Draining"),
        (_, _, false) => ("bad", "Not ready"),
        _ => ("good", "Ready"),
    }
}

fn header(out: &mut String, status: &Status) -> fmt::Result {
    let (class, state) = overall_state(status);
    let up = duration(status.now.duration_since(status.started).unwrap_or_default());
    writeln!(out, "<header><h1>edge</h1><strong class=\"state {class}\">{state}</strong>")?;
    write!(out, "<p>up {up} · version {}", Escaped(status.version))?;
    if let Some(reload) = status.reload.as_ref().filter(|reload| reload.error.is_none()) {
        write!(out, " · configured {}", format::relative_time(reload.at, status.now))?;
    }
    writeln!(out, "</p></header>")
}

/// Writes a banner for each problem that needs attention.
fn banners(out: &mut String, status: &Status) -> fmt::Result {
    let mut banner = |class: &str, text: &str| writeln!(out, "<p class=\"banner {class}\">{}</p>", Escaped(text));
    for reason in &status.reasons {
        banner(if reason.starts_with("draining") { "warn" } else { "bad" }, reason)?;
    }
    for pool in status.pools.iter().filter(|pool| pool.panic && !pool.endpoints.is_empty()) {
        banner("warn", &format!("pool {}: too few endpoints are healthy, so all of them are used", pool.name))?;
    }
    for pool in status.pools.iter().filter(|pool| pool.uses_draining) {
        banner("warn", &format!("pool {}: no endpoint is healthy, so those that drain are used", pool.name))?;
    }
    if let Some(error) = status.reload.as_ref().and_then(|reload| reload.error.as_ref()) {
        banner("bad", &format!("the last reload failed, and the previous configuration stays active: {error}"))?;
    }
    for certificate in status.listeners.iter().filter_map(|listener| listener.certificates.as_ref()).flatten() {
        if let (Some(file), Some(warning)) = (&certificate.file, &certificate.warning) {
            banner("warn", &format!("certificate {file}: {warning}"))?;
        }
    }
    let lost = status.access_log.lost + status.access_log.dropped;
    if lost > 0 {
        banner("warn", &format!("lost access log lines: {}", count(lost)))?;
    }
    Ok(())
}

fn summary(out: &mut String, status: &Status) -> fmt::Result {
    let workers = &status.workers;
    let requests: u64 = workers.iter().map(|worker| worker.requests_h1 + worker.requests_h2).sum();
    let in_flight: u64 = status.pools.iter().flat_map(|pool| &pool.endpoints).map(|endpoint| endpoint.in_flight).sum();
    let failed: u64 = status.pools.iter().map(|pool| pool.responses.server_error).sum();
    out.write_str("<dl class=\"tiles\">\n")?;
    let mut tile = |name: &str, value: &str, note: &str| {
        writeln!(out, "<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>")
    };
    tile("Requests", &count(requests), &sections::rate("requests", requests))?;
    tile("5xx responses", &count(failed), &sections::rate("failed", failed))?;
    tile("In flight", &count(in_flight), "to endpoints")?;
    let accepted: u64 = workers.iter().map(|worker| worker.accepted).sum();
    let open = workers.iter().map(|worker| worker.open).sum();
    tile("Connections", &count(open), &sections::rate("accepted", accepted))?;
    let sent: u64 = workers.iter().map(|worker| worker.bytes_out).sum();
    tile("Sent", &format::bytes(sent), &sections::rate_of_bytes("sent", sent))?;
    let received: u64 = workers.iter().map(|worker| worker.bytes_in).sum();
    tile("Received", &format::bytes(received), &sections::rate_of_bytes("received", received))?;
    out.write_str("</dl>\n")
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

    use super::*;

    #[test]
    fn the_policy_names_the_hashes_of_style_and_script() {
        assert_eq!((STYLE_HASH, SCRIPT_HASH), (sha256(STYLE).as_str(), sha256(SCRIPT).as_str()));
    }

    /// Returns the SHA-256 in base64, as in a policy.
    fn sha256(text: &str) -> String {
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let hash = suite.common.hash_provider.hash(text.as_bytes());
        let mut encoded = String::new();
        for chunk in hash.as_ref().chunks(3) {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for place in 0..4 {
                let digit = (bits >> (18 - 6 * place) & 63) as usize;
                let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                encoded.push(if place <= chunk.len() { char::from(alphabet[digit]) } else { '=' });
            }
        }
        encoded
    }
}
