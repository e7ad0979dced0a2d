//! One request, and what its answer means.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use rustls::pki_types::CertificateDer;

use super::{
    send_error::{RetryHint, SendError},
    tls,
};
use crate::alert::{settings::Secret, text::clean};

/// So much of an answer is read, for its reason.
const READ: usize = 4096;

/// Sends requests, and shows no secrets when they fail.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
}

impl Http {
    /// One that trusts these authorities besides the system's.
    ///
    /// # Errors
    /// An authority's certificate cannot be used.
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, String> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config(authorities)?)
            .user_agent(concat!("watch/", env!("CARGO_PKG_VERSION")))
            // Messages and tokens go where they are meant to, or nowhere.
            .redirect(Policy::none())
            // Each is on its own: an idle connection may be to a machine that is gone.
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_secs(5))
            .build();
        Ok(Self { client: client.map_err(|error| error.without_url().to_string())? })
    }

    /// A POST, to be finished by the caller.
    pub(super) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    /// A GET or a POST without a body.
    pub(in crate::alert) fn ping(&self, url: &str, post: bool) -> RequestBuilder {
        if post { self.client.post(url).body("") } else { self.client.get(url) }
    }

    /// Sends `request` to `url`. What is secret of it is in no error.
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
    let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let asked = asked.map(Duration::from_secs);
    // In this order: of a secret that is cut off, the rest would not be found.
    let body = clean(&redacted(&start(response).await, secrets), 200);
    let error = format!("{host} answered {status}{}{body}", if body.is_empty() { "" } else { ": " });
    let passes = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    let hint = if passes { RetryHint::Again(asked) } else { RetryHint::Permanent };
    let error = if status.is_redirection() { format!("{error}, and redirects are not followed") } else { error };
    Err(SendError { error, hint })
}

/// The beginning of an answer's body.
async fn start(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < READ {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(READ);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An error with its causes, as a short line.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    clean(&causes(error), 300)
}

/// An error with its causes, without what only repeats.
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

/// `text` without the secrets, which a server may repeat.
pub(super) fn redacted(text: &str, secrets: &[&str]) -> String {
    let mut secrets: Vec<_> = secrets.iter().filter(|secret| secret.len() > 3).collect();
    // One may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, "(secret)"))
}

/// A field of a request that nobody logs.
pub(super) fn field(name: &HeaderName, value: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value.expose()).ok()?;
    value.set_sensitive(true);
    Some((name.clone(), value))
}

/// What of a field's value may be a secret: all of it, and its words, as in `Bearer TOKEN`.
pub(super) fn words(value: &Secret) -> impl Iterator<Item = &str> {
    std::iter::once(value.expose()).chain(value.expose().split_whitespace())
}

/// What of an address may be a secret: all behind the host.
pub(in crate::alert) fn secrets(url: &str) -> Vec<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map(|at| &rest[at..]).unwrap_or_default();
    let mut parts = vec![url, path];
    parts.extend(path.split(['/', '?', '&', '=']).filter(|part| part.len() > 7));
    parts
}
