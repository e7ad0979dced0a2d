//! An engine's API, over its socket.

use std::path::PathBuf;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::client::{Reply, empty};

/// How long an engine may take for an answer. One without a quorum takes for ever for some.
const ANSWER: Duration = Duration::from_secs(10);

/// One engine.
#[derive(Clone, Debug)]
pub struct Docker {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine does not listen, or has gone.
    #[error("the engine cannot be reached: {0}")]
    Io(#[from] std::io::Error),
    /// The connection failed under the request.
    #[error("the engine's answer: {0}")]
    Http(#[from] crate::client::Error),
    /// It said no.
    #[error("the engine says {0}: {1}")]
    Refused(StatusCode, String),
    /// It said nothing for [`ANSWER`].
    #[error("the engine does not answer")]
    Timeout,
}

impl Docker {
    /// The engine that listens on `socket`.
    #[must_use]
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Gets `path` of the API, such as `/services?status=true`, in the newest version that the engine speaks.
    ///
    /// # Errors
    /// There is no answer, or it is not a success.
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
    /// There is no answer, or it is not a success.
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
        tokio::time::timeout(ANSWER, asked).await.unwrap_or(Err(Error::Timeout))
    }
}

/// For a query: what JSON has beyond letters and digits.
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
