//! Tests with recorded responses of real engines.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    cluster_state::{Health, Job, Mode, NodeState, Service, TaskState},
    engine::wire,
};

const STEADY: [&str; 3] = [
    include_str!("../../../tests/engine/steady/nodes.json"),
    include_str!("../../../tests/engine/steady/services.json"),
    include_str!("../../../tests/engine/steady/tasks.json"),
];
const UPDATING: [&str; 3] = [
    include_str!("../../../tests/engine/updating/nodes.json"),
    include_str!("../../../tests/engine/updating/services.json"),
    include_str!("../../../tests/engine/updating/tasks.json"),
];
const DOWN: [&str; 3] = [
    include_str!("../../../tests/engine/down/nodes.json"),
    include_str!("../../../tests/engine/down/services.json"),
    include_str!("../../../tests/engine/down/tasks.json"),
];

fn lists([nodes, services, tasks]: [&str; 3]) -> Lists {
    let (nodes, unreadable_nodes) = wire::list(nodes.as_bytes()).unwrap();
    let (services, unreadable_services) = wire::list(services.as_bytes()).unwrap();
    let (tasks, unreadable_tasks) = wire::list(tasks.as_bytes()).unwrap();
    Lists { nodes, services, tasks, unreadable: unreadable_nodes + unreadable_services + unreadable_tasks }
}

/// Renders a swarm for review in snapshots.
fn shown(swarm: &Swarm) -> String {
    let mut text = String::new();
    let quorum = swarm.quorum;
    writeln!(text, "managers {} of {}, lost: {}", quorum.reachable, quorum.managers, quorum.lost).unwrap();
    let mut nodes: Vec<_> = swarm.nodes.values().collect();
    nodes.sort_by_key(|node| &node.hostname);
    for node in nodes {
        let leads = if node.leader { " leads" } else { "" };
        let (state, address) = (node.state, node.address.as_deref().unwrap_or("-"));
        writeln!(text, "{} {address} {:?} {state:?} {:?}{leads}", node.hostname, node.role, node.message).unwrap();
    }
    let mut services: Vec<_> = swarm.services.values().collect();
    services.sort_by_key(|service| &service.name);
    for service in services {
        let (running, desired) = (service.running, service.desired);
        let update = service.update.as_ref().map(|update| update.state);
        let tag = service.image.tag.as_deref().unwrap_or("-");
        let (mode, ports) = (service.mode, &service.ports);
        writeln!(text, "{} {running}/{desired} {mode:?} :{tag} {ports:?} {update:?}", service.name).unwrap();
    }
    let mut tasks: Vec<_> = swarm.tasks.values().collect();
    tasks.sort_by_key(|task| (&task.name, task.created_at));
    for task in tasks {
        let (state, desired, restarts) = (task.state, task.desired, task.restarts);
        let tag = task.image.tag.as_deref().unwrap_or("-");
        let node = task.node.as_ref().and_then(|node| swarm.nodes.get(node)).map_or("-", |node| &node.hostname);
        let health = if task.health == Health::None { String::new() } else { format!(" {:?}", task.health) };
        let error = task.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        writeln!(text, "{} on {node} :{tag} {state:?}/{desired:?}{health} {restarts}{error}", task.name).unwrap();
    }
    text
}

#[test]
fn a_stack_in_steady_state() {
    insta::assert_snapshot!(shown(&Converter::default().swarm(&lists(STEADY), 7)));
}

#[test]
fn a_stack_that_is_being_updated() {
    insta::assert_snapshot!(shown(&Converter::default().swarm(&lists(UPDATING), 7)));
}

#[test]
fn a_stack_after_a_machine_went_down() {
    insta::assert_snapshot!(shown(&Converter::default().swarm(&lists(DOWN), 7)));
}

#[test]
fn secrets_are_not_passed_on() {
    for recorded in [STEADY, UPDATING, DOWN] {
        assert!(recorded.iter().all(|text| text.contains("s3cret")), "the recording contains secrets");
        let lists = lists(recorded);
        assert_eq!(lists.unreadable, 0);
        assert!(!format!("{lists:?}").contains("s3cret"), "the parser skips secrets");
        let swarm = Converter::default().swarm(&lists, 7);
        let json = serde_json::to_string(&(&swarm.nodes, &swarm.services, &swarm.tasks)).unwrap();
        assert!(!json.contains("s3cret") && json.len() > 1000);
    }
}

#[test]
fn a_node_is_in_its_state_since_the_observed_change() {
    let mut converter = Converter::default();
    let first = converter.swarm(&lists(STEADY), 1_000);
    let updated: Vec<_> = first.nodes.values().map(|node| node.since).collect();
    assert!(updated.iter().all(|since| since.is_some_and(|since| since > 1_700_000_000_000)), "{updated:?}");
    let second = converter.swarm(&lists(DOWN), 9_000);
    for (id, node) in &second.nodes {
        let expected = if node.state == NodeState::Down { Some(9_000) } else { first.nodes[id].since };
        assert_eq!(node.since, expected, "{}", node.hostname);
    }
    assert_eq!(converter.swarm(&lists(DOWN), 10_000).nodes, second.nodes, "an unchanged state keeps its start");
}

