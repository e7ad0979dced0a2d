//! A proxy built with Pingora as its user guide shows. It has the same task as the other peers: keep-alive on both
//! sides, forwarding header fields, one JSON log line per request, health checks every two seconds, metrics.
//!
//! `pingora-proxy-peer LISTEN ADMIN THREADS IDLE LOG ENDPOINT[,ENDPOINT...]`

use std::{
    error::Error as StdError,
    fs::File,
    io::{BufWriter, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use pingora::{
    http::RequestHeader,
    lb::{LoadBalancer, health_check::HttpHealthCheck, selection::RoundRobin},
    prelude::{Error, ErrorType, HttpPeer, Result, Session, background_service, http_proxy_service},
    proxy::ProxyHttp,
    server::{Server, configuration::ServerConf},
};
use prometheus::{Histogram, IntCounterVec, TextEncoder, register_histogram, register_int_counter_vec};

/// The connect and response timeouts.
const CONNECT: Duration = Duration::from_secs(1);
const READ: Duration = Duration::from_secs(30);

struct Proxy {
    pool: Arc<LoadBalancer<RoundRobin>>,
    log: Log,
    requests: IntCounterVec,
    durations: Histogram,
}

/// The access log, written in blocks of 64 KiB.
type Log = Arc<Mutex<BufWriter<File>>>;

/// The state of one request.
struct Request {
    start: Instant,
    endpoint: String,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Request;

    fn new_ctx(&self) -> Request {
        Request { start: Instant::now(), endpoint: String::new() }
    }

    async fn upstream_peer(&self, _: &mut Session, request: &mut Request) -> Result<Box<HttpPeer>> {
        let endpoint = self.pool.select(b"", 256).ok_or_else(|| Error::new(ErrorType::ConnectNoRoute))?;
        request.endpoint = endpoint.addr.to_string();
        let mut peer = HttpPeer::new(endpoint, false, String::new());
        peer.options.connection_timeout = Some(CONNECT);
        peer.options.read_timeout = Some(READ);
        peer.options.idle_timeout = Some(Duration::from_secs(60));
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        _: &mut Request,
    ) -> Result<()> {
        let client = client(session);
        let client = client.rsplit_once(':').map_or(client.as_str(), |(address, _)| address);
        let host = host(session.req_header());
        upstream.insert_header("x-forwarded-for", client)?;
        upstream.insert_header("x-forwarded-proto", "http")?;
        upstream.insert_header("x-forwarded-host", host)?;
        upstream.insert_header("forwarded", format!("for={client};proto=http;host={host}"))?;
        upstream.insert_header("via", "1.1 pingora")
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, request: &mut Request) {
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let took = request.start.elapsed();
        self.requests.with_label_values(&[if status < 500 { "ok" } else { "failed" }]).inc();
        self.durations.observe(took.as_secs_f64());
        let head = session.req_header();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let (client, host, method) = (client(session), host(head), &head.method);
        let agent = head.headers.get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let (received, sent, took) =
            (session.body_bytes_read(), session.body_bytes_sent(), took.as_secs_f64() * 1000.0);
        let (endpoint, error) = (&request.endpoint, error.map_or("", |error| error.etype().as_str()));
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk loses log lines, not requests.
        let _ = writeln!(
            log,
            r#"{{"time":{time},"client":"{client}","method":"{method}","host":"{host}","target":{target:?},"protocol":"HTTP/1.1","tls":"","status":{status},"request_bytes":{received},"response_bytes":{sent},"duration_ms":{took:.3},"pool":"upstream","endpoint":"{endpoint}","error":"{error}","user_agent":{agent:?}}}"#,
        );
    }
}

fn client(session: &Session) -> String {
    session.client_addr().map_or_else(String::new, ToString::to_string)
}

fn host(head: &RequestHeader) -> &str {
    head.headers.get("host").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, admin, threads, idle, log, endpoints] = arguments.as_slice() else {
        return Err("usage: pingora-proxy-peer LISTEN ADMIN THREADS IDLE LOG ENDPOINT[,ENDPOINT...]".into());
    };
    let threads: usize = threads.parse()?;
    let endpoints: Vec<&str> = endpoints.split(',').collect();
    let conf = ServerConf {
        threads,
        upstream_keepalive_pool_size: idle.parse::<usize>()? * endpoints.len(),
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();

    let mut pool = LoadBalancer::<RoundRobin>::try_from_iter(endpoints)?;
    let mut check = HttpHealthCheck::new("localhost", false);
    check.req.set_uri("/healthz".try_into()?);
    pool.set_health_check(Box::new(check));
    pool.health_check_frequency = Some(Duration::from_secs(2));
    pool.parallel_health_check = true;
    let pool = background_service("health", pool);

    let log: Log = Arc::new(Mutex::new(BufWriter::with_capacity(64 * 1024, File::create(log)?)));
    flush(log.clone());
    metrics(TcpListener::bind(admin)?);
    let proxy = Proxy {
        pool: pool.task(),
        log,
        requests: register_int_counter_vec!("requests_total", "Requests by outcome", &["outcome"])?,
        durations: register_histogram!("request_seconds", "Request durations")?,
    };
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(listen);
    server.add_service(service);
    server.add_service(pool);
    server.run_forever();
}

/// Flushes the log once a second, in case its buffer fills more slowly.
fn flush(log: Log) {
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            let _ = log.lock().unwrap_or_else(PoisonError::into_inner).flush();
        }
    });
}

/// Answers every connection with the metrics.
fn metrics(listener: TcpListener) {
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let text = TextEncoder::new().encode_to_string(&prometheus::gather()).unwrap_or_default();
            let _ = write!(stream, "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n{text}");
        }
    });
}
