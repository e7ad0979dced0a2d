//! The HTTP client and the scriptable upstream, tested against each other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::{Method, StatusCode, Version};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tests::cert::{Authority, Certificate};
use tests::client::load::Load;
use tests::client::tls::Offer;
use tests::client::{self, Connection, Error, get, raw};
use tests::upstream::{Behaviour, Upstream};
use tests::wait::{SOON, eventually};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_echo_contains_the_request_and_one_connection_serves_two_requests() {
    let upstream = Upstream::start().await;
    let mut connection = Connection::http1(upstream.address()).await.unwrap();
    let chunks = stream::iter([Ok(Bytes::from("ab")), Ok(Bytes::from("c"))]);
    let mut request = client::request("www.example.com", "/a?b=c");
    *request.method_mut() = Method::POST;
    *request.body_mut() = client::stream(chunks);
    let echo = connection.send(request).await.unwrap().json();
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["target"], "/a?b=c");
    assert_eq!(echo["body"], "abc");
    assert_eq!(echo["headers"][0], serde_json::json!(["host", "www.example.com"]));
    assert_eq!(echo["client"], connection.local_address().to_string());

    assert_eq!(connection.get("/").await.unwrap().json()["connection"], 1);
    assert_eq!(upstream.connections(), 1);
    assert_eq!((upstream.requests(), upstream.requests_for("/a")), (2, 1));
    drop(connection);
    eventually("the end of the connection", SOON, async || upstream.open_connections() == 0).await;
}

#[tokio::test]
async fn each_behaviour_does_what_its_name_says() {
    let upstream = Upstream::start().await;
    let address = upstream.address();

    upstream.on("/", Behaviour::Status(503));
    assert_eq!(get(address, "/").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);

    upstream.on("/", Behaviour::Headers(vec![("x-a".to_owned(), "1".to_owned())]));
    assert_eq!(get(address, "/").await.unwrap().header("x-a"), Some("1"));

    upstream.on("/", Behaviour::Body(1_000_000));
    assert_eq!(get(address, "/").await.unwrap().body.len(), 1_000_000);

    let every = Duration::from_millis(20);
    upstream.on("/", Behaviour::SlowBody { chunks: 3, every });
    let reply = get(address, "/").await.unwrap();
    assert_eq!((reply.body.len(), reply.header("content-length")), (3000, None));

    upstream.on("/", Behaviour::EchoAndClose);
    let mut connection = Connection::http1(address).await.unwrap();
    assert!(connection.get("/").await.is_ok());
    eventually("the end of the connection", SOON, async || connection.is_closed()).await;
}

