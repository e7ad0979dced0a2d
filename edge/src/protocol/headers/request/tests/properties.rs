//! Properties of any request.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn no_client_forges_the_forwarding_fields(
        pairs in proptest::collection::vec(
            (
                prop_oneof!["(?i)x[-_]forwarded[-_](for|host|proto|port|ssl|prefix)|x[-_]real[-_]ip|x[-_]original[-_]url", "(?i)forwarded|via|connection|keep-alive|te|upgrade", "[a-zA-Z-]{1,12}"],
                prop_oneof!["[ -~]{0,30}", "(?i)x-forwarded-for, via, host"],
            ),
            0..10,
        ),
    ) {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assume!(HeaderSummary::of(&fields(&pairs)).is_ok());
        let lines = forwarded(&pairs, "192.0.2.7:1", &[], Some("a.example"), Version::HTTP_11, Framing::None);
        let named = |name: &str| -> Vec<String> {
            let is = |line: &&String| line.split(':').next().unwrap().replace('_', "-").eq_ignore_ascii_case(name);
            lines.iter().filter(is).cloned().collect()
        };
        prop_assert_eq!(named("x-forwarded-for"), ["x-forwarded-for: 192.0.2.7"]);
        prop_assert_eq!(named("x-forwarded-proto"), ["x-forwarded-proto: http"]);
        prop_assert_eq!(named("x-forwarded-host"), ["x-forwarded-host: a.example"]);
        prop_assert_eq!(named("x-forwarded-port"), ["x-forwarded-port: 80"]);
        prop_assert_eq!(named("x-real-ip"), ["x-real-ip: 192.0.2.7"]);
        for name in ["x-forwarded-ssl", "x-forwarded-prefix", "x-original-url"] {
            prop_assert_eq!(named(name).len(), 0, "{}", name);
        }
        prop_assert_eq!(named("forwarded"), ["forwarded: for=192.0.2.7;proto=http;host=a.example"]);
        prop_assert_eq!(named("keep-alive").len() + named("te").len(), 0);
        prop_assert_eq!(named("via").pop().unwrap(), "via: 1.1 edge");
    }

    /// Any input becomes exactly one request, which ends where its head declares even for the strictest reader: no line
    /// of a client ends a head or begins another.
    #[test]
    fn exactly_one_head_goes_upstream(
        lines in proptest::collection::vec(
            prop_oneof![
                "(?i)(host|content-length|transfer-encoding|connection|upgrade|expect|via|x-a): ?[ -~]{0,12}",
                "(?i)(host: a|content-length: [0-9]{1,3}|transfer-encoding: chunked|connection: (close|x-a|te))",
                "[ -~]{0,20}",
                "x: .{0,9}",
            ],
            0..8,
        ),
        start in prop_oneof!["(GET|POST|OPTIONS) (/[!-~]{0,9}|http://a/b|\\*) HTTP/1\\.[01]", "[ -~]{0,30}"],
        ends in proptest::collection::vec(prop_oneof!["\r\n", "\n", "\r"], 10),
    ) {
        let mut bytes = Vec::new();
        for (line, end) in std::iter::once(&start).chain(&lines).zip(&ends) {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(end.as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        let client = Client::new("192.0.2.7:1".parse().unwrap(), false, &[]);
        let mut slots = FieldSlots::new(100);
        let Ok(Some((request, _))) = parse_request(&bytes, &mut slots) else { return Ok(()) };
        let Ok((out, framing)) = upstream_head(&request, &client) else { return Ok(()) };
        let text = String::from_utf8_lossy(&out);
        prop_assert_eq!(text.matches("\r\n\r\n").count(), 1, "{}", text);
        prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "{}", text);
        let mut slots = FieldSlots::new(100);
        let (request, length) = parse_request(&out, &mut slots).unwrap().unwrap();
        let summary = HeaderSummary::of(request.fields).unwrap();
        prop_assert_eq!(summary.hosts, 1);
        prop_assert_eq!(summary.lengths.of_request(true), Ok(framing));
        prop_assert!(!summary.lengths.is_doubtful());
        prop_assert_eq!(length, out.len());
    }
}
