//! How conditions end, in words.

use super::*;

/// Returns how the only condition of `before` ended according to `after`, having lasted 3 min.
fn ended(before: &ClusterState, after: &ClusterState) -> String {
    ended_with(before, after, &Rules::default())
}

fn ended_with(before: &ClusterState, after: &ClusterState, rules: &Rules) -> String {
    let condition = one(before);
    assert!(
        !observe(after).conditions.iter().any(|other| other.fingerprint == condition.fingerprint),
        "{} still holds",
        condition.fingerprint
    );
    end(&condition, after, rules, NOW).text(3 * MINUTE, 0)
}

fn with(change: impl FnOnce(&mut ClusterState)) -> ClusterState {
    let mut cluster = well();
    change(&mut cluster);
    cluster
}

#[test]
fn a_node_is_up_again_or_was_removed() {
    let worker = |state| {
        with(|cluster| {
            let node = Node { role: NodeRole::Worker, reachable: None, state, ..manager("serveur20") };
            cluster.nodes.insert("n4".into(), node);
        })
    };
    let down = worker(NodeState::Down);
    assert_eq!(ended(&down, &worker(NodeState::Ready)), "serveur20 (10.10.25.165) is up again after 3 min");
    assert_eq!(ended(&down, &well()), "serveur20 was removed from the swarm");

    let unreachable = |role| {
        with(|cluster| {
            node(cluster, "n2").reachable = (role == NodeRole::Manager).then_some(false);
            node(cluster, "n2").role = role;
        })
    };
    let lost = unreachable(NodeRole::Manager);
    assert_eq!(ended(&lost, &well()), "the other managers reach serveur18 (10.10.25.165) again after 3 min");
    assert_eq!(ended(&lost, &unreachable(NodeRole::Worker)), "serveur18 (10.10.25.165) is no longer a manager");
}

#[test]
fn a_condition_that_came_back_says_how_often() {
    let end = || End::Over("a is up again".into());
    assert_eq!(end().text(3 * MINUTE, 1), "a is up again after 3 min; it came back once meanwhile");
    assert_eq!(end().text(200 * MINUTE, 7), "a is up again after 3 h 20 min; it came back 7 times meanwhile");
}

#[test]
fn quorum_and_engine_have_words_of_their_own() {
    let risk = with(|cluster| cluster.quorum.reachable = 2);
    assert_eq!(ended(&risk, &well()), "3 of 3 managers are reachable again after 3 min");
    let lost = with(|cluster| cluster.quorum = Quorum { managers: 3, reachable: 1, lost: true });
    assert_eq!(ended(&lost, &well()), "the swarm has its quorum again after 3 min");
    // A lost quorum is not the end of the risk.
    assert!(!observe(&lost).knows("quorum_at_risk/swarm"));
    assert!(observe(&well()).knows("quorum_at_risk/swarm"));

    let silent = with(|cluster| cluster.source.error = Some("timed out".into()));
    let mut well = well();
    assert_eq!(
        ended(&silent, &well),
        "the engine of serveur17 (10.10.25.165) reports the cluster state again after 3 min"
    );
    // The instance there may be gone.
    well.source.node = "n2".into();
    let foreign = "the instance on serveur17 (10.10.25.165) no longer reports that its engine is silent";
    assert_eq!(ended(&silent, &well), foreign);
}

#[test]
fn a_disk_that_nobody_reports_is_neither_full_nor_free() {
    let disk = |free: u64| {
        with(|cluster| node(cluster, "n2").disk = Some(Disk { total_bytes: 100 << 30, free_bytes: free << 30 }))
    };
    let words = "serveur18 (10.10.25.165): 40 GiB of the disk's 100 GiB are free again after 3 min";
    assert_eq!(ended(&disk(9), &disk(40)), words);
    assert!(!observe(&well()).knows("disk/n2"));
    assert!(observe(&disk(40)).knows("disk/n2"));
}

#[test]
fn redis_and_its_replicas_have_words_of_their_own() {
    let state = |replica| {
        with(|cluster| {
            let servers = [("redis-1:6379", Role::Master, true), ("redis-2:6379", Role::Replica, replica)];
            cluster.redis = Some(redis(&servers));
        })
    };
    assert_eq!(ended(&state(false), &state(true)), "a replica follows redis-1:6379 again after 3 min");
    let lost = with(|cluster| cluster.redis = Some(Redis { sentinels_up: 0, ..redis(&[]) }));
    assert_eq!(ended(&lost, &state(true)), "redis-1:6379 answers as Redis master after 3 min");
    assert_eq!(ended(&lost, &well()), "Redis is no longer watched");
}

