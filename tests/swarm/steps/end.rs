//! Step 10: everything is removed, and nothing is left behind.

use std::time::Duration;

use crate::journey::Journey;

/// Lists what a swarm or a stack may have left on a host, one per line. Excluded are the rules of our own mesh, which
/// no real host has, and the rule for a host's access to its own published ports, which the engine never removes.
const LEFT: &str = r#"
    docker ps --all --format 'container {{.Names}}'
    docker network ls --filter type=custom --format 'network {{.Name}}'
    docker volume ls --format 'volume {{.Name}}'
    ls /run/docker/netns | sed 's/^/namespace /'
    iptables-save | grep -e 'DOCKER-INGRESS.*dport' -e docker_gwbridge -e ' 10\.0\.' \
        | grep -v -e MESH -e '-o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE' | sed 's/^/rule /' || true
    ip -brief link | awk '$1 != "lo" && $1 !~ /^eth0/ && $1 != "docker0" { print "interface " $1 }'
    awk '$2 ~ "/overlay2/.*/merged$" || $2 ~ "/netns/" { print "mount " $2 }' /proc/mounts
    ps -e -o comm= | grep -e '^app$' -e '^edge$' -e '^watch$' -e '^redis-' -e '^containerd-shim' -e '^docker-proxy' \
        | sed 's/^/process /' || true
    docker info --format '{{.Swarm.LocalNodeState}}' | grep -v '^inactive$' | sed 's/^/swarm /' || true
"#;

/// The time limit for the engine's clean-up, which removes old namespaces once a minute.
const CLEANUP: Duration = Duration::from_secs(150);

/// Removes the stack and the swarm by the page's last blocks.
pub(crate) async fn remove(journey: &mut Journey) {
    journey.block("end").await;
    journey.block("end-node").await;
    for host in &journey.cluster.hosts {
        let what = format!("nothing is left behind on {}", host.name);
        journey
            .cluster
            .until(&what, CLEANUP, async || {
                let left = host.run(LEFT).await.unwrap_or_else(|error| error.to_string());
                (!left.is_empty()).then_some(left)
            })
            .await;
    }
    let not_run = journey.page.not_run();
    assert!(not_run.is_empty(), "blocks of docs/deploy.md that no step has run: {not_run:?}");
}
