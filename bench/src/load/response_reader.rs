//! Finds the end of a response.

use anyhow::{Context, Result, bail, ensure};

/// The state of reading one response.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    /// The bytes of an incomplete head.
    head: Vec<u8>,
    /// The number of bytes still to come, once known.
    left: Option<u64>,
}

impl ResponseReader {
    /// Reads an HTTP/1.1 response.
    pub(crate) fn http() -> Self {
        Self::default()
    }

    /// Reads a response of `length` bytes.
    pub(crate) fn bytes(length: u64) -> Self {
        Self { head: Vec::new(), left: Some(length) }
    }

    /// Adds bytes that were read. Returns whether the response is complete.
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

/// Returns the lengths of the head and of the body, if the head is complete.
fn head(bytes: &[u8]) -> Result<Option<(usize, u64)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    if status == 101 {
        return Ok(Some((length, 0)));
    }
    if status != 200 {
        bail!("the response is {status}: {}", String::from_utf8_lossy(bytes));
    }
    let value = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let value = value.context("the response has no Content-Length")?.value;
    ensure!(value.iter().all(u8::is_ascii_digit), "Content-Length is not a number");
    let body = value.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok(Some((length, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";

    #[test]
    fn a_response_ends_with_its_body_however_it_is_split() {
        for cut in 1..WHOLE.len() {
            let mut response = ResponseReader::http();
            assert!(!response.feed(&WHOLE[..cut]).unwrap(), "cut at {cut}");
            assert!(response.feed(&WHOLE[cut..]).unwrap(), "cut at {cut}");
        }
    }

    #[test]
    fn another_status_is_an_error() {
        assert!(ResponseReader::http().feed(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
