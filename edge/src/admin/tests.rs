use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{Method, Request, Response, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use tokio::net::{TcpListener, TcpStream};

use super::{Admin, BoundListener, Reload, Status, answer::answer, serve};
use crate::{
    config::{Config, HostMatch, Listener, Pool, Route, Source},
    downstream::tls::TlsListener,
    error::Kind,
    observe::stats::PerWorker,
    upstream::{Endpoint, EndpointState, EndpointStatus, PoolHandle, PoolSnapshot, SourceStatus},
    worker::{heartbeat::Heartbeat, snapshot::Snapshot},
};

const WORKERS: usize = 2;

/// Some day in 2026.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn before(seconds: u64) -> SystemTime {
    now() - Duration::from_secs(seconds)
}

fn endpoint(last: u8, state: EndpointState, reason: &str) -> Arc<Endpoint> {
    let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 8000));
    let endpoint = Endpoint::new(address, "tasks.web:8000".into(), WORKERS, before(4000));
    endpoint.set_status(EndpointStatus { state, reason: reason.to_owned(), since: before(3700) });
    Arc::new(endpoint)
}

fn pool(name: &str, endpoints: &[Arc<Endpoint>], error: Option<&str>) -> Arc<PoolHandle> {
    let source = Source::Name { host: "tasks.web".to_owned(), port: 8000 };
    let handle = PoolHandle::new(Arc::new(Pool::new(name, vec![source])), WORKERS);
    handle.snapshot.store(Arc::new(PoolSnapshot {
        endpoints: endpoints.to_vec(),
        healthy: endpoints.iter().filter(|one| one.status().state == EndpointState::Healthy).cloned().collect(),
        panic: false,
        sources: vec![SourceStatus {
            source: "tasks.web:8000".to_owned(),
            endpoints: endpoints.len(),
            error: error.map(str::to_owned),
            resolved: error.is_none().then(|| before(2)),
        }],
    }));
    Arc::new(handle)
}

fn route(host: HostMatch, path: &str, pool: usize) -> Route {
    Route { host, path: path.to_owned(), pool, max_body: None }
}

fn admin(pools: Vec<Arc<PoolHandle>>, routes: Vec<Route>) -> Admin {
    let listener = Listener::plain(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)));
    let mut config = Config::simple(vec![listener], Pool::new("any", Vec::new()));
    config.routes = routes;
    config.pools = pools.iter().map(|pool| pool.config.clone()).collect();
    let heartbeats = Arc::new(PerWorker::<Heartbeat>::new(WORKERS));
    heartbeats.iter().for_each(|heartbeat| heartbeat.beat(before(1)));
    Admin {
        snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::new(Arc::new(config), pools))),
        workers: Arc::new(PerWorker::new(WORKERS)),
        heartbeats,
        listeners: ArcSwap::from_pointee(vec![BoundListener {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)),
            tls: None,
        }]),
        access_log: Arc::default(),
        draining: Arc::default(),
        reload: ArcSwapOption::empty(),
        started: before(100_000),
    }
}

/// One healthy and one failing endpoint with some traffic, and a route to them.
fn busy() -> Admin {
    let good = endpoint(1, EndpointState::Healthy, "check passed");
    let bad = endpoint(2, EndpointState::Unhealthy, "connection refused");
    let web = pool("web", &[good.clone(), bad.clone()], None);
    for (worker, requests) in [(0, 900), (1, 600)] {
        let stats = web.stats.of(worker);
        stats.requests.add(requests);
        stats.responses[1].add(requests - 3);
        stats.responses[4].add(3);
        (0..requests).for_each(|number| stats.latency.record(Duration::from_micros(300 + number * 10)));
        let one = good.stats.of(worker);
        one.requests.add(requests);
        one.connections.add(3);
        one.responses[1].add(requests);
        one.in_flight.add(2);
    }
    bad.stats.of(1).connect_failures.add(7);
    let admin = admin(vec![web], vec![route(HostMatch::Suffix("example.com".to_owned()), "/", 0)]);
    admin.workers.of(0).requests_h1.add(900);
    admin.workers.of(1).requests_h2.add(600);
    admin.workers.of(1).errors[Kind::Connect as usize].add(6);
    admin.workers.of(0).bytes_out.add(12_345_678);
    admin
}

