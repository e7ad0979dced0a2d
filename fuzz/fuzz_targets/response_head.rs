//! A response from an endpoint to a client: for any input, the output is exactly one head, and a client finds the end
//! of the body where the edge found it.
#![no_main]

use edge::protocol::{
    h1::{framing::Framing, head},
    headers::response::{self, HeaderSummary, Persistence, StatusLine},
};
use http::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let forwarded = head::response(bytes, 128, |response| {
        let summary = HeaderSummary::of(response.fields).ok()?;
        let bodiless = response.status < 200 || matches!(response.status, 204 | 304);
        let framing = summary.lengths.of_response(bodiless, response.version == Version::HTTP_11).ok()?;
        // As the edge does: without a length the end of the connection would end the body.
        let written = if framing == Framing::None && !bodiless { Framing::Length(0) } else { framing };
        let line = StatusLine {
            status: response.status,
            reason: response.reason,
            framing: written,
            persistence: Persistence::Close,
            date: "Thu, 01 Jan 1970 00:00:00 GMT",
        };
        let mut out = Vec::new();
        response::write(&mut out, &line, response.fields, &summary);
        Some((out, bodiless, framing))
    });
    let Ok(Some((forwarded, length))) = forwarded else { return };
    assert!(length <= bytes.len());
    let Some((out, bodiless, framing)) = forwarded else { return };

    let again = head::response(&out, 128, |response| {
        let summary = HeaderSummary::of(response.fields).expect("consistent lengths");
        assert_eq!(summary.lengths.of_response(bodiless, true), Ok(framing));
        assert!(!summary.lengths.is_doubtful() && summary.connection.close);
    });
    // A response with as many fields as are allowed has more of them afterwards.
    let Ok(again) = again else { return };
    let ((), length) = again.expect("a complete head");
    assert_eq!(length, out.len(), "nothing follows the head");
});
