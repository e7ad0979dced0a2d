//! How an upstream handles the requests for a path.

use std::time::Duration;

/// How a request is handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Reads the whole body, then returns 200 with a JSON object: `method`, `target`, `version`, `headers` (pairs of
    /// name and value in order), `body` (text), `body_bytes`, `client` (address), `connection` (number from one) and
    /// `upstream` (address).
    Echo,
    /// Returns this status with the body "status N".
    Status(u16),
    /// Returns 503 with `Retry-After`, as a health path does while the program drains.
    Drain,
    /// Returns 200 with these header fields and the body "ok".
    Headers(Vec<(String, String)>),
    /// Returns 200 with a body of this length in bytes, and a Content-Length.
    Body(usize),
    /// Returns 200 with a chunked body of 1000 bytes a chunk, and pauses before each.
    SlowBody {
        /// The number of chunks.
        chunks: usize,
        /// The pause before each chunk.
        every: Duration,
    },
    /// Pauses, then returns the echo.
    SlowHead(Duration),
    /// Never responds.
    Silence,
    /// Returns this status without reading the request's body.
    EarlyResponse(u16),
    /// Closes the connection (FIN) without sending a byte.
    CloseBeforeResponse,
    /// Resets the connection (RST) without sending a byte.
    ResetBeforeResponse,
    /// Announces 1000 bytes, sends 500, and closes the connection.
    CloseMidBody,
    /// Returns the echo with `Connection: close`.
    EchoAndClose,
}
