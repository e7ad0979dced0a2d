//! Step 9: what an operator does after machines are lost for good.

use tests::swarm::checker::Event;

use crate::journey::Journey;

/// Removes the third machine, and joins a new one in its place.
pub(crate) async fn replace(journey: &mut Journey) {
    let Journey { cluster, page, checker, .. } = journey;
    let Some(checker) = checker else { return };
    checker
        .round(cluster, "node replaced", async |cluster| {
            for block in ["backup", "remove", "leave", "removed"] {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
            }
            // The new machine needs the lines in /etc/hosts.
            cluster.hosts[2].destroy().await.expect("a machine is destroyed");
            cluster.hosts[2].start().await.expect("a new machine");
            page.run_on(cluster, "hosts", &[2]).await.unwrap_or_else(|error| panic!("hosts: {error}"));
            for block in ["add-join", "add"] {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
            }
            Event::new("serveur19 removed, added as a new node")
        })
        .await;
    journey.block("restore").await;
    journey.block("disk").await;
}

/// Destroys two machines, which leaves a manager without a quorum and a Redis without replicas, and recovers from that.
pub(crate) async fn lose_quorum(journey: &mut Journey) {
    let Journey { cluster, page, checker, .. } = journey;
    let Some(checker) = checker else { return };
    checker
        .round(cluster, "quorum lost", async |cluster| {
            for lost in [1, 2] {
                cluster.hosts[lost].destroy().await.expect("a machine is destroyed");
            }
            for block in ["lost-count", "lost-swarm"] {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
            }
            // No systemd runs on the rig's machines.
            cluster.hosts[0].restart_engine().await.expect("the engine restarts");
            page.run_with(cluster, "lost-restart", "systemctl restart docker", "true")
                .await
                .unwrap_or_else(|error| panic!("lost-restart: {error}"));
            let token = cluster.hosts[0].run("docker swarm join-token --quiet manager").await;
            page.export("JOIN_TOKEN", token.expect("a manager has a token").trim());
            for new in [1, 2] {
                cluster.hosts[new].start().await.expect("a new machine");
            }
            page.run_on(cluster, "hosts", &[1, 2]).await.unwrap_or_else(|error| panic!("hosts: {error}"));
            for block in ["lost-join-serveur18", "lost-join-serveur19"] {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
            }
            if let Err(error) = page.run_on(cluster, "pull", &[1, 2]).await {
                panic!("pull: {error}\n{}", cluster.state().await);
            }
            page.run(cluster, "lost-deploy").await.unwrap_or_else(|error| panic!("lost-deploy: {error}"));
            Event::by_operator("serveur18 and serveur19 destroyed, swarm recreated")
        })
        .await;
}

/// Lists all objects of the stack in the swarm.
const OF_STACK: &str = "for kind in service network config secret; do
    docker $kind ls --quiet --filter label=com.docker.stack.namespace=stackdemo
done";

/// Stops the stack and starts it again.
pub(crate) async fn restart_stack(journey: &mut Journey) {
    let Journey { cluster, page, checker, .. } = journey;
    let Some(checker) = checker else { return };
    checker
        .round(cluster, "stopped", async |cluster| {
            for block in ["stop", "stopped", "start-again"] {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
                if block == "stop" {
                    let left = cluster.hosts[0].run(OF_STACK).await.expect("a manager");
                    assert_eq!(left, "", "something of the stack is left");
                }
            }
            Event::by_operator("stack stopped and started with its count")
        })
        .await;
}
