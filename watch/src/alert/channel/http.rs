//! One HTTP request, and what its response means.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Uri};
use net::tls::{client_config, system_roots};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use rustls::pki_types::CertificateDer;

use super::send_error::{RetryHint, SendError};
use crate::alert::{settings::Secret, text::clean};

/// How many bytes of a response are read to find its reason.
const MAX_READ: usize = 4096;

/// Sends requests, and hides secrets when they fail.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
}

impl Http {
    /// Creates a client that trusts these authorities in addition to the system's.
    ///
    /// # Errors
    /// The certificate of an authority cannot be used.
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, String> {
        let tls = client_config(system_roots(), authorities).map_err(|error| format!("ca_file: {error}"))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("watch/", env!("CARGO_PKG_VERSION")))
            // Messages and tokens must not be sent to another address.
            .redirect(Policy::none())
            // Connections are not reused: an idle one may lead to a machine that is gone.
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_secs(5))
            .build();
        Ok(Self { client: client.map_err(|error| error.without_url().to_string())? })
    }

    /// Creates a POST for the caller to complete.
    pub(super) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    /// Creates a GET or POST without a body.
    pub(in crate::alert) fn ping(&self, url: &str, post: bool) -> RequestBuilder {
        if post { self.client.post(url).body("") } else { self.client.get(url) }
    }

    /// Sends `request` to `url`. Errors contain none of the secrets.
    pub(in crate::alert) async fn send(request: RequestBuilder, url: &str, secrets: &[&str]) -> Result<(), SendError> {
        let host = url.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
        let host = host.unwrap_or_else(|| "the server".to_owned());
        match request.send().await {
            Ok(response) => answered(&host, response, secrets).await,
            Err(error) => {
                let error = format!("{host}: {}", causes(&error.without_url()));
                Err(SendError::transient(clean(&redacted(&error, secrets), 300)))
            }
        }
    }
}

async fn answered(host: &str, response: Response, secrets: &[&str]) -> Result<(), SendError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|text| retry_after(text, SystemTime::now()));
    // In this order, since a secret that was cut off would not be found.
    let body = clean(&redacted(&start(response).await, secrets), 200);
    let error = format!("{host} answered {status}{}{body}", if body.is_empty() { "" } else { ": " });
    let passes = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    let hint = if passes { RetryHint::Again(asked) } else { RetryHint::Permanent };
    let error = if status.is_redirection() { format!("{error}, and redirects are not followed") } else { error };
    Err(SendError::new(error, hint))
}

/// Parses `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()))
}

/// Reads the beginning of a response's body.
async fn start(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_READ {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(MAX_READ);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns an error and its causes as a short line.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    clean(&causes(error), 300)
}

/// Returns an error and its causes without repetitions.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Replaces the secrets in `text`, which a server may have repeated.
pub(super) fn redacted(text: &str, secrets: &[&str]) -> String {
    let mut secrets: Vec<_> = secrets.iter().filter(|secret| secret.len() > 3).collect();
    // A secret may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, "(secret)"))
}

/// Creates a header field that is not logged.
pub(super) fn field(name: &HeaderName, value: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value.expose()).ok()?;
    value.set_sensitive(true);
    Some((name.clone(), value))
}

/// Returns what may be secret in a field's value: all of it, and its words, as in `Bearer TOKEN`.
pub(super) fn words(value: &Secret) -> impl Iterator<Item = &str> {
    std::iter::once(value.expose()).chain(value.expose().split_whitespace())
}

/// Returns what may be secret in a URL: everything after the host.
pub(in crate::alert) fn secrets(url: &str) -> Vec<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map(|at| &rest[at..]).unwrap_or_default();
    let mut parts = vec![url, path];
    parts.extend(path.split(['/', '?', '&', '=']).filter(|part| part.len() > 7));
    parts
}
