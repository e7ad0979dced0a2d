//! A request from a client to an endpoint: whatever comes in, what goes out is exactly one head, and an endpoint finds
//! the end of the body where the edge found it.
#![no_main]

use edge::protocol::{
    h1::head,
    headers::{
        Client,
        request::{self, HeaderSummary, RequestLine},
    },
};
use http::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let client = Client::new(([192, 0, 2, 7], 1).into(), false, &[]);
    let forwarded = head::request(bytes, 100, |request| {
        let summary = HeaderSummary::of(request.fields).ok()?;
        let framing = summary.lengths.of_request(request.version == Version::HTTP_11).ok()?;
        let host = summary.host(&request.target, request.version).ok()?;
        let (method, target, received) = (request.method, request.target.path_and_query, request.version);
        let line = RequestLine::new(method, target, received, host, &summary, framing);
        let mut out = Vec::new();
        request::write(&mut out, &line, request.fields, &summary, &client);
        Some((out, framing, host.is_some()))
    });
    let Ok(Some((forwarded, length))) = forwarded else { return };
    assert!(head::is_complete(bytes, 0) && length <= bytes.len());
    let Some((out, framing, has_host)) = forwarded else { return };

    let again = head::request(&out, 200, |request| {
        let summary = HeaderSummary::of(request.fields).expect("consistent lengths");
        assert_eq!(summary.lengths.of_request(true), Ok(framing));
        assert!(!summary.lengths.is_doubtful());
        // A request of HTTP/1.0 may lack the host; it goes out with an empty field.
        assert_eq!(summary.host(&request.target, request.version).is_ok(), has_host);
    });
    let ((), length) = again.expect("a valid head").expect("a complete head");
    assert_eq!(length, out.len(), "nothing follows the head");
});
