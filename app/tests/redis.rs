//! The counter with a real Redis: several counters, errors, and recovery.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use app::{
    App, Counter, CounterError, Limits, Options, RedisConfig, StoreConfig,
    counter::{Degraded, Durability, StoreError},
};
use redis_config::Settings;
use support::wait_for;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};

/// A `redis-server` on a socket in its own folder, which it keeps across restarts.
struct Server {
    folder: TempDir,
    child: Option<Child>,
    options: Vec<String>,
}

impl Server {
    fn start() -> Self {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Self {
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            child: None,
            options: options.iter().map(ToString::to_string).collect(),
        };
        server.up();
        server
    }

    fn up(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", "0", "--appendonly", "yes", "--appendfsync", "always"])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .expect("these tests need redis-server in the PATH (Debian: apt install redis-server)");
        self.child = Some(child);
        wait_for("Redis", || (self.cli(&["PING"]) == "PONG").then_some(()));
    }

    /// Kills it without a clean end.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn cli(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(command)
            .stderr(Stdio::null())
            .output()
            .expect("these tests need redis-cli in the PATH (Debian: apt install redis-tools)");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    fn counter(&self) -> Counter {
        counter(&self.url(), None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn counter(url: &str, ca: Option<Vec<u8>>) -> Counter {
    let config = RedisConfig::parse(url, ca).unwrap();
    Counter::open(&StoreConfig::Redis(config), Limits::default()).unwrap()
}

/// Repeats a hit until one succeeds, and returns its number. Tests in paused time check that each hit is answered
/// within its deadline; the timeout here only guards against a hang.
async fn recovered(counter: &Counter) -> u64 {
    let hits = async {
        loop {
            if let Ok(number) = counter.hit().await {
                return number;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(support::HANG_GUARD, hits).await.expect("a hit that succeeds")
}

#[tokio::test]
async fn hits_are_counted_under_the_tutorials_key() {
    let server = Server::start();
    let counter = server.counter();
    assert_eq!(counter.hit().await.unwrap(), 1);
    assert_eq!(server.cli(&["INCR", "hits"]), "2");
    assert_eq!(counter.hit().await.unwrap(), 3);
    assert_eq!(server.cli(&["GET", "hits"]), "3");
}

#[tokio::test]
async fn replicas_return_every_number_once_and_skip_none() {
    let server = Server::start();
    let mut hits = JoinSet::new();
    for _ in 0..3 {
        let counter = server.counter();
        for _ in 0..10 {
            let counter = counter.clone();
            hits.spawn(async move {
                let mut numbers = Vec::new();
                for _ in 0..100 {
                    numbers.push(counter.hit().await.unwrap());
                }
                assert!(numbers.is_sorted(), "a later hit got a smaller number");
                numbers
            });
        }
    }
    let mut numbers: Vec<u64> = hits.join_all().await.concat();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=3000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_counter_opens_without_redis_and_connects_when_redis_starts() {
    let mut server = Server::start();
    server.kill();
    let counter = server.counter();
    // The hit fails because of the connection, not because of its deadline, which would be `Late`.
    let result = timeout(support::HANG_GUARD, counter.hit()).await.expect("an answer");
    assert!(matches!(result, Err(CounterError::Store(_))), "{result:?}");
    server.up();
    assert_eq!(recovered(&counter).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_redis_between_visits_fails_no_visit() {
    let mut server = Server::start();
    let counter = server.counter();
    assert_eq!(counter.hit().await.unwrap(), 1);
    server.kill();
    server.up();
    // The counter reconnects without a visit.
    let ready = async {
        while counter.ready().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(support::HANG_GUARD, ready).await.expect("readiness");
    assert_eq!(counter.hit().await.unwrap(), 2);
}

#[tokio::test]
async fn a_value_that_is_not_a_count_is_refused_and_not_changed() {
    let server = Server::start();
    for (value, reason) in [("banana", "not an integer"), ("-5", "below zero")] {
        server.cli(&["SET", "hits", value]);
        let counter = server.counter();
        let result = counter.hit().await;
        let Err(CounterError::Store(error)) = result else { panic!("{result:?}") };
        assert!(matches!(*error, StoreError::NotACount(_)), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(server.cli(&["GET", "hits"]), value);
        server.cli(&["SET", "hits", "41"]);
        assert_eq!(recovered(&counter).await, 42);
        counter.close().await;
    }
    server.cli(&["DEL", "hits"]);
    server.cli(&["LPUSH", "hits", "x"]);
    let counter = server.counter();
    let result = counter.hit().await;
    assert!(matches!(&result, Err(CounterError::Store(e)) if matches!(**e, StoreError::NotACount(_))), "{result:?}");
    server.cli(&["SET", "hits", &(i64::MAX - 1).to_string()]);
    assert_eq!(recovered(&counter).await, i64::MAX.unsigned_abs());
    let result = counter.hit().await;
    assert!(matches!(&result, Err(CounterError::Store(e)) if matches!(**e, StoreError::NotACount(_))), "{result:?}");
}

#[tokio::test]
async fn a_master_that_becomes_a_replica_is_refused_until_it_is_master_again() {
    let server = Server::start();
    let counter = server.counter();
    assert_eq!(counter.hit().await.unwrap(), 1);
    // As a replica of a master that does not exist, it keeps its data and refuses writes.
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let result = counter.hit().await;
    let Err(CounterError::Store(error)) = result else { panic!("{result:?}") };
    assert!(matches!(*error, StoreError::Refused(_)), "{error}");
    assert_eq!(error.reason(), "refused");
    // A read would still succeed here; readiness must not.
    assert!(counter.ready().await.is_err());
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(recovered(&counter).await, 2);
}

#[tokio::test]
async fn a_password_is_used_and_a_wrong_one_is_reported_but_not_shown() {
    let server = Server::with(&[
        "--user",
        "default",
        "on",
        "nopass",
        "~*",
        "+@all",
        "--user",
        "web",
        "on",
        ">s3cret",
        "~hits",
        "~hits:producer:*",
        "+eval",
        "+evalsha",
        "+script|load",
        "+get",
        "+set",
        "+incrby",
        "+hmget",
        "+hset",
        "+pexpire",
    ]);
    let url = |password: &str| format!("{}?user=web&pass={password}", server.url());
    let counter_of = |password: &str| counter(&url(password), None);
    assert_eq!(counter_of("s3cret").hit().await.unwrap(), 1);
    let result = counter_of("wr0ng").hit().await;
    let Err(CounterError::Store(error)) = result else { panic!("{result:?}") };
    assert!(matches!(*error, StoreError::Refused(_)), "{error:?}");
    let text = process::chain(&*error).to_string();
    assert!(text.contains("WRONGPASS") || text.to_lowercase().contains("password"), "{text}");
    assert!(!text.contains("wr0ng"), "{text}");
}

/// Starts a server that presents `certificate` on a port with TLS. Returns it with its URL for the name `localhost`.
fn with_tls(folder: &TempDir, certificate: &str, key: &str) -> (Server, String) {
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let port = free_port();
    let server = Server::with(&[
        "--tls-port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &write("crt", certificate),
        "--tls-key-file",
        &write("key", key),
        // It must be set, and is for clients.
        "--tls-ca-cert-file",
        &write("ca", certificate),
    ]);
    (server, format!("rediss://localhost:{port}"))
}

/// An authority, and its certificate as PEM.
fn authority() -> (rcgen::Issuer<'static, rcgen::KeyPair>, String) {
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (rcgen::Issuer::new(params, key), pem)
}

/// A certificate for `localhost` and its key, as PEM.
fn issue(issuer: &rcgen::Issuer<'_, rcgen::KeyPair>) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A certificate for `name` that is an authority's and its own, as `openssl req -x509` creates it, and its key.
fn own_certificate(name: &str) -> (String, String) {
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn tls_trusts_the_given_authority_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority();
    let (certificate, key) = issue(&issuer);
    let (server, url) = with_tls(&folder, &certificate, &key);
    let trusting = counter(&url, Some(ca.into_bytes()));
    assert_eq!(trusting.hit().await.unwrap(), 1);
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for authorities in [Some(other.cert.pem().into_bytes()), None] {
        assert!(matches!(counter(&url, authorities).hit().await, Err(CounterError::Store(_))));
    }
    assert_eq!(server.cli(&["GET", "hits"]), "1");
}

#[tokio::test]
async fn a_server_may_present_the_listed_certificate_of_an_authority_for_its_own_name() {
    for (name, expected) in [("localhost", true), ("other.example", false)] {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = own_certificate(name);
        let (_server, url) = with_tls(&folder, &certificate, &key);
        let hit = counter(&url, Some(certificate.into_bytes())).hit().await;
        assert_eq!(hit.is_ok(), expected, "{name}: {hit:?}");
    }
}

#[tokio::test]
async fn a_changed_authority_is_trusted_without_a_restart_and_a_removed_one_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority();
    let (other_issuer, other_ca) = authority();
    let (certificate, key) = issue(&issuer);
    let (mut server, url) = with_tls(&folder, &certificate, &key);
    let file = folder.path().join("trusted");
    fs::write(&file, &other_ca).unwrap();
    let settings = Settings { url: Some(url), ca_file: Some(file.clone()), ..Settings::default() };
    let location = settings.load(|path| fs::read(path)).unwrap().unwrap();
    let counter = Counter::open(&StoreConfig::Redis(location.into()), Limits::default()).unwrap();
    let Err(CounterError::Store(error)) = counter.hit().await else { panic!("trusted") };
    assert!(process::chain(&*error).to_string().contains("invalid peer certificate"), "{error:?}");
    // The refusal makes the counter read the file.
    fs::write(&file, &ca).unwrap();
    assert_eq!(recovered(&counter).await, 1);

    // The server gets a certificate of the other authority, which is not trusted any more.
    server.kill();
    let (certificate, key) = issue(&other_issuer);
    fs::write(folder.path().join("crt"), certificate).unwrap();
    fs::write(folder.path().join("key"), key).unwrap();
    server.up();
    assert!(counter.hit().await.is_err());
    fs::write(&file, format!("{ca}{other_ca}")).unwrap();
    assert_eq!(recovered(&counter).await, 2);
}

#[tokio::test]
async fn the_documented_permissions_suffice_and_every_redis_knows_them() {
    let docs = include_str!("../../docs/app.md");
    let (_, docs) = docs.split_once("## Permissions in Redis").unwrap();
    let rules = |name: &str| {
        let line = docs.lines().find(|line| line.starts_with(&format!("user {name} "))).unwrap();
        line.replace("PASSWORD", "s3cret")
    };
    // The commands of the last row are for newer servers only.
    let (local, replica, sentinel) = (rules("app"), rules("app-replica"), rules("sentinel-user"));
    assert!(!format!("{local}{replica}{sentinel}").contains("waitaof"));
    for (durability, user) in [(Durability::Local, local), (Durability::Replica, replica)] {
        let folder = tempfile::tempdir().unwrap();
        let acl = folder.path().join("users.acl");
        fs::write(&acl, format!("user default on nopass ~* &* +@all\n{user}\n")).unwrap();
        let server = Server::with(&["--aclfile", acl.to_str().unwrap()]);
        let name = user.split(' ').nth(1).unwrap();
        let config = RedisConfig::parse(&format!("{}?user={name}&pass=s3cret", server.url()), None).unwrap();
        let config = config.durability(durability).degraded(Degraded::GoOn);
        let counter = Counter::open(&StoreConfig::Redis(config), Limits::default()).unwrap();
        assert_eq!(counter.hit().await.unwrap(), 1, "{user}");
        let log = server.cli(&["ACL", "LOG"]);
        assert_eq!(log, "", "{user}");
    }
}

/// Returns a port that was just free: Redis cannot choose one itself.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_apps_in_one_process_share_one_redis() {
    let server = Server::start();
    let mut addresses = Vec::new();
    let mut apps = JoinSet::new();
    let (stop, _) = tokio::sync::watch::channel(());
    for name in ["node1", "node2", "node3"] {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        let app = App::new(server.counter(), name, Options::default());
        let mut stopped = stop.subscribe();
        apps.spawn(app::serve(listener, app, async move { drop(stopped.changed().await) }));
    }
    let answers = tokio::task::spawn_blocking(move || {
        let answers = addresses.iter().cycle().take(9);
        answers.map(|address| support::get(*address, "/")).collect::<Vec<_>>()
    });
    for (index, answer) in answers.await.unwrap().iter().enumerate() {
        assert_eq!(answer.number(), index as u64 + 1);
        let name = format!("x-served-by: node{}", index % 3 + 1);
        assert!(answer.head.contains(&name), "{}", answer.head);
    }
    stop.send_replace(());
    let ended = timeout(support::HANG_GUARD, apps.join_all()).await;
    assert!(ended.unwrap().iter().all(Result::is_ok));
}
