//! The tables of header fields (RFC 7541 section 2.3).

use std::collections::VecDeque;

/// The size of the dynamic table before the client changes it, and its maximum, since the edge announces no other
/// `SETTINGS_HEADER_TABLE_SIZE`. In the bytes of RFC 7541 section 4.1.
pub(super) const MAX_SIZE: usize = 4096;
/// The overhead of a field in the size of a table, in bytes (RFC 7541 section 4.1).
pub(super) const OVERHEAD: usize = 32;

/// The dynamic table of a connection, behind the static one.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// Names and values, the oldest first. The bytes before the oldest entry are garbage.
    bytes: Vec<u8>,
    size: usize,
    max: usize,
}

/// Where a field is in [`Table::bytes`].
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: usize,
    name: usize,
    value: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: Vec::new(), size: 0, max: MAX_SIZE }
    }

    /// The name and value at an index, which counts from 1 (RFC 7541 section 2.3.3).
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let index = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(index) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let entry = self.entries.get(index - STATIC.len())?;
        let name_end = entry.at + entry.name;
        Some((self.bytes.get(entry.at..name_end)?, self.bytes.get(name_end..name_end + entry.value)?))
    }

    /// Adds a field, for which older ones may have to leave. One that is larger than the table empties it.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.shrink(self.max.saturating_sub(size));
        if size > self.max {
            return;
        }
        self.compact();
        self.entries.push_front(Entry { at: self.bytes.len(), name: name.len(), value: value.len() });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += size;
    }

    /// Changes the maximum size.
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max.min(MAX_SIZE);
        self.shrink(self.max);
    }

    /// Removes the oldest fields until the others have at most this size.
    fn shrink(&mut self, size: usize) {
        while self.size > size
            && let Some(entry) = self.entries.pop_back()
        {
            self.size = self.size.saturating_sub(entry.name + entry.value + OVERHEAD);
        }
    }

    /// Removes the garbage if it is as large as a full table, so that each byte is moved at most once.
    fn compact(&mut self) {
        let garbage = self.entries.back().map_or(self.bytes.len(), |oldest| oldest.at);
        if garbage >= MAX_SIZE {
            self.bytes.drain(..garbage);
            for entry in &mut self.entries {
                entry.at -= garbage;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The bytes that the table keeps in memory, with garbage.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.bytes.len()
    }
}

/// The static table (RFC 7541 appendix A).
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_table_comes_first() {
        let table = Table::new();
        assert_eq!(table.get(1), Some((&b":authority"[..], &b""[..])));
        assert_eq!(table.get(61), Some((&b"www-authenticate"[..], &b""[..])));
        assert_eq!((table.get(0), table.get(62), table.get(usize::MAX)), (None, None, None));
    }

    #[test]
    fn old_fields_leave_for_new_ones() {
        let mut table = Table::new();
        table.resize(100);
        table.insert(b"a", b"1");
        table.insert(b"b", b"2");
        assert_eq!((table.get(62), table.get(63)), (Some((&b"b"[..], &b"2"[..])), Some((&b"a"[..], &b"1"[..]))));
        table.insert(b"c", b"3");
        assert_eq!((table.get(63), table.get(64), table.size()), (Some((&b"b"[..], &b"2"[..])), None, 68));
        table.insert(b"larger than the table", &[0; 90]);
        assert_eq!((table.get(62), table.size()), (None, 0));
    }

    #[test]
    fn memory_is_bounded_however_many_fields_pass() {
        let mut table = Table::new();
        for number in 0..10_000_u32 {
            let value = number.to_string().repeat(20);
            table.insert(b"name", value.as_bytes());
            assert_eq!(table.get(62), Some((&b"name"[..], value.as_bytes())));
            assert!(table.size() <= MAX_SIZE && table.kept() <= 3 * MAX_SIZE);
        }
    }
}
