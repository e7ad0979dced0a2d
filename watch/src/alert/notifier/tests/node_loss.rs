//! The loss of a node with everything that ran on it.

use super::*;
use crate::cluster_state::{
    Edge, Endpoint, NodeRole, Pool, Quorum, Redis, RedisServer, Role, Service, Task, TaskState,
};

/// Returns the stack on three managers, `second` seconds after the node `gone` was lost; it returns at second
/// `back`. If it was the `leader`, the swarm takes longer to report anything.
fn story(gone: usize, leader: bool, second: i64, back: i64, now: Millis) -> ClusterState {
    let is_away = second < back;
    let is_known = second >= if leader { 55 } else { 15 } && is_away;
    let led = if leader && second >= 21 {
        (gone + 1) % 3
    } else if leader {
        gone
    } else {
        (gone + 1) % 3
    };
    let node = |index: usize| {
        let is_gone = index == gone && is_away;
        let state = match () {
            () if is_gone && is_known => NodeState::Down,
            // The new leader does not know the state of the nodes yet.
            () if leader && (21..25).contains(&second) || is_gone && leader && second >= 21 => NodeState::Unknown,
            () => NodeState::Ready,
        };
        // It becomes reachable a little after it is ready.
        let reachable = !(index == gone && (4..back + 5).contains(&second));
        let name = format!("n{index}");
        (
            name.clone(),
            Node {
                hostname: name,
                role: NodeRole::Manager,
                leader: index == led,
                reachable: Some(reachable),
                state,
                ..Node::default()
            },
        )
    };
    // Its Redis was the master, and takes a while to return.
    let redis = |index: usize| {
        let up = index != gone || !(1..back + 40).contains(&second);
        let is_master = index == if second < 8 { gone } else { (gone + 1) % 3 };
        RedisServer {
            address: format!("redis-{index}"),
            role: if is_master { Role::Master } else { Role::Replica },
            up,
            lag_bytes: None,
        }
    };
    let edge = |index: usize| {
        let is_gone = index == gone && (1..back + 20).contains(&second);
        // The application's replicas are not ready while there is no master.
        let usable = if (2..14).contains(&second) { 0 } else { 3 };
        let endpoints = vec![Endpoint { usable: usable > 0, ..Endpoint::default() }; 3];
        let pool = Pool { name: "web".into(), panic: usable == 0, usable, endpoints };
        let error = is_gone.then(|| "no answer".to_owned());
        (
            format!("e{index}"),
            Edge { node: Some(format!("n{index}")), at: Some(now), error, pools: vec![pool], ..Edge::default() },
        )
    };
    let running = u32::from(!(if is_away { is_known } else { second < back + 50 }));
    let service = Service { name: "stack_redis".into(), desired: 1, running, ..Service::default() };
    let task = Task {
        name: "stack_redis.1".into(),
        service: "s".into(),
        slot: Some(1),
        node: Some(format!("n{gone}")),
        state: TaskState::Running,
        ..Task::default()
    };
    let no_leader = leader && (1..21).contains(&second);
    ClusterState {
        source: Source {
            node: format!("n{}", (gone + 1) % 3),
            leader: led == (gone + 1) % 3,
            at: Some(if no_leader { now - second * SECOND } else { now }),
            error: no_leader.then(|| "the swarm has no leader".to_owned()),
            ..Source::default()
        },
        quorum: Quorum { managers: 3, reachable: if (4..back + 5).contains(&second) { 2 } else { 3 }, lost: no_leader },
        nodes: (0..3).map(node).collect(),
        services: [("s".to_owned(), service)].into(),
        tasks: [("t".to_owned(), task)].into(),
        redis: Some(Redis {
            at: Some(now),
            master: Some("redis".into()),
            sentinels: 3,
            sentinels_up: 2,
            servers: (0..3).map(redis).collect(),
            ..Redis::default()
        }),
        edges: (0..3).map(edge).collect(),
        ..ClusterState::default()
    }
}

#[test]
fn the_loss_of_a_node_and_everything_on_it_is_one_message_and_its_return_another() {
    for leader in [false, true] {
        let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
        let mut sent = Vec::new();
        const BACK: i64 = 400;
        for second in -10..BACK + 600 {
            harness.now += SECOND;
            harness.look(&story(1, leader, second, BACK, harness.now));
            sent.extend(harness.take_sent().into_iter().map(|message| (second, message)));
        }
        let messages: Vec<_> = sent.iter().map(|(_, message)| message.as_str()).collect();
        assert_eq!(messages, ["mail Firing node_down 1", "mail Resolved node_down 1"], "{sent:?}");
        assert!(sent[0].0 <= 28, "{sent:?}");
        assert!((BACK..BACK + 20).contains(&sent[1].0), "{sent:?}");
    }
}
