//! Steps 0 to 2: the image, a swarm, a registry, and the image on every node.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::swarm::project;

use crate::Length;
use crate::journey::Journey;

/// The tag of the image that the page builds first.
const IMAGE: &str = "127.0.0.1:5000/stackdemo:1";

/// Step 0: builds the image where crates can be fetched. The hosts are off. A full journey also checks that two builds
/// without a cache give the same files.
pub(crate) async fn build_image(journey: &mut Journey) {
    let Journey { cluster, length, .. } = journey;
    if *length == Length::Full {
        let output = project::images(&cluster.run, None, &["reproduce"]).await.expect("two builds");
        assert!(output.ends_with("both builds gave the same files\n"), "{output}");
    }
    let output = project::images(&cluster.run, None, &["build", IMAGE]).await.expect("the image is built");
    let checked = output.lines().filter(|line| line.starts_with(IMAGE));
    journey.notes.extend(checked.map(str::to_owned));
    project::copy_build_cache(&cluster.run, &cluster.hosts[0]).await.expect("the host's disk");
}

/// Step 1: joins the hosts to a swarm of three managers.
pub(crate) async fn join_nodes(journey: &mut Journey) {
    for host in &mut journey.cluster.hosts {
        host.start().await.expect("a host starts");
    }
    journey.block("hosts").await;
    journey.block("init").await;
    let token = journey.cluster.hosts[0].run("docker swarm join-token --quiet manager").await;
    journey.page.export("JOIN_TOKEN", token.expect("a manager has a token").trim());
    journey.block("join-serveur18").await;
    journey.block("join-serveur19").await;
    journey.block("nodes").await;
    let nodes = journey.cluster.ask("/nodes").await.expect("a manager lists its nodes");
    let state = |node: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&node["Description"]["Hostname"]),
            text(&node["Status"]["Addr"]),
            text(&node["ManagerStatus"]["Reachability"]),
        )
    };
    let found: BTreeSet<_> = nodes.iter().map(state).collect();
    let managers = [("serveur17", "10.10.25.165"), ("serveur18", "10.10.25.166"), ("serveur19", "10.10.25.167")];
    let expected = managers.map(|(name, address)| (name.to_owned(), address.to_owned(), "reachable".to_owned()));
    assert_eq!(found, BTreeSet::from(expected));
    let leaders = nodes.iter().filter(|node| node["ManagerStatus"]["Leader"] == true).count();
    assert_eq!(leaders, 1);
}

/// Step 2: starts the registry, and distributes the image to every node.
pub(crate) async fn distribute_image(journey: &mut Journey) {
    let cluster = &journey.cluster;
    // Third-party images: the registry and Redis.
    let engine = format!("unix://{}", cluster.hosts[0].path("/run/docker.sock").display());
    project::images(&cluster.run, Some(&engine), &["load", "registry", "redis"]).await.expect("stand-ins");
    let images = cluster.hosts[0].run("docker images --format '{{.Repository}}:{{.Tag}}'").await.expect("images");
    let foreign = |name: &&str| name.starts_with("redis:") || name.starts_with("registry:");
    let names: Vec<String> = images.lines().filter(foreign).map(str::to_owned).collect();
    assert_eq!(names.len(), 2, "{images}");
    cluster.hub.push_from(&cluster.hosts[0], &names).await.expect("the hub takes them");
    project::copy_to(&cluster.hosts[0], cluster.kernel).await.expect("the project");

    journey.block("registry").await;
    journey.block("build").await;
    journey.block("pull").await;

    let mut ids = BTreeSet::new();
    for host in &journey.cluster.hosts {
        let id = host.run(&format!("docker image inspect --format '{{{{.Id}}}}' {IMAGE}")).await;
        ids.insert(id.expect("every node has the image"));
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
}