#[test]
fn tasks_of_a_removed_service_keep_its_name() {
    let mut converter = Converter::default();
    let [nodes, _services, tasks] = STEADY;
    converter.swarm(&lists(STEADY), 7);
    let swarm = converter.swarm(&lists([nodes, "[]", tasks]), 8);
    assert!(swarm.tasks.values().any(|task| task.name == "shop_web.1"));
    converter.swarm(&Lists::default(), 9);
    assert!(converter.names.is_empty(), "names are forgotten together with the tasks");
}

#[test]
fn addresses_of_running_tasks_map_to_their_nodes() {
    let swarm = Converter::default().swarm(&lists(STEADY), 7);
    let agents = swarm.services.iter().find(|(_id, service)| service.mode == Mode::Global).unwrap().0;
    let on = |node: &String| swarm.addresses.values().filter(|of| *of == node).count();
    for task in swarm.tasks.values().filter(|task| task.service == *agents) {
        assert!(on(task.node.as_ref().unwrap()) >= 1, "{}", task.name);
    }
    let wanted = swarm.tasks.values().filter(|task| task.state == TaskState::Running).count();
    assert!(swarm.addresses.len() >= wanted - 1, "{}", swarm.addresses.len());
}

#[test]
fn a_leader_with_an_unspecified_address_has_its_manager_address() {
    let node = |status: &str, manager: &str| {
        let node = json!([{"ID": "a", "Status": {"State": "ready", "Addr": status},
            "ManagerStatus": {"Leader": true, "Reachability": "reachable", "Addr": manager}}]);
        let lists = Lists { nodes: wire::list(node.to_string().as_bytes()).unwrap().0, ..Lists::default() };
        Converter::default().swarm(&lists, 7).nodes["a"].address.clone()
    };
    assert_eq!(node("0.0.0.0", "10.0.0.5:2377").as_deref(), Some("10.0.0.5"));
    assert_eq!(node("::", "[fd00::5]:2377").as_deref(), Some("fd00::5"));
    assert_eq!(node("10.0.0.6", "10.0.0.5:2377").as_deref(), Some("10.0.0.6"));
    assert_eq!(node("0.0.0.0", "0.0.0.0:2377"), None);
    assert_eq!(node("", ""), None);
}

#[test]
fn unknown_states_of_newer_engines_lose_nothing_else() {
    let [nodes, services, tasks] = STEADY.map(|text| {
        text.replace("\"running\"", "\"levitating\"")
            .replace("\"State\":\"ready\"", "\"State\":\"dreaming\"")
            .replace("\"reachable\"", "\"nearby\"")
            .replace("\"Isolation\":\"default\"", "\"Isolation\":\"perfect\"")
    });
    let lists = lists([&nodes, &services, &tasks]);
    assert_eq!(lists.unreadable, 0);
    let swarm = Converter::default().swarm(&lists, 7);
    assert!(swarm.nodes.values().all(|node| node.state == NodeState::Unknown && node.reachable == Some(false)));
    assert!(swarm.tasks.values().any(|task| task.state == TaskState::Unknown));
    assert_eq!(swarm.services.len(), 3);
}

/// A task: slot, state, desired state, error and iteration.
type Listed<'a> = (u64, &'a str, &'a str, &'a str, u64);

