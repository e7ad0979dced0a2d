//! Host names.

/// Returns a valid host name in lower case (RFC 1123 section 2.1, and the underscores in Swarm's names).
pub(super) fn host_name(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_name = text.len() <= 253
        && text.split('.').all(is_label)
        // 10.0.0.300 is a mistyped address, not a name: no top-level domain is a number (RFC 3696 section 2).
        && text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
    is_name.then(|| text.to_ascii_lowercase())
}
