//! Parsing of image names.

use crate::cluster_state::Image;

/// Number of digits kept of a digest.
const DIGITS: usize = 12;

/// Parses `registry:5000/path/name:tag@sha256:digest`.
pub(super) fn image(text: &str) -> Image {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A colon before the last slash belongs to the port of the registry.
    let name_begins = rest.rfind('/').map_or(0, |slash| slash + 1);
    let colon = rest.get(name_begins..).and_then(|name| name.find(':')).map(|at| name_begins + at);
    let (name, tag) = match colon {
        Some(colon) => (&rest[..colon], rest.get(colon + 1..)),
        None => (rest, None),
    };
    let digest = digest.map(|digest| digest.split_once(':').map_or(digest, |(_algorithm, digits)| digits));
    Image {
        name: name.to_owned(),
        tag: tag.or((digest.is_none() && !text.is_empty()).then_some("latest")).map(str::to_owned),
        digest: digest.map(|digits| digits.chars().take(DIGITS).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_tag_and_digest_are_parsed() {
        let digest = "sha256:0123456789abcdef0123";
        let table = [
            ("redis", "redis", Some("latest"), None),
            ("redis:7-alpine", "redis", Some("7-alpine"), None),
            ("127.0.0.1:5000/stackdemo", "127.0.0.1:5000/stackdemo", Some("latest"), None),
            ("127.0.0.1:5000/a/stackdemo:v2", "127.0.0.1:5000/a/stackdemo", Some("v2"), None),
            (&format!("redis@{digest}"), "redis", None, Some("0123456789ab")),
            (&format!("r:1/redis:7@{digest}"), "r:1/redis", Some("7"), Some("0123456789ab")),
            ("", "", None, None),
        ];
        for (text, name, tag, digest) in table {
            let expected =
                Image { name: name.to_owned(), tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) };
            assert_eq!(image(text), expected, "{text}");
        }
    }
}
