//! HTTP/2 clients that break rules: a request fails alone, and a client that floods is cut off.

use tests::{
    client::{self, Connection, raw},
    upstream::Upstream,
    wait::{SOON, eventually},
};

use super::{
    Edge,
    frames::{
        DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, HEADERS, Outcome, PING, PRIORITY, PROTOCOL_ERROR,
        RST_STREAM, SETTINGS, block, frame, literal,
    },
    raw_endpoint::RecordingEndpoint,
    refused::refusals,
    unchecked,
};

fn refused() -> Outcome {
    Outcome::Response(400, "400: not a valid HTTP request\n".to_owned())
}

/// Returns how often the edge counted this kind of error.
async fn errors(edge: &Edge, kind: &str) -> u64 {
    let status = edge.status().await;
    let errors = status["errors"].as_array().expect("a list").iter();
    errors.filter(|error| error["kind"] == kind).filter_map(|error| error["count"].as_u64()).sum()
}

/// Returns how many lines of the edge's log have all of these parts.
fn lines(edge: &Edge, parts: &[&str]) -> usize {
    edge.process.lines().iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

#[tokio::test]
async fn a_malformed_field_fails_its_stream_alone() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&format!("access_log = \"stdout\"\n{}", unchecked(&[upstream.address()]))).await;
    let reset = Outcome::Reset(PROTOCOL_ERROR);
    for (number, (path, name, value, expected)) in [
        (&b"/"[..], &b"x-bad"[..], &b"a\x01"[..], refused()),
        (b"/", b"x-bad", b"a\x7f", refused()),
        (b"/", b"x-bad", b"a\nx: y", refused()),
        (b"/", b"x bad", b"1", refused()),
        (b"/", b"", b"1", refused()),
        (b"/\xe9", b"x-good", b"1", refused()),
        (b"/a b", b"x-good", b"1", refused()),
        (b"/", b"content-length", b"x", refused()),
        (b"/", b"content-length", b"5", refused()),
        (b"/", b"X-Bad", b"1", reset.clone()),
        (b"/", b"connection", b"close", reset.clone()),
        (b"/", b":path", b"/", reset),
    ]
    .into_iter()
    .enumerate()
    {
        upstream.hang();
        let mut connection = Frames::open(edge.address()).await;
        connection.request(1, b"/neighbour", &[]).await;
        eventually("the request of the neighbour", SOON, async || upstream.requests_for("/neighbour") == number + 1)
            .await;
        connection.request(3, path, &[(name, value), (b"x-after", b"1")]).await;
        assert_eq!(connection.outcome(3).await, expected, "{name:?} {value:?} {path:?}");
        // Two fields that the malformed request has put into the dynamic table, but not a malformed one.
        connection.send(&frame(HEADERS, END_HEADERS | END_STREAM, 5, b"\x82\x86\x84\x41\x01b\xbf")).await;
        upstream.resume();
        let Outcome::Response(200, echo) = connection.outcome(5).await else { panic!("no response after {name:?}") };
        assert!(echo.contains("\"x-after\""), "{echo}");
    }
    assert_eq!(errors(&edge, "bad_request").await, 12);
    assert_eq!(refusals(&edge, "malformed_http2").await, 12);
    assert_eq!(refusals(&edge, "bad_request").await, 0, "each is counted once");
    let parts = ["client refused: malformed HTTP/2 request: :path is malformed", "127.0.0.1:"];
    eventually("a line with the fault", SOON, async || lines(&edge, &parts) > 0).await;
    eventually("lines in the access log", SOON, async || lines(&edge, &["\"protocol\"", "bad_request"]) == 12).await;
    assert_eq!(upstream.requests(), 24, "no malformed request reached the endpoint");
}

#[tokio::test]
async fn the_response_to_a_neighbour_of_a_malformed_request_is_complete() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Frames::open(edge.address()).await;
    connection.request(1, b"/neighbour", &[]).await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    connection.request(3, b"/", &[(b"x-bad", b"\x01")]).await;
    assert_eq!(connection.outcome(3).await, refused());
    upstream.resume();
    assert!(matches!(connection.outcome(1).await, Outcome::Response(200, echo) if echo.contains("/neighbour")));
}

#[tokio::test]
async fn a_connect_with_a_length_fails_alone() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Frames::open(edge.address()).await;
    connection.request(1, b"/neighbour", &[]).await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    let mut connect = Vec::new();
    for (name, value) in [(":method", "CONNECT"), (":authority", "a.example:443"), ("content-length", "5")] {
        literal(&mut connect, name.as_bytes(), value.as_bytes());
    }
    connection.send(&frame(HEADERS, END_HEADERS, 3, &connect)).await;
    assert_eq!(connection.outcome(3).await, refused());
    upstream.resume();
    assert!(matches!(connection.outcome(1).await, Outcome::Response(200, echo) if echo.contains("/neighbour")));
}

#[tokio::test]
async fn any_number_of_malformed_requests_leaves_the_connection_open() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Frames::open(edge.address()).await;
    for number in 0..200 {
        let (name, value, expected): (&[u8], &[u8], _) = match number % 2 {
            0 => (b"X-Bad", b"1", Outcome::Reset(PROTOCOL_ERROR)),
            _ => (b"content-length", b"x", refused()),
        };
        connection.request(2 * number + 1, b"/", &[(name, value)]).await;
        assert_eq!(connection.outcome(2 * number + 1).await, expected);
    }
    connection.request(401, b"/", &[]).await;
    assert!(matches!(connection.outcome(401).await, Outcome::Response(200, _)));
    assert!(lines(&edge, &["malformed HTTP/2 request"]) < 100, "the lines are limited");
}

