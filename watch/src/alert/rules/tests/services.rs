//! Services, updates and crash loops.

use super::*;

#[test]
fn a_service_below_its_replicas_names_lost_nodes_as_causes() {
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
    assert_eq!(described(&cluster).len(), 1);
}

#[test]
fn a_service_below_its_replicas_and_a_failed_job_say_why() {
    let mut cluster = well();
    let service = cluster.services.get_mut("web").unwrap();
    service.running = 1;
    service.problem = Some("no suitable node (scheduling constraints not satisfied on 3 nodes)".into());
    assert_eq!(
        one(&cluster).summary,
        "stackdemo_web: 1 of 2 tasks run: no suitable node (scheduling constraints not satisfied on 3 nodes)"
    );
    let service = cluster.services.get_mut("web").unwrap();
    service.mode = Mode::Job;
    service.job = Some(Job { total: 3, completed: 1, failed: 1 });
    service.problem = Some("task: non-zero exit (3)".into());
    assert_eq!(
        described(&cluster),
        ["job_failed/web warning: stackdemo_web: the job failed, 1 of 3 tasks completed: task: non-zero exit (3)"]
    );
    cluster.services.get_mut("web").unwrap().job = Some(Job { total: 3, completed: 1, failed: 0 });
    assert_eq!(described(&cluster), [""; 0]);
}

#[test]
fn failed_updates_are_reported_and_completed_roll_backs_for_an_hour() {
    let mut cluster = well();
    let mut with = |state, completed_at| {
        let update = Update { state, message: "task failure".into(), completed_at, ..Update::default() };
        cluster.services.get_mut("web").unwrap().update = Some(update);
        described(&cluster).join("")
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
fn tasks_that_keep_ending_in_one_slot_are_a_crash_loop() {
    let mut cluster = well();
    let mut ended = |id: &str, slot, state, age| {
        let task = Task {
            since: Some(NOW - age),
            error: Some("task: non-zero exit (1)".into()),
            ..task("web", slot, "n1", state)
        };
        cluster.tasks.insert(id.into(), task);
        described(&cluster)
    };
    assert_eq!(ended("e1", 1, TaskState::Failed, 9 * MINUTE), [""; 0]);
    assert_eq!(ended("e2", 1, TaskState::Failed, 11 * MINUTE), [""; 0]);
    assert_eq!(ended("e3", 2, TaskState::Failed, MINUTE), [""; 0]);
    // Tasks that an update shuts down do not end by themselves.
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
fn a_crash_loop_is_found_after_the_engine_forgot_its_tasks() {
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
    // The cluster state does not change, so only the window moves.
    assert_eq!(restarts.loops(Rules::default().crash_loop, NOW + 8 * MINUTE).count(), 0);
}
