//! Cluster states for the tests, of any size.

use tests::page_server::now;
use watch::cluster_state::{
    Alert, AlertState, Availability, Certificate, ClusterState, Disk, Edge, Endpoint, Event, Health, Image, Millis,
    Mode, Node, NodeRole, NodeState, Pool, Quorum, Redis, RedisServer, Role, Service, Severity, Source, Task,
    TaskState, Update, UpdateState,
};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// Creates the tutorial's swarm: three managers, and the stack with its twelve tasks.
pub(crate) fn tutorial() -> ClusterState {
    let mut cluster = swarm(3, 12);
    let at = now();
    cluster.redis = Some(Redis {
        at: Some(at),
        count: Some(1_204_331),
        master: Some("redis-1:6379".to_owned()),
        sentinels: 3,
        sentinels_up: 3,
        servers: vec![
            redis("redis-1:6379", Role::Master, None),
            redis("redis-2:6379", Role::Replica, Some(0)),
            redis("redis-3:6379", Role::Replica, Some(2_140)),
        ],
        error: None,
    });
    for (index, address) in ["10.10.25.165", "10.10.25.166", "10.10.25.167"].into_iter().enumerate() {
        let edge = Edge {
            node: Some(format!("node{index}")),
            at: Some(at),
            ready: true,
            version: Some("0.1.0".to_owned()),
            requests: 401_220 + 977 * index as u64,
            pools: vec![Pool {
                name: "web".to_owned(),
                panic: false,
                usable: 3,
                endpoints: (165..168).map(|host| endpoint(&format!("10.10.25.{host}:8000"))).collect(),
            }],
            certificates: vec![Certificate {
                names: vec!["count.example.org".to_owned()],
                not_after: Some(at + 61 * 24 * HOUR),
                self_signed: false,
            }],
            ..Edge::default()
        };
        cluster.edges.insert(format!("{address}:9100"), edge);
    }
    cluster
}

fn redis(address: &str, role: Role, lag_bytes: Option<u64>) -> RedisServer {
    RedisServer { address: address.to_owned(), role, up: true, lag_bytes }
}

fn endpoint(address: &str) -> Endpoint {
    Endpoint { address: address.to_owned(), state: "healthy".to_owned(), usable: true, reason: None }
}

/// Creates a swarm of `nodes` nodes, with `tasks` tasks distributed over them.
pub(crate) fn swarm(nodes: usize, tasks: usize) -> ClusterState {
    let at = now();
    let mut cluster = ClusterState {
        source: Source {
            instance: "instance".to_owned(),
            node: "node0".to_owned(),
            leader: true,
            at: Some(at),
            ..Source::default()
        },
        quorum: Quorum { managers: 3, reachable: 3, lost: false },
        ..ClusterState::default()
    };
    for index in 0..nodes {
        cluster.nodes.insert(format!("node{index}"), node(index));
    }
    let services: &[(&str, Mode)] = if nodes <= 3 {
        &[("edge", Mode::Global), ("redis", Mode::Replicated), ("watch", Mode::Global), ("web", Mode::Replicated)]
    } else {
        &[
            ("api", Mode::Replicated),
            ("billing", Mode::Replicated),
            ("edge", Mode::Global),
            ("mail", Mode::Replicated),
            ("queue", Mode::Replicated),
            ("redis", Mode::Replicated),
            ("report", Mode::Replicated),
            ("search", Mode::Replicated),
            ("watch", Mode::Global),
            ("web", Mode::Replicated),
        ]
    };
    for (number, (name, mode)) in services.iter().enumerate() {
        let ports = match *name {
            "web" => vec![8000],
            "edge" => vec![80, 443],
            "watch" => vec![8080],
            _ => Vec::new(),
        };
        let service = Service {
            name: format!("stackdemo_{name}"),
            stack: Some("stackdemo".to_owned()),
            mode: *mode,
            image: image(name, "1.4.2"),
            ports,
            updated_at: Some(at - 26 * HOUR),
            ..Service::default()
        };
        cluster.services.insert(format!("service{number}"), service);
    }
    for index in 0..tasks {
        let round = index / nodes / services.len();
        let number = index / nodes % services.len();
        // A global service has one task per node; the last service receives the remaining ones.
        let number = if round > 0 && services[number].1 == Mode::Global { services.len() - 1 } else { number };
        let (name, mode) = services[number];
        let node = index % nodes;
        let slot =
            (mode == Mode::Replicated).then(|| u64::from(cluster.services[&format!("service{number}")].desired) + 1);
        let task = task(name, number, slot, node, at - HOUR * 3 - 977_000 * (index % 40) as Millis);
        cluster.tasks.insert(format!("task{index:05}"), task);
        let service = cluster.services.get_mut(&format!("service{number}")).unwrap();
        service.desired += 1;
        service.running += 1;
    }
    cluster.timeline = (0..3)
        .map(|index| {
            event(
                index + 1,
                at - 3 * HOUR + index as Millis * 40_000,
                Severity::Info,
                &format!("stackdemo_web.{} runs on serveur{}", index + 1, 17 + index),
            )
        })
        .collect();
    cluster
}

