use proptest::{collection::btree_map, option, prelude::*, sample::select};

use super::*;
use crate::cluster_state::{
    Availability, Edge, Image, Node, NodeState, Pool, Redis, RedisServer, Service, Task, TaskState, Update, UpdateState,
};

/// A cluster state with a node, a service and its task, an edge and a Redis.
fn cluster() -> ClusterState {
    let mut cluster = ClusterState::default();
    cluster.source.at = Some(1);
    let node = |hostname: &str, leader| Node {
        hostname: hostname.to_owned(),
        leader,
        reachable: Some(true),
        state: NodeState::Ready,
        ..Node::default()
    };
    cluster.nodes.insert("n1".to_owned(), node("one", true));
    cluster.nodes.insert("n2".to_owned(), node("two", false));
    let image = |tag: &str| Image { name: "app".to_owned(), tag: Some(tag.to_owned()), digest: None };
    let service = Service { name: "web".to_owned(), desired: 1, running: 1, image: image("1"), ..Service::default() };
    cluster.services.insert("s".to_owned(), service);
    cluster.tasks.insert("t1".to_owned(), task(TaskState::Running, "n1", 1));
    let pool = Pool { name: "web".to_owned(), usable: 1, ..Pool::default() };
    let edge = Edge { ready: true, pools: vec![pool], ..Edge::default() };
    cluster.edges.insert("10.0.0.1:9901".to_owned(), edge);
    let server = |address: &str| RedisServer { address: address.to_owned(), up: true, ..RedisServer::default() };
    cluster.redis = Some(Redis {
        at: Some(1),
        master: Some("a:1".to_owned()),
        servers: vec![server("a:1"), server("b:1")],
        ..Redis::default()
    });
    cluster
}

fn task(state: TaskState, node: &str, created_at: i64) -> Task {
    Task {
        name: "web.1".to_owned(),
        service: "s".to_owned(),
        slot: Some(1),
        node: Some(node.to_owned()),
        state,
        created_at: Some(created_at),
        ..Task::default()
    }
}

fn node<'a>(cluster: &'a mut ClusterState, id: &str) -> &'a mut Node {
    cluster.nodes.get_mut(id).unwrap()
}

/// The events of a change: severity and text.
fn events_of(change: impl FnOnce(&mut ClusterState)) -> Vec<(Severity, String)> {
    let before = cluster();
    let mut after = cluster();
    change(&mut after);
    let events = events_between(&before, &after, 7);
    assert!(events.iter().all(|event| event.at == 7));
    events.into_iter().map(|event| (event.severity, event.text)).collect()
}

#[test]
fn nodes() {
    use Severity::{Critical, Info, Warning};
    let down = events_of(|p| {
        node(p, "n2").state = NodeState::Down;
        node(p, "n2").message = Some("heartbeat failure".to_owned());
        node(p, "n2").reachable = Some(false);
    });
    let expected = [
        (Critical, "two is down: heartbeat failure".to_owned()),
        (Critical, "two cannot be reached by the other managers".to_owned()),
    ];
    assert_eq!(down, expected);
    let drained = events_of(|p| node(p, "n2").availability = Availability::Drain);
    assert_eq!(drained, [(Info, "two is drained: its tasks move to other nodes".to_owned())]);
    let led = events_of(|p| {
        node(p, "n1").leader = false;
        node(p, "n2").leader = true;
    });
    assert_eq!(led, [(Warning, "two is now the leader".to_owned())]);
    let unled = events_of(|p| node(p, "n1").leader = false);
    assert_eq!(unled, [(Warning, "one is no longer the leader, and there is no other".to_owned())]);
    let removed = events_of(|p| drop(p.nodes.remove("n2")));
    assert_eq!(removed, [(Warning, "two was removed from the swarm".to_owned())]);
    let joined = events_of(|p| drop(p.nodes.insert("n3".to_owned(), Node::default())));
    assert_eq!(joined, [(Info, "n3 joined the swarm".to_owned())]);
}

#[test]
fn services_and_their_updates() {
    use Severity::{Critical, Info, Warning};
    let service = |change: fn(&mut Service)| events_of(|p| change(p.services.get_mut("s").unwrap()));
    assert_eq!(service(|s| s.desired = 3), [(Info, "web is scaled from 1 to 3".to_owned())]);
    assert_eq!(service(|s| s.running = 0), [], "events of its tasks say so");
    let update = |state| Some(Update { state, message: "why".to_owned(), ..Update::default() });
    let begun = events_of(|p| {
        let service = p.services.get_mut("s").unwrap();
        service.image.tag = Some("2".to_owned());
        service.update = update(UpdateState::Updating);
    });
    let expected = [(Info, "web changes from app:1 to app:2".to_owned()), (Info, "web is being updated".to_owned())];
    assert_eq!(begun, expected);
    for (state, severity, text) in [
        (UpdateState::Completed, Info, "web is updated"),
        (UpdateState::Paused, Critical, "web has a paused update that waits for an operator: why"),
        (UpdateState::RollbackStarted, Warning, "web is being rolled back: why"),
        (UpdateState::RollbackCompleted, Warning, "web is rolled back"),
        (UpdateState::RollbackPaused, Critical, "web has a paused rollback that waits for an operator: why"),
    ] {
        let events = events_of(|p| p.services.get_mut("s").unwrap().update = update(state));
        assert_eq!(events, [(severity, text.to_owned())]);
    }
}

