//! Request smuggling: requests that two servers might parse differently. The upstream must see one request for each
//! that the edge answered, and no request that a client hid in another. The cases follow "HTTP Desync Attacks" (Kettle
//! 2019) and RFC 9112 section 11.2.

use tests::client::raw::{self, Raw};

use super::{
    Edge,
    raw_endpoint::{RawEndpoint, RecordingEndpoint},
    unchecked,
};

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// Fields that contradict each other about the end of the body, or that some parsers ignore.
const AMBIGUOUS: [&str; 21] = [
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "Content-Length: 4\r\nContent-Length: 5\r\n",
    "Content-Length: 4, 5\r\n",
    "Content-Length: 4 5\r\n",
    "Content-Length: 0x4\r\n",
    "Content-Length: +4\r\n",
    "Content-Length: 4\r\nContent-Length : 0\r\n",
    "Content-Length: 99999999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding\t: chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "X: y\r\n Transfer-Encoding: chunked\r\n",
    "X: y\rTransfer-Encoding: chunked\r\n",
    "X: \0\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "\u{b}Transfer-Encoding: chunked\r\n",
];

#[tokio::test]
async fn a_body_with_ambiguous_framing_never_becomes_a_request() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    for framing in AMBIGUOUS {
        for body in ["0\r\n\r\n", "4\r\nabcd\r\n0\r\n\r\n", "abcd"] {
            let mut connection = Raw::open(edge.address()).await;
            let request = format!("POST /open HTTP/1.1\r\nHost: a\r\n{framing}\r\n{body}{HIDDEN}");
            connection.try_send(request.as_bytes()).await;
            connection.finish().await;
            connection.rest().await;
        }
    }
    let seen = recorder.text();
    for part in seen.split("HTTP/1.1\r\n").skip(1) {
        let head = part.split("\r\n\r\n").next().unwrap_or_default();
        let framings = head.matches("content-length: ").count() + head.matches("transfer-encoding: ").count();
        assert!(framings <= 1, "two framings in {head:?}");
        assert!(!head.contains('\0') && !head.contains("xchunked") && !head.contains("identity"), "{head:?}");
    }
}

#[tokio::test]
async fn ambiguous_framing_is_400_and_closes_the_connection() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    for framing in AMBIGUOUS {
        let request = format!("POST /open HTTP/1.1\r\nHost: a\r\n{framing}\r\n{HIDDEN}");
        let answer = raw::exchange(edge.address(), request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{framing:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framing:?}: {answer:?}");
    }
    assert_eq!(recorder.text(), "");
}

#[tokio::test]
async fn a_content_length_beside_chunks_is_removed_and_the_connection_closes() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    let (length, chunked) = ("Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n");
    for [first, second] in [[length, chunked], [chunked, length]] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{first}{second}\r\n3\r\nabc\r\n0\r\n\r\n{HIDDEN}");
        let answer = raw::exchange(edge.address(), request.as_bytes()).await;
        // RFC 9112 section 6.1: a server that accepts such a request closes the connection after the response.
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{first:?}: {answer}");
    }
    let seen = recorder.text();
    assert_eq!(seen.matches(" HTTP/1.1\r\n").count(), 2, "{seen}");
    assert!(seen.contains("transfer-encoding: chunked") && !seen.contains("content-length"), "{seen}");
}

#[tokio::test]
async fn a_request_inside_a_body_stays_in_the_body() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    let chunk = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    for (framing, body) in [
        (format!("Content-Length: {}\r\n", HIDDEN.len()), HIDDEN.to_owned()),
        (format!("Content-Length: {0}\r\nContent-Length: {0}\r\n", HIDDEN.len()), HIDDEN.to_owned()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), chunk.clone()),
        ("Transfer-Encoding: CHUNKED\r\n".to_owned(), chunk),
    ] {
        let request = format!("POST /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}\r\n{body}");
        let before = recorder.text().len();
        let answer = raw::exchange(edge.address(), request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{framing:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framing:?}: {answer:?}");
        let seen = recorder.text().split_off(before);
        assert_eq!(seen.matches("POST /open HTTP/1.1\r\n").count(), 1, "{seen}");
        let framings = seen.matches("content-length: ").count() + seen.matches("transfer-encoding: chunked").count();
        assert_eq!(framings, 1, "{seen}");
    }
}

#[tokio::test]
async fn chunk_extensions_and_trailers_do_not_become_fields() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        2;a=b\r\nok\r\n0\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n";
    let answer = raw::exchange(edge.address(), request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    let seen = recorder.text();
    assert!(!seen.contains("a=b") && !seen.contains("1.1.1.1"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn malformed_chunks_end_the_request() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    for body in [
        "x\r\nab\r\n0\r\n\r\n",
        "-1\r\nab\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2\nab\n0\n\n",
        "2;a\nb\r\nab\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nab\r\n0\r\n\r\n",
        "\r\n2\r\nab\r\n0\r\n\r\n",
    ] {
        let request = format!("POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{HIDDEN}");
        let answer = raw::exchange(edge.address(), request.as_bytes()).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{body:?}: {answer:?}");
    }
    assert!(!recorder.text().contains("/hidden"), "{}", recorder.text());
}

#[tokio::test]
async fn a_target_stays_percent_encoded() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    for target in
        ["/a%0d%0aX-Evil:%201", "/%2e%2e/x", "/a%00b", "/%2f%2fx", "//x", "/../x", "/a?b=%0a%0d&c=/..", "/%E4"]
    {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw::exchange(edge.address(), request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer:?}");
        let seen = recorder.text();
        assert!(seen.contains(&format!("GET {target} HTTP/1.1\r\n")), "{target} in {seen}");
    }
    assert!(!recorder.text().to_ascii_lowercase().contains("\nx-evil"));
}

#[tokio::test]
async fn bare_line_feeds_do_not_reach_the_upstream() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    let request = "GET / HTTP/1.1\nHost: a\nX: 1\nConnection: close\n\n";
    raw::exchange(edge.address(), request.as_bytes()).await;
    let seen = recorder.bytes();
    for (at, _) in seen.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        assert!(at > 0 && seen[at - 1] == b'\r', "a bare line feed in {}", recorder.text());
    }
}

#[tokio::test]
async fn a_second_response_to_one_request_does_not_answer_the_next() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let upstream = tokio::spawn(async move {
        let mut first = peer.accept().await;
        first.until("\r\n\r\n").await;
        let twice = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        first.send(twice.as_bytes()).await;
        let mut second = peer.accept().await;
        second.until("\r\n\r\n").await;
        second.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo").await;
    });
    let mut connection = tests::client::Connection::http1(edge.address()).await.unwrap();
    assert_eq!(connection.get("/1").await.unwrap().text(), "one");
    assert_eq!(connection.get("/2").await.unwrap().text(), "two");
    upstream.await.unwrap();
}
