//! Tests everything together over virtual time, with real connections and a log in memory.

use std::{collections::BTreeMap, sync::Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use super::*;
use crate::{
    alert::{notification_log::memory::Memory, time::millis},
    cluster_state::{AlertState, Millis, Node, NodeRole, NodeState, Source},
};

/// Receives messages and responds with a configured status.
#[derive(Clone)]
struct Receiver {
    messages: Arc<Mutex<Vec<serde_json::Value>>>,
    status: Arc<Mutex<u16>>,
    port: u16,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let receiver = Self {
            messages: Arc::default(),
            status: Arc::new(Mutex::new(200)),
            port: listener.local_addr().unwrap().port(),
        };
        let this = receiver.clone();
        tokio::spawn(async move {
            'accept: while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = Vec::new();
                let body = loop {
                    let mut part = [0; 4096];
                    let read = stream.read(&mut part).await.unwrap();
                    text.extend_from_slice(&part[..read]);
                    if read == 0 {
                        continue 'accept;
                    }
                    let all = String::from_utf8_lossy(&text);
                    let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .lines()
                        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    if body.len() >= length.unwrap_or(0) {
                        break body.to_owned();
                    }
                };
                let status = *this.status.lock().unwrap();
                if status == 200 {
                    this.messages.lock().unwrap().push(serde_json::from_str(&body).unwrap());
                }
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        receiver
    }

    fn settings(&self) -> Settings {
        let text = format!("[[webhook]]\nformat = \"json\"\nurl = \"http://127.0.0.1:{}/hook\"\n", self.port);
        Settings::parse(std::path::Path::new("watch.toml"), &text).unwrap()
    }

    /// Returns the messages received, as `STATUS RULE`.
    fn received(&self) -> Vec<String> {
        let messages = self.messages.lock().unwrap();
        messages.iter().map(|m| format!("{} {}", m["status"].as_str().unwrap(), m["rule"].as_str().unwrap())).collect()
    }
}

/// The swarm as the instance on `node` sees it. `a` leads.
fn state(node: &str, down: bool, now: Millis) -> Arc<ClusterState> {
    let manager = |id: &str| Node {
        hostname: id.into(),
        role: NodeRole::Manager,
        state: NodeState::Ready,
        reachable: Some(true),
        leader: id == "a",
        ..Node::default()
    };
    let mut nodes: BTreeMap<_, _> = ["a", "b", "c"].map(|id| (id.to_owned(), manager(id))).into();
    nodes.insert(
        "w".into(),
        Node { hostname: "w".into(), state: if down { NodeState::Down } else { NodeState::Ready }, ..Node::default() },
    );
    let source = Source { node: node.into(), leader: node == "a", at: Some(now), ..Source::default() };
    Arc::new(ClusterState { source, nodes, ..ClusterState::default() })
}

fn log() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

struct Cluster {
    running: Vec<Running>,
    states: Vec<watch::Sender<Arc<ClusterState>>>,
    began: Instant,
    began_at: Millis,
}

const BEGAN: Millis = 1_795_785_903_000;

impl Cluster {
    fn start(settings: &Settings, store: &Arc<dyn Store>) -> Self {
        let began = Instant::now();
        let mut cluster = Self { running: Vec::new(), states: Vec::new(), began, began_at: BEGAN };
        for node in ["a", "b", "c"] {
            let (sender, states) = watch::channel(state(node, false, BEGAN));
            let clock = Box::new(move || BEGAN + millis(began.elapsed()));
            cluster.running.push(start_with(settings.clone(), states, Some(store.clone()), clock).unwrap());
            cluster.states.push(sender);
        }
        cluster
    }

    /// Shows this to every instance for some seconds.
    async fn show(&self, down: bool, seconds: u64) {
        for _ in 0..seconds {
            let now = self.began_at + millis(self.began.elapsed());
            for (sender, node) in self.states.iter().zip(["a", "b", "c"]) {
                sender.send_replace(state(node, down, now));
            }
            // In steps, since real connections make progress only while virtual time stands still.
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                breathe().await;
            }
        }
    }

    async fn stop(self) {
        for running in self.running {
            running.stop(Duration::from_secs(5)).await;
        }
    }
}

/// Lets the kernel and other tasks make progress without advancing time.
async fn breathe() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn three_instances_send_each_message_once() {
    let receiver = Receiver::start().await;
    let cluster = Cluster::start(&receiver.settings(), &log());
    cluster.show(false, 5).await;
    cluster.show(true, 40).await;
    assert_eq!(receiver.received(), ["firing node_down"]);
    assert_eq!(cluster.running[2].alerts().borrow()["node_down/w"].state, AlertState::Firing);
    cluster.show(false, 60).await;
    assert_eq!(receiver.received(), ["firing node_down", "resolved node_down"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_log_the_leader_sends_at_once_and_the_others_do_not_repeat_it() {
    let receiver = Receiver::start().await;
    let log = Arc::new(Memory::new());
    let cluster = Cluster::start(&receiver.settings(), &(log.clone() as Arc<dyn Store>));
    cluster.show(false, 5).await;
    // It does not respond, as after the loss of the master's node, until a failover is done.
    log.delay(Duration::from_secs(60));
    cluster.show(true, 10).await;
    assert_eq!(receiver.received(), ["firing node_down"]);
    log.delay(Duration::ZERO);
    cluster.show(true, 40).await;
    assert_eq!(receiver.received(), ["firing node_down"]);
    log.down(true);
    cluster.show(true, 1).await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn others_take_over_when_the_leader_does_not_send() {
    let receiver = Receiver::start().await;
    let mut cluster = Cluster::start(&receiver.settings(), &log());
    cluster.show(false, 5).await;
    cluster.running.remove(0).task.abort();
    cluster.show(true, 8).await;
    assert_eq!(receiver.received(), [""; 0]);
    cluster.show(true, 10).await;
    assert_eq!(receiver.received(), ["firing node_down"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_of_an_instance_that_is_gone_is_resolved_by_another() {
    let receiver = Receiver::start().await;
    let store = log();
    let cluster = Cluster::start(&receiver.settings(), &store);
    cluster.show(true, 20).await;
    cluster.stop().await;
    // None of these has ever seen the alert.
    let cluster = Cluster::start(&receiver.settings(), &store);
    cluster.show(false, 60).await;
    assert_eq!(receiver.received(), ["firing node_down", "resolved node_down"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_is_sent_again_and_the_failure_announced_through_another_channel() {
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let text = format!(
        "[rule.channel_failing]\nfor = \"20s\"\n\
         [[webhook]]\nformat = \"json\"\nname = \"first\"\nurl = \"http://127.0.0.1:{}/\"\n\
         [[webhook]]\nformat = \"json\"\nname = \"second\"\nurl = \"http://127.0.0.1:{}/\"\n",
        receiver.port, other.port
    );
    let settings = Settings::parse(std::path::Path::new("watch.toml"), &text).unwrap();
    *receiver.status.lock().unwrap() = 503;
    let cluster = Cluster::start(&settings, &log());
    cluster.show(true, 12).await;
    assert_eq!(receiver.received(), [""; 0]);
    // The failure has not lasted for long enough.
    assert_eq!(other.received(), ["firing node_down"]);
    cluster.show(true, 30).await;
    let messages = other.received();
    assert!(messages[1..].iter().all(|message| message == "firing channel_failing"), "{messages:?}");
    assert!(messages.len() > 1, "{messages:?}");
    let message = other.messages.lock().unwrap()[1].clone();
    let summary = message["summary"].to_string();
    assert!(summary.contains("messages cannot be sent through first") && summary.contains("503"), "{summary}");
    assert_eq!(message["severity"], "warning");
    *receiver.status.lock().unwrap() = 200;
    cluster.show(true, 60).await;
    assert_eq!(receiver.received(), ["firing node_down"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn new_settings_apply_after_a_reload() {
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let cluster = Cluster::start(&receiver.settings(), &log());
    cluster.show(true, 15).await;
    let mut settings = other.settings();
    settings.channels[0].name = "other".into();
    for running in &cluster.running {
        running.reload(settings.clone()).unwrap();
    }
    cluster.show(true, 15).await;
    // A new channel is sent what is firing.
    assert_eq!((receiver.received().len(), other.received()), (1, vec!["firing node_down".to_owned()]));
    cluster.show(false, 60).await;
    assert_eq!((receiver.received().len(), other.received().len()), (1, 2));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_redis_a_state_file_keeps_messages_from_being_repeated_after_a_restart() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = receiver.settings();
    settings.general.state_file = Some(folder.path().join("alerts.json"));
    let restart = |settings: &Settings, began: Millis, down: bool| {
        let (sender, states) = watch::channel(state("a", down, began));
        let started = Instant::now();
        let clock = Box::new(move || began + millis(started.elapsed()));
        let running = vec![start_with(settings.clone(), states, None, clock).unwrap()];
        Cluster { running, states: vec![sender], began: started, began_at: began }
    };
    let cluster = restart(&settings, BEGAN, true);
    cluster.show(true, 10).await;
    assert_eq!(receiver.received(), ["firing node_down"]);
    cluster.stop().await;
    let cluster = restart(&settings, BEGAN + 60_000, true);
    cluster.show(true, 20).await;
    cluster.stop().await;
    assert_eq!(receiver.received(), ["firing node_down"]);
    // The end is announced even by an instance that never saw the alert.
    let cluster = restart(&settings, BEGAN + 120_000, false);
    cluster.show(false, 20).await;
    cluster.stop().await;
    assert_eq!(receiver.received(), ["firing node_down", "resolved node_down"]);
    let summary = receiver.messages.lock().unwrap()[1]["summary"].clone();
    assert_eq!(summary, "RESOLVED: w is up again after 2 min");
}