fn ask(admin: &Admin, method: Method, target: &str, host: Option<&str>) -> Response<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    answer(&request.body(()).unwrap(), &Status::collect(admin, now()))
}

fn get(admin: &Admin, target: &str) -> Response<Full<Bytes>> {
    ask(admin, Method::GET, target, Some("127.0.0.1:9901"))
}

async fn text(response: Response<Full<Bytes>>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn known_paths_answer_get_and_head_only() {
    let admin = busy();
    for path in ["/", "/status.json", "/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(&admin, path).status(), StatusCode::OK, "{path}");
        assert_eq!(ask(&admin, Method::HEAD, path, None).status(), StatusCode::OK, "{path}");
        let refused = ask(&admin, Method::POST, path, None);
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(refused.headers()["allow"], "GET, HEAD");
    }
    let missing = get(&admin, "/favicon.ico");
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(text(missing).await.contains("/metrics"));
}

#[test]
fn a_name_that_anybody_could_own_does_not_read_the_status() {
    let admin = busy();
    let local = [
        "127.0.0.1:9901",
        "[::1]:9901",
        "10.0.0.1",
        "localhost:9901",
        "edge",
        "EDGE:9901",
        "a.internal",
        "x.LocalHost.",
    ];
    for host in local {
        assert_eq!(ask(&admin, Method::GET, "/status.json", Some(host)).status(), StatusCode::OK, "{host}");
    }
    for host in ["evil.example:9901", "127.0.0.1.evil.com", "[evil.com]", "", "tasks.edge", "1.2.3"] {
        for path in ["/", "/status.json", "/metrics"] {
            let status = ask(&admin, Method::GET, path, Some(host)).status();
            assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{path} of {host}");
        }
        assert_eq!(ask(&admin, Method::GET, "/readyz", Some(host)).status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn an_edge_is_ready_when_every_routed_pool_has_a_usable_endpoint() {
    let healthy = || vec![endpoint(1, EndpointState::Healthy, "")];
    let ill = || vec![endpoint(2, EndpointState::Ejected, ""), endpoint(3, EndpointState::Unchecked, "")];
    let all = || vec![route(HostMatch::Any, "/", 0)];
    let in_panic = pool("web", &ill(), None);
    let snapshot = in_panic.snapshot.load_full();
    in_panic.snapshot.store(Arc::new(PoolSnapshot { panic: true, ..(*snapshot).clone() }));
    let draining = admin(vec![pool("web", &healthy(), None)], all());
    draining.draining.store(true, Relaxed);

    for (admin, expected) in [
        (admin(vec![pool("web", &healthy(), None)], all()), None),
        (admin(vec![pool("web", &ill(), None)], all()), Some("pool web: none of 2 endpoints is usable")),
        (admin(vec![in_panic], all()), None),
        (
            admin(vec![pool("web", &[], Some("NXDOMAIN"))], all()),
            Some("pool web: no endpoints, tasks.web:8000: NXDOMAIN"),
        ),
        (admin(vec![pool("web", &healthy(), None), pool("spare", &[], None)], all()), None),
        (admin(vec![pool("web", &[], None)], Vec::new()), None),
        (draining, Some("draining")),
    ] {
        let response = get(&admin, "/readyz");
        let status = response.status();
        let body = text(response).await;
        match expected {
            None => assert_eq!((status, body.as_str()), (StatusCode::OK, "ok\n")),
            Some(reason) => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(body.starts_with(reason), "{body:?}, not {reason:?}");
            }
        }
        assert_eq!(get(&admin, "/healthz").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_worker_that_is_silent_for_more_than_ten_seconds_is_named() {
    let admin = busy();
    admin.heartbeats.of(1).beat(before(10));
    assert_eq!(get(&admin, "/healthz").status(), StatusCode::OK);
    admin.heartbeats.of(1).beat(before(11));
    let response = get(&admin, "/healthz");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(response).await, "worker 1 is stuck: not seen running for 11 s\n");
    // Other instances may be worse off: requests of workers that run are served.
    assert_eq!(get(&admin, "/readyz").status(), StatusCode::OK);
    admin.draining.store(true, Relaxed);
    assert_eq!(get(&admin, "/healthz").status(), StatusCode::OK);
}

#[test]
fn a_worker_that_never_ran_is_stuck_ten_seconds_after_the_start() {
    let admin = Admin { heartbeats: Arc::new(PerWorker::new(WORKERS)), started: before(9), ..busy() };
    assert_eq!(get(&admin, "/healthz").status(), StatusCode::OK);
    let admin = Admin { started: before(11), ..admin };
    assert_eq!(get(&admin, "/healthz").status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_status_has_a_stable_shape() {
    let json: serde_json::Value = serde_json::from_str(&text(get(&busy(), "/status.json")).await).unwrap();
    assert_eq!(json["ready"], true);
    assert_eq!(json["now"], "2026-09-21T14:13:20.000Z");
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["pools"][0]).unwrap(), @r##"
{
  "balance": "round_robin",
  "endpoints": [
    {
      "address": "10.0.0.1:8000",
      "checks": 0,
      "checks_failed": 0,
      "connect_failures": 0,
      "connections": 6,
      "connections_open": 0,
      "ejections": 0,
      "in_flight": 4,
      "reason": "check passed",
      "requests": 1500,
      "resets": 0,
      "responses": {
        "1xx": 0,
        "2xx": 1500,
        "3xx": 0,
        "4xx": 0,
        "5xx": 0
      },
      "reuse": 0.996,
      "since": "2026-09-21T13:11:40.000Z",
      "source": "tasks.web:8000",
      "state": "healthy",
      "timeouts": 0,
      "usable": true
    },
    {
      "address": "10.0.0.2:8000",
      "checks": 0,
      "checks_failed": 0,
      "connect_failures": 7,
      "connections": 0,
      "connections_open": 0,
      "ejections": 0,
      "in_flight": 0,
      "reason": "connection refused",
      "requests": 0,
      "resets": 0,
      "responses": {
        "1xx": 0,
        "2xx": 0,
        "3xx": 0,
        "4xx": 0,
        "5xx": 0
      },
      "reuse": null,
      "since": "2026-09-21T13:11:40.000Z",
      "source": "tasks.web:8000",
      "state": "unhealthy",
      "timeouts": 0,
      "usable": false
    }
  ],
  "latency": {
    "p50_ms": 4.04,
    "p99_ms": 9.865591397849462
  },
  "name": "web",
  "no_endpoint": 0,
  "panic": false,
  "panics": 0,
  "requests": 1500,
  "responses": {
    "1xx": 0,
    "2xx": 1494,
    "3xx": 0,
    "4xx": 0,
    "5xx": 6
  },
  "retries": 0,
  "routed": true,
  "sources": [
    {
      "endpoints": 2,
      "error": null,
      "failures": 0,
      "questions": 0,
      "resolved": "2026-09-21T14:13:18.000Z",
      "source": "tasks.web:8000"
    }
  ],
  "usable": 1
}
"##);
    let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    insta::assert_snapshot!(keys.join(" "), @r##"access_log alive draining errors listeners now pools ready reasons reload routes started version workers"##);
}

#[tokio::test]
async fn metrics_are_well_formed_and_agree_with_the_counters() {
    let admin = busy();
    admin.listeners.store(Arc::new(vec![BoundListener {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 443)),
        tls: Some(Arc::new(TlsListener::new(&crate::config::Tls::default(), now()).unwrap())),
    }]));
    let metrics = text(get(&admin, "/metrics")).await;
    let series = parse(&metrics);
    for (name, value) in [
        (r#"edge_pool_requests_total{pool="web"}"#, 1500.0),
        (r#"edge_pool_responses_total{pool="web",class="5xx"}"#, 6.0),
        (r#"edge_endpoint_usable{pool="web",endpoint="10.0.0.2:8000"}"#, 0.0),
        (r#"edge_endpoint_failures_total{pool="web",endpoint="10.0.0.2:8000",kind="connect"}"#, 7.0),
        (r#"edge_requests_total{worker="1",version="2"}"#, 600.0),
        (r#"edge_errors_total{kind="connect_failed"}"#, 6.0),
        (r#"edge_pool_latency_seconds_count{pool="web"}"#, 1500.0),
        (r#"edge_pool_latency_seconds_bucket{le="+Inf",pool="web"}"#, 1500.0),
        (r#"edge_source_up{pool="web",source="tasks.web:8000"}"#, 1.0),
        ("edge_ready", 1.0),
    ] {
        let found = series.iter().find(|(series, _)| series == name);
        assert_eq!(found.map(|(_, value)| *value), Some(value), "{name} in\n{metrics}");
    }
    let expiry = r#"edge_certificate_expiry_seconds{listener="0.0.0.0:443",certificate="self-signed"}"#;
    let (_, expiry) = series.iter().find(|(series, _)| series == expiry).unwrap();
    assert!(*expiry > 1_790_000_000.0);
}

#[tokio::test]
async fn labels_are_escaped() {
    let admin = admin(vec![pool("a\"b\\c\nd", &[], None)], Vec::new());
    let metrics = text(get(&admin, "/metrics")).await;
    assert!(metrics.contains(r#"edge_pool_requests_total{pool="a\"b\\c\nd"} 0"#), "{metrics}");
    parse(&metrics);
}

/// A strict reader of the text format: every line is metadata or a sample of the family announced last,
/// nothing comes twice, and the end is marked.
fn parse(metrics: &str) -> Vec<(String, f64)> {
    let mut family = (String::new(), String::new());
    let (mut families, mut names, mut samples) = (HashSet::new(), HashSet::new(), Vec::new());
    let body = metrics.strip_suffix("# EOF\n").expect("an end");
    for line in body.lines() {
        if let Some(metadata) = line.strip_prefix("# ") {
            let mut words = metadata.splitn(3, ' ');
            let (word, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match word {
                "HELP" => assert!(families.insert(name.to_owned()) && !rest.is_empty(), "{line}"),
                "TYPE" => family = (name.to_owned(), rest.to_owned()),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let name = series.split_once('{').map_or(series, |(name, _)| name);
        let suffix = name.strip_prefix(&family.0).unwrap_or_else(|| panic!("{line} under {family:?}"));
        let allowed: &[&str] = match family.1.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            other => panic!("{other}"),
        };
        assert!(name.starts_with("edge_") && allowed.contains(&suffix), "{line}");
        assert!(names.insert(series.to_owned()), "twice: {series}");
        samples.push((series.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}"))));
    }
    samples
}

#[tokio::test]
async fn the_page_shows_states_in_words_and_lets_no_markup_in() {
    let bad = endpoint(9, EndpointState::Ejected, "<script>alert(1)</script> & \"more\"");
    let admin = admin(vec![pool("<b>web", &[bad], Some("<i>"))], vec![route(HostMatch::Any, "/", 0)]);
    admin.reload.store(Some(Arc::new(Reload { at: before(60), error: Some("line 3: <oops>".to_owned()) })));
    let response = get(&admin, "/");
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let page = text(response).await;
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.contains("<script>alert") && !page.contains("<b>web") && !page.contains("<oops>"), "{page}");
    for part in [
        "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;",
        "<title>Not ready · edge</title>",
        ">ejected</span>",
        "0 of 1 usable",
        "pool &lt;b&gt;web: none of 1 endpoints is usable",
        "the last reload was refused",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    // Nothing is loaded from elsewhere.
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert_eq!(page.matches("<tr>").count(), page.matches("</tr>").count());
}

#[tokio::test]
async fn a_page_of_one_moment_looks_like_this() {
    let page = text(get(&busy(), "/")).await;
    let main = page.split_once("<main").unwrap().1.split_once("<section><h2>Routes").unwrap().0;
    insta::assert_snapshot!(main, @r##"
 data-now="1790000000000">
<header><h1>edge</h1><strong class="state good">Ready</strong>
<p>up 1 d 3 h · version 0.1.0</p></header>
<dl class="tiles">
<div><dt>Requests</dt><dd>1,500<small><span class="rate" data-rate="requests" data-value="1500"></span></small></dd></div>
<div><dt>Answers 5xx</dt><dd>6<small><span class="rate" data-rate="failed" data-value="6"></span></small></dd></div>
<div><dt>Under way</dt><dd>4<small>to endpoints</small></dd></div>
<div><dt>Connections</dt><dd>0<small><span class="rate" data-rate="accepted" data-value="0"></span></small></dd></div>
<div><dt>Sent</dt><dd>12.3 MB<small><span class="rate" data-rate="sent" data-value="12345678" data-bytes></span></small></dd></div>
<div><dt>Received</dt><dd>0 B<small><span class="rate" data-rate="received" data-value="0" data-bytes></span></small></dd></div>
</dl>
<section><h2>Pool web
 <span class="state warn">1 of 2 usable</span></h2>
<p class="facts">1,500 requests <span class="rate" data-rate="pool:web" data-value="1500"></span> · latency p50 4.0 ms p99 9.9 ms · 0 retries · 0 without endpoint · round robin</p>
<div class="responses"><svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect class="c1xx" x="0.000" width="0.000" height="1"/><rect class="c2xx" x="0.000" width="99.600" height="1"/><rect class="c3xx" x="99.600" width="0.000" height="1"/><rect class="c4xx" x="99.600" width="0.000" height="1"/><rect class="c5xx" x="99.600" width="0.400" height="1"/></svg><ul><li class="c2xx">2xx 1,494 <small>99.60 %</small></li><li class="c5xx">5xx 6 <small>0.40 %</small></li></ul></div>
<div class="scroll"><table><thead><tr><th scope="col" class="">Endpoint</th><th scope="col" class="">State</th><th scope="col" class="">Since</th><th scope="col" class="n">Under way</th><th scope="col" class="n">Requests</th><th scope="col" class="n">4xx</th><th scope="col" class="n">5xx</th><th scope="col" class="n">No connection</th><th scope="col" class="n">Reset</th><th scope="col" class="n">Timed out</th><th scope="col" class="n">Connections</th><th scope="col" class="n">Reused</th></tr></thead><tbody>
<tr><td class="" data-title="Endpoint"><span>10.0.0.1:8000 <small>tasks.web:8000</small></span></td><td class="" data-title="State"><span><span class="state good">healthy</span> <small>check passed</small></span></td><td class="" data-title="Since"><span><time datetime="2026-09-21T13:11:40Z" title="2026-09-21T13:11:40Z">1 h 1 min ago</time></span></td><td class="n" data-title="Under way"><span>4</span></td><td class="n" data-title="Requests"><span>1,500</span></td><td class="n" data-title="4xx"><span>0</span></td><td class="n" data-title="5xx"><span>0</span></td><td class="n" data-title="No connection"><span>0</span></td><td class="n" data-title="Reset"><span>0</span></td><td class="n" data-title="Timed out"><span>0</span></td><td class="n" data-title="Connections"><span>0</span></td><td class="n" data-title="Reused"><span>100 %</span></td></tr>
<tr><td class="" data-title="Endpoint"><span>10.0.0.2:8000 <small>tasks.web:8000</small></span></td><td class="" data-title="State"><span><span class="state bad">unhealthy</span> <small>connection refused</small></span></td><td class="" data-title="Since"><span><time datetime="2026-09-21T13:11:40Z" title="2026-09-21T13:11:40Z">1 h 1 min ago</time></span></td><td class="n" data-title="Under way"><span>0</span></td><td class="n" data-title="Requests"><span>0</span></td><td class="n" data-title="4xx"><span>0</span></td><td class="n" data-title="5xx"><span>0</span></td><td class="n" data-title="No connection"><span><b class="alarming">7</b></span></td><td class="n" data-title="Reset"><span>0</span></td><td class="n" data-title="Timed out"><span>0</span></td><td class="n" data-title="Connections"><span>0</span></td><td class="n" data-title="Reused"><span>–</span></td></tr>
</tbody></table></div>
<div class="scroll"><table><thead><tr><th scope="col" class="">Source</th><th scope="col" class="n">Endpoints</th><th scope="col" class="">Answered</th><th scope="col" class="">Problem</th></tr></thead><tbody>
<tr><td class="" data-title="Source"><span>tasks.web:8000</span></td><td class="n" data-title="Endpoints"><span>2</span></td><td class="" data-title="Answered"><span><time datetime="2026-09-21T14:13:18Z" title="2026-09-21T14:13:18Z">2 s ago</time></span></td><td class="" data-title="Problem"><span>none</span></td></tr>
</tbody></table></div>
</section>
"##);
}

#[tokio::test]
async fn a_real_connection_is_answered_until_the_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, Arc::new(busy()), async { drop(stopped.await) }));

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
