//! Endpoints behind a routing mesh: each connection to a node leads to one replica for its life.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use http::StatusCode;
use serde_json::Value;
use tests::{
    balancer::{Balancer, Choice},
    client::{Connection, get, load::Load},
    netns,
    nodes::{self, Nodes},
    process::Process,
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually, pause, throughout},
};

use super::{Edge, LISTENER, addresses, list};

/// The pause between two requests: ten a second.
const PACE: Duration = Duration::from_millis(100);

/// A configuration with one pool of nodes behind a mesh. Keys that a test appends belong to its health checks.
pub(super) fn behind_mesh(nodes: &[SocketAddr]) -> String {
    format!(
        "{LISTENER}[pool.web]\nendpoints = {}\nmesh = true\nreplica_header = \"X-Replica\"\n[pool.web.health]\npath = \"/healthz\"\ninterval = \"500ms\"\nfast_interval = \"100ms\"\n",
        list(nodes)
    )
}

/// Starts replicas that name themselves.
async fn replicas(count: usize) -> Vec<Upstream> {
    let mut replicas = Vec::new();
    for number in 0..count {
        let replica = Upstream::start().await;
        let name = vec![("x-replica".to_owned(), format!("replica-{number}"))];
        for path in ["/", "/healthz"] {
            replica.on(path, Behaviour::Headers(name.clone()));
        }
        replicas.push(replica);
    }
    replicas
}

/// Waits until each replica was asked on a connection.
async fn all_known(replicas: &[Upstream]) {
    eventually("a connection to each replica", SOON, async || {
        replicas.iter().all(|replica| replica.requests_for("/healthz") > 0 && replica.open_connections() > 0)
    })
    .await;
}

/// Sends `count` requests at ten a second, each of which must be answered, and returns how many each replica got.
async fn spread(edge: &Edge, replicas: &[Upstream], count: usize) -> Vec<usize> {
    let before: Vec<_> = replicas.iter().map(|replica| replica.requests_for("/")).collect();
    let mut client = Connection::http1(edge.address()).await.unwrap();
    for _ in 0..count {
        assert_eq!(deadline("a response", SOON, client.get("/")).await.unwrap().status, StatusCode::OK);
        pause(PACE).await;
    }
    replicas.iter().zip(before).map(|(replica, before)| replica.requests_for("/") - before).collect()
}

/// Fails unless each replica got its share of the requests, give or take a fifth.
fn assert_equal_shares(shares: &[usize]) {
    let (total, count): (usize, usize) = (shares.iter().sum(), shares.len());
    let is_fair = |share: &usize| share * count * 5 >= total * 4 && share * count * 5 <= total * 6;
    assert!(shares.iter().all(is_fair), "{shares:?}");
}

/// Fails unless the second replica gets no requests once it was asked on every connection, and no node is blamed.
async fn is_avoided(edge: &Edge, replicas: &[Upstream]) {
    let asked = replicas[1].requests_for("/healthz");
    eventually("answers on every connection", SOON, async || replicas[1].requests_for("/healthz") > asked + 20).await;
    let before = replicas[1].requests_for("/");
    spread(edge, replicas, 30).await;
    assert_eq!(replicas[1].requests_for("/"), before);
    let status = edge.status().await;
    assert!(endpoints(&status).iter().all(|endpoint| endpoint["state"] == "healthy"), "{status:#}");
}

#[tokio::test]
async fn six_replicas_behind_three_nodes_get_equal_shares() {
    for choice in [Choice::InTurn, Choice::Random] {
        let replicas = replicas(6).await;
        let mesh = Balancer::start(3, &addresses(&replicas), choice).await;
        let edge = Edge::start(&behind_mesh(mesh.nodes())).await;
        all_known(&replicas).await;
        assert_equal_shares(&spread(&edge, &replicas, 120).await);
    }
}