fn node(index: usize) -> Node {
    Node {
        hostname: format!("serveur{}", 17 + index),
        address: Some(format!("10.10.{}.{}", 25 + (165 + index) / 250, (165 + index) % 250)),
        role: if index < 3 { NodeRole::Manager } else { NodeRole::Worker },
        leader: index == 0,
        reachable: (index < 3).then_some(true),
        state: NodeState::Ready,
        availability: Availability::Active,
        since: Some(now() - 40 * HOUR),
        engine: Some("24.0.7".to_owned()),
        platform: Some("linux/x86_64".to_owned()),
        nano_cpus: Some(4_000_000_000),
        memory_bytes: Some(16 << 30),
        disk: (index < 3).then_some(Disk {
            total_bytes: 120_000_000_000,
            free_bytes: 71_000_000_000 - index as u64 % 3 * 19_000_000_000,
        }),
        ..Node::default()
    }
}

pub(crate) fn image(name: &str, tag: &str) -> Image {
    Image { name: format!("registry.example.org/{name}"), tag: Some(tag.to_owned()), digest: None }
}

pub(crate) fn task(name: &str, service: usize, slot: Option<u64>, node: usize, since: Millis) -> Task {
    let place = slot.map_or_else(|| format!("node{node}"), |slot| slot.to_string());
    Task {
        name: format!("stackdemo_{name}.{place}"),
        service: format!("service{service}"),
        slot,
        node: Some(format!("node{node}")),
        state: TaskState::Running,
        desired: TaskState::Running,
        health: Health::Healthy,
        image: image(name, "1.4.2"),
        created_at: Some(since - 4_000),
        since: Some(since),
        message: Some("started".to_owned()),
        ..Task::default()
    }
}

pub(crate) fn event(id: u64, at: Millis, severity: Severity, text: &str) -> Event {
    Event { id, at, severity, text: text.to_owned(), ..Event::default() }
}

