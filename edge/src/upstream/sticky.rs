//! Sessions that a cookie ties to an endpoint.
//!
//! The cookie holds a [`Tag`]: the HMAC-SHA-256 (RFC 2104) of the pool's name and the endpoint's address, cut to 96
//! bits. It says nothing about the endpoint to those without the key, and nothing is kept for a session. So the cookie
//! means the same after a restart and on every edge with the same key. With a key of its own for each installation, a
//! client can neither find out addresses by trial nor choose an endpoint; with the default key it can choose among the
//! endpoints of the pool if it guesses an address, which gives it nothing that it could not get by asking for a cookie
//! again and again.

use std::{fmt, net::SocketAddr, path::Path, sync::Arc};

use aws_lc_rs::hmac;
use tracing::error;

use super::endpoint::Endpoint;
use crate::config::token;

/// The key while none is configured.
const DEFAULT_KEY: &[u8] = b"edge";

/// The length of a tag in bytes: two of 4096 endpoints have the same with a probability of 10^-22.
const LENGTH: usize = 12;

/// What a cookie says instead of an endpoint's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag([u8; LENGTH]);

impl Tag {
    /// Parses the value of a cookie, as [`Display`](fmt::Display) formats it; `None` if it has another form.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut tag = [0; LENGTH];
        if value.len() != 2 * LENGTH {
            return None;
        }
        for (byte, pair) in tag.iter_mut().zip(value.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(tag))
    }
}

fn digit(text: u8) -> Option<u8> {
    match text {
        b'0'..=b'9' => Some(text - b'0'),
        b'a'..=b'f' => Some(text - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Computes the tags of a pool.
pub struct Tags {
    key: hmac::Key,
    pool: String,
}

impl Tags {
    /// Computes tags for a pool with a key, or the default key.
    #[must_use]
    pub fn new(pool: &str, key: Option<&[u8]>) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key.unwrap_or(DEFAULT_KEY)), pool: pool.to_owned() }
    }

    /// The same with the key in a file, if there is one. An unusable file is logged, and the default key used: to lose
    /// sessions is better than to lose requests. Starting and reloading the edge check the file before.
    #[must_use]
    pub fn load(pool: &str, key_file: Option<&Path>) -> Self {
        let key = key_file.and_then(|file| {
            token::read_line(file).unwrap_or_else(|error| {
                error!(pool, %error, "the key of sticky cookies cannot be read: using the default key");
                None
            })
        });
        Self::new(pool, key.as_deref())
    }

    /// Returns the tag of an endpoint.
    #[must_use]
    pub fn of(&self, address: SocketAddr) -> Tag {
        let digest = hmac::sign(&self.key, format!("{}\0{address}", self.pool).as_bytes());
        let mut tag = [0; LENGTH];
        tag.iter_mut().zip(digest.as_ref()).for_each(|(byte, digest)| *byte = *digest);
        Tag(tag)
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tags").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// The endpoints whose sessions continue, by tag.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Vec<(Tag, Arc<Endpoint>)>);

impl Sessions {
    /// Collects the tags of `endpoints`.
    #[must_use]
    pub fn new<'a>(tags: &Tags, endpoints: impl IntoIterator<Item = &'a Arc<Endpoint>>) -> Self {
        let mut sessions: Vec<_> =
            endpoints.into_iter().map(|endpoint| (tags.of(endpoint.address), Arc::clone(endpoint))).collect();
        sessions.sort_unstable_by_key(|(tag, _)| *tag);
        Self(sessions)
    }

    /// Returns the endpoint of a session; `None` if it left the pool or gets no requests.
    #[must_use]
    pub fn endpoint(&self, tag: Tag) -> Option<&Arc<Endpoint>> {
        let position = self.0.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        self.0.get(position).map(|(_, endpoint)| endpoint)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 8000).into()
    }

    #[test]
    fn a_tag_depends_on_key_pool_and_address_only_and_never_changes() {
        let tag = |pool, key, last| Tags::new(pool, key).of(address(last)).to_string();
        assert_eq!(tag("web", None, 1), "8211decd15a8eb02223e1d21");
        assert_eq!(tag("web", Some(b"secret"), 1), "507c1198df199b3d2ebd83bb");
        let other = [tag("web", None, 2), tag("api", None, 1), tag("web", Some(b"secret"), 1)];
        assert!(!other.contains(&tag("web", None, 1)));
    }

    #[test]
    fn the_key_is_a_line_in_a_file_and_a_blank_file_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let tag = |tags: Tags| tags.of(address(1));
        for (text, key) in [("secret\n", Some(&b"secret"[..])), ("\n", None)] {
            fs::write(&file, text).unwrap();
            assert_eq!(tag(Tags::load("web", Some(&file))), tag(Tags::new("web", key)), "{text:?}");
        }
        assert_eq!(tag(Tags::load("web", Some(Path::new("/nowhere/key")))), tag(Tags::new("web", None)));
    }

    #[test]
    fn only_the_endpoints_given_continue_their_sessions() {
        let tags = Tags::new("web", None);
        let endpoint = |last| Arc::new(Endpoint::new(address(last), "s".into(), 1, SystemTime::UNIX_EPOCH));
        let endpoints: Vec<_> = (1..=50).map(endpoint).collect();
        let sessions = Sessions::new(&tags, &endpoints);
        for one in &endpoints {
            assert_eq!(sessions.endpoint(tags.of(one.address)).map(|found| found.id), Some(one.id));
        }
        assert!(sessions.endpoint(tags.of(address(51))).is_none());
        assert!(!format!("{tags:?}").contains("edge\""), "the key is not shown");
    }

    proptest! {
        #[test]
        fn a_tag_is_parsed_as_it_is_formatted(bytes: [u8; LENGTH]) {
            prop_assert_eq!(Tag::parse(Tag(bytes).to_string().as_bytes()), Some(Tag(bytes)));
        }

        #[test]
        fn no_value_of_a_cookie_panics(value in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(tag) = Tag::parse(&value) {
                prop_assert_eq!(tag.to_string().into_bytes(), value);
            }
        }
    }
}