#[tokio::test]
async fn new_replicas_get_equal_shares_within_five_seconds() {
    for choice in [Choice::InTurn, Choice::Random] {
        let replicas = replicas(6).await;
        let mesh = Balancer::start(3, &addresses(&replicas[..2]), choice).await;
        let edge = Edge::start(&behind_mesh(mesh.nodes())).await;
        all_known(&replicas[..2]).await;
        assert_equal_shares(&spread(&edge, &replicas[..2], 20).await);
        let scaled = Instant::now();
        mesh.set_replicas(&addresses(&replicas));
        // What happens after five seconds is what is asserted, however long the test takes.
        spread(&edge, &replicas, 50).await;
        assert!(scaled.elapsed() >= Duration::from_secs(5));
        assert_equal_shares(&spread(&edge, &replicas, 120).await);
    }
}

#[tokio::test]
async fn replicas_without_a_name_get_requests_on_all_warm_connections() {
    let replicas = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let mesh = Balancer::start(2, &addresses(&replicas), Choice::InTurn).await;
    let edge = Edge::start(&behind_mesh(mesh.nodes())).await;
    all_known(&replicas).await;
    let shares = spread(&edge, &replicas, 60).await;
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}

#[tokio::test]
async fn connections_are_bounded_and_asked_while_idle() {
    let replicas = replicas(3).await;
    let mesh = Balancer::start(2, &addresses(&replicas), Choice::InTurn).await;
    let _edge = Edge::start(&behind_mesh(mesh.nodes())).await;
    all_known(&replicas).await;
    let asked: Vec<_> = replicas.iter().map(|replica| replica.requests_for("/healthz")).collect();
    eventually("more answers of each", SOON, async || {
        replicas.iter().zip(&asked).all(|(replica, asked)| replica.requests_for("/healthz") > asked + 5)
    })
    .await;
    let open = || replicas.iter().map(Upstream::open_connections).sum::<usize>();
    // Two workers keep three to each of two nodes at most, and look for replicas with a few more; a check of each node
    // is under way now and then.
    throughout("few connections", Duration::from_secs(2), async || open() <= 2 * 2 * 3 + 8).await;
}

#[tokio::test]
async fn a_replica_that_stops_answering_loses_its_connections_and_no_node_is_blamed() {
    let replicas = replicas(3).await;
    let mesh = Balancer::start(2, &addresses(&replicas), Choice::InTurn).await;
    let edge = Edge::start(&format!("{}timeout = \"300ms\"\n", behind_mesh(mesh.nodes()))).await;
    all_known(&replicas).await;
    replicas[0].hang();
    let before = replicas[0].requests_for("/");
    // Until the next time it is asked, a request may wait for it. Then none does.
    pause(Duration::from_millis(1500)).await;
    let during = replicas[0].requests_for("/");
    let shares = spread(&edge, &replicas[1..], 60).await;
    assert_eq!(replicas[0].requests_for("/"), during, "no request goes to the replica that hangs, {before} before");
    assert_equal_shares(&shares);
    let status = edge.status().await;
    assert!(endpoints(&status).iter().all(|endpoint| endpoint["state"] == "healthy"), "{status:#}");
    replicas[0].resume();
    eventually("its share", SOON, async || {
        get(edge.address(), "/").await.unwrap();
        replicas[0].requests_for("/") > during
    })
    .await;
}

#[tokio::test]
async fn a_replica_whose_health_path_fails_gets_no_requests_and_no_node_is_blamed() {
    let replicas = replicas(3).await;
    let mesh = Balancer::start(2, &addresses(&replicas), Choice::Random).await;
    let edge = Edge::start(&behind_mesh(mesh.nodes())).await;
    all_known(&replicas).await;
    replicas[1].on("/healthz", Behaviour::Status(503));
    is_avoided(&edge, &replicas).await;
    // While all fail, one of them is better than none.
    for replica in &replicas {
        replica.on("/healthz", Behaviour::Status(503));
    }
    pause(Duration::from_secs(1)).await;
    spread(&edge, &replicas, 10).await;
}

#[tokio::test]
async fn a_replica_whose_answer_lacks_the_text_gets_no_requests_and_no_node_is_blamed() {
    let replicas = replicas(3).await;
    let mesh = Balancer::start(2, &addresses(&replicas), Choice::Random).await;
    let edge = Edge::start(&format!("{}body = \"ok\"\n", behind_mesh(mesh.nodes()))).await;
    all_known(&replicas).await;
    // Its body is "status 200".
    replicas[1].on("/healthz", Behaviour::Status(200));
    is_avoided(&edge, &replicas).await;
}