#[test]
fn tasks() {
    use Severity::{Info, Warning};
    let failed = events_of(|p| {
        let task = p.tasks.get_mut("t1").unwrap();
        task.state = TaskState::Failed;
        task.error = Some("task: non-zero exit (3)".to_owned());
    });
    assert_eq!(failed, [(Warning, "web.1 failed: task: non-zero exit (3)".to_owned())]);
    let elsewhere = events_of(|p| drop(p.tasks.insert("t2".to_owned(), task(TaskState::Running, "n2", 2))));
    assert_eq!(elsewhere, [(Info, "web.1 now runs on two (was on one)".to_owned())]);
    let here = events_of(|p| drop(p.tasks.insert("t2".to_owned(), task(TaskState::Running, "n1", 2))));
    assert_eq!(here, [], "a task replaced on the same node is no event");
    let stopped = events_of(|p| p.tasks.get_mut("t1").unwrap().state = TaskState::Shutdown);
    assert_eq!(stopped, [], "an operator stopped it");
}

#[test]
fn redis_and_edges() {
    use Severity::{Critical, Warning};
    let redis = |change: fn(&mut Redis)| events_of(|p| change(p.redis.as_mut().unwrap()));
    let moved = redis(|r| r.master = Some("b:1".to_owned()));
    assert_eq!(moved, [(Warning, "Redis: b:1 is now the master (was a:1)".to_owned())]);
    let gone = redis(|r| r.master = None);
    assert_eq!(gone, [(Critical, "Redis: there is no known master (was a:1)".to_owned())]);
    assert_eq!(redis(|r| r.servers[1].up = false), [(Warning, "Redis: b:1 is down".to_owned())]);
    assert_eq!(redis(|r| r.count = Some(9)), []);
    let edge = |change: fn(&mut Edge)| events_of(|p| change(p.edges.get_mut("10.0.0.1:9901").unwrap()));
    let panic = edge(|e| e.pools[0].panic = true);
    let text = "edge 10.0.0.1:9901 is in panic mode for web: too few endpoints are healthy, so it uses all of them";
    assert_eq!(panic, [(Critical, text.to_owned())]);
    let empty = edge(|e| e.pools[0].usable = 0);
    assert_eq!(empty, [(Critical, "edge 10.0.0.1:9901 has no usable endpoint left for web".to_owned())]);
    let silent = edge(|e| (e.ready, e.error) = (false, Some("refused".to_owned())));
    assert_eq!(silent, [(Warning, "edge 10.0.0.1:9901 does not answer: refused".to_owned())]);
}

#[test]
fn the_engine_and_the_quorum() {
    use Severity::{Critical, Info};
    let lost = events_of(|p| {
        p.source.error = Some("gone".to_owned());
        p.quorum.lost = true;
    });
    let expected = [
        (Critical, "cannot update the state of the swarm: gone".to_owned()),
        (Critical, "the managers have lost their quorum".to_owned()),
    ];
    assert_eq!(lost, expected);
    let mut failing = cluster();
    failing.source.error = Some("gone".to_owned());
    let back = events_between(&failing, &cluster(), 7);
    assert_eq!((back.len(), back[0].severity), (1, Info));
}

#[test]
fn the_start_causes_no_events_and_a_flood_is_summarized() {
    assert_eq!(events_between(&ClusterState::default(), &cluster(), 7), []);
    let before = cluster();
    let mut after = cluster();
    for number in 0..100 {
        after.tasks.insert(format!("f{number}"), task(TaskState::Failed, "n1", 2));
    }
    node(&mut after, "n2").state = NodeState::Down;
    let events = events_between(&before, &after, 7);
    assert_eq!(events.len(), MAX_EVENTS + 1);
    assert_eq!(events[0].severity, Severity::Critical, "the most severe first");
    assert_eq!(events[MAX_EVENTS].text, "and 71 more changes at once");
}

fn any_cluster() -> impl Strategy<Value = ClusterState> {
    let states = select(vec![NodeState::Ready, NodeState::Down, NodeState::Unknown, NodeState::Disconnected]);
    let nodes = (states, any::<bool>(), option::of(any::<bool>())).prop_map(|(state, leader, reachable)| Node {
        state,
        leader,
        reachable,
        ..Node::default()
    });
    let states = select(vec![TaskState::New, TaskState::Running, TaskState::Failed, TaskState::Shutdown]);
    let tasks = (states, "[xyz]", option::of(1..3_u64), option::of(0..9_i64))
        .prop_map(|(state, node, slot, at)| Task { slot, created_at: at, ..task(state, &node, 0) });
    let maps = (btree_map("[xyz]", nodes, 0..3), btree_map("[abcd]", tasks, 0..4), option::of(0..9_i64));
    maps.prop_map(|(nodes, tasks, at)| {
        let mut cluster = ClusterState { nodes, tasks, ..ClusterState::default() };
        cluster.source.at = at;
        cluster
    })
}

proptest! {
    #[test]
    fn equal_states_cause_no_events(cluster in any_cluster()) {
        prop_assert_eq!(events_between(&cluster, &cluster, 7), []);
    }

    #[test]
    fn events_are_bounded_and_refer_to_known_nodes(before in any_cluster(), after in any_cluster()) {
        let events = events_between(&before, &after, 7);
        prop_assert!(events.len() <= MAX_EVENTS + 1);
        for event in &events {
            prop_assert!(!event.text.is_empty());
            if let Some(node) = &event.node {
                let is_known = |p: &ClusterState| {
                    p.nodes.contains_key(node) || p.tasks.values().any(|task| task.node.as_ref() == Some(node))
                };
                prop_assert!(is_known(&before) || is_known(&after));
            }
        }
        if before.source.at.is_none() {
            prop_assert_eq!(events, []);
        }
    }
}
