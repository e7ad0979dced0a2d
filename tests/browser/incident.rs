//! A bad hour of the tutorial's swarm: a lost node, a broken update, and services that cannot start.

use tests::page_server::now;
use watch::cluster_state::{
    Alert, AlertState, ClusterState, Health, Millis, Mode, Service, Severity, Task, TaskState, UpdateState,
};

use crate::clusters;

const MINUTE: Millis = 60_000;

/// The error of the service that cannot start.
pub(crate) const NO_IMAGE: &str = "No such image: registry.example.org/report:2026.11.30-4f2a9c1";

/// Creates the cluster state.
pub(crate) fn cluster() -> ClusterState {
    let mut cluster = clusters::tutorial();
    clusters::node_down(&mut cluster);
    clusters::rolling(&mut cluster, "1.5.0", UpdateState::Paused);
    let report = service("report", 2, 0, NO_IMAGE);
    cluster.services.insert("report".to_owned(), Service { image: clusters::image("report", "1"), ..report });
    cluster
        .services
        .insert("zeta".to_owned(), service("zeta", 8, 2, "no suitable node (insufficient memory on 3 nodes)"));
    fail(&mut cluster, "report", 60);
    wait(&mut cluster, "zeta", 6);
    for (id, alert) in alerts() {
        cluster.alerts.insert(id.to_owned(), alert);
    }
    let edge = cluster.edges.values_mut().next().unwrap();
    edge.pools[0].panic = true;
    edge.pools[0].usable = 1;
    edge.pools[0].endpoints[1].usable = false;
    edge.pools[0].endpoints[1].state = "ejected".to_owned();
    edge.pools[0].endpoints[1].reason = Some("5 errors in a row".to_owned());
    cluster
}

fn service(name: &str, desired: u32, running: u32, problem: &str) -> Service {
    Service {
        name: format!("stackdemo_{name}"),
        stack: Some("stackdemo".to_owned()),
        mode: Mode::Replicated,
        desired,
        running,
        problem: Some(problem.to_owned()),
        image: clusters::image(name, "1"),
        ..Service::default()
    }
}

/// Adds `count` failed tasks of a service, in five slots, to the first node; the last one is the newest.
pub(crate) fn fail(cluster: &mut ClusterState, service: &str, count: usize) {
    let name = cluster.services[service].name.clone();
    for index in 0..count {
        let slot = index as u64 % 5 + 1;
        let at = now() - MINUTE * (count - index) as Millis;
        let task = Task {
            name: format!("{name}.{slot}"),
            service: service.to_owned(),
            slot: Some(slot),
            node: Some("node0".to_owned()),
            state: TaskState::Rejected,
            desired: TaskState::Shutdown,
            health: Health::None,
            image: cluster.services[service].image.clone(),
            created_at: Some(at),
            since: Some(at),
            error: Some(NO_IMAGE.to_owned()),
            ..Task::default()
        };
        cluster.tasks.insert(format!("{service}{index:05}"), task);
    }
}

/// Adds `count` tasks of a service that wait for a node.
pub(crate) fn wait(cluster: &mut ClusterState, service: &str, count: u64) {
    for slot in 1..=count {
        let task = Task {
            name: format!("{}.{slot}", cluster.services[service].name),
            service: service.to_owned(),
            slot: Some(slot),
            state: TaskState::Pending,
            desired: TaskState::Running,
            image: cluster.services[service].image.clone(),
            created_at: Some(now() - 2 * MINUTE),
            since: Some(now() - 2 * MINUTE),
            error: cluster.services[service].problem.clone(),
            ..Task::default()
        };
        cluster.tasks.insert(format!("{service}-waits{slot}"), task);
    }
}

/// Alerts as they are noticed: consequences before their causes.
fn alerts() -> [(&'static str, Alert); 5] {
    let alert = |rule: &str, severity, minutes, summary: &str| Alert {
        rule: rule.to_owned(),
        severity,
        state: AlertState::Firing,
        since: now() - minutes * MINUTE,
        summary: summary.to_owned(),
        ..Alert::default()
    };
    let of_web = |alert: Alert| Alert { service: Some("service3".to_owned()), ..alert };
    [
        (
            "edge_pool/node0/web",
            alert("edge_pool", Severity::Critical, 9, "the edge on serveur17: its pool web is in panic"),
        ),
        (
            "certificate/a",
            alert("certificate", Severity::Critical, 8, "the certificate for a expired: clients refuse it"),
        ),
        (
            "service_below/service3",
            of_web(alert("service_below", Severity::Warning, 7, "stackdemo_web: 2 of 3 tasks run")),
        ),
        (
            "crash_loop/service3.1",
            of_web(alert("crash_loop", Severity::Warning, 6, "stackdemo_web.1 ended 3 times within 10 min")),
        ),
        (
            "edge_down/node2",
            Alert {
                inhibited_by: Some("node_down/node2".to_owned()),
                ..alert("edge_down", Severity::Warning, 3, "the edge on serveur19 does not answer")
            },
        ),
    ]
}
