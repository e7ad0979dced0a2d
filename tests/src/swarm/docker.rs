//! A client of an engine's API.

use std::path::PathBuf;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::client::{Reply, empty};

/// The time limit for a response. Without a quorum, an engine never responds to some requests.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An engine.
#[derive(Clone, Debug)]
pub struct Docker {
    socket: PathBuf,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine does not listen.
    #[error("the engine cannot be reached: {0}")]
    Io(#[from] std::io::Error),
    /// The connection failed during the request.
    #[error("the connection to the engine failed: {0}")]
    Http(#[from] crate::client::Error),
    /// The engine returned an error, with this status and message.
    #[error("the engine returned {0}: {1}")]
    Refused(StatusCode, String),
    /// The engine did not respond within [`TIMEOUT`].
    #[error("the engine does not respond")]
    Timeout,
}

impl Docker {
    /// Returns the engine that listens on `socket`.
    #[must_use]
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Gets `path` of the API, such as `/services?status=true`, in the engine's newest version.
    ///
    /// # Errors
    /// The request fails, or its status is not 200.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        let reply = self.ask(path).await?;
        if reply.status != StatusCode::OK {
            return Err(Error::Refused(reply.status, reply.text()));
        }
        Ok(serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
    }

    /// Gets a list. `filters` are those of the API, by name.
    ///
    /// # Errors
    /// The request fails, or its status is not 200.
    pub async fn list(&self, path: &str, filters: &[(&str, &[&str])]) -> Result<Vec<Value>, Error> {
        let filters: serde_json::Map<String, Value> =
            filters.iter().map(|(name, values)| ((*name).to_owned(), (*values).into())).collect();
        let separator = if path.contains('?') { '&' } else { '?' };
        let found =
            self.get(&format!("{path}{separator}filters={}", escaped(&Value::from(filters).to_string()))).await?;
        Ok(if let Value::Array(values) = found { values } else { Vec::new() })
    }

    async fn ask(&self, path: &str) -> Result<Reply, Error> {
        let asked = async {
            let stream = UnixStream::connect(&self.socket).await?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(crate::client::Error::from)?;
            let driver = tokio::spawn(connection);
            let request = Request::get(path).header("Host", "docker").body(empty()).expect("a valid path");
            let response = sender.send_request(request).await.map_err(crate::client::Error::from)?;
            let reply = Reply::read(response).await?;
            driver.abort();
            Ok(reply)
        };
        tokio::time::timeout(TIMEOUT, asked).await.unwrap_or(Err(Error::Timeout))
    }
}

/// Percent-encodes JSON for a query.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
        escaped
    })
}
