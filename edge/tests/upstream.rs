//! Discovery and health checks against real sockets: endpoints that come, go and hang, and a name server
//! whose answers change.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use edge::{
    config::{
        AccessLog, Balance, Config, Dns, Ejection, Expect, HealthCheck, Limits, Pool, Source, Swarm, Timeouts,
        UpstreamTimeouts,
    },
    upstream::{EndpointState, PoolHandle, PoolSnapshot, manager::Manager},
};
use hickory_server::{
    Server,
    net::{runtime::Time, xfer::Protocol},
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{RData, Record},
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::LocalRuntime,
    task::{JoinHandle, spawn_local},
};

/// No wait takes longer than this; those that succeed end at once.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a test the way the edge runs its control thread.
fn on_control_thread(test: impl Future<Output = ()>) {
    LocalRuntime::new().unwrap().block_on(test);
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, poll).await.is_ok(), "{what}: not within {DEADLINE:?}");
}

fn check() -> HealthCheck {
    HealthCheck {
        path: Some("/health".parse().unwrap()),
        host: None,
        expect: Expect::Statuses(vec![(200, 399)]),
        interval: Duration::from_millis(40),
        fast_interval: Duration::from_millis(20),
        timeout: Duration::from_millis(400),
        rise: 2,
        fall: 2,
    }
}

fn pool(name: &str, sources: Vec<Source>, health: Option<HealthCheck>) -> Pool {
    let second = Duration::from_secs(1);
    Pool {
        name: name.to_owned(),
        sources,
        balance: Balance::RoundRobin,
        health,
        ejection: Ejection { consecutive_failures: 3, base: second / 4, max: second, max_share: 0.5 },
        panic_threshold: 0.3,
        attempts: NonZeroUsize::MIN,
        max_connections: NonZeroUsize::MIN,
        max_idle: 1,
        timeouts: UpstreamTimeouts {
            connect: second,
            response: second,
            body_idle: second,
            idle: second,
            unacknowledged: second,
            max_age: second,
            tunnel_idle: second,
        },
    }
}

fn named(host: &str) -> Vec<Source> {
    vec![Source::Name { host: host.to_owned(), port: 8000 }]
}

fn config(servers: Vec<SocketAddr>, pools: Vec<Pool>) -> Config {
    let second = Duration::from_secs(1);
    Config {
        workers: NonZeroUsize::MIN,
        drain: second,
        admin: None,
        access_log: AccessLog::Off,
        dns: Dns { servers, interval: Duration::from_millis(30), timeout: Duration::from_millis(600) },
        listeners: Vec::new(),
        routes: Vec::new(),
        swarm: Swarm::default(),
        pools: pools.into_iter().map(Arc::new).collect(),
        limits: Limits { max_connections: NonZeroUsize::MIN, max_head: 1, max_headers: 1, max_streams: 1 },
        timeouts: Timeouts { handshake: second, head: second, keep_alive: second, body_idle: second },
        trusted_proxies: Vec::new(),
    }
}

/// What an endpoint of a test does with a connection.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Answers with these bytes.
    Answer(&'static str),
    /// Reads and says nothing.
    Hang,
    /// Closes after reading the question.
    Close,
}

const OK: Behaviour = Behaviour::Answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
const UNAVAILABLE: Behaviour = Behaviour::Answer("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
const ENDLESS: Behaviour = Behaviour::Answer("HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n");

/// A server on loopback; it stops listening when dropped.
struct Upstream {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    /// The last question.
    asked: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Upstream {
    async fn start(behaviour: Behaviour) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), behaviour)
    }

    fn serve(listener: TcpListener, behaviour: Behaviour) -> Self {
        let address = listener.local_addr().unwrap();
        let (behaviour, asked) = (Arc::new(Mutex::new(behaviour)), Arc::default());
        let (its_behaviour, its_asked) = (Arc::clone(&behaviour), Arc::clone(&asked));
        let task = spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let behaviour = *its_behaviour.lock().unwrap();
                spawn_local(answer(stream, behaviour, Arc::clone(&its_asked)));
            }
        });
        Self { address, behaviour, asked, task }
    }

    fn source(&self) -> Source {
        Source::Address(self.address)
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens where somebody listened before, as soon as no other connection of this host borrows the port.
async fn bind_again(address: SocketAddr) -> TcpListener {
    let bind = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, bind).await.unwrap()
}

async fn answer(mut stream: TcpStream, behaviour: Behaviour, asked: Arc<Mutex<String>>) {
    let mut head = [0; 4096];
    let read = stream.read(&mut head).await.unwrap_or(0);
    *asked.lock().unwrap() = String::from_utf8_lossy(&head[..read]).into_owned();
    match behaviour {
        Behaviour::Close => {}
        // The checker may have gone; it says so by closing.
        Behaviour::Hang => drop(stream.read(&mut head).await),
        Behaviour::Answer(bytes) => {
            drop(stream.write_all(bytes.as_bytes()).await);
            drop(stream.read(&mut head).await);
        }
    }
}

