//! Three instances, one on each manager, that share a real Redis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tests::receiver::{Answer, Receiver};
use tests::redis::Redis;
use tests::redis::group::{Group, MASTER};
use tests::smtp::Smtp;
use tests::wait::{SOON, eventually, throughout};
use tokio::sync::watch as latest;
use tokio::task::JoinSet;
use watch::alert::notification_log::{Announcement, ClaimRequest, ClaimResult, RedisStore, SharedLog, Store};
use watch::alert::notifier::{AlertGroup, Kind};
use watch::alert::rule::Rule;
use watch::alert::{Running, Settings, start, time};
use watch::cluster_state::{AlertState, ClusterState, Node, NodeRole, NodeState, Quorum, Severity, Source};

use super::Files;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const SMS: &str = "/2010-04-01/Accounts/AC01/Messages.json";

/// The cluster state that the engines report.
#[derive(Clone, Debug)]
struct Swarm {
    leader: &'static str,
    down: Vec<&'static str>,
}

impl Swarm {
    fn cluster(&self, node: &str) -> ClusterState {
        let is_down = |id: &str| self.down.contains(&id);
        let manager = |id: &str| Node {
            hostname: format!("serveur-{id}"),
            role: NodeRole::Manager,
            leader: id == self.leader,
            reachable: Some(!is_down(id)),
            state: if is_down(id) { NodeState::Down } else { NodeState::Ready },
            ..Node::default()
        };
        let at = Some(time::now());
        ClusterState {
            source: Source { node: node.into(), leader: node == self.leader, at, ..Source::default() },
            quorum: Quorum { managers: 3, reachable: 3 - u32::try_from(self.down.len()).unwrap(), lost: false },
            nodes: NODES.map(|id| (id.to_owned(), manager(id))).into(),
            ..ClusterState::default()
        }
    }
}

/// The running instances, by node.
struct Instances {
    running: BTreeMap<&'static str, Running>,
    swarm: latest::Sender<Swarm>,
    /// Tasks that refresh the cluster states.
    _engines: JoinSet<()>,
}

impl Instances {
    fn start(settings: &Settings, store: impl Fn() -> Arc<dyn Store>) -> Self {
        let swarm = latest::Sender::new(Swarm { leader: "n1", down: Vec::new() });
        let mut engines = JoinSet::new();
        let mut running = BTreeMap::new();
        for node in NODES {
            let (to, states) = latest::channel(Arc::new(swarm.borrow().cluster(node)));
            let mut changes = swarm.subscribe();
            engines.spawn(async move {
                loop {
                    to.send_replace(Arc::new(changes.borrow_and_update().cluster(node)));
                    // A new cluster state follows each change, and a second without one.
                    drop(tokio::time::timeout(Duration::from_secs(1), changes.changed()).await);
                }
            });
            running.insert(node, start(settings.clone(), states, Some(store())).unwrap());
        }
        Self { running, swarm, _engines: engines }
    }

    /// Kills a node with its instance, and makes `leader` the leader.
    async fn kill(&mut self, node: &'static str, leader: &'static str) {
        self.running.remove(node).unwrap().stop(Duration::ZERO).await;
        self.swarm.send_replace(Swarm { leader, down: vec![node] });
    }

    /// Makes all nodes ready again.
    fn bring_back(&self) {
        self.swarm.send_modify(|swarm| swarm.down.clear());
    }

    /// Waits until every instance has used the log.
    async fn until_settled(&self) {
        let has_used_log = |running: &Running| metrics(running).contains("alert_ledger_uses_total{outcome=\"sent\"}");
        eventually("a first use of the log", SOON, async || self.running.values().all(has_used_log)).await;
    }

    /// Returns how many messages the instance on `node` has sent through both channels.
    fn sent_by(&self, node: &str) -> usize {
        let text = metrics(&self.running[node]);
        let sent = text
            .lines()
            .filter(|line| line.starts_with("alert_notifications_total{") && line.contains("outcome=\"sent\""));
        sent.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }
}

/// Returns an instance's metrics as text.
fn metrics(running: &Running) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    running.metrics().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

/// Returns a function that creates stores in a single Redis.
fn stores_in(redis: &Redis) -> impl Fn() -> Arc<dyn Store> + use<> {
    let url = redis.url();
    move || {
        let url = url.clone();
        Arc::new(RedisStore::new(move || connect(url.clone())))
    }
}

async fn connect(url: String) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_millis(500)))
        .set_response_timeout(Some(Duration::from_secs(1)));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

/// Connects to the master named by the first sentinel that responds.
async fn master(sentinels: String) -> Result<MultiplexedConnection, RedisError> {
    let mut failure = None;
    for sentinel in sentinels.split(',') {
        let connecting = async {
            let mut connection = connect(format!("redis://{sentinel}")).await?;
            let query = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(MASTER).to_owned();
            let (ip, port): (String, u16) = query.query_async(&mut connection).await?;
            connect(format!("redis://{ip}:{port}")).await
        };
        match connecting.await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.expect("at least one sentinel"))
}

