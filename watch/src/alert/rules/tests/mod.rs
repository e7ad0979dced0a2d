mod edges;
mod ends;
mod engine;
mod nodes;
mod redis;
mod services;

use super::*;
use crate::alert::condition::Condition;
use crate::cluster_state::{
    Availability, Certificate, Disk, Edge, Endpoint, Job, Mode, Node, NodeRole, NodeState, Pool, Quorum, Redis,
    RedisServer, Role, Service, Severity, Source, Task, TaskState, Update, UpdateState,
};

const NOW: Millis = 1_795_785_903_000;
const MINUTE: Millis = 60_000;
const DAY: Millis = 24 * 60 * MINUTE;

fn manager(name: &str) -> Node {
    Node {
        hostname: name.into(),
        address: Some("10.10.25.165".into()),
        role: NodeRole::Manager,
        reachable: Some(true),
        state: NodeState::Ready,
        ..Node::default()
    }
}

fn task(service: &str, slot: u64, node: &str, state: TaskState) -> Task {
    Task {
        name: format!("{service}.{slot}"),
        service: service.into(),
        slot: Some(slot),
        node: Some(node.into()),
        state,
        desired: TaskState::Running,
        since: Some(NOW),
        ..Task::default()
    }
}

/// Three managers and a service, all healthy.
fn well() -> ClusterState {
    let service = Service { name: "stackdemo_web".into(), desired: 2, running: 2, ..Service::default() };
    ClusterState {
        source: Source { node: "n1".into(), leader: true, at: Some(NOW - 3000), ..Source::default() },
        quorum: Quorum { managers: 3, reachable: 3, lost: false },
        nodes: [("n1", "serveur17"), ("n2", "serveur18"), ("n3", "serveur19")]
            .map(|(id, name)| (id.to_owned(), manager(name)))
            .into(),
        services: [("web".to_owned(), service)].into(),
        tasks: [1, 2, 3]
            .map(|slot| (format!("t{slot}"), task("web", slot, &format!("n{slot}"), TaskState::Running)))
            .into(),
        ..ClusterState::default()
    }
}

fn observe(cluster: &ClusterState) -> Observation {
    let mut restarts = Restarts::default();
    restarts.observe(cluster, NOW);
    conditions(cluster, &restarts, &Rules::default(), NOW)
}

/// Returns fingerprint, severity and summary of each condition.
fn described(cluster: &ClusterState) -> Vec<String> {
    let conditions = observe(cluster).conditions;
    let line = |c: &Condition| format!("{} {:?}: {}", c.fingerprint, c.severity, c.summary).to_lowercase();
    conditions.iter().map(line).collect()
}

fn one(cluster: &ClusterState) -> Condition {
    let found = observe(cluster).conditions;
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

fn node<'a>(cluster: &'a mut ClusterState, id: &str) -> &'a mut Node {
    cluster.nodes.get_mut(id).unwrap()
}

fn redis(servers: &[(&str, Role, bool)]) -> Redis {
    let server =
        |&(address, role, up): &(&str, Role, bool)| RedisServer { address: address.into(), role, up, lag_bytes: None };
    Redis {
        at: Some(NOW),
        master: Some("redis-1:6379".into()),
        sentinels: 3,
        sentinels_up: 3,
        servers: servers.iter().map(server).collect(),
        ..Redis::default()
    }
}

fn edge(node: Option<&str>, usable: u32, panic: bool) -> Edge {
    let endpoint = |index: u32| Endpoint { usable: index < usable, ..Endpoint::default() };
    let pool = Pool { name: "web".into(), panic, usable, endpoints: (0..3).map(endpoint).collect() };
    Edge { node: node.map(Into::into), at: Some(NOW), ready: true, pools: vec![pool], ..Edge::default() }
}

#[test]
fn a_healthy_cluster_has_no_conditions() {
    let observation = observe(&well());
    assert_eq!(observation.conditions, []);
    // No instance reports a disk.
    assert_eq!(observation.unknown, ["disk/n1", "disk/n2", "disk/n3"]);
    // A cluster state without quorum, Redis or edges is healthy, too.
    let empty = ClusterState { source: Source { at: Some(NOW), ..Source::default() }, ..ClusterState::default() };
    assert_eq!(described(&empty), [""; 0]);
}

#[test]
fn a_rule_may_be_disabled_or_have_another_severity() {
    let mut cluster = well();
    node(&mut cluster, "n2").state = NodeState::Down;
    let mut rules = Rules::default();
    rules.of_mut(Rule::NodeDown).severity = Some(Severity::Info);
    let found = |rules: &Rules| conditions(&cluster, &Restarts::default(), rules, NOW).conditions;
    assert_eq!(found(&rules)[0].severity, Severity::Info);
    rules.of_mut(Rule::NodeDown).enabled = false;
    assert_eq!(found(&rules), []);
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    for rule in Rule::ALL {
        assert_eq!(Rule::named(rule.name()), Some(rule));
        assert_eq!(Rule::ALL[rule as usize], rule);
    }
}