/// Marks the third node as down, and starts its tasks on the others.
pub(crate) fn node_down(cluster: &mut ClusterState) {
    let at = now();
    let node = cluster.nodes.get_mut("node2").unwrap();
    node.state = NodeState::Down;
    node.reachable = Some(false);
    node.since = Some(at - 4 * MINUTE - 10_000);
    node.message = Some("heartbeat failure".to_owned());
    cluster.quorum.reachable = 2;
    let lost: Vec<String> = cluster
        .tasks
        .iter()
        .filter(|(_, task)| task.node.as_deref() == Some("node2"))
        .map(|(id, _)| id.clone())
        .collect();
    for (index, id) in lost.iter().enumerate() {
        let task = cluster.tasks.get_mut(id).unwrap();
        task.desired = TaskState::Shutdown;
        let replacement = task.slot.map(|_| Task {
            node: Some(format!("node{}", index % 2)),
            state: if index % 2 == 0 { TaskState::Starting } else { TaskState::Running },
            desired: TaskState::Running,
            health: if index % 2 == 0 { Health::Starting } else { Health::Healthy },
            created_at: Some(at - 8_000),
            since: Some(at - 6_000),
            ..task.clone()
        });
        let service = cluster.services.get_mut(&task.service).unwrap();
        if replacement.as_ref().is_none_or(|task| task.state != TaskState::Running) {
            service.running -= 1;
        }
        if replacement.is_none() {
            service.desired -= 1;
        }
        if let Some(task) = replacement {
            cluster.tasks.insert(format!("again{index}"), task);
        }
    }
    cluster.alerts.insert(
        "node_down/node2".to_owned(),
        Alert {
            rule: "node_down".to_owned(),
            severity: Severity::Critical,
            state: AlertState::Firing,
            since: at - 4 * MINUTE - 10_000,
            summary: "serveur19 (10.10.25.167) is down: heartbeat failure".to_owned(),
            node: Some("node2".to_owned()),
            ..Alert::default()
        },
    );
    cluster.alerts.insert(
        "quorum_at_risk/swarm".to_owned(),
        Alert {
            rule: "quorum_at_risk".to_owned(),
            severity: Severity::Warning,
            state: AlertState::Firing,
            since: at - 4 * MINUTE - 10_000,
            summary: "2 of 3 managers are reachable: one more loss would lose the quorum".to_owned(),
            inhibited_by: Some("node_down/node2".to_owned()),
            ..Alert::default()
        },
    );
    let next = cluster.timeline.last().map_or(1, |event| event.id + 1);
    cluster.timeline.push(event(
        next,
        at - 4 * MINUTE - 10_000,
        Severity::Critical,
        "serveur19 is down: heartbeat failure",
    ));
    cluster.timeline.push(event(
        next + 1,
        at - 4 * MINUTE - 10_000 + 900,
        Severity::Warning,
        "2 of 3 managers are reachable",
    ));
    cluster.timeline.push(event(next + 2, at - 6_000, Severity::Info, "stackdemo_web.3 starts on serveur17"));
}

/// Puts an update of the service `web` to version `to` in progress, at the second of three tasks.
pub(crate) fn rolling(cluster: &mut ClusterState, to: &str, state: UpdateState) {
    let at = now();
    let (id, service) =
        cluster.services.iter_mut().find(|(_, service)| service.name == "stackdemo_web").expect("a web service");
    service.image = image("web", to);
    service.update = Some(Update {
        state,
        message: "update in progress".to_owned(),
        started_at: Some(at - 21_000),
        completed_at: None,
    });
    let id = id.clone();
    let tasks: Vec<String> =
        cluster.tasks.iter().filter(|(_, task)| task.service == id).map(|(id, _)| id.clone()).collect();
    let first = &tasks[0];
    let mut new = cluster.tasks[first].clone();
    cluster.tasks.get_mut(first).unwrap().state = TaskState::Shutdown;
    cluster.tasks.get_mut(first).unwrap().desired = TaskState::Shutdown;
    new.image = image("web", to);
    new.created_at = Some(at - 18_000);
    new.since = Some(at - 12_000);
    cluster.tasks.insert("new0".to_owned(), new);
    let mut next = cluster.tasks[&tasks[1]].clone();
    cluster.tasks.get_mut(&tasks[1]).unwrap().state = TaskState::Shutdown;
    cluster.tasks.get_mut(&tasks[1]).unwrap().desired = TaskState::Shutdown;
    next.image = image("web", to);
    next.state = TaskState::Starting;
    next.health = Health::Starting;
    next.created_at = Some(at - 5_000);
    next.since = Some(at - 2_000);
    cluster.tasks.insert("new1".to_owned(), next);
    cluster.services.get_mut(&id).unwrap().running -= 1;
}