/// What a name server of a test says to a name.
#[derive(Clone)]
enum Says {
    Addresses(Vec<IpAddr>),
    Code(ResponseCode),
    Nothing,
}

/// A name server on loopback, over UDP and TCP on one port.
struct NameServer {
    address: SocketAddr,
    zone: Zone,
    _server: Server<Zone>,
}

#[derive(Clone, Default)]
struct Zone {
    /// By name without the last dot.
    names: Arc<Mutex<BTreeMap<String, Says>>>,
    over_tcp: Arc<AtomicUsize>,
    questions: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    async fn start() -> Self {
        let zone = Zone::default();
        let mut server = Server::new(zone.clone());
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr().unwrap();
        server.register_socket(udp);
        server.register_listener(tcp, DEADLINE, 16);
        Self { address, zone, _server: server }
    }

    fn say(&self, name: &str, says: Says) {
        self.zone.names.lock().unwrap().insert(name.to_owned(), says);
    }

    fn say_addresses(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.say(name, Says::Addresses(addresses));
    }
}

#[async_trait::async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut client: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let unsent = ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() });
        let Ok(info) = request.request_info() else { return unsent };
        if request.protocol() == Protocol::Tcp {
            self.over_tcp.fetch_add(1, Relaxed);
        }
        let name = info.query.original().name().clone();
        let key = name.to_string().trim_end_matches('.').to_owned();
        self.questions.lock().unwrap().push(key.clone());
        let says = self.names.lock().unwrap().get(&key).cloned().unwrap_or(Says::Code(ResponseCode::NXDomain));
        let mut records = Vec::new();
        match says {
            Says::Nothing => return unsent,
            Says::Code(code) => metadata.response_code = code,
            Says::Addresses(addresses) => {
                let data = addresses.into_iter().map(RData::from);
                let data = data.filter(|data| data.record_type() == info.query.query_type());
                records = data.map(|data| Record::from_rdata(name.clone(), 600, data)).collect();
            }
        }
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = request.edns.as_ref() {
            builder.edns(edns);
        }
        client.send_response(builder.build(metadata, &records, [], [], [])).await.unwrap_or(unsent)
    }
}

fn snapshot(pool: &PoolHandle) -> Arc<PoolSnapshot> {
    pool.snapshot.load_full()
}

fn addresses(pool: &PoolHandle) -> Vec<String> {
    snapshot(pool).endpoints.iter().map(|endpoint| endpoint.address.ip().to_string()).collect()
}

fn healthy(pool: &PoolHandle) -> Vec<SocketAddr> {
    snapshot(pool).healthy.iter().map(|endpoint| endpoint.address).collect()
}

fn error(pool: &PoolHandle) -> Option<String> {
    snapshot(pool).sources[0].error.clone()
}

fn status(pool: &PoolHandle, index: usize) -> (EndpointState, String) {
    let status = snapshot(pool).endpoints[index].status();
    (status.state, status.reason)
}

/// Tasks of this thread that have not come to an end.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// A pool of two upstreams, both found healthy.
async fn two_healthy(manager: &mut Manager) -> (Upstream, Upstream, Arc<PoolHandle>) {
    let (one, two) = (Upstream::start(OK).await, Upstream::start(OK).await);
    let settings = pool("web", vec![one.source(), two.source()], Some(check()));
    let handle = manager.apply(&config(Vec::new(), vec![settings])).remove(0);
    assert_eq!(snapshot(&handle).usable().len(), 2, "both are used before the first check");
    let checked = || (0..2).all(|index| status(&handle, index).0 == EndpointState::Healthy);
    eventually("both are healthy", checked).await;
    (one, two, handle)
}

#[test]
fn an_endpoint_goes_down_and_comes_back() {
    on_control_thread(async {
        let mut manager = Manager::new(1);
        let (one, two, handle) = two_healthy(&mut manager).await;
        let all = healthy(&handle);
        assert!(one.asked.lock().unwrap().starts_with("GET /health HTTP/1.1\r\n"));
        assert!(one.asked.lock().unwrap().contains(&format!("host: {}\r\n", one.address)));

        one.behave(UNAVAILABLE);
        eventually("the sick one is out", || healthy(&handle) == [two.address]).await;
        one.behave(OK);
        eventually("it is back", || healthy(&handle) == all).await;

        let address = one.address;
        let index = all.iter().position(|its| *its == address).unwrap();
        drop(one);
        eventually("the dead one is out", || healthy(&handle) == [two.address]).await;
        eventually("its death is told", || status(&handle, index).1 == "connection refused").await;
        let _one = Upstream::serve(bind_again(address).await, OK);
        eventually("it is back again", || healthy(&handle) == all).await;
    });
}