/// Converts one service, with id "s", and its tasks.
fn service(spec: &Value, iteration: u64, tasks: &[Listed<'_>]) -> Service {
    let services = json!([{"ID": "s", "Spec": spec, "JobStatus": {"JobIteration": {"Index": iteration}}}]);
    let task = |(index, (slot, state, desired, error, iteration)): (usize, &Listed<'_>)| {
        json!({"ID": format!("t{index}"), "ServiceID": "s", "Slot": slot, "DesiredState": desired,
            "CreatedAt": format!("2026-11-27T13:59:{index:02}Z"), "JobIteration": {"Index": iteration},
            "Status": {"State": state, "Err": error}})
    };
    let tasks: Value = tasks.iter().enumerate().map(task).collect();
    let lists = lists(["[]", &services.to_string(), &tasks.to_string()]);
    assert_eq!(lists.unreadable, 0);
    Converter::default().swarm(&lists, 7).services["s"].clone()
}

#[test]
fn the_progress_of_a_job_is_that_of_its_current_execution() {
    let spec = json!({"Name": "backup", "Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 3}}});
    let job = |tasks: &[Listed<'_>]| {
        let service = service(&spec, 2, tasks);
        (service.job.map(|job| (job.completed, job.total, job.failed)), service.problem)
    };
    assert_eq!(job(&[]), (Some((0, 3, 0)), None));
    let before = (1, "failed", "shutdown", "of the first execution", 1);
    let done = (1, "complete", "complete", "", 2);
    assert_eq!(job(&[before, done, (2, "running", "complete", "", 2)]), (Some((1, 3, 0)), None));
    // It is run again, now or after a delay.
    let failed = (2, "failed", "shutdown", "task: non-zero exit (3)", 2);
    assert_eq!(job(&[done, failed, (2, "ready", "ready", "", 2)]), (Some((1, 3, 0)), None));
    let problem = || Some("task: non-zero exit (3)".to_owned());
    assert_eq!(job(&[before, done, failed]), (Some((1, 3, 1)), problem()));
    assert_eq!(job(&[done, failed, (2, "complete", "complete", "", 2)]), (Some((2, 3, 0)), None));
    // It has not begun, and its task waits for a node.
    let waits = (1, "pending", "complete", "no suitable node", 2);
    assert_eq!(job(&[waits]), (Some((0, 3, 0)), Some(waits.3.to_owned())));
    // A global job has one task on each node.
    let everywhere = json!({"Name": "prune", "Mode": {"GlobalJob": {}}});
    let nodes = [(0, "complete", "complete", "", 2)];
    assert_eq!(service(&everywhere, 2, &nodes).job, Some(Job { total: 1, completed: 1, failed: 0 }));
}

#[test]
fn a_service_says_why_its_tasks_do_not_run() {
    let spec = json!({"Name": "web", "Mode": {"Replicated": {"Replicas": 2}}});
    let problem = |tasks: &[Listed<'_>]| service(&spec, 0, tasks).problem;
    let runs = (1, "running", "running", "", 0);
    let waits = (2, "pending", "running", "no suitable node (scheduling constraints not satisfied on 3 nodes)", 0);
    let rejected = (2, "rejected", "shutdown", "No such image: web:9", 0);
    let next = (2, "preparing", "running", "", 0);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(problem(&[runs, waits]), text(waits.3));
    assert_eq!(problem(&[runs, rejected, next]), text(rejected.3));
    assert_eq!(problem(&[runs, rejected, waits]), text(waits.3), "what keeps the newest task from running");
    // The error of a slot that runs again explains nothing, and neither does any while all run.
    assert_eq!(problem(&[(1, "failed", "shutdown", "task: non-zero exit (3)", 0), runs, next]), None);
    assert_eq!(problem(&[rejected, runs, (2, "running", "running", "", 0)]), None);
    // Nor does one from before its slot ran, on a node that is down now.
    let lost = (2, "running", "shutdown", "", 0);
    assert_eq!(problem(&[runs, rejected, lost, next]), None);
}

/// Arbitrary JSON with known field names.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9:/@.]{0,8}".prop_map(Value::from),
        Just(Value::from("running")),
        Just(Value::from("2026-11-27T13:59:58.960703901Z")),
        Just(Value::from("0001-01-01T00:00:00Z")),
    ];
    let names = prop::sample::select(vec![
        "ID",
        "Spec",
        "Status",
        "State",
        "DesiredState",
        "ServiceID",
        "NodeID",
        "Slot",
        "Mode",
        "Replicated",
        "Replicas",
        "Global",
        "ContainerSpec",
        "Image",
        "TaskTemplate",
        "ManagerStatus",
        "Addr",
        "Timestamp",
        "CreatedAt",
        "NetworksAttachments",
        "Addresses",
        "Endpoint",
        "Ports",
        "PublishedPort",
        "UpdateStatus",
        "ReplicatedJob",
        "TotalCompletions",
        "JobStatus",
        "JobIteration",
        "Index",
        "Err",
    ]);
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_response_converts_to_a_swarm(
        nodes in prop::collection::vec(any_json(), 0..4),
        services in prop::collection::vec(any_json(), 0..4),
        tasks in prop::collection::vec(any_json(), 0..6),
    ) {
        let texts = [nodes, services, tasks].map(|list| Value::from(list).to_string());
        let lists = lists(texts.each_ref().map(String::as_str));
        let mut converter = Converter::default();
        let swarm = converter.swarm(&lists, 7);
        for service in swarm.services.values() {
            prop_assert!(usize::try_from(service.running).unwrap() <= swarm.tasks.len());
        }
        prop_assert!(swarm.quorum.reachable <= swarm.quorum.managers);
        prop_assert!(!swarm.nodes.contains_key("") && !swarm.tasks.contains_key("") && !swarm.services.contains_key(""));
        // Equal lists convert to equal swarms.
        prop_assert_eq!(converter.swarm(&lists, 9), swarm);
    }
}
