use super::*;
use crate::alert::condition::Condition;
use crate::cluster_state::{
    Availability, Certificate, Disk, Edge, Endpoint, Mode, Node, NodeRole, NodeState, Pool, Quorum, Redis, RedisServer,
    Role, Service, Severity, Source, Task, TaskState, Update, UpdateState,
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

/// Three managers and a service, all well.
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

/// Fingerprint, severity and sentence of each condition.
fn told(cluster: &ClusterState) -> Vec<String> {
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

#[test]
fn nothing_is_wrong_where_all_is_well() {
    assert_eq!(observe(&well()), Observation::default());
    // A cluster state without quorum told, Redis or edges is not wrong either.
    let empty = ClusterState { source: Source { at: Some(NOW), ..Source::default() }, ..ClusterState::default() };
    assert_eq!(told(&empty), [""; 0]);
}

#[test]
fn a_node_that_is_down_says_what_it_means_for_the_quorum() {
    let mut cluster = well();
    cluster.quorum.reachable = 2;
    node(&mut cluster, "n2").state = NodeState::Down;
    node(&mut cluster, "n2").reachable = Some(false);
    node(&mut cluster, "n2").message = Some("heartbeat failure".into());
    assert_eq!(
        told(&cluster),
        [
            "node_down/n2 critical: serveur18 (10.10.25.165) is down: heartbeat failure; 2 of 3 managers are left, one more \
         lost and nothing can be changed",
            "manager_unreachable/n2 warning: serveur18 (10.10.25.165): the other managers do not reach it; 2 of 3 managers \
         are left, one more lost and nothing can be changed",
            "quorum_at_risk/swarm warning: 2 of 3 managers are reachable: one more lost and nothing can be changed",
        ]
    );
    let found = observe(&cluster).conditions;
    assert_eq!(found[0].causes, [""; 0]);
    assert_eq!(found[0].subject.node_name.as_deref(), Some("serveur18"));
    assert_eq!(found[1].causes, ["node_down/n2"]);
    assert_eq!(found[2].causes, ["node_down/n2", "manager_unreachable/n2"]);
}

#[test]
fn a_drained_node_is_not_down_and_matters_less_when_it_is() {
    let mut cluster = well();
    node(&mut cluster, "n2").availability = Availability::Drain;
    assert_eq!(told(&cluster), [""; 0]);
    node(&mut cluster, "n2").state = NodeState::Down;
    let down = one(&cluster);
    assert_eq!((down.fingerprint.as_str(), down.severity), ("node_down/n2", Severity::Warning));
}

#[test]
fn after_a_change_of_leaders_only_an_unreachable_manager_counts_as_down() {
    let mut cluster = well();
    for id in ["n1", "n2", "n3"] {
        node(&mut cluster, id).state = NodeState::Unknown;
    }
    assert_eq!(told(&cluster), [""; 0]);
    node(&mut cluster, "n1").reachable = Some(false);
    let found = observe(&cluster).conditions;
    assert_eq!(found[0].fingerprint, "node_down/n1");
}

#[test]
fn quorum_is_at_risk_where_one_more_loss_loses_it() {
    for (managers, reachable, at_risk) in
        [(1, 1, false), (2, 2, true), (3, 3, false), (3, 2, true), (5, 4, false), (5, 3, true), (3, 1, false)]
    {
        let mut cluster = well();
        cluster.quorum = Quorum { managers, reachable, lost: false };
        assert_eq!(!told(&cluster).is_empty(), at_risk, "{reachable} of {managers}");
    }
}

#[test]
fn an_engine_that_does_not_answer_makes_nothing_wrong_or_right() {
    let mut cluster = well();
    node(&mut cluster, "n2").state = NodeState::Down;
    cluster.services.get_mut("web").unwrap().running = 0;
    cluster.source.error = Some("rpc error: deadline exceeded".into());
    cluster.source.at = Some(NOW - 7000);
    let observation = observe(&cluster);
    assert_eq!(
        told(&cluster),
        [
            "picture_stale/n1 warning: no picture of the swarm from the engine of serveur17 (10.10.25.165) since 2026-11-27 \
         13:24:56 utc: rpc error: deadline exceeded"
        ]
    );
    for fingerprint in ["node_down/n2", "service_below/web", "quorum_lost/swarm", "crash_loop/x", "disk/n1"] {
        assert!(!observation.knows(fingerprint), "{fingerprint}");
    }
    for fingerprint in ["picture_stale/n1", "channel_failing/mail@n1"] {
        assert!(observation.knows(fingerprint), "{fingerprint}");
    }
    // It also may have stopped to say anything, or never have begun.
    cluster.source.error = None;
    cluster.source.at = Some(NOW - 50_000);
    assert_eq!(one(&cluster).rule, Rule::PictureStale);
    cluster.source.at = None;
    assert_eq!(one(&cluster).rule, Rule::PictureStale);
}

#[test]
fn a_lost_quorum_is_told_by_an_engine_that_cannot_tell_more_and_explains_why_not() {
    let mut cluster = well();
    cluster.quorum = Quorum { managers: 3, reachable: 1, lost: true };
    cluster.source.error = Some("no quorum".into());
    let found = observe(&cluster).conditions;
    assert_eq!(found.iter().map(|c| c.rule).collect::<Vec<_>>(), [Rule::PictureStale, Rule::QuorumLost]);
    assert_eq!(found[0].causes, ["quorum_lost/swarm"]);
    assert_eq!(found[1].severity, Severity::Critical);
}

#[test]
fn a_lost_quorum_is_told_in_numbers_by_who_knows_them_and_else_as_what_one_engine_sees() {
    let mut cluster = well();
    cluster.quorum = Quorum { managers: 3, reachable: 1, lost: true };
    let summary = |cluster: &ClusterState| {
        let found = observe(cluster).conditions;
        found.into_iter().find(|condition| condition.rule == Rule::QuorumLost).unwrap().summary
    };
    assert_eq!(
        summary(&cluster),
        "the swarm has lost its quorum: 1 of 3 managers are reachable, nothing can be changed"
    );
    // The last list of nodes is from when all was well.
    cluster.quorum = Quorum { managers: 3, reachable: 3, lost: true };
    cluster.source.error = Some("no leader".into());
    assert_eq!(
        summary(&cluster),
        "the engine of serveur17 (10.10.25.165) finds no leader: the quorum is lost, or this node is cut off"
    );
}

#[test]
fn a_node_that_may_be_cut_off_says_nothing_of_redis_and_edges() {
    let mut cluster = well();
    let master = ("redis-1:6379", Role::Master, false);
    cluster.redis = Some(Redis { sentinels_up: 0, ..redis(&[master]) });
    let gone = Edge { error: Some("no route to host".into()), ..edge(Some("n2"), 0, true) };
    cluster.edges = [("10.0.1.3:9901".into(), gone)].into();
    assert_eq!(told(&cluster).len(), 2);
    cluster.source.error = Some("no leader".into());
    let observation = observe(&cluster);
    assert_eq!(observation.conditions.iter().map(|c| c.rule).collect::<Vec<_>>(), [Rule::PictureStale]);
    for fingerprint in [
        "redis_master/count",
        "redis_replica/count",
        "edge_down/n2",
        "edge_pool/n2/web",
        "certificate/x",
        "self_signed/x",
    ] {
        assert!(!observation.knows(fingerprint), "{fingerprint}");
    }
}

#[test]
fn a_service_below_its_replicas_names_the_lost_nodes_that_explain_it() {
    let mut cluster = well();
    cluster.services.get_mut("web").unwrap().running = 1;
    let below = one(&cluster);
    assert_eq!(below.summary, "stackdemo_web: 1 of 2 tasks run");
    assert_eq!((below.severity, below.extra_wait), (Severity::Warning, 0));
    assert_eq!(below.causes, [""; 0]);
    node(&mut cluster, "n2").state = NodeState::Down;
    assert_eq!(observe(&cluster).conditions[1].causes, ["node_down/n2"]);

    let service = cluster.services.get_mut("web").unwrap();
    service.running = 0;
    service.update = Some(Update { state: UpdateState::Updating, ..Update::default() });
    let below = observe(&cluster).conditions.remove(1);
    assert_eq!((below.severity, below.extra_wait), (Severity::Critical, 5 * MINUTE));
    cluster.services.get_mut("web").unwrap().mode = Mode::Job;
    assert_eq!(told(&cluster).len(), 1);
}

#[test]
fn updates_that_failed_are_told_and_a_roll_back_that_is_over_for_an_hour() {
    let mut cluster = well();
    let mut with = |state, completed_at| {
        let update = Update { state, message: "task failure".into(), completed_at, ..Update::default() };
        cluster.services.get_mut("web").unwrap().update = Some(update);
        told(&cluster).join("")
    };
    assert_eq!(
        with(UpdateState::Paused, None),
        "update_failed/web critical: stackdemo_web: the update failed and is paused: task failure"
    );
    assert!(with(UpdateState::RollbackPaused, None).contains("critical"));
    assert!(with(UpdateState::RollbackStarted, None).contains("warning"));
    assert!(with(UpdateState::RollbackCompleted, Some(NOW - 59 * MINUTE)).contains("was rolled back"));
    assert_eq!(with(UpdateState::RollbackCompleted, Some(NOW - 61 * MINUTE)), "");
    assert_eq!(with(UpdateState::Completed, Some(NOW)), "");
}

#[test]
fn tasks_that_end_again_and_again_in_one_place_are_a_crash_loop() {
    let mut cluster = well();
    let mut ended = |id: &str, slot, state, age| {
        let task = Task {
            since: Some(NOW - age),
            error: Some("task: non-zero exit (1)".into()),
            ..task("web", slot, "n1", state)
        };
        cluster.tasks.insert(id.into(), task);
        told(&cluster)
    };
    assert_eq!(ended("e1", 1, TaskState::Failed, 9 * MINUTE), [""; 0]);
    assert_eq!(ended("e2", 1, TaskState::Failed, 11 * MINUTE), [""; 0]);
    assert_eq!(ended("e3", 2, TaskState::Failed, MINUTE), [""; 0]);
    // An update shuts tasks down; they do not end by themselves.
    assert_eq!(ended("e4", 1, TaskState::Shutdown, MINUTE), [""; 0]);
    assert_eq!(ended("e5", 1, TaskState::Complete, 2 * MINUTE), [""; 0]);
    assert_eq!(
        ended("e6", 1, TaskState::Rejected, MINUTE),
        ["crash_loop/web.1 warning: web.1 ended 3 times within 10 min: task: non-zero exit (1)"]
    );
    let found = one(&cluster);
    assert_eq!(found.subject.task.as_deref(), Some("e6"));
    assert_eq!(found.subject.node_name.as_deref(), Some("serveur17"));
}

#[test]
fn a_crash_loop_is_found_though_the_engine_forgets_its_tasks() {
    let mut restarts = Restarts::default();
    let mut cluster = well();
    for (number, at) in [NOW - 3 * MINUTE, NOW - 2 * MINUTE, NOW - MINUTE].into_iter().enumerate() {
        cluster.tasks.retain(|id, _| !id.starts_with('e'));
        let task = Task { since: Some(at), ..task("web", 1, "n1", TaskState::Failed) };
        cluster.tasks.insert(format!("e{number}"), task);
        restarts.observe(&cluster, at);
    }
    let found = |now| conditions(&cluster, &restarts, &Rules::default(), now).conditions;
    let fresh = |now| found(now).iter().any(|condition| condition.rule == Rule::CrashLoop);
    assert!(fresh(NOW));
    // The cluster state is from then, so that only the window moves.
    assert_eq!(restarts.loops(Rules::default().crash_loop, NOW + 8 * MINUTE).count(), 0);
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

#[test]
fn redis_needs_a_master_and_a_replica() {
    let mut cluster = well();
    let mut with = |redis| {
        cluster.redis = Some(redis);
        told(&cluster).join("")
    };
    let (master, replica) = (("redis-1:6379", Role::Master, true), ("redis-2:6379", Role::Replica, true));
    let gone = ("redis-3:6379", Role::Replica, false);
    assert_eq!(with(redis(&[master, replica, gone])), "");
    assert!(with(redis(&[master, gone])).starts_with("redis_replica/count critical: no replica follows redis-1:6379"));
    assert_eq!(
        with(redis(&[("redis-1:6379", Role::Master, false), replica])),
        "redis_master/count critical: the redis master redis-1:6379 does not answer"
    );
    assert_eq!(
        with(Redis { master: None, error: Some("sentinels disagree".into()), ..redis(&[replica]) }),
        "redis_master/count critical: no redis is master: sentinels disagree"
    );
    assert!(with(Redis { sentinels_up: 0, ..redis(&[master, replica]) }).contains("none of 3 sentinels answers"));
    // A single one without sentinels is a decision.
    assert_eq!(with(Redis { sentinels: 0, sentinels_up: 0, ..redis(&[master]) }), "");
    // Nobody was asked yet.
    cluster.redis = Some(Redis::default());
    let observation = observe(&cluster);
    assert_eq!(observation.conditions, []);
    assert!(!observation.knows("redis_master/count"));
}

fn edge(node: Option<&str>, usable: u32, panic: bool) -> Edge {
    let endpoint = |index: u32| Endpoint { usable: index < usable, ..Endpoint::default() };
    let pool = Pool { name: "web".into(), panic, usable, endpoints: (0..3).map(endpoint).collect() };
    Edge { node: node.map(Into::into), at: Some(NOW), ready: true, pools: vec![pool], ..Edge::default() }
}

#[test]
fn edges_have_to_answer_and_to_have_somebody_to_send_requests_to() {
    let mut cluster = well();
    cluster.edges = [
        ("10.0.1.2:9901".into(), edge(Some("n1"), 3, false)),
        ("10.0.1.3:9901".into(), edge(Some("n2"), 0, false)),
        ("10.0.1.4:9901".into(), edge(None, 3, true)),
    ]
    .into();
    assert_eq!(
        told(&cluster),
        [
            "edge_pool/n2/web critical: the edge on serveur18 (10.10.25.165): its pool web has nobody to send requests to (3 \
         endpoints known)",
            "edge_pool/10.0.1.4:9901/web critical: the edge 10.0.1.4:9901: its pool web is in panic: too few of 3 endpoints \
         are healthy, so that all are used (3)",
        ]
    );
    cluster.edges.get_mut("10.0.1.3:9901").unwrap().error = Some("connection refused".into());
    cluster.edges.remove("10.0.1.4:9901");
    let observation = observe(&cluster);
    assert_eq!(
        told(&cluster),
        ["edge_down/n2 warning: the edge on serveur18 (10.10.25.165) does not answer: connection refused"]
    );
    // What it said last is neither so nor not so any more.
    assert!(!observation.knows("edge_pool/n2/web") && observation.knows("edge_pool/n1/web"));
    assert!(!observation.knows("certificate/www"));
    node(&mut cluster, "n2").state = NodeState::Down;
    assert_eq!(observe(&cluster).conditions[1].causes, ["node_down/n2"]);
    node(&mut cluster, "n2").state = NodeState::Ready;
    cluster.edges.remove("10.0.1.2:9901");
    assert_eq!(one(&cluster).severity, Severity::Critical);
}

#[test]
fn certificates_are_told_before_they_end_and_stand_ins_for_what_they_are() {
    let mut cluster = well();
    let mut with = |days: i64, self_signed| {
        let certificate =
            Certificate { names: vec!["www.example.com".into()], not_after: Some(NOW + days * DAY), self_signed };
        let mut edge = edge(Some("n1"), 3, false);
        edge.certificates = vec![certificate.clone()];
        let mut other = edge.clone();
        // The same one, not renewed here.
        other.certificates = vec![Certificate { not_after: Some(NOW + 100 * DAY), ..certificate }];
        cluster.edges = [("a".into(), other), ("b".into(), edge)].into();
        told(&cluster).join("")
    };
    assert_eq!(with(15, false), "");
    assert_eq!(
        with(13, false),
        "certificate/www.example.com warning: the certificate for www.example.com ends on 2026-12-10"
    );
    assert!(with(2, false).starts_with("certificate/www.example.com critical"));
    assert!(with(-1, false).contains("ended on 2026-11-26"));
    assert!(with(1, true).starts_with("self_signed/www.example.com info"));
}

#[test]
fn disks_are_told_when_little_is_free() {
    let mut cluster = well();
    let mut with = |free: u64, total: u64| {
        node(&mut cluster, "n1").disk = Some(Disk { total_bytes: total << 30, free_bytes: free << 30 });
        told(&cluster).join("")
    };
    assert_eq!(with(10, 100), "");
    assert_eq!(
        with(9, 100),
        "disk/n1 warning: serveur17 (10.10.25.165): 9.0 gib of the disk's 100.0 gib are free (9 %)"
    );
    assert!(with(4, 100).starts_with("disk/n1 critical"));
    assert_eq!(with(0, 0), "");
}

#[test]
fn a_rule_may_be_off_or_matter_otherwise() {
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
