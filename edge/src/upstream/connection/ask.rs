//! Asks for the health path on an idle connection: whether its replica still answers, which one it is, and whether it
//! should get requests.

use std::{future::poll_fn, io};

use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

use super::Connection;
use crate::{
    config::{Expect, HealthCheck},
    error::{Error, Kind, Retry},
    io::buffer::BufferPool,
    protocol::h1::chunked::BodyEvent,
};

/// The largest body of an answer in bytes. A longer one is no health page.
const MAX_BODY: usize = 64 * 1024;

/// Asks once, within the timeout of the check. Returns whether the status is an expected one. The connection can then
/// be used again if it is [reusable](Connection::is_reusable).
///
/// # Errors
/// There is no answer: the connection must be closed.
pub async fn ask(connection: &mut Connection, buffers: &BufferPool, check: &HealthCheck) -> Result<bool, Error> {
    let Some(path) = &check.path else { return Ok(true) };
    let authority = connection.endpoint().authority();
    let host = check.host.as_deref().unwrap_or(&authority);
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: edge-health\r\n\r\n");
    let answered = timeout(check.timeout, exchange(connection, buffers, &head)).await;
    let status = answered.unwrap_or_else(|_elapsed| Err(Error::new(Kind::ResponseTimeout, Retry::Never)))?;
    Ok(match &check.expect {
        Expect::Any => true,
        Expect::Statuses(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&status)),
    })
}

async fn exchange(connection: &mut Connection, buffers: &BufferPool, head: &str) -> Result<u16, Error> {
    let closed = |error: io::Error| Error::because(Kind::UpstreamClosed, Retry::Never, error);
    connection.wait_for_room(false);
    connection.stream.write_all(head.as_bytes()).await.map_err(closed)?;
    let mut status_of = |head: &super::ResponseHead<'_>| head.parts.status;
    let status = poll_fn(|cx| connection.poll_head(cx, buffers, false, &mut |_| {}, &mut status_of)).await?;
    let mut length = 0;
    loop {
        let now = Instant::now();
        match connection.next_event()? {
            BodyEvent::End => return Ok(status),
            BodyEvent::More => {
                connection.note_progress(now);
                poll_fn(|cx| connection.poll_read_more(cx, buffers, now)).await?;
            }
            BodyEvent::Data(count) => {
                length += count;
                if length > MAX_BODY {
                    return Err(Error::because(Kind::UpstreamInvalid, Retry::Never, "the answer is too long"));
                }
                connection.consume(count, now);
            }
        }
    }
}
