//! The gRPC health protocol: one call of `grpc.health.v1.Health/Check`.
//!
//! The service is that of `health.proto` (github.com/grpc/grpc-proto), the framing that of gRPC over HTTP/2
//! (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md): each message follows a byte that says whether it is compressed and
//! four bytes of its length. HTTP/2 begins without negotiation (RFC 9113 section 3.3), or after a TLS handshake. The
//! two messages have one field each, so they are coded here.

use std::{pin::pin, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    answer::Answer,
    http1::USER_AGENT,
    outcome::{Failure, Outcome, Passed},
};
use crate::config::{Expect, HealthCheck};

/// The largest answer in bytes, framing included. That of the protocol has seven.
const MAX_ANSWER: usize = 4096;

/// The largest list of header fields in bytes.
const MAX_HEAD: u32 = 8 * 1024;

/// `SERVING` in `ServingStatus`.
const SERVING: u64 = 1;

/// Evaluates an answer: only `SERVING` passes, or any behind a mesh, where it is that of some replica.
///
/// # Errors
/// [`Failure::Grpc`]: the service is not serving.
pub(super) fn evaluate(answer: Answer, expect: &Expect) -> Outcome {
    if answer == Answer::Serving(SERVING) || *expect == Expect::Any {
        Ok(Passed::Grpc(answer))
    } else {
        Err(Failure::Grpc(answer))
    }
}

/// Builds the request. `authority` is the value of `:authority`.
pub(super) fn request(check: &HealthCheck, authority: &str) -> Result<Request<()>, http::Error> {
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    let path = "/grpc.health.v1.Health/Check";
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()?;
    let mut request = Request::post(uri).body(())?;
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in &check.headers {
        headers.insert(name, value.clone());
    }
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-timeout", grpc_timeout(check.timeout)?);
    Ok(request)
}

/// Formats a timeout: at most eight digits and a unit, rounded up.
fn grpc_timeout(timeout: Duration) -> Result<HeaderValue, http::Error> {
    let text = match timeout.as_millis() {
        millis @ ..100_000_000 => format!("{}m", millis.max(1)),
        _ => format!("{}S", timeout.as_secs()),
    };
    Ok(HeaderValue::from_str(&text)?)
}

/// Asks about `service` on a new connection.
pub(super) async fn ask<S>(stream: S, request: Request<()>, service: &str) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(MAX_HEAD);
    let (sender, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(failure)?;
    let mut exchange = pin!(exchange(sender, request, encode(service)));
    tokio::select! {
        answer = &mut exchange => answer,
        // The stream reports an error of the connection as well.
        _ = connection => exchange.await,
    }
}

async fn exchange(sender: SendRequest<Bytes>, request: Request<()>, message: Bytes) -> Result<Answer, Failure> {
    let mut sender = sender.ready().await.map_err(failure)?;
    let (response, mut stream) = sender.send_request(request, false).map_err(failure)?;
    stream.send_data(message, true).map_err(failure)?;
    let (head, mut body) = response.await.map_err(failure)?.into_parts();
    if head.status != StatusCode::OK {
        return Ok(Answer::Http(head.status));
    }
    let is_grpc = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
    if !head.headers.get(header::CONTENT_TYPE).is_some_and(is_grpc) {
        return Err(Failure::NotGrpc("its content-type is not application/grpc"));
    }
    // A response without a message may consist of its head alone.
    if let Some(code) = code(&head.headers)?.filter(|code| *code != 0) {
        return Ok(Answer::Code(code));
    }
    let message = read(&mut body).await?;
    let trailers = body.trailers().await.map_err(failure)?.unwrap_or_default();
    match code(&trailers)? {
        Some(0) => decode(&message).map(Answer::Serving).map_err(Failure::NotGrpc),
        Some(code) => Ok(Answer::Code(code)),
        None => Err(Failure::NotGrpc("it has no grpc-status")),
    }
}

async fn read(body: &mut RecvStream) -> Result<BytesMut, Failure> {
    let mut message = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(failure)?;
        if message.len() + piece.len() > MAX_ANSWER {
            return Err(Failure::NotGrpc("its message is too long"));
        }
        body.flow_control().release_capacity(piece.len()).map_err(failure)?;
        message.extend_from_slice(&piece);
    }
    Ok(message)
}

fn code(fields: &HeaderMap) -> Result<Option<u32>, Failure> {
    let Some(value) = fields.get("grpc-status") else { return Ok(None) };
    let code = value.to_str().ok().and_then(|text| text.parse().ok());
    code.map(Some).ok_or(Failure::NotGrpc("its grpc-status is not a number"))
}

fn failure(error: h2::Error) -> Failure {
    if error.is_io() { Failure::Closed(Box::new(error)) } else { Failure::Http2(error) }
}