/// A mail server, an SMS service, and settings for both.
struct Peers {
    mail: Smtp,
    sms: Receiver,
    settings: Settings,
}

impl Peers {
    async fn start(more: &str) -> Self {
        let (mail, sms) = (Smtp::plan().start().await, Receiver::start().await);
        sms.answer(SMS, Answer::status(201));
        let text = format!(
            "[alerts]\n{more}\n[rule.node_down]\nfor = \"1s\"\nresolve_after = \"2s\"\n\
             [mail]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nfrom = \"a@example.com\"\nto = \"b@example.com\"\n\
             [sms]\nurl = \"{}\"\naccount = \"AC01\"\ntoken_file = \"token\"\nfrom = \"Watch\"\nto = \"+33612345678\"\n",
            mail.port(),
            sms.url("")
        );
        let settings = Files::new().with("token", "0123456789").settings(&text);
        Self { mail, sms, settings }
    }

    fn counts(&self) -> (usize, usize) {
        (self.mail.mails().len(), self.sms.received(SMS).len())
    }

    /// Waits until each channel has received `count` messages.
    async fn until(&self, count: usize) {
        self.mail.wait_for(count).await;
        self.sms.wait_for(SMS, count).await;
    }

    /// Asserts that each channel receives no more than `count` messages for `time`, in which another instance might
    /// take over.
    async fn assert_stays(&self, count: usize, time: Duration) {
        throughout("the number of messages", time, async || self.counts() == (count, count)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_a_node_and_its_return_cause_one_mail_and_one_sms_each() {
    let redis = Redis::start().await;
    let peers = Peers::start("takeover = \"2s\"").await;
    let mut instances = Instances::start(&peers.settings, stores_in(&redis));
    instances.until_settled().await;
    instances.kill("n3", "n1").await;
    peers.until(1).await;
    peers.assert_stays(1, Duration::from_secs(8)).await;
    let mail = &peers.mail.mails()[0];
    let subject = mail.field("Subject").unwrap();
    assert!(subject.starts_with("[swarm] CRITICAL: serveur-n3 is down; 2 of 3 managers are left"), "{subject}");
    // The inhibited alert is shown, but not sent.
    let alerts = instances.running["n1"].alerts();
    let cause = |alert: &str| alerts.borrow().get(alert).and_then(|alert| alert.inhibited_by.clone());
    eventually("the inhibited alert", SOON, async || cause("quorum_at_risk/swarm").as_deref() == Some("node_down/n3"))
        .await;
    let shown = alerts.borrow().clone();
    assert_eq!(shown["node_down/n3"].state, AlertState::Firing);

    instances.bring_back();
    peers.until(2).await;
    peers.assert_stays(2, Duration::from_secs(6)).await;
    let end = &peers.mail.mails()[1];
    assert!(end.field("Subject").unwrap().starts_with("[swarm] RESOLVED: serveur-n3 is up again after "));
    assert_eq!(end.field("References"), mail.field("Message-ID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_the_leader_is_announced_once_by_the_next_instance_and_its_return_by_a_third() {
    let redis = Redis::start().await;
    let peers = Peers::start("takeover = \"2s\"").await;
    let mut instances = Instances::start(&peers.settings, stores_in(&redis));
    instances.until_settled().await;
    instances.kill("n1", "n2").await;
    peers.until(1).await;
    peers.assert_stays(1, Duration::from_secs(5)).await;
    // The instance that announced the alert stops before the alert ends.
    instances.running.remove("n2").unwrap().stop(Duration::from_secs(5)).await;
    instances.bring_back();
    peers.until(2).await;
    peers.assert_stays(2, Duration::from_secs(5)).await;
    let mails = peers.mail.mails();
    assert_eq!(mails[1].field("References"), mails[0].field("Message-ID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_take_over_when_the_leaders_instance_does_not_send() {
    let redis = Redis::start().await;
    let peers = Peers::start("takeover = \"2s\"").await;
    let mut instances = Instances::start(&peers.settings, stores_in(&redis));
    instances.until_settled().await;
    // Its node stays healthy, and stays the leader.
    instances.running.remove("n1").unwrap().stop(Duration::from_secs(5)).await;
    instances.swarm.send_modify(|swarm| swarm.down = vec!["n3"]);
    peers.until(1).await;
    peers.assert_stays(1, Duration::from_secs(6)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_of_the_log_neither_delays_nor_duplicates_messages() {
    let mut group = Group::start().await;
    group.until_settled().await;
    let peers = Peers::start("takeover = \"3s\"\ntakeover_blind = \"15s\"").await;
    let sentinels = group.list();
    let store = || -> Arc<dyn Store> {
        let sentinels = sentinels.clone();
        Arc::new(RedisStore::new(move || master(sentinels.clone())))
    };
    let mut instances = Instances::start(&peers.settings, store);
    instances.until_settled().await;
    // The master runs on the lost node.
    let port = group.master().await;
    group.on(port).kill();
    instances.kill("n3", "n1").await;
    peers.until(1).await;
    eventually("the new master", SOON, async || group.master().await != port).await;
    peers.assert_stays(1, Duration::from_secs(12)).await;
    // If the leader had waited for the log, another instance would have taken over.
    assert_eq!((instances.sent_by("n1"), instances.sent_by("n2")), (2, 0));
    instances.bring_back();
    peers.until(2).await;
    peers.assert_stays(2, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_log_each_instance_sends_once() {
    let mut redis = Redis::start().await;
    let peers = Peers::start("takeover_blind = \"1s\"").await;
    let mut instances = Instances::start(&peers.settings, stores_in(&redis));
    instances.until_settled().await;
    // Connections stay open, without replies.
    redis.freeze();
    instances.kill("n3", "n1").await;
    peers.until(1).await;
    let leader_sends = async || instances.sent_by("n1") == 2;
    eventually("the leader's messages without a log", SOON, leader_sends).await;
    peers.until(2).await;
    peers.assert_stays(2, Duration::from_secs(5)).await;
    assert_eq!((instances.sent_by("n1"), instances.sent_by("n2")), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_claims_for_the_same_alert_one_is_granted() {
    let redis = Redis::start().await;
    let store = stores_in(&redis);
    let mut claims = JoinSet::new();
    for number in 0..20 {
        let log = SharedLog::new(Some(store()));
        claims.spawn(async move {
            let announcement = Announcement::Firing { age: 0, severity: Severity::Critical, repeat: None };
            let request = ClaimRequest { fingerprint: "node_down/n1".into(), announcement };
            let group = AlertGroup {
                receiver: "mail".into(),
                kind: Kind::Firing,
                rule: Rule::NodeDown,
                requests: vec![(request, 0)],
            };
            log.update(|log, now| group.claim(&format!("i{number}"), log, 20_000, now)).await
        });
    }
    let results: Vec<_> = claims.join_all().await;
    let granted = results.iter().filter(|result| matches!(result, Ok(all) if all[0] == ClaimResult::Granted)).count();
    // A claimant that loses every race gets an error. The claim is granted only once.
    assert_eq!(granted, 1, "{results:?}");
    assert!(
        results.iter().filter(|result| matches!(result, Ok(all) if matches!(all[0], ClaimResult::Taken(_)))).count()
            > 5
    );
}

/// The permissions that the log's Redis user needs according to docs/alerts.md.
const PERMISSIONS: &str = "~watch:alerts:1 +time +hmget +eval +hget +hset +pexpire";

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_of_the_redis_user_suffice_and_are_all_needed() {
    let redis = Redis::start().await;
    let mut master = redis.connection().await;
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/alerts.md")).unwrap();
    assert!(docs.contains(&format!("`{PERMISSIONS}`")), "docs/alerts.md does not contain {PERMISSIONS}");
    let mut allow = async |permissions: &[&str]| {
        let mut user = redis::cmd("ACL");
        user.arg("SETUSER").arg("log").arg("reset").arg("on").arg(">geheim").arg(permissions);
        user.query_async::<()>(&mut master).await.unwrap();
    };
    let url = redis.url().replace("redis://", "redis://log:geheim@");
    let mut number = 0;
    let mut use_log = async || {
        number += 1;
        let url = url.clone();
        let log = SharedLog::new(Some(Arc::new(RedisStore::new(move || connect(url.clone())))));
        let announcement = Announcement::Firing { age: 0, severity: Severity::Critical, repeat: None };
        let request = ClaimRequest { fingerprint: format!("node_down/n{number}"), announcement };
        let group = AlertGroup {
            receiver: "mail".into(),
            kind: Kind::Firing,
            rule: Rule::NodeDown,
            requests: vec![(request, 0)],
        };
        log.update(|log, now| group.claim("i", log, 20_000, now)).await.map_err(|error| error.to_string())
    };
    let permissions: Vec<&str> = PERMISSIONS.split(' ').collect();
    allow(&permissions).await;
    assert_eq!(use_log().await, Ok(vec![ClaimResult::Granted]));
    assert_eq!(use_log().await, Ok(vec![ClaimResult::Granted]), "with an existing log");
    for missing in &permissions {
        let fewer: Vec<&str> = permissions.iter().copied().filter(|permission| permission != missing).collect();
        allow(&fewer).await;
        let result = use_log().await;
        assert!(result.is_err(), "without {missing}: {result:?}");
    }
}
