//! Responses whose end is not declared, such as server-sent events.

use tests::client::raw::Raw;

use super::{Edge, raw_endpoint::RawEndpoint, unchecked};

const TIMEOUTS: &str = "[pool.web.timeouts]\nbody_idle = \"100ms\"\n";

#[tokio::test]
async fn a_stream_of_events_may_pause_for_longer_than_a_body_of_declared_length() {
    let server = RawEndpoint::start().await;
    let edge = Edge::start(&format!("{}{TIMEOUTS}", unchecked(&[server.address()]))).await;
    let get = async |head: &str| {
        let mut client = Raw::open(edge.address()).await;
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        let mut endpoint = server.accept().await;
        endpoint.until("\r\n\r\n").await;
        endpoint.send(head.as_bytes()).await;
        client.until("\r\n\r\n").await;
        (client, endpoint)
    };
    let (mut chunked, mut chunks) =
        get("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let (mut until_close, mut bytes) = get("HTTP/1.1 200 OK\r\n\r\n").await;
    // That began last and ends first.
    let (mut declared, _endpoint) = get("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nda").await;
    assert_eq!(declared.rest().await, "da");
    chunks.send(b"6\r\ndata:1\r\n").await;
    bytes.send(b"data:2").await;
    chunked.until("data:1").await;
    until_close.until("data:2").await;
}