/// Encodes a `HealthCheckRequest` with its framing: `string service = 1`, which is left out if it is empty.
fn encode(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(field(1, LENGTH));
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        message.put_u8(u8::try_from(length).unwrap_or_default());
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put(message);
    framed.freeze()
}

/// Decodes a `HealthCheckResponse` with its framing: `ServingStatus status = 1`, which is 0 if it is left out. Unknown
/// fields are skipped, and of a repeated field the last one counts (protobuf.dev, "Encoding").
fn decode(framed: &[u8]) -> Result<u64, &'static str> {
    let Some((prefix, mut message)) = framed.split_first_chunk::<5>() else { return Err("it has no message") };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err("its message is compressed");
    }
    if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err("the length of its message is wrong");
    }
    let malformed = "its message is malformed";
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message).ok_or(malformed)?;
        let skipped = match key & 7 {
            VARINT => {
                let value = varint(&mut message).ok_or(malformed)?;
                if key >> 3 == 1 {
                    status = value;
                }
                0
            }
            FIXED64 => 8,
            LENGTH => usize::try_from(varint(&mut message).ok_or(malformed)?).map_err(|_| malformed)?,
            FIXED32 => 4,
            _ => return Err(malformed),
        };
        message = message.get(skipped..).ok_or(malformed)?;
    }
    Ok(status)
}

// How the value of a field is coded.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

fn field(number: u8, coding: u64) -> u8 {
    (number << 3) | u8::try_from(coding).unwrap_or_default()
}

/// Takes a number of seven bits per byte, the lowest first, from the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
    }

    #[test]
    fn the_question_names_the_service_unless_it_is_the_server() {
        assert_eq!(encode(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(encode("a.B"), &[0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B'][..]);
        let long = encode(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 308);
    }

    #[test]
    fn the_answer_is_the_last_status_among_unknown_fields() {
        for (message, expected) in [
            (&[][..], Ok(0)),
            (&[0x08, 1], Ok(1)),
            (&[0x08, 2], Ok(2)),
            (&[0x08, 2, 0x08, 1], Ok(1)),
            (&[0x08, 0x81, 0x00], Ok(1)),
            // Fields 2 to 5: a text, eight bytes, four bytes, a number.
            (&[0x12, 2, 8, 1, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x28, 9, 0x08, 1], Ok(1)),
            (&[0x08], Err("its message is malformed")),
            (&[0x08, 0x80], Err("its message is malformed")),
            (&[0x12, 9, 0], Err("its message is malformed")),
            (&[0x0b, 0x0c], Err("its message is malformed")),
            (&[0xff; 11], Err("its message is malformed")),
        ] {
            assert_eq!(decode(&framed(message)), expected, "{message:?}");
        }
        assert_eq!(decode(&[]), Err("it has no message"));
        assert_eq!(decode(&[1, 0, 0, 0, 0]), Err("its message is compressed"));
        assert_eq!(decode(&[0, 0, 0, 0, 2, 0x08]), Err("the length of its message is wrong"));
    }

    #[test]
    fn only_serving_passes_unless_any_replica_may_answer() {
        for (answer, text, passes) in [
            (Answer::Serving(0), "UNKNOWN", false),
            (Answer::Serving(1), "SERVING", true),
            (Answer::Serving(2), "NOT_SERVING", false),
            (Answer::Serving(3), "SERVICE_UNKNOWN", false),
            (Answer::Serving(9), "serving status 9", false),
            (Answer::Code(5), "gRPC status 5, NOT_FOUND", false),
            (Answer::Code(99), "gRPC status 99, no known one", false),
            (Answer::Http(StatusCode::BAD_GATEWAY), "status 502 instead of gRPC", false),
        ] {
            assert_eq!(answer.to_string(), text);
            assert_eq!(evaluate(answer, &Expect::default()).is_ok(), passes, "{text}");
            assert!(evaluate(answer, &Expect::Any).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_timeout_has_at_most_eight_digits() {
        for (timeout, expected) in [
            (Duration::from_nanos(1), "1m"),
            (Duration::from_secs(1), "1000m"),
            (Duration::from_secs(99_999), "99999000m"),
            (Duration::from_secs(100_000), "100000S"),
            (settings::value::LONGEST, "31536000S"),
        ] {
            assert_eq!(grpc_timeout(timeout).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for answer in [&bytes, &framed(&bytes)] {
                if let Err(reason) = decode(answer) {
                    prop_assert!(reason.contains("its message") || reason == "it has no message", "{}", reason);
                }
            }
        }

        #[test]
        fn any_status_is_decoded(status: u64) {
            let mut message = vec![field(1, VARINT)];
            let mut rest = status;
            while rest >= 0x80 {
                message.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
                rest >>= 7;
            }
            message.push(u8::try_from(rest).unwrap());
            prop_assert_eq!(decode(&framed(&message)), Ok(status));
        }
    }
}
