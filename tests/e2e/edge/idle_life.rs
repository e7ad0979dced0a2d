//! Requests that cannot be sent again, and endpoints that close idle connections without announcing it.

use http::Method;
use tests::{
    client::{self, Connection, Reply, raw::Raw},
    wait::SOON,
};

use super::{Edge, raw_endpoint::RawEndpoint, unchecked};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn send(client: &mut Connection, method: Method) -> Reply {
    let mut request = client::request("a.example", "/");
    *request.method_mut() = method;
    client.send(request).await.expect("a response")
}

#[tokio::test]
async fn a_post_gets_a_new_connection_once_the_endpoint_has_closed_an_idle_one() {
    let endpoint = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[endpoint.address()])).await;
    let mut client = Connection::http1(edge.address()).await.unwrap();
    let (reply, mut first) = tokio::join!(send(&mut client, Method::GET), async {
        let mut connection = endpoint.accept().await;
        connection.until("\r\n\r\n").await;
        connection.send(OK).await;
        connection
    });
    assert_eq!(reply.text(), "ok");
    // Nothing is known against the endpoint, so its connection is used again.
    let (reply, ()) = tokio::join!(send(&mut client, Method::POST), async {
        first.until("\r\n\r\n").await;
        first.send(OK).await;
    });
    assert_eq!(reply.text(), "ok");
    drop(first);
    let mut before = None::<Raw>;
    for method in [Method::GET, Method::POST, Method::PATCH] {
        let (reply, mut connection) = tokio::join!(send(&mut client, method.clone()), async {
            let mut connection = endpoint.accept().await;
            connection.until("\r\n\r\n").await;
            connection.send(OK).await;
            connection
        });
        assert_eq!(reply.text(), "ok", "{method}");
        // A request that can be sent again still uses it.
        let (reply, ()) = tokio::join!(send(&mut client, Method::GET), async {
            connection.until("\r\n\r\n").await;
            connection.send(OK).await;
        });
        assert_eq!(reply.text(), "ok", "after {method}");
        if let Some(before) = &mut before {
            // The new one took its place.
            assert!(before.closes_within(SOON).await, "{method}");
        }
        before = Some(connection);
    }
}
