//! Sources of endpoints beside addresses, names and swarms: SRV records and files; and the resolvers.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use http::StatusCode;
use serde_json::Value;
use tests::{
    cert::Authority,
    client::{get, load::Load},
    dns::{Answer, Dns, Service},
    nodes::Nodes,
    relay::{Link, Relay, Wire},
    upstream::Upstream,
    wait::{SOON, eventually},
};
use tokio::net::TcpListener;

use super::{CHECKS, Edge, LISTENER, assert_all_ok, assert_no_more_requests, run};

const SERVICE: &str = "_http._tcp.web.example";

fn resolver(server: impl std::fmt::Display) -> String {
    format!("servers = \"{server}\"\ninterval = \"100ms\"\ntimeout = \"400ms\"\n")
}

fn of_service(dns: &Dns) -> String {
    format!("[dns]\n{}{LISTENER}[pool.web]\nendpoints = \"srv://{SERVICE}\"\n{CHECKS}", resolver(dns.address()))
}

/// Makes `name` resolve to the address of an upstream.
fn name(dns: &Dns, name: &str, upstream: &Upstream) {
    dns.set(name, Answer::addresses([upstream.address().ip()]));
}

fn services(services: impl IntoIterator<Item = Service>) -> Answer {
    Answer::Services { services: services.into_iter().collect(), ttl: 600 }
}

async fn is_served(edge: &Edge) {
    eventually("service", SOON, async || get(edge.address(), "/").await.unwrap().status == StatusCode::OK).await;
}

/// Waits until a source of the pool has this error, or none.
async fn source_has(edge: &Edge, source: &str, error: Option<&str>) -> Value {
    let found = |status: &Value| {
        let sources = status["pools"][0]["sources"].as_array().expect("sources").clone();
        sources.into_iter().find(|one| one["source"].as_str().is_some_and(|name| name.contains(source)))
    };
    let is_so = async || {
        let reported = found(&edge.status().await).expect("the source")["error"].as_str().map(str::to_owned);
        match error {
            Some(part) => reported.is_some_and(|error| error.contains(part)),
            None => reported.is_none(),
        }
    };
    eventually(&format!("{error:?} of {source}"), SOON, is_so).await;
    found(&edge.status().await).expect("the source")
}

/// Waits until each of these upstreams has got more requests.
async fn each_gets_requests(upstreams: &[&Upstream]) {
    let before: Vec<_> = upstreams.iter().map(|upstream| upstream.requests_for("/")).collect();
    eventually("requests to each", SOON, async || {
        upstreams.iter().zip(&before).all(|(upstream, before)| upstream.requests_for("/") > *before)
    })
    .await;
}

