//! The texts of a request that are logged, in one allocation.

/// The maximum logged length of each part in bytes, since thousands of records may wait for a slow disk.
const MAX_PART: usize = 8 * 1024;

/// The method, target, user agent and host of a request, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestText {
    bytes: Vec<u8>,
    /// The ends of the method, the target and the user agent.
    ends: [usize; 3],
    has_user_agent: bool,
    has_host: bool,
}

impl RequestText {
    /// Copies the parts into `memory`, after clearing it.
    #[must_use]
    pub fn new(mut memory: Vec<u8>, method: &str, target: &str, user_agent: Option<&[u8]>) -> Self {
        memory.clear();
        let parts = [method.as_bytes(), target.as_bytes(), user_agent.unwrap_or_default()];
        let ends = parts.map(|part| {
            memory.extend_from_slice(part.get(..MAX_PART).unwrap_or(part));
            memory.len()
        });
        Self { bytes: memory, ends, has_user_agent: user_agent.is_some(), has_host: false }
    }

    /// Sets the host.
    pub fn set_host(&mut self, host: &str) {
        self.bytes.truncate(self.ends[2]);
        self.bytes.extend_from_slice(host.as_bytes());
        self.has_host = true;
    }

    /// The method as sent.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        &self.bytes[..self.ends[0]]
    }

    /// The path and query as sent.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.bytes[self.ends[0]..self.ends[1]]
    }

    /// The value of `User-Agent`.
    #[must_use]
    pub fn user_agent(&self) -> Option<&[u8]> {
        self.has_user_agent.then(|| &self.bytes[self.ends[1]..self.ends[2]])
    }

    /// The host of the request, unless it is missing or invalid.
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        self.has_host.then(|| &self.bytes[self.ends[2]..])
    }

    /// Returns the memory for reuse.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_returned_as_it_was_set() {
        let mut text = RequestText::new(b"old".to_vec(), "GET", "/a", Some(b"curl"));
        assert_eq!((text.method(), text.target(), text.user_agent()), (&b"GET"[..], &b"/a"[..], Some(&b"curl"[..])));
        assert_eq!(text.host(), None);
        text.set_host("a.example");
        assert_eq!((text.user_agent(), text.host()), (Some(&b"curl"[..]), Some(&b"a.example"[..])));
        let text = RequestText::new(Vec::new(), "GET", "/", None);
        assert_eq!((text.user_agent(), text.host()), (None, None));
    }
}