#[test]
fn a_check_tells_what_an_endpoint_does() {
    on_control_thread(async {
        for (behaviour, asks, state, reason) in [
            (Behaviour::Hang, true, EndpointState::Unhealthy, "no answer within 400ms"),
            (Behaviour::Hang, false, EndpointState::Healthy, "connected"),
            (Behaviour::Close, true, EndpointState::Unhealthy, "closed before it answered"),
            (Behaviour::Answer("SSH-2.0-OpenSSH\r\n"), true, EndpointState::Unhealthy, "not an HTTP answer"),
            (UNAVAILABLE, true, EndpointState::Unhealthy, "status 503"),
            (ENDLESS, true, EndpointState::Healthy, "status 200"),
        ] {
            let upstream = Upstream::start(behaviour).await;
            let health = HealthCheck { path: asks.then(|| "/".parse().unwrap()), ..check() };
            let settings = pool("web", vec![upstream.source()], Some(health));
            let mut manager = Manager::new(1);
            let pools = manager.apply(&config(Vec::new(), vec![settings]));
            let settled = || status(&pools[0], 0).0 == state && status(&pools[0], 0).1.starts_with(reason);
            eventually(reason, settled).await;
        }
    });
}

#[test]
fn requests_that_fail_eject_an_endpoint_for_a_while() {
    on_control_thread(async {
        let mut manager = Manager::new(1);
        let (_one, _two, handle) = two_healthy(&mut manager).await;
        let endpoint = Arc::clone(&snapshot(&handle).endpoints[0]);
        // As a worker would, from another thread.
        let failing = Arc::clone(&endpoint);
        std::thread::spawn(move || (0..3).for_each(|_| failing.failed())).join().unwrap();
        eventually("it is ejected", || endpoint.status().state == EndpointState::Ejected).await;
        assert_eq!(healthy(&handle).len(), 1);
        eventually("it is back", || healthy(&handle).len() == 2).await;
        assert_eq!((endpoint.failures_in_a_row(), endpoint.checks.ejections.value()), (0, 1));
    });
}

#[test]
fn endpoints_follow_what_the_name_server_says() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("web", named("tasks.stack_web"), None)]));
        eventually("the failure is told", || error(&pools[0]).as_deref() == Some("no such name")).await;
        assert!(snapshot(&pools[0]).usable().is_empty());

        dns.say_addresses("tasks.stack_web", &["10.0.0.2", "10.0.0.1", "0.0.0.0"]);
        eventually("two endpoints", || addresses(&pools[0]) == ["10.0.0.1", "10.0.0.2"]).await;
        assert_eq!(error(&pools[0]), None);
        let kept = snapshot(&pools[0]).endpoints[1].id;
        dns.say_addresses("tasks.stack_web", &["10.0.0.3", "10.0.0.2", "fd00::1"]);
        eventually("one left, two came", || addresses(&pools[0]) == ["10.0.0.2", "10.0.0.3", "fd00::1"]).await;
        assert_eq!(snapshot(&pools[0]).endpoints[0].id, kept);

        for (says, reason) in [
            (Says::Addresses(Vec::new()), "no addresses"),
            (Says::Code(ResponseCode::NXDomain), "no such name"),
            (Says::Code(ResponseCode::ServFail), "the name server responded: Server Failure"),
            (Says::Code(ResponseCode::Refused), "the name server responded: Query Refused"),
            (Says::Nothing, "no answer within 600ms"),
        ] {
            dns.say("tasks.stack_web", says);
            eventually(reason, || error(&pools[0]).as_deref() == Some(reason)).await;
            assert_eq!(addresses(&pools[0]), ["10.0.0.2", "10.0.0.3", "fd00::1"], "{reason}");
        }
        dns.say_addresses("tasks.stack_web", &["10.0.0.4"]);
        eventually("the truth again", || addresses(&pools[0]) == ["10.0.0.4"] && error(&pools[0]).is_none()).await;
        let asked = dns.zone.questions.lock().unwrap().clone();
        assert!(asked.iter().all(|name| name == "tasks.stack_web"), "no search domains: {asked:?}");
    });
}