#[test]
fn an_edge_and_its_pools_recover_or_are_removed() {
    let edges = |edge: Edge| with(|cluster| cluster.edges = [("10.0.1.3:9901".into(), edge)].into());
    let good = edges(edge(Some("n2"), 3, false));
    let silent = edges(Edge { error: Some("refused".into()), ..edge(Some("n2"), 3, false) });
    assert_eq!(ended(&silent, &good), "the edge on serveur18 (10.10.25.165) answers again after 3 min");
    assert_eq!(ended(&silent, &well()), "the edge on serveur18 (10.10.25.165) was removed");
    let empty = edges(edge(Some("n2"), 0, false));
    let words = "the edge on serveur18 (10.10.25.165): its pool web has 3 of 3 endpoints usable again after 3 min";
    assert_eq!(ended(&empty, &good), words);
    let other = edges(Edge { pools: Vec::new(), ..edge(Some("n2"), 3, false) });
    assert_eq!(ended(&empty, &other), "the edge on serveur18 (10.10.25.165) no longer has a pool web");
}

#[test]
fn a_service_runs_again_or_was_scaled_to_nothing_or_removed() {
    let web = |running, desired| {
        with(|cluster| {
            let service = cluster.services.get_mut("web").unwrap();
            (service.running, service.desired) = (running, desired);
        })
    };
    let gone = with(|cluster| cluster.services.clear());
    assert_eq!(ended(&web(0, 2), &well()), "stackdemo_web: 2 of 2 tasks run again after 3 min");
    assert_eq!(ended(&web(0, 2), &web(0, 0)), "stackdemo_web was scaled to 0 tasks");
    assert_eq!(ended(&web(0, 2), &gone), "stackdemo_web was removed");

    let update = |state| {
        with(|cluster| {
            let update = Update { state, ..Update::default() };
            cluster.services.get_mut("web").unwrap().update = Some(update);
        })
    };
    let paused = update(UpdateState::Paused);
    assert_eq!(ended(&paused, &update(UpdateState::Updating)), "stackdemo_web is being updated anew");
    assert_eq!(ended(&paused, &update(UpdateState::Completed)), "the update of stackdemo_web has completed");
    assert_eq!(ended(&paused, &gone), "stackdemo_web was removed");

    let job = |completed, failed| {
        with(|cluster| {
            let service = cluster.services.get_mut("web").unwrap();
            (service.mode, service.job) = (Mode::Job, Some(Job { total: 3, completed, failed }));
        })
    };
    assert_eq!(ended(&job(2, 1), &job(0, 0)), "stackdemo_web: the job was started again");
    assert_eq!(ended(&job(2, 1), &job(3, 0)), "stackdemo_web: the job has completed");
    assert_eq!(ended(&job(2, 1), &gone), "stackdemo_web was removed");

    let loops = with(|cluster| {
        let failed = |index: u64| (format!("f{index}"), task("web", 2, "n1", TaskState::Failed));
        cluster.tasks.extend((0..3).map(failed));
    });
    assert_eq!(ended(&loops, &well()), "web.2 has ended fewer than 3 times within 10 min");
    assert_eq!(ended(&loops, &gone), "stackdemo_web was removed");
}

#[test]
fn a_certificate_was_renewed_or_is_no_longer_presented() {
    let presents = |certificates: Vec<Certificate>| {
        let edge = Edge { certificates, ..edge(None, 3, false) };
        with(|cluster| cluster.edges = [("10.0.1.3:9901".into(), edge)].into())
    };
    let of = |days: Option<i64>, self_signed| {
        let not_after = days.map(|days| NOW + days * DAY);
        presents(vec![Certificate { names: vec!["a.org".into()], not_after, self_signed }])
    };
    assert_eq!(
        ended(&of(Some(5), false), &of(Some(90), false)),
        "the certificate for a.org was renewed: it expires on 2027-02-25"
    );
    assert_eq!(ended(&of(Some(5), false), &presents(Vec::new())), "no edge presents a certificate for a.org any more");
    let words = "no edge presents a self-signed certificate for a.org any more";
    assert_eq!(ended(&of(None, true), &of(Some(90), false)), words);
}

#[test]
fn a_rule_that_was_disabled_says_so() {
    let mut cluster = well();
    node(&mut cluster, "n2").disk = Some(Disk { total_bytes: 100, free_bytes: 1 });
    let mut rules = Rules::default();
    rules.of_mut(Rule::Disk).enabled = false;
    let condition = one(&cluster);
    assert_eq!(end(&condition, &cluster, &rules, NOW).text(MINUTE, 0), "the rule disk was disabled");
}