#[tokio::test]
async fn srv_records_decide_on_ports_weights_and_tiers() {
    let [heavy, light, spare] = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let dns = Dns::start().await;
    name(&dns, "a.example", &heavy);
    name(&dns, "b.example", &light);
    let port = |upstream: &Upstream| upstream.address().port();
    let all = [
        Service::new(20, 1, port(&spare), "a.example"),
        Service::new(10, 300, port(&heavy), "A.Example"),
        Service::new(10, 100, port(&light), "b.example"),
    ];
    dns.set(SERVICE, services(all.clone()));
    let edge = Edge::start(&of_service(&dns)).await;
    eventually("three healthy endpoints", SOON, async || {
        let status = edge.status().await;
        let endpoints = status["pools"][0]["endpoints"].as_array().unwrap().clone();
        endpoints.len() == 3 && endpoints.iter().all(|endpoint| endpoint["state"] == "healthy")
    })
    .await;
    let before = [&heavy, &light].map(|upstream| upstream.requests_for("/"));
    for _ in 0..160 {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    }
    let [to_heavy, to_light] = [heavy.requests_for("/") - before[0], light.requests_for("/") - before[1]];
    // Two workers, each of which may be in the middle of a round.
    assert!(to_heavy.abs_diff(120) <= 4 && to_light.abs_diff(40) <= 4, "{to_heavy} and {to_light}");
    assert_eq!(spare.requests_for("/"), 0);

    // A further tier stands in for those before it.
    let load = Load::on(&[edge.address()]).start();
    dns.set(SERVICE, services(all[..1].to_vec()));
    assert_no_more_requests(&heavy, &load).await;
    each_gets_requests(&[&spare]).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn endpoints_of_srv_records_stay_while_the_records_or_a_target_fail() {
    let [one, other] = [Upstream::start().await, Upstream::start().await];
    let dns = Dns::start().await;
    name(&dns, "a.example", &one);
    name(&dns, "b.example", &other);
    let record = |upstream: &Upstream, target| Service::new(0, 1, upstream.address().port(), target);
    let both = services([record(&one, "a.example"), record(&other, "b.example")]);
    dns.set(SERVICE, both.clone());
    let edge = Edge::start(&of_service(&dns)).await;
    is_served(&edge).await;
    let load = Load::on(&[edge.address()]).start();
    for (bad, error) in [
        (Answer::NoSuchName, "no such name"),
        (Answer::ServerFailure, "the name server responded: Server Failure"),
        (Answer::Empty, "no SRV records"),
        (Answer::Silence, "no answer within 400ms"),
        (services([Service::new(0, 0, 0, ".")]), "the name has no such service"),
    ] {
        dns.set(SERVICE, bad);
        source_has(&edge, SERVICE, Some(error)).await;
        each_gets_requests(&[&one, &other]).await;
    }
    dns.set(SERVICE, both);
    source_has(&edge, SERVICE, None).await;
    dns.set("b.example", Answer::NoSuchName);
    let source = source_has(&edge, SERVICE, Some("b.example: no such name")).await;
    assert_eq!(source["endpoints"], 2);
    each_gets_requests(&[&one, &other]).await;
    dns.set(SERVICE, services([record(&one, "a.example")]));
    assert_no_more_requests(&other, &load).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn an_alias_leads_to_srv_records() {
    let upstream = Upstream::start().await;
    let dns = Dns::start().await;
    name(&dns, "a.example", &upstream);
    dns.set(SERVICE, Answer::Alias { target: "real.example".to_owned(), ttl: 600 });
    dns.set("real.example", services([Service::new(0, 1, upstream.address().port(), "a.example")]));
    is_served(&Edge::start(&of_service(&dns)).await).await;
}

#[tokio::test]
async fn the_ttl_of_an_alias_of_srv_records_is_honoured() {
    let [one, other] = [Upstream::start().await, Upstream::start().await];
    let dns = Dns::start().await;
    name(&dns, "a.example", &one);
    let record = |upstream: &Upstream| services([Service::new(0, 1, upstream.address().port(), "a.example")]);
    dns.set("one.example", record(&one));
    dns.set("other.example", record(&other));
    let alias = |target: &str| Answer::Alias { target: target.to_owned(), ttl: 1 };
    dns.set(SERVICE, alias("one.example"));
    let config = of_service(&dns).replace("[pool.web]\n", "[pool.web]\ndiscovery.interval = \"ttl\"\n");
    let edge = Edge::start(&config).await;
    is_served(&edge).await;
    dns.set(SERVICE, alias("other.example"));
    eventually("requests to the other", SOON, async || {
        drop(get(edge.address(), "/").await);
        other.requests_for("/") > 0
    })
    .await;
}

#[tokio::test]
async fn a_ttl_is_honoured_if_the_pool_says_so() {
    let [by_ttl, by_interval] = [Upstream::start().await, Upstream::start().await];
    let dns = Dns::start().await;
    name(&dns, "ttl.example", &by_ttl);
    name(&dns, "interval.example", &by_interval);
    let config = format!(
        "[dns]\n{}{LISTENER}[[route]]\npool = \"ttl\"\n[[route]]\npath = \"/interval\"\npool = \"interval\"\n\
         [pool.ttl]\nendpoints = \"ttl.example:{}\"\n[pool.ttl.discovery]\ninterval = \"ttl\"\nmax_interval = \"10min\"\n\
         [pool.interval]\nendpoints = \"interval.example:{}\"\n",
        resolver(dns.address()),
        by_ttl.address().port(),
        by_interval.address().port(),
    );
    let edge = Edge::start(&config).await;
    is_served(&edge).await;
    // On a busy machine the first queries may fail, and a failed one is repeated.
    source_has(&edge, "ttl.example", None).await;
    let [by_ttl, by_interval] = ["ttl.example", "interval.example"].map(|name| dns.queries(name));
    eventually("many resolutions", SOON, async || dns.queries("interval.example") > by_interval + 60).await;
    assert_eq!(dns.queries("ttl.example"), by_ttl);
}

#[tokio::test]
async fn a_pool_mixes_sources_and_shows_the_state_of_each() {
    let tasks: [Upstream; 5] = Upstream::start_tasks().await;
    let port = tasks[0].address().port();
    let (dns, nodes) = (Dns::start().await, Nodes::start().await);
    name(&dns, "name.example", &tasks[1]);
    name(&dns, "target.example", &tasks[2]);
    dns.set(SERVICE, services([Service::new(0, 1, port, "target.example")]));
    nodes.set([tasks[4].address().ip()]);
    let config = format!(
        "[dns]\n{}{LISTENER}[pool.web]\nmesh = false\nendpoints = [\"{}\", \"name.example:{port}\", \"srv://{SERVICE}\", \
         \"file://web.endpoints\", \"swarm://{}?port={port}\"]\n{CHECKS}",
        resolver(dns.address()),
        tasks[0].address(),
        nodes.address(),
    );
    let list = format!("{}\n", tasks[3].address());
    let edge = Edge::start_by(&config, |folder| {
        fs::write(folder.join("web.endpoints"), list).unwrap();
        run(folder)
    })
    .await;
    eventually("all endpoints", SOON, async || {
        edge.status().await["pools"][0]["sources"].as_array().unwrap().iter().all(|source| source["endpoints"] == 1)
    })
    .await;
    let load = Load::on(&[edge.address()]).start();
    each_gets_requests(&tasks.each_ref()).await;
    assert_all_ok(&load.stop().await);
    let metrics = String::from_utf8(get(edge.admin, "/metrics").await.unwrap().body.to_vec()).unwrap();
    for source in ["srv://", "file://", "swarm://", "name.example"] {
        let line = metrics.lines().find(|line| line.starts_with("edge_source_up{") && line.contains(source));
        assert!(line.is_some_and(|line| line.ends_with(" 1") || line.ends_with(" 1.0")), "{source}: {line:?}");
    }
}

/// Replaces a file as a whole.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_file_may_appear_change_and_be_wrong_while_the_edge_runs() {
    let [one, other] = [Upstream::start().await, Upstream::start().await];
    let config =
        format!("{LISTENER}[pool.web]\nendpoints = \"file://web.endpoints\"\ndiscovery.interval = \"100ms\"\n{CHECKS}");
    let mut edge = Edge::start(&config).await;
    let file = edge.folder.path().join("web.endpoints");
    source_has(&edge, "web.endpoints", Some("No such file")).await;
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    fs::write(&file, format!("{}\n", one.address())).unwrap();
    is_served(&edge).await;
    let load = Load::on(&[edge.address()]).start();
    replace(&file, &format!("# two\n{}\n{} weight=2\n", one.address(), other.address()));
    each_gets_requests(&[&one, &other]).await;

    replace(&file, &format!("{}\nnobody\n", one.address()));
    let line = edge.process.line("line 2: ").await;
    assert!(line.contains("WARN") && line.contains("\\\"nobody\\\" has no port"), "{line}");
    each_gets_requests(&[&one, &other]).await;
    replace(&file, "10.0.0.1:80 wieght=2\n");
    edge.process.line("line 1: ").await;
    fs::write(&file, "").unwrap();
    assert_eq!(source_has(&edge, "web.endpoints", Some("no endpoint is listed")).await["endpoints"], 2);
    fs::remove_file(&file).unwrap();
    source_has(&edge, "web.endpoints", Some("No such file")).await;
    let outcome = edge.reload(&config.replace("[pool.web]\n", "[pool.web]\nattempts = 2\n")).await;
    assert!(outcome.contains("is in use"), "{outcome}");
    each_gets_requests(&[&one, &other]).await;

    replace(&file, &format!("{}\n", other.address()));
    assert_no_more_requests(&one, &load).await;
    assert_eq!(source_has(&edge, "web.endpoints", None).await["endpoints"], 1);
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn flags_take_srv_records_and_files() {
    let [one, other] = [Upstream::start().await, Upstream::start().await];
    let dns = Dns::start().await;
    name(&dns, "a.example", &one);
    dns.set(SERVICE, services([Service::new(0, 1, one.address().port(), "a.example")]));
    let mut edge = Edge::start_by("", |folder| {
        let file = folder.join("spare.endpoints");
        fs::write(&file, format!("{}\n", other.address())).unwrap();
        let flags = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dns-interval", "100ms"];
        tests::process::Process::ours("edge")
            .args(flags)
            .args(["--dns", &dns.address().to_string(), "--to", &format!("srv://{SERVICE}")])
            .args(["--backup", &format!("file://{}", file.display())])
    })
    .await;
    edge.process.line("endpoint is healthy").await;
    edge.process.line("endpoint is healthy").await;
    is_served(&edge).await;
    each_is_used_alone(&edge, &one, &other).await;
    one.kill().await;
    eventually("the backup", SOON, async || {
        let before = other.requests_for("/");
        drop(get(edge.address(), "/").await);
        other.requests_for("/") > before
    })
    .await;
}

/// Checks that `used` gets all requests.
async fn each_is_used_alone(edge: &Edge, used: &Upstream, spare: &Upstream) {
    eventually("requests to the first tier", SOON, async || {
        let before = (used.requests_for("/"), spare.requests_for("/"));
        for _ in 0..10 {
            assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
        }
        (used.requests_for("/"), spare.requests_for("/")) == (before.0 + 10, before.1)
    })
    .await;
}

/// A pool of three names, each of which only one resolver knows.
fn by_three_resolvers(udp: &Dns, tcp: &Dns, tls: SocketAddr, ca: &Path, tls_name: &str, port: u16) -> String {
    format!(
        "[dns]\n{}[resolver.tcp]\n{}[resolver.tls]\ntls_name = \"{tls_name}\"\nca_file = \"{}\"\n{}\
         {LISTENER}[pool.web]\nendpoints = [{{ address = \"udp.example:{port}\", resolver = \"tcp\" }}, \
         \"tls.example:{port}\"]\n[pool.web.discovery]\nresolver = \"tls\"\n\
         [pool.other]\nendpoints = \"udp.example:{port}\"\n[[route]]\npool = \"web\"\n\
         [[route]]\npath = \"/other\"\npool = \"other\"\n",
        resolver(udp.address()),
        resolver(format!("tcp://{}", tcp.address())),
        ca.display(),
        resolver(format!("tls://{tls}")),
    )
}

#[tokio::test]
async fn pools_and_endpoints_use_their_resolvers_by_udp_tcp_and_tls() {
    let tasks: [Upstream; 3] = Upstream::start_tasks().await;
    let port = tasks[0].address().port();
    let authority = Authority::new();
    let certificate = authority.issue("dns", &["dns.example"]);
    let (udp, tcp, tls) = (Dns::start().await, Dns::start().await, Dns::start_with_tls(&certificate).await);
    name(&udp, "udp.example", &tasks[0]);
    name(&tcp, "udp.example", &tasks[1]);
    name(&tls, "tls.example", &tasks[2]);
    let config =
        |tls_name: &str| by_three_resolvers(&udp, &tcp, tls.tls_address(), &authority.root_file(), tls_name, port);
    let mut edge = Edge::start(&config("dns.example")).await;
    let load = Load::on(&[edge.address()]).start();
    each_gets_requests(&[&tasks[1], &tasks[2]]).await;
    assert_all_ok(&load.stop().await);
    eventually("service by the default resolver", SOON, async || {
        drop(get(edge.address(), "/other").await);
        tasks[0].requests_for("/other") > 0
    })
    .await;
    assert_eq!(tcp.queries("udp.example"), tcp.queries_over_tcp("udp.example"));
    assert_eq!(tls.queries("tls.example"), tls.queries_over_tls("tls.example"));
    assert_eq!((tasks[0].requests_for("/"), udp.queries_over_tcp("udp.example")), (0, 0));

    let before = tls.queries("tls.example");
    edge.reload(&config("another.example")).await;
    source_has(&edge, "tls.example", Some("not valid for name")).await;
    assert!(tls.queries("tls.example") <= before + 4, "no query leaves before the certificate is verified");
    let load = Load::on(&[edge.address()]).start();
    each_gets_requests(&[&tasks[1], &tasks[2]]).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn an_untrusted_name_server_is_not_asked_until_its_authority_is_in_the_file() {
    let upstream = Upstream::start().await;
    let (authority, other) = (Authority::new(), Authority::new());
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST).to_string();
    let tls = Dns::start_with_tls(&authority.issue("dns", &[&loopback])).await;
    name(&tls, "web.example", &upstream);
    let ca = |folder: &Path| folder.join("ca.pem");
    let config = format!(
        "[dns]\nca_file = \"ca.pem\"\n{}{LISTENER}[pool.web]\nendpoints = \"web.example:{}\"\n",
        resolver(format!("tls://{}", tls.tls_address())),
        upstream.address().port(),
    );
    let edge = Edge::start(&config).await;
    source_has(&edge, "web.example", Some("ca.pem: cannot be read")).await;
    fs::copy(other.root_file(), ca(edge.folder.path())).unwrap();
    source_has(&edge, "web.example", Some("invalid peer certificate")).await;
    assert_eq!(tls.queries("web.example"), 0);
    fs::copy(authority.root_file(), ca(edge.folder.path())).unwrap();
    is_served(&edge).await;
}

#[tokio::test]
async fn authorities_that_cannot_be_read_to_their_end_delay_no_other_decision() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST).to_string();
    let tls = Dns::start_with_tls(&authority.issue("dns", &[&loopback])).await;
    name(&tls, "web.example", &upstream);
    let folder = tempfile::tempdir().unwrap();
    let (ca, good) = (folder.path().join("ca.pem"), folder.path().join("good.pem"));
    // To open a pipe for reading waits until somebody writes, like a mount that hangs.
    assert!(Command::new("mkfifo").arg(&ca).status().unwrap().success());
    let config = format!(
        "[dns]\nca_file = {ca:?}\n{}{LISTENER}[pool.web]\nendpoints = \"web.example:{}\"\n",
        resolver(format!("tls://{}", tls.tls_address())),
        upstream.address().port(),
    );
    let edge = Edge::start(&config).await;
    source_has(&edge, "web.example", Some("still being read")).await;
    let writer = fs::File::options().write(true).open(&ca).unwrap();
    fs::copy(authority.root_file(), &good).unwrap();
    fs::rename(&good, &ca).unwrap();
    drop(writer);
    is_served(&edge).await;
}

#[tokio::test]
async fn a_name_server_that_hangs_gets_a_new_connection() {
    let upstream = Upstream::start().await;
    let dns = Dns::start().await;
    name(&dns, "web.example", &upstream);
    let silent = Wire::new();
    let current = Arc::new(Mutex::new(silent.clone()));
    let wires = Arc::clone(&current);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = Relay::on(listener, dns.address(), move |_, _| std::future::ready(Some(wires.lock().unwrap().clone())));
    let config = format!(
        "[dns]\n{}{LISTENER}[pool.web]\nendpoints = \"web.example:{}\"\n",
        resolver(format!("tcp://{}", relay.address())),
        upstream.address().port(),
    );
    let edge = Edge::start(&config).await;
    is_served(&edge).await;
    silent.set(Link::Silent);
    source_has(&edge, "web.example", Some("no answer within 400ms")).await;
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    // Only new connections work; nothing closes the old one.
    *current.lock().unwrap() = Wire::new();
    source_has(&edge, "web.example", None).await;
}
