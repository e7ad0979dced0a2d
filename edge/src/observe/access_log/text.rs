//! What a request said of itself, as far as the log wants it, in one piece of memory.

/// What is logged of a part at most, in bytes: thousands of lines may wait for a disk.
const LONGEST: usize = 8 * 1024;

/// Method, target, user agent and host, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    bytes: Vec<u8>,
    /// Where the method ends, then the target, then the user agent.
    ends: [usize; 3],
    has_user_agent: bool,
    has_host: bool,
}

impl Text {
    /// Gathers the parts in `memory`.
    #[must_use]
    pub fn new(mut memory: Vec<u8>, method: &str, target: &str, user_agent: Option<&[u8]>) -> Self {
        memory.clear();
        let parts = [method.as_bytes(), target.as_bytes(), user_agent.unwrap_or_default()];
        let ends = parts.map(|part| {
            memory.extend_from_slice(part.get(..LONGEST).unwrap_or(part));
            memory.len()
        });
        Self { bytes: memory, ends, has_user_agent: user_agent.is_some(), has_host: false }
    }

    /// Adds the host, once it is known.
    pub fn set_host(&mut self, host: &str) {
        self.bytes.truncate(self.ends[2]);
        self.bytes.extend_from_slice(host.as_bytes());
        self.has_host = true;
    }

    /// As sent.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        &self.bytes[..self.ends[0]]
    }

    /// Path and query, as sent.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.bytes[self.ends[0]..self.ends[1]]
    }

    /// The `User-Agent` field.
    #[must_use]
    pub fn user_agent(&self) -> Option<&[u8]> {
        self.has_user_agent.then(|| &self.bytes[self.ends[1]..self.ends[2]])
    }

    /// The host that the request is for, unless it named none that is one.
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        self.has_host.then(|| &self.bytes[self.ends[2]..])
    }

    /// The memory, to be used again.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_out_as_they_went_in() {
        let mut text = Text::new(b"old".to_vec(), "GET", "/a", Some(b"curl"));
        assert_eq!((text.method(), text.target(), text.user_agent()), (&b"GET"[..], &b"/a"[..], Some(&b"curl"[..])));
        assert_eq!(text.host(), None);
        text.set_host("a.example");
        assert_eq!((text.user_agent(), text.host()), (Some(&b"curl"[..]), Some(&b"a.example"[..])));
        let text = Text::new(Vec::new(), "GET", "/", None);
        assert_eq!((text.user_agent(), text.host()), (None, None));
    }
}
