//! What a path does.

use std::time::Duration;

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 with a JSON object: `method`, `target`, `version`, `headers` (name and value pairs in order),
    /// `body` (text), `body_bytes`, `client` (address), `connection` (number from one) and `upstream`
    /// (address). Reads the whole body first.
    Echo,
    /// This status, the body "status N".
    Status(u16),
    /// 200 with these headers and the body "ok".
    Headers(Vec<(String, String)>),
    /// 200 with a body of that many bytes and a Content-Length.
    Body(usize),
    /// 200 with a chunked body: a chunk of 1000 bytes, that many times, with a pause before each.
    SlowBody {
        /// How many chunks.
        chunks: usize,
        /// The pause before each.
        every: Duration,
    },
    /// The echo, after a pause.
    SlowHead(Duration),
    /// No answer, ever.
    Silence,
    /// This status at once, with the request's body unread.
    EarlyAnswer(u16),
    /// Closes (FIN) without one byte of answer.
    CloseBeforeAnswer,
    /// Resets (RST) without one byte of answer.
    ResetBeforeAnswer,
    /// Promises 1000 bytes, sends 500, and closes.
    CloseMidBody,
    /// The echo with `Connection: close`.
    LastAnswer,
}