#[test]
fn an_answer_too_large_for_a_datagram_is_complete() {
    on_control_thread(async {
        // 60 addresses need EDNS: plain DNS would have cut the answer and asked again over TCP.
        for (count, over_tcp) in [(60_u16, false), (500, true)] {
            let dns = NameServer::start().await;
            let many = (0..count).map(|n| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
            dns.say("tasks.web", Says::Addresses(many));
            let mut manager = Manager::new(1);
            let pools = manager.apply(&config(vec![dns.address], vec![pool("web", named("tasks.web"), None)]));
            eventually("all are there", || addresses(&pools[0]).len() == usize::from(count)).await;
            assert_eq!(dns.zone.over_tcp.load(Relaxed) > 0, over_tcp, "{count} addresses");
        }
    });
}

#[test]
fn the_next_name_server_is_asked_when_one_fails_or_is_silent() {
    on_control_thread(async {
        let (first, second) = (NameServer::start().await, NameServer::start().await);
        second.say_addresses("web", &["10.0.0.2"]);
        let servers = vec![first.address, second.address];
        first.say("web", Says::Code(ResponseCode::ServFail));
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(servers, vec![pool("web", named("web"), None)]));
        eventually("the second answers", || addresses(&pools[0]) == ["10.0.0.2"]).await;
        first.say_addresses("web", &["10.0.0.1"]);
        eventually("the first is preferred", || addresses(&pools[0]) == ["10.0.0.1"]).await;
        first.say("web", Says::Nothing);
        eventually("the second answers again", || addresses(&pools[0]) == ["10.0.0.2"]).await;
        assert_eq!(error(&pools[0]), None);
        first.say("web", Says::Code(ResponseCode::NXDomain));
        eventually("NXDOMAIN is an answer", || error(&pools[0]).as_deref() == Some("no such name")).await;
    });
}

#[test]
fn localhost_needs_no_name_server() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("web", named("localhost"), None)]));
        eventually("loopback", || addresses(&pools[0]).contains(&"127.0.0.1".to_owned())).await;
        assert!(dns.zone.questions.lock().unwrap().is_empty());
    });
}

#[test]
fn a_reload_keeps_handles_of_equal_pools_and_endpoints_of_changed_ones() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        dns.say_addresses("a", &["10.0.0.1", "10.0.0.2"]);
        dns.say_addresses("b", &["10.0.0.3"]);
        let settings = |pools| config(vec![dns.address], pools);
        let mut manager = Manager::new(1);
        let pools = manager.apply(&settings(vec![pool("a", named("a"), None), pool("b", named("b"), None)]));
        eventually("both resolved", || addresses(&pools[0]).len() == 2 && addresses(&pools[1]).len() == 1).await;
        let before = snapshot(&pools[0]);
        before.endpoints[0].connections.store(7, Relaxed);

        let changed = Pool { max_idle: 9, ..pool("a", named("a"), None) };
        let after = manager.apply(&settings(vec![pool("b", named("b"), None), changed]));
        assert!(Arc::ptr_eq(&after[0], &pools[1]), "the equal one kept its handle");
        assert!(!Arc::ptr_eq(&after[1], &pools[0]) && Arc::ptr_eq(&after[1].stats, &pools[0].stats));
        let now = snapshot(&after[1]);
        assert_eq!(now.endpoints.len(), 2, "known at once");
        assert!(Arc::ptr_eq(&now.endpoints[0], &before.endpoints[0]));
        assert_eq!(now.endpoints[0].connections.load(Relaxed), 7);

        dns.say_addresses("a", &["10.0.0.2"]);
        eventually("the new one is kept up to date", || addresses(&after[1]) == ["10.0.0.2"]).await;
        assert_eq!(addresses(&pools[0]).len(), 2, "the replaced one is not");

        let other = NameServer::start().await;
        other.say_addresses("b", &["10.0.0.5"]);
        let last = manager.apply(&config(vec![other.address], vec![pool("b", named("b"), None)]));
        assert_eq!(addresses(&last[0]), ["10.0.0.3"], "known from the old server");
        eventually("the new server is asked", || addresses(&last[0]) == ["10.0.0.5"]).await;
    });
}

#[test]
fn a_removed_pool_leaves_nothing_behind() {
    on_control_thread(async {
        let (dns, upstream) = (NameServer::start().await, Upstream::start(OK).await);
        let before = tasks();
        let sources = [named("a"), vec![upstream.source()]].concat();
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("a", sources, Some(check()))]));
        eventually("it is checked", || status(&pools[0], 0).0 == EndpointState::Healthy).await;
        let endpoint = Arc::clone(&snapshot(&pools[0]).endpoints[0]);
        assert!(manager.apply(&config(vec![dns.address], Vec::new())).is_empty());
        drop(pools);
        eventually("its tasks are gone", || tasks() == before).await;
        assert_eq!(Arc::strong_count(&endpoint), 1);
    });
}

#[test]
fn an_endpoint_that_is_gone_leaves_no_task_behind() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("a", named("a"), None)]));
        dns.say_addresses("a", &["10.0.0.1"]);
        eventually("one endpoint", || addresses(&pools[0]).len() == 1).await;
        let before = tasks();
        dns.say_addresses("a", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        eventually("two more, each with a task", || tasks() >= before + 2).await;
        dns.say_addresses("a", &["10.0.0.1"]);
        eventually("their tasks are gone", || addresses(&pools[0]).len() == 1 && tasks() <= before).await;
    });
}
