//! A request from a client to an endpoint: for any input, the output is exactly one head, and an endpoint finds the end
//! of the body where the edge found it.
#![no_main]

use edge::protocol::{
    h1::{
        framing::Framing,
        head::{self, FieldSlots, Request},
    },
    headers::{
        Client,
        request::{self, HeaderSummary, RequestLine},
    },
};
use http::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut slots = FieldSlots::new(100);
    let Ok(Some((request, length))) = head::parse_request(bytes, &mut slots) else { return };
    assert!(head::is_complete(bytes, 0) && length <= bytes.len());
    let Some(Upstream { head, framing, has_host }) = Upstream::of(&request) else { return };

    let mut slots = FieldSlots::new(200);
    let again = head::parse_request(&head, &mut slots);
    let (request, length) = again.expect("a valid head").expect("a complete head");
    assert_eq!(length, head.len(), "nothing follows the head");
    let summary = HeaderSummary::of(request.fields).expect("consistent lengths");
    assert_eq!(summary.lengths.of_request(true), Ok(framing));
    assert!(!summary.lengths.is_doubtful());
    // A request of HTTP/1.0 may lack the host; it goes out with an empty field.
    assert_eq!(summary.host(&request.target, request.version).is_ok(), has_host);
});

/// What an endpoint receives.
struct Upstream {
    head: Vec<u8>,
    framing: Framing,
    has_host: bool,
}

impl Upstream {
    /// Returns `None` for a request that is rejected.
    fn of(request: &Request<'_>) -> Option<Self> {
        let &Request { method, target, version, fields } = request;
        let summary = HeaderSummary::of(fields).ok()?;
        let framing = summary.lengths.of_request(version == Version::HTTP_11).ok()?;
        let host = summary.host(&target, version).ok()?;
        let line = RequestLine::new(method, target.path_and_query, version, host, &summary, framing, true);
        let client = Client::new(([192, 0, 2, 7], 1).into(), false, &[]);
        let mut head = Vec::new();
        request::write(&mut head, &line, fields, &summary, &client);
        Some(Self { head, framing, has_host: host.is_some() })
    }
}
