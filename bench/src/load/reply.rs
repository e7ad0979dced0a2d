//! Where a response ends.

use anyhow::{Context, Result, bail, ensure};

/// What is expected, and how much of it has arrived.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The head so far, while it is incomplete.
    head: Vec<u8>,
    /// Remaining bytes, once they are known.
    left: Option<u64>,
}

impl Reply {
    /// An HTTP/1.1 response.
    pub(crate) fn http() -> Self {
        Self::default()
    }

    /// This number of bytes.
    pub(crate) fn bytes(length: u64) -> Self {
        Self { head: Vec::new(), left: Some(length) }
    }

    /// Takes the bytes that were read; `true` when the response is complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<bool> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes.len() as u64).context("more bytes than the answer has")?;
            return Ok(*left == 0);
        }
        if self.head.is_empty()
            && let Some((length, body)) = head(bytes)?
        {
            return self.body(bytes.len(), length, body);
        }
        self.head.extend_from_slice(bytes);
        match head(&self.head)? {
            Some((length, body)) => self.body(self.head.len(), length, body),
            None => Ok(false),
        }
    }

    fn body(&mut self, came: usize, head: usize, body: u64) -> Result<bool> {
        let came = (came - head) as u64;
        let left = body.checked_sub(came).context("more bytes than the answer has")?;
        self.left = Some(left);
        Ok(left == 0)
    }
}

/// Lengths of the head and of the body, if the head is complete.
fn head(bytes: &[u8]) -> Result<Option<(usize, u64)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    if status == 101 {
        return Ok(Some((length, 0)));
    }
    if status != 200 {
        bail!("the answer is {status}: {}", String::from_utf8_lossy(bytes));
    }
    let value = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let value = value.context("an answer without Content-Length")?.value;
    ensure!(value.iter().all(u8::is_ascii_digit), "Content-Length is no number");
    let body = value.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok(Some((length, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";

    #[test]
    fn an_answer_ends_with_its_body_however_it_is_cut() {
        for cut in 1..WHOLE.len() {
            let mut reply = Reply::http();
            assert!(!reply.feed(&WHOLE[..cut]).unwrap(), "cut at {cut}");
            assert!(reply.feed(&WHOLE[cut..]).unwrap(), "cut at {cut}");
        }
    }

    #[test]
    fn another_status_is_an_error() {
        assert!(Reply::http().feed(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
