use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use http::{Method, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::busy_edge;
use crate::admin::serve;

#[tokio::test]
async fn a_connection_is_served_until_the_shutdown() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, Arc::new(busy_edge()), async { drop(stopped.await) }));

    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for method in [Method::GET, Method::HEAD] {
        let request = Request::builder().method(&method).uri("/readyz").header(HOST, "any.example");
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-length"], "3");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.is_empty(), method == Method::HEAD);
    }
    stop.send(()).unwrap();
    let end = async { (serving.await.unwrap(), connection.await.unwrap()) };
    tokio::time::timeout(Duration::from_secs(20), end).await.unwrap().1.ok();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_and_idle_ones_stay_open() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, Arc::new(busy_edge()), std::future::pending()));
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(TcpStream::connect(address).await.unwrap());
    }
    let mut refused = TcpStream::connect(address).await.unwrap();
    // The end of the stream: the server has closed the connection.
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    for stream in &mut open {
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(status, *b"HTTP/1.1 200");
    }
    serving.abort();
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_is_answered() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, Arc::new(busy_edge()), std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response:?}");
    serving.abort();
}