#[tokio::test]
async fn malformed_trailers_fail_their_stream_alone() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Frames::open(edge.address()).await;
    let mut begin = b"\x83\x86\x84".to_vec();
    literal(&mut begin, b":authority", b"a.example");
    for (stream, name, value, expected) in [
        (1, &b"x-bad"[..], &b"\x01"[..], refused()),
        (3, b":path", b"/", Outcome::Reset(PROTOCOL_ERROR)),
        (5, b"X-Bad", b"1", Outcome::Reset(PROTOCOL_ERROR)),
    ] {
        let mut trailers = Vec::new();
        literal(&mut trailers, name, value);
        connection.send(&frame(HEADERS, END_HEADERS, stream, &begin)).await;
        connection.send(&frame(DATA, 0, stream, b"body")).await;
        connection.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &trailers)).await;
        assert_eq!(connection.outcome(stream).await, expected, "{name:?}");
    }
    connection.request(7, b"/", &[]).await;
    assert!(matches!(connection.outcome(7).await, Outcome::Response(200, _)));
    assert_eq!(refusals(&edge, "malformed_http2").await, 3);
    assert_eq!(refusals(&edge, "bad_request").await, 0, "each is counted once");
}

#[tokio::test]
async fn fields_that_are_too_large_are_answered_and_counted() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&format!("[limits]\nmax_head = \"8KiB\"\n{}", unchecked(&[upstream.address()]))).await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let mut request = client::request("a.example", "/");
    request.headers_mut().insert("x-large", "v".repeat(9 * 1024).parse().unwrap());
    let reply = connection.send(request).await.unwrap();
    assert_eq!(reply.status, http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(refusals(&edge, "head_too_large").await, 1);
    assert_eq!(connection.get("/").await.unwrap().status, http::StatusCode::OK);
}

#[tokio::test]
async fn characters_in_a_path_mean_the_same_by_both_versions() {
    let endpoint = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[endpoint.address()])).await;
    let path = "/a\"<>`^|{}\\[]?q=\"<>`\u{e9}";
    raw::exchange(
        edge.address(),
        format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .await;
    let mut connection = Frames::open(edge.address()).await;
    connection.request(1, path.as_bytes(), &[]).await;
    assert_eq!(connection.outcome(1).await, Outcome::Response(200, "ok".to_owned()));
    assert_eq!(endpoint.text().matches(&format!("GET {path} HTTP/1.1\r\n")).count(), 2, "{}", endpoint.text());
    for path in [&b"/\xe9"[..], b"/a#b", b"/\x7f", b"a"] {
        let head = [b"GET ", path, b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"].concat();
        assert!(raw::exchange(edge.address(), &head).await.starts_with("HTTP/1.1 400 "), "{path:?}");
        let mut connection = Frames::open(edge.address()).await;
        connection.request(1, path, &[]).await;
        assert_eq!(connection.outcome(1).await, refused(), "{path:?}");
    }
}

#[tokio::test]
async fn a_flood_of_frames_ends_the_connection_alone() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut honest = Connection::http2(edge.address()).await.unwrap();
    let floods = [
        (SETTINGS, 0, &b""[..]),
        (PING, 0, b"12345678"),
        (PRIORITY, 3, b"\0\0\0\x01\x10"),
        (0xf0, 0, b"unknown"),
        (0xf0, 0, b""),
    ];
    for (kind, stream, payload) in floods {
        let mut connection = Frames::open(edge.address()).await;
        // More than the burst and what is free for the edge's own settings, and not so much that many bytes stay unread:
        // then the kernel would replace GOAWAY by a reset.
        let burst = frame(kind, 0, stream, payload).repeat(2_500);
        connection.send(&burst).await;
        let outcome = connection.outcome(1).await;
        assert!([Outcome::GoAway(ENHANCE_YOUR_CALM), Outcome::Closed].contains(&outcome), "{kind}: {outcome:?}");
        let mut connection = Frames::open(edge.address()).await;
        for _ in 0..100 {
            connection.send(&frame(kind, 0, stream, payload).repeat(2_000)).await;
        }
        eventually("the end of the connection", SOON, async || {
            matches!(connection.outcome(1).await, Outcome::GoAway(ENHANCE_YOUR_CALM) | Outcome::Closed)
        })
        .await;
        assert_eq!(honest.get("/").await.unwrap().status, http::StatusCode::OK);
    }
    assert_eq!(refusals(&edge, "http2_flood").await, 2 * floods.len() as u64);
    assert!(lines(&edge, &["client refused: too many HTTP/2 resets, control frames"]) > 0);
}

#[tokio::test]
async fn a_storm_of_resets_is_logged_in_few_lines() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    for _ in 0..60 {
        let mut storm = Vec::new();
        for number in 0..100_u32 {
            let stream = 2 * number + 1;
            storm.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(b"/", &[])));
            storm.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        let mut connection = Frames::open(edge.address()).await;
        connection.send(&storm).await;
        let outcome = connection.outcome(0).await;
        assert!([Outcome::GoAway(ENHANCE_YOUR_CALM), Outcome::Closed].contains(&outcome), "{outcome:?}");
    }
    eventually("a line", SOON, async || lines(&edge, &["client refused: too many HTTP/2 resets"]) > 0).await;
    assert_eq!(lines(&edge, &["recv_reset"]), 0, "h2's own warning");
    assert_eq!(client::get(edge.address(), "/").await.unwrap().status, http::StatusCode::OK);
}