#[tokio::test]
async fn connections_are_seldom_asked_without_requests() {
    let replicas = replicas(2).await;
    let mesh = Balancer::start(1, &addresses(&replicas), Choice::InTurn).await;
    let edge = Edge::start(&format!("{}idle_interval = \"7s\"\n", behind_mesh(mesh.nodes()))).await;
    all_known(&replicas).await;
    let asked = || replicas.iter().map(|replica| replica.requests_for("/healthz")).sum::<usize>();
    let (mut count, mut since) = (asked(), Instant::now());
    // Eight connections are asked twice a second each otherwise, and five more are opened.
    eventually("no question for two seconds", SOON, async || {
        if asked() != count {
            (count, since) = (asked(), Instant::now());
        }
        since.elapsed() >= Duration::from_secs(2)
    })
    .await;
    let before = asked();
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    eventually("questions on all connections", SOON, async || {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
        asked() >= before + 100
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_announces_its_drain_loses_its_other_connections() {
    let replicas = replicas(2).await;
    let mesh = Balancer::start(1, &addresses(&replicas), Choice::InTurn).await;
    let config = behind_mesh(mesh.nodes()).replace("\"500ms\"", "\"1min\"");
    let edge = Edge::start(&format!("{config}[pool.web.drain]\nheader = \"x-drain\"\n")).await;
    // Two for each of two workers.
    eventually("connections", SOON, async || replicas.iter().all(|replica| replica.open_connections() >= 4)).await;
    let drain = vec![("x-replica".to_owned(), "replica-0".to_owned()), ("x-drain".to_owned(), "1".to_owned())];
    replicas[0].on("/", Behaviour::Headers(drain));
    replicas[0].on("/healthz", Behaviour::Drain);
    let mut client = Connection::http1(edge.address()).await.unwrap();
    eventually("the announcement", SOON, async || {
        assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
        replicas[0].requests_for("/") > 0
    })
    .await;
    // The other connections would be asked in a minute, which is longer than this waits.
    eventually("twenty requests elsewhere", SOON, async || {
        let before = replicas[0].requests_for("/");
        for _ in 0..20 {
            assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
        }
        replicas[0].requests_for("/") == before
    })
    .await;
    assert_eq!(endpoints(&edge.status().await)[0]["state"], "healthy");
}

#[tokio::test]
async fn connections_stay_open_when_they_are_asked_by_head() {
    let replicas = replicas(2).await;
    let mesh = Balancer::start(1, &addresses(&replicas), Choice::InTurn).await;
    let edge = Edge::start(&format!("{}method = \"HEAD\"\n", behind_mesh(mesh.nodes()))).await;
    all_known(&replicas).await;
    let asked = |status: &Value| endpoints(status)[0]["checks"].as_u64().unwrap();
    eventually("answers on open connections", SOON, async || asked(&edge.status().await) > 30).await;
    let status = edge.status().await;
    assert_eq!(endpoints(&status)[0]["checks_failed"], 0, "{status:#}");
}

#[tokio::test]
async fn a_replica_whose_health_path_fails_is_noticed_although_requests_keep_its_connections_busy() {
    let replicas = replicas(3).await;
    let mesh = Balancer::start(2, &addresses(&replicas), Choice::InTurn).await;
    let config = behind_mesh(mesh.nodes()).replace("\"500ms\"", "\"1s\"");
    let edge = Edge::start(&config).await;
    all_known(&replicas).await;
    // So much that each of its connections gets several requests in every interval.
    let load = Load::on(&[edge.address()]).pace(Duration::from_millis(10)).start();
    eventually("load", SOON, async || load.done() > 300).await;
    replicas[1].on("/healthz", Behaviour::Status(503));
    let mut before = replicas[1].requests_for("/");
    // Its share is dozens in a quarter of a second. Later it gets one when a new connection leads to it.
    eventually("no more than a few requests for the replica", SOON, async || {
        pause(Duration::from_millis(250)).await;
        let requests = replicas[1].requests_for("/");
        let few = requests - before < 5;
        before = requests;
        few
    })
    .await;
    super::assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn connections_that_cannot_be_kept_are_opened_less_and_less_often() {
    let replicas = replicas(2).await;
    for replica in &replicas {
        replica.on("/healthz", Behaviour::EchoAndClose);
    }
    let mesh = Balancer::start(1, &addresses(&replicas), Choice::InTurn).await;
    let _edge = Edge::start(&behind_mesh(mesh.nodes())).await;
    eventually("an answer", SOON, async || replicas[0].requests_for("/healthz") > 5).await;
    // The pauses have become long.
    pause(Duration::from_secs(2)).await;
    let before = mesh.accepted();
    pause(Duration::from_secs(3)).await;
    // Two workers try at most twice, with a few each time, and the node is checked every half second.
    let opened = mesh.accepted() - before;
    assert!(opened < 60, "{opened}");
}

#[tokio::test]
async fn a_node_that_is_gone_costs_no_request() {
    let replicas = replicas(2).await;
    let mesh = Balancer::start(3, &addresses(&replicas), Choice::InTurn).await;
    let edge = Edge::start(&behind_mesh(mesh.nodes())).await;
    all_known(&replicas).await;
    let load = Load::on(&[edge.address()]).pace(Duration::from_millis(5)).start();
    eventually("load", SOON, async || load.done() > 50).await;
    mesh.stop_node(1).await;
    eventually("a node that is down", SOON, async || {
        endpoints(&edge.status().await).iter().any(|endpoint| endpoint["state"] == "unhealthy")
    })
    .await;
    let before = load.done();
    eventually("more load", SOON, async || load.done() > before + 100).await;
    super::assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn few_allowed_connections_are_left_to_requests() {
    let replicas = replicas(2).await;
    let mesh = Balancer::start(1, &addresses(&replicas), Choice::InTurn).await;
    let config = behind_mesh(mesh.nodes()).replace("mesh = true", "mesh = true\nmax_connections = 2");
    let edge = Edge::start(&config).await;
    let load = Load::on(&[edge.address()]).connections(12).start();
    let most = std::cell::Cell::new(0);
    eventually("load", SOON, async || {
        most.set(most.get().max(replicas.iter().map(Upstream::open_connections).sum::<usize>()));
        load.done() > 300
    })
    .await;
    super::assert_all_ok(&load.stop().await);
    // Two, the one of a check, and those whose end this process has not noticed. Without the limit there would be
    // twelve.
    assert!(most.get() < 10, "{most:?}");
}

#[tokio::test]
async fn a_replica_that_alone_gives_errors_is_ejected_and_no_node_is_blamed() {
    let replicas = replicas(3).await;
    let mesh = Balancer::start(2, &addresses(&replicas), Choice::InTurn).await;
    let edge = Edge::start(&behind_mesh(mesh.nodes())).await;
    all_known(&replicas).await;
    replicas[2].on("/", Behaviour::Status(500));
    let mut client = Connection::http1(edge.address()).await.unwrap();
    let mut since_error = 0;
    // The first ejection lasts for five seconds.
    eventually("twenty requests without an error", SOON, async || {
        let status = client.get("/").await.unwrap().status;
        since_error = if status == StatusCode::OK { since_error + 1 } else { 0 };
        since_error >= 20
    })
    .await;
    assert!(replicas[2].requests_for("/") >= 10, "too few to tell");
    edge.decides("replica_ejected").await;
    let line = edge.process.lines().into_iter().find(|line| line.contains("replica is ejected")).expect("a line");
    assert!(line.contains("replica-2") && line.contains("responses were server errors"), "{line}");
    let status = edge.status().await;
    let ejections = status["pools"][0]["mesh"]["replicas"][2]["ejections"].as_u64();
    assert!(ejections >= Some(1), "{status:#}");
    assert!(endpoints(&status).iter().all(|endpoint| endpoint["state"] == "healthy"), "{status:#}");
}

#[tokio::test]
async fn endpoints_stand_in_until_a_node_is_known() {
    let replicas = replicas(2).await;
    let [direct, behind] = &replicas[..] else { unreachable!() };
    let mesh = Balancer::start(2, &[behind.address()], Choice::InTurn).await;
    let nodes = Nodes::start().await;
    nodes.behave(nodes::Behaviour::Status(503));
    let edge = Edge::start_by("", |_| {
        Process::ours("edge")
            .args(["run", "--admin", "127.0.0.1:0", "--workers", "2", "--listen", "127.0.0.1:0"])
            .args(["--to", &direct.address().to_string(), "--to-mesh", &format!("swarm://{}", nodes.address())])
            .args(["--to-port", &mesh.nodes()[0].port().to_string(), "--health-path", "/healthz"])
            .args(["--replica-header", "x-replica"])
    })
    .await;
    let served_by = async || get(edge.address(), "/").await.unwrap().header("x-replica").map(str::to_owned);
    assert_eq!(served_by().await.as_deref(), Some("replica-0"));
    nodes.set(mesh.nodes().iter().map(SocketAddr::ip));
    nodes.behave(nodes::Behaviour::List);
    eventually("a request through a node", SOON, async || served_by().await.as_deref() == Some("replica-1")).await;
    let before = direct.requests_for("/");
    for _ in 0..20 {
        assert_eq!(served_by().await.as_deref(), Some("replica-1"));
    }
    assert_eq!(direct.requests_for("/"), before);
}

/// Runs a command in this network namespace, and returns its output.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("a program");
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The number of packets that the last rule has dropped.
fn dropped() -> usize {
    let rules = run("iptables", &["-w", "-L", "INPUT", "-n", "-v", "-x"]);
    rules.lines().filter_map(|line| line.split_whitespace().next()?.parse::<usize>().ok()).next_back().expect("a rule")
}

/// Runs the test of this name again in a network namespace of its own. Returns whether this process is that second
/// run; the first one has nothing left to do.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn is_apart(test: &str) -> bool {
    netns::isolated(&format!("edge::mesh::{test}")).unwrap_or_else(|why| {
        eprintln!("SKIPPED: {why}");
        false
    })
}

#[tokio::test]
async fn requests_do_not_wait_for_connections_that_nobody_answers() {
    if !is_apart("requests_do_not_wait_for_connections_that_nobody_answers") {
        return;
    }
    let replicas = replicas(6).await;
    let mesh = Balancer::start(3, &addresses(&replicas), Choice::InTurn).await;
    let edge = Edge::start(&behind_mesh(mesh.nodes())).await;
    all_known(&replicas).await;
    // Two of the six replicas are on a machine without power: one of three new connections leads there.
    let port = mesh.nodes()[0].port().to_string();
    let every_third = ["-m", "statistic", "--mode", "nth", "--every", "3", "--packet", "0"];
    let rule = [&["-w", "-A", "INPUT", "-p", "tcp", "--syn", "--dport", &port][..], &every_third, &["-j", "DROP"]];
    run("iptables", &rule.concat());
    // Bursts, each of which needs more connections than are idle, and for longer than until a connection is late.
    for replica in &replicas {
        replica.on("/", Behaviour::SlowBody { chunks: 2, every: Duration::from_millis(40) });
    }
    let mut records = Vec::new();
    for _ in 0..4 {
        let load = Load::on(&[edge.address()]).connections(60).start();
        eventually("load", SOON, async || load.done() > 600).await;
        records.extend(load.stop().await);
        // The idle connections end.
        for replica in &replicas {
            replica.restart().await;
        }
        all_known(&replicas).await;
    }
    super::assert_all_ok(&records);
    eventually("second connections that were open first", SOON, async || {
        let mesh = edge.status().await["pools"][0]["mesh"].take();
        let (races, won) = (mesh["races"].as_u64(), mesh["races_won"].as_u64());
        races >= Some(1) && won >= Some(1) && won <= races
    })
    .await;
    edge.decides("raced").await;
    // A SYN is sent again only after a second.
    let waited = records.iter().filter(|record| record.took() >= Duration::from_millis(900)).count();
    let (dropped, opened) = (dropped(), mesh.accepted());
    assert!(dropped > 20, "{dropped} of {opened} connections were dropped");
    assert!(
        waited * 10 <= dropped,
        "{waited} of {} requests waited, {dropped} connections were dropped",
        records.len()
    );
}

fn endpoints(status: &Value) -> Vec<Value> {
    status["pools"][0]["endpoints"].as_array().expect("endpoints").clone()
}
