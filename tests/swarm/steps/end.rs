//! Step 10: everything goes, and nothing stays.

use crate::journey::Journey;

/// What a host has that a swarm or a stack could have left, one line each.
const LEFT: &str = r#"
    docker ps --all --format 'container {{.Names}}'
    docker network ls --filter type=custom --format 'network {{.Name}}'
    docker volume ls --format 'volume {{.Name}}'
    docker config ls --format 'config {{.Name}}' 2>/dev/null || true
    ls /run/docker/netns | sed 's/^/namespace /'
    iptables-save | grep -e MESH -e 10.0. | sed 's/^/rule /' || true
    ip -brief link | awk '{ print $1 }' | grep -v -e '^lo$' -e '^eth0' -e '^docker0$' | sed 's/^/interface /' || true
    awk '$2 ~ "/overlay2/.*/merged$" || $2 ~ "/netns/" { print "mount " $2 }' /proc/mounts
    ps -e -o comm= | grep -v -e '^docker-init$' -e '^sleep$' -e '^dockerd$' -e '^containerd$' -e '^swarm-' \
        -e '^bash$' -e '^ps$' -e '^grep$' -e '^sed$' -e '^sh$' | sed 's/^/process /' || true
    docker info --format '{{.Swarm.LocalNodeState}}' | grep -v '^inactive$' | sed 's/^/swarm /' || true
"#;

/// The page's last blocks.
pub(crate) async fn leave(journey: &mut Journey) {
    journey.block("end").await;
    journey.block("end-node").await;
    for host in &journey.cluster.hosts {
        let left = host.run(LEFT).await.expect("a look at the host");
        assert_eq!(left, "", "left behind on {}", host.name);
    }
    let not_run = journey.page.not_run();
    assert!(not_run.is_empty(), "blocks of docs/deploy.md that nobody has run: {not_run:?}");
}
