//! Requests that cannot be sent again, and endpoints that close idle connections without announcing it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use http::{Method, StatusCode};
use tests::{
    client::{self, Connection, Reply, raw::Raw},
    wait::{SOON, eventually},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinSet,
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

/// Serves all connections, and closes each after its first response while `closes` is set. Notes of each request
/// whether it is a POST, and how many came before it on its connection.
async fn serve(listener: TcpListener, closes: Arc<AtomicBool>, seen: Arc<Mutex<Vec<(bool, usize)>>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (closes, seen) = (Arc::clone(&closes), Arc::clone(&seen));
        connections.spawn(async move {
            let mut stream = BufReader::new(stream);
            for before in 0.. {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                seen.lock().unwrap().push((head.starts_with("POST"), before));
                if stream.write_all(OK).await.is_err() || closes.load(Relaxed) {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn a_post_behind_a_mesh_gets_a_new_connection_once_idle_ones_were_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = unchecked(&[listener.local_addr().unwrap()]).replace("[pool.web]\n", "[pool.web]\nmesh = true\n");
    let (closes, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let _endpoint = tokio::spawn(serve(listener, Arc::clone(&closes), Arc::clone(&seen)));
    let edge = Edge::start(&config).await;
    let mut client = Connection::http1(edge.address()).await.unwrap();
    for is_known in [false, true] {
        if is_known {
            closes.store(true, Relaxed);
            for _ in 0..8 {
                assert_eq!(send(&mut client, Method::GET).await.status, StatusCode::OK);
            }
            closes.store(false, Relaxed);
        }
        // Until all connections that take turns, at most twelve, have served requests.
        eventually("connections that are used again", SOON, async || {
            assert_eq!(send(&mut client, Method::GET).await.status, StatusCode::OK);
            let seen = seen.lock().unwrap();
            seen.len() >= 30 && seen.iter().rev().take(30).all(|(_, before)| *before > 0)
        })
        .await;
        seen.lock().unwrap().clear();
        for _ in 0..8 {
            assert_eq!(send(&mut client, Method::POST).await.status, StatusCode::OK);
        }
        let reused = seen.lock().unwrap().iter().filter(|(is_post, before)| *is_post && *before > 0).count();
        // On a machine that is busy a new connection may come so late that an idle one is taken.
        assert!(if is_known { reused <= 4 } else { reused > 4 }, "{reused} reused, {is_known}");
    }
}