#[tokio::test]
async fn a_broken_answer_ends_at_the_configured_point() {
    let upstream = Upstream::start().await;
    let question = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    upstream.on("/", Behaviour::CloseBeforeResponse);
    assert_eq!(raw::exchange(upstream.address(), question).await, "");
    let closed = get(upstream.address(), "/").await;
    assert!(matches!(&closed, Err(Error::Http(e)) if e.is_incomplete_message()), "{closed:?}");

    upstream.on("/", Behaviour::ResetBeforeResponse);
    let reset = get(upstream.address(), "/").await.unwrap_err();
    assert!(format!("{reset:?}").contains("ConnectionReset"), "{reset:?}");

    upstream.on("/", Behaviour::CloseMidBody);
    let answer = raw::exchange(upstream.address(), question).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 1000"), "{head}");
    assert_eq!(body.len(), 500);
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_body_and_other_answers_follow_a_100_continue() {
    let upstream = Upstream::start().await;
    upstream.on("/early", Behaviour::EarlyResponse(413));
    let head = |path| format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");

    let mut connection = raw::Raw::open(upstream.address()).await;
    connection.send(head("/early").as_bytes()).await;
    let answer = connection.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let mut connection = raw::Raw::open(upstream.address()).await;
    connection.send(head("/").as_bytes()).await;
    let interim = connection.until("\r\n\r\n").await;
    assert!(interim.starts_with("HTTP/1.1 100"), "{interim}");
    connection.send(b"abc").await;
    let answer = connection.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_hung_upstream_answers_when_it_resumes() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let reply = tokio::spawn(get(upstream.address(), "/"));
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    assert!(!reply.is_finished());
    upstream.resume();
    assert_eq!(reply.await.unwrap().unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_killed_upstream_resets_and_refuses_connections_and_restarts_on_its_port() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::Silence);
    let asked = tokio::spawn(get(upstream.address(), "/"));
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    upstream.kill().await;
    let reset = asked.await.unwrap().unwrap_err();
    assert!(format!("{reset:?}").contains("ConnectionReset"), "{reset:?}");
    let refused = get(upstream.address(), "/").await;
    assert!(matches!(refused, Err(Error::Connect(_))), "{refused:?}");

    upstream.restart().await;
    assert!(get(upstream.address(), "/again").await.is_ok());
}

#[tokio::test]
async fn tasks_share_a_port_and_have_different_addresses() {
    let tasks: [Upstream; 3] = Upstream::start_tasks().await;
    for (task, last) in tasks.iter().zip(1..) {
        assert_eq!(task.address(), SocketAddr::from(([127, 0, 0, last], tasks[0].address().port())));
        let echo = get(task.address(), "/").await.unwrap().json();
        assert_eq!(echo["upstream"], task.address().to_string());
        assert_eq!(task.requests(), 1);
    }
}

#[tokio::test]
async fn a_websocket_is_echoed() {
    let upstream = Upstream::start().await;
    let url = format!("ws://{}/chat", upstream.address());
    let (mut socket, _) = connect_async(url).await.unwrap();
    for message in [Message::text("hello"), Message::binary(vec![0, 255])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn load_is_spread_over_the_addresses() {
    let [first, second] = [Upstream::start().await, Upstream::start().await];
    let load = Load::on(&[first.address(), second.address()]).connections(2).start();
    eventually("load on both", SOON, async || first.requests() > 5 && second.requests() > 5).await;
    let records = load.stop().await;
    assert!(records.iter().all(|record| record.is_ok() && record.ended >= record.started));
    assert_eq!(records.len(), first.requests() + second.requests());
    assert_eq!((first.connections(), second.connections()), (1, 1));
}

#[tokio::test]
async fn load_records_the_failed_request_and_continues_with_the_next_address() {
    let [first, second] = [Upstream::start().await, Upstream::start().await];
    let load = Load::on(&[first.address(), second.address()]).connections(1).start();
    eventually("load on the first", SOON, async || first.requests() > 5).await;
    first.on("/", Behaviour::Silence);
    let silent = first.requests() + 1;
    eventually("an unanswered request", SOON, async || first.requests() == silent).await;
    first.kill().await;
    eventually("load on the second", SOON, async || second.requests() > 5).await;
    let records = load.stop().await;
    let failed: Vec<_> = records.iter().filter(|record| !record.is_ok()).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(matches!(failed[0].outcome, Err(Error::Http(_))), "{failed:?}");
    assert_eq!(records.len(), first.requests() + second.requests());
}

#[tokio::test]
async fn the_tls_client_trusts_only_its_roots_and_reports_the_negotiated_protocol() {
    let authority = Authority::new();
    let certificate = authority.issue("site", &["www.example.com"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor(&certificate);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the certificate ends the handshake.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let io = hyper_util::rt::TokioIo::new(stream);
            let service = hyper::service::service_fn(async |_| {
                Ok::<_, std::convert::Infallible>(http::Response::new(client::full("secret")))
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let http2 = hyper::server::conn::http2::Builder::new(executor);
            tokio::spawn(http2.serve_connection(io, service));
        }
    });

    let offer = Offer::trusting(authority.roots());
    let mut connection = Connection::https(address, "www.example.com", offer.clone()).await.unwrap();
    let tls = connection.tls().unwrap();
    assert_eq!(tls.alpn.as_deref(), Some("h2"));
    assert_eq!(tls.version, Some(rustls::ProtocolVersion::TLSv1_3));
    let reply = connection.get("/").await.unwrap();
    assert_eq!((reply.version, reply.text().as_str()), (Version::HTTP_2, "secret"));

    let others = Offer::trusting(Authority::new().roots());
    for (name, offer) in [("www.example.com", others), ("www.example.org", offer)] {
        let refused = Connection::https(address, name, offer).await;
        assert!(matches!(refused, Err(Error::Handshake(_))), "{refused:?}");
    }
    let anyone = Connection::https(address, "www.example.org", Offer::accepting_any_certificate()).await;
    assert!(anyone.is_ok(), "{anyone:?}");
    server.abort();
}

fn acceptor(certificate: &Certificate) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(&certificate.certificate_file).unwrap();
    let key = PrivateKeyDer::from_pem_file(&certificate.key_file).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}
