//! stack.yml, as a swarm receives it.
//!
//! The installed Docker client deploys the file with its own `stack deploy` to an engine that records the requests.
//! This works with every client, also without `stack config`, and shows what the client makes of each option.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::engine::{Created, Engine};

/// Options that a stack file may contain but that do not reach the swarm: the client ignores them, with or without a
/// warning.
const IGNORED: [&str; 25] = [
    "build",
    "cgroup_parent",
    "container_name",
    "cpu_quota",
    "cpu_shares",
    "cpuset",
    "depends_on",
    "devices",
    "domainname",
    "expose",
    "external_links",
    "ipc",
    "links",
    "mac_address",
    "mem_limit",
    "memswap_limit",
    "network_mode",
    "pid",
    "privileged",
    "restart",
    "security_opt",
    "shm_size",
    "tmpfs",
    "userns_mode",
    "volume_driver",
];

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../stack.yml"))
}

/// Deploys the file and returns what the engine received.
async fn deployed(variables: &[(&str, &str)]) -> Created {
    deployed_from(&file(), variables).await
}

async fn deployed_from(file: &Path, variables: &[(&str, &str)]) -> Created {
    let engine = Engine::start().await;
    let variables = [&[("REDIS_DIGEST", "0123")], variables].concat();
    let client = engine.deploy(file, "stackdemo", &variables).await;
    let errors = String::from_utf8_lossy(&client.stderr);
    assert!(client.status.success(), "docker stack deploy failed: {errors}");
    assert_eq!(errors, "", "docker stack deploy warned");
    engine.created()
}

fn service<'a>(created: &'a Created, name: &str) -> &'a Value {
    &created.services[&format!("stackdemo_{name}")]
}

fn container(service: &Value) -> &Value {
    &service["TaskTemplate"]["ContainerSpec"]
}

fn environment<'a>(service: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container(service)["Env"].as_array()?;
    variables
        .iter()
        .filter_map(Value::as_str)
        .filter_map(|variable| variable.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Converts a duration of the API, in nanoseconds.
fn duration(value: &Value) -> Duration {
    Duration::from_nanos(value.as_u64().unwrap_or_default())
}

fn ports(service: &Value) -> Vec<(u64, u64, &str)> {
    let ports = service["EndpointSpec"]["Ports"].as_array();
    ports
        .into_iter()
        .flatten()
        .map(|port| {
            let number = |key: &str| port[key].as_u64().unwrap_or_default();
            let mode = port["PublishMode"].as_str().unwrap_or_default();
            (number("PublishedPort"), number("TargetPort"), mode)
        })
        .collect()
}

#[test]
fn the_file_contains_no_option_that_a_swarm_ignores() {
    let text = fs::read_to_string(file()).unwrap();
    let keys = text.lines().filter_map(|line| line.trim_start().split_once(':'));
    let ignored: Vec<_> = keys.map(|(key, _)| key).filter(|key| IGNORED.contains(key)).collect();
    assert!(ignored.is_empty(), "{ignored:?}");
}

#[tokio::test]
async fn every_service_is_confined_and_limited() {
    let created = deployed(&[]).await;
    let names: Vec<&String> = created.services.keys().collect();
    let expected = ["edge", "redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3", "watch", "web"];
    assert_eq!(names, expected.map(|name| format!("stackdemo_{name}")).each_ref());
    for (name, service) in &created.services {
        let task = &service["TaskTemplate"];
        let container = container(service);
        assert_eq!(container["ReadOnly"], json!(true), "{name}");
        assert_eq!(container["CapabilityDrop"], json!(["ALL"]), "{name}");
        assert_eq!(container["CapabilityAdd"], Value::Null, "{name}");

        let limits = &task["Resources"]["Limits"];
        for limit in ["NanoCPUs", "MemoryBytes", "Pids"] {
            assert!(limits[limit].as_u64() > Some(0), "{name} has no {limit}");
        }
        assert_eq!(task["LogDriver"]["Name"], "json-file", "{name}");
        for option in ["max-size", "max-file"] {
            assert!(task["LogDriver"]["Options"][option].is_string(), "{name}: {option}");
        }
        assert_eq!(task["RestartPolicy"]["Condition"], "any", "{name}");
    }
}

#[tokio::test]
async fn a_stop_first_update_kills_no_task_during_its_drain() {
    for (name, service) in &deployed(&[]).await.services {
        let grace = duration(&container(service)["StopGracePeriod"]);
        assert!(grace > Duration::from_secs(10), "{name}: {grace:?}");
        assert!(grace < Duration::from_secs(60), "{name}: {grace:?}");
    }
}

#[tokio::test]
async fn an_update_is_monitored_until_a_bad_task_would_be_unhealthy() {
    for (name, service) in &deployed(&[]).await.services {
        let health = &container(service)["Healthcheck"];
        let retries = u32::try_from(health["Retries"].as_u64().unwrap()).unwrap();
        let start = duration(&health["StartPeriod"]);
        let unhealthy = start + duration(&health["Interval"]) * retries;
        assert!(start < Duration::from_secs(60), "{name}");
        assert!(retries > 1, "{name}");
        for (config, on_failure) in [("UpdateConfig", "rollback"), ("RollbackConfig", "pause")] {
            let config = &service[config];
            assert!(duration(&config["Monitor"]) > unhealthy, "{name}: {config}");
            assert_eq!(config["FailureAction"], on_failure, "{name}");
            assert_eq!(config["Parallelism"], 1, "{name}");
        }
    }
}

#[tokio::test]
async fn web_has_six_replicas_behind_the_mesh_that_can_move_to_any_node() {
    let created = deployed(&[]).await;
    let web = service(&created, "web");
    assert_eq!(web["Mode"]["Replicated"]["Replicas"], 6);
    assert_eq!(ports(web), [(8000, 8000, "ingress")]);
    assert_eq!(container(web)["Hostname"], "{{.Node.Hostname}}");
    let sentinels = "sentinel-1:26379,sentinel-2:26379,sentinel-3:26379";
    assert_eq!(environment(web, "REDIS_SENTINELS"), Some(sentinels));
    assert_eq!(web["UpdateConfig"]["Order"], "start-first");
    let placement = &web["TaskTemplate"]["Placement"];
    // A maximum per node would leave no room for start-first, or for the replicas of a lost node.
    assert_eq!(placement["MaxReplicas"], Value::Null);
}

#[tokio::test]
async fn the_scheduler_honours_all_placement_preferences() {
    for (name, service) in &deployed(&[]).await.services {
        let preferences = service["TaskTemplate"]["Placement"]["Preferences"].as_array();
        for preference in preferences.into_iter().flatten() {
            let descriptor = preference["Spread"]["SpreadDescriptor"].as_str().unwrap_or_default();
            let is_label = ["node.labels.", "engine.labels."].iter().any(|labels| descriptor.starts_with(labels));
            assert!(is_label, "{name}: {preference}");
        }
    }
}

#[tokio::test]
async fn redis_writes_before_it_replies_and_stays_with_its_volume() {
    let created = deployed(&[]).await;
    for number in 1..=3 {
        let redis = service(&created, &format!("redis-{number}"));
        let arguments: Vec<&str> =
            container(redis)["Args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for pair in [["--appendonly", "yes"], ["--appendfsync", "always"], ["--min-replicas-to-write", "1"]] {
            assert!(arguments.windows(2).any(|two| two == pair), "{pair:?} in {arguments:?}");
        }
        assert_eq!(environment(redis, "SELF"), Some(format!("redis-{number}:6379").as_str()));
        assert_eq!(environment(redis, "FIRST"), Some("redis-1:6379"));
        let sentinel = service(&created, &format!("sentinel-{number}"));
        assert_eq!(environment(sentinel, "SELF"), Some(format!("sentinel-{number}:26379").as_str()));
        for (service, script) in [(redis, "/redis.sh"), (sentinel, "/sentinel.sh")] {
            assert_eq!(service["Mode"]["Replicated"]["Replicas"], 1);
            assert_eq!(container(service)["Mounts"][0]["Target"], "/data");
            assert_eq!(container(service)["Configs"][0]["File"]["Name"], script);
            let constraints = &service["TaskTemplate"]["Placement"]["Constraints"];
            assert_eq!(constraints, &json!([format!("node.labels.redis == {number}")]));
            assert_eq!(service["UpdateConfig"]["Order"], "stop-first");
            assert_eq!(ports(service), []);
        }
    }
}

#[tokio::test]
async fn a_changed_script_is_a_new_config() {
    let created = deployed(&[("REDIS_SH_VERSION", "7"), ("SENTINEL_SH_VERSION", "8")]).await;
    let names: Vec<&String> = created.configs.keys().collect();
    assert_eq!(names, ["redis_sh_7", "sentinel_sh_8", "watch_toml_0"]);
}

#[tokio::test]
async fn a_plain_deploy_fails_and_names_the_script_that_restarts_one_redis_at_a_time() {
    let engine = Engine::start().await;
    let client = engine.deploy(&file(), "stackdemo", &[]).await;
    let errors = String::from_utf8_lossy(&client.stderr);
    assert!(!client.status.success() && errors.contains("deploy with deploy/up.sh"), "{errors}");
    assert!(engine.created().services.is_empty());
}

#[tokio::test]
async fn a_part_of_the_stack_is_exactly_what_the_whole_stack_has() {
    let whole = deployed(&[]).await;
    let root = file().parent().unwrap().to_path_buf();
    for names in [&["redis-1"][..], &["redis-2"], &["sentinel-1"], &["sentinel-3"], &["redis-3", "sentinel-2", "web"]] {
        let output = Command::new(root.join("deploy/part.sh")).args(names).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.join("deploy"), folder.path().join("deploy")).unwrap();
        let part = folder.path().join("part.yml");
        fs::write(&part, output.stdout).unwrap();
        let created = deployed_from(&part, &[]).await;
        let expected: Vec<String> = names.iter().map(|name| format!("stackdemo_{name}")).collect();
        assert_eq!(created.services.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        for name in names {
            assert_eq!(service(&created, name), service(&whole, name), "{name}");
        }
        assert_eq!(created.configs, whole.configs);
    }
}

/// deploy/up.sh takes these services as unchanged while their digest is the same.
#[test]
fn redis_and_its_sentinels_depend_only_on_what_their_digest_covers() {
    let group = ["redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3"];
    let output = Command::new(file().parent().unwrap().join("deploy/part.sh")).args(group).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let services = text.split_once("\nservices:").unwrap().1.split_once("\nnetworks:").unwrap().0;
    let variables = services.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next());
    assert!(variables.clone().count() > 0 && variables.clone().all(|name| name == "REDIS_DIGEST"), "{services}");
    let configs = text.lines().filter_map(|line| line.trim().strip_prefix("- { source: ")?.split(',').next());
    assert_eq!(configs.collect::<Vec<_>>(), ["redis_sh", "sentinel_sh"]);
}

#[tokio::test]
async fn only_web_and_watch_reach_redis_and_redis_reaches_nothing() {
    let created = deployed(&[]).await;
    let on = |name: &str| -> Vec<String> {
        let networks = service(&created, name)["TaskTemplate"]["Networks"].as_array().unwrap();
        let targets = networks.iter().filter_map(|network| network["Target"].as_str());
        targets.map(str::to_owned).collect()
    };
    assert_eq!(on("edge"), ["stackdemo_front"]);
    for number in 1..=3 {
        for kind in ["redis", "sentinel"] {
            assert_eq!(on(&format!("{kind}-{number}")), ["stackdemo_back"]);
        }
    }
    for name in ["web", "watch"] {
        assert_eq!(on(name), ["stackdemo_back", "stackdemo_front"]);
    }
    assert_eq!(created.networks["stackdemo_back"]["Internal"], true);
    assert_eq!(created.networks["stackdemo_back"]["Options"]["encrypted"], "true");
}

#[tokio::test]
async fn the_edge_listens_on_every_nodes_own_address_and_is_updated_node_by_node() {
    let created = deployed(&[]).await;
    let edge = service(&created, "edge");
    assert_eq!(edge["Mode"]["Global"], json!({}));
    assert_eq!(ports(edge), [(80, 8080, "host"), (443, 8443, "host")]);
    // Two tasks cannot hold one port of a host.
    assert_eq!(edge["UpdateConfig"]["Order"], "stop-first");
    assert!(duration(&edge["UpdateConfig"]["Delay"]) >= Duration::from_secs(5));
    // Its status is for watch only: a port of the container that is not published.
    assert_eq!(environment(edge, "EDGE_ADMIN"), Some("0.0.0.0:9901"));
}

#[tokio::test]
async fn watch_runs_on_every_manager_and_only_it_has_the_engines_socket() {
    let created = deployed(&[]).await;
    let watch = service(&created, "watch");
    assert_eq!(watch["Mode"]["Global"], json!({}));
    assert_eq!(watch["TaskTemplate"]["Placement"]["Constraints"], json!(["node.role == manager"]));
    assert_eq!(ports(watch), [(8080, 8080, "ingress")]);
    assert_eq!(environment(watch, "WATCH_CONFIG"), Some("/watch.toml"));
    assert_eq!(environment(watch, "WATCH_HOSTS"), Some("tasks.watch,"));
    // Closed unless a password, a token or WATCH_OPEN is set.
    for name in ["WATCH_PASSWORD_FILE", "WATCH_TOKEN_FILE", "WATCH_OPEN"] {
        assert_eq!(environment(watch, name), Some(""), "{name}");
    }
    let socket = json!({
        "Type": "bind",
        "Source": "/var/run/docker.sock",
        "Target": "/var/run/docker.sock",
        "ReadOnly": true,
    });
    assert_eq!(container(watch)["Mounts"], json!([socket]));
    for (name, service) in &created.services {
        let mounts = container(service)["Mounts"].to_string();
        assert_eq!(mounts.contains("docker.sock"), name == "stackdemo_watch", "{name}: {mounts}");
    }
}

#[tokio::test]
async fn each_version_of_a_secret_of_watch_is_a_new_secret() {
    let created = deployed(&[("WATCH_SMTP_VERSION", "3"), ("WATCH_CONFIG_VERSION", "3")]).await;
    let secrets = ["heartbeat_0", "password_0", "sms_0", "smtp_3", "token_0", "webhook_0"];
    let secrets = secrets.map(|name| format!("watch_{name}"));
    let names: Vec<&String> = created.secrets.keys().filter(|name| name.starts_with("watch_")).collect();
    assert_eq!(names, secrets.each_ref());
    assert!(created.configs.contains_key("watch_toml_3"));
}

#[tokio::test]
async fn the_edge_connects_to_the_mesh_of_all_nodes_unless_others_are_set() {
    for (variables, nodes) in [
        (vec![], "swarm://watch:8080"),
        (vec![("NODES", "")], "swarm://watch:8080"),
        (vec![("NODES", "10.10.25.165,10.10.25.166")], "10.10.25.165,10.10.25.166"),
        (vec![("NODES", "off")], "off"),
    ] {
        let created = deployed(&variables).await;
        let edge = service(&created, "edge");
        let target = ["EDGE_TO", "EDGE_TO_MESH", "EDGE_TO_PORT"].map(|name| environment(edge, name));
        assert_eq!(target, [Some("tasks.web"), Some(nodes), Some("8000")]);
    }
}

#[tokio::test]
async fn each_replica_has_a_name_of_its_own_in_the_field_that_the_edge_reads() {
    let created = deployed(&[]).await;
    assert_eq!(environment(service(&created, "web"), "APP_REPLICA"), Some("{{.Task.ID}}"));
    assert_eq!(environment(service(&created, "edge"), "EDGE_REPLICA_HEADER"), Some("x-replica"));
}

#[tokio::test]
async fn readiness_and_metrics_are_on_a_port_that_is_not_published() {
    let created = deployed(&[]).await;
    let (web, edge) = (service(&created, "web"), service(&created, "edge"));
    let port = environment(web, "APP_ADMIN").unwrap().strip_prefix("0.0.0.0:").unwrap();
    assert_eq!(
        (environment(edge, "EDGE_HEALTH_PATH"), environment(edge, "EDGE_HEALTH_PORT")),
        (Some("/readyz"), Some(port))
    );
    let published = created.services.values().flat_map(ports).map(|(_, target, _)| target.to_string());
    assert!(!published.collect::<Vec<_>>().contains(&port.to_owned()));
}

#[tokio::test]
async fn a_new_certificate_is_a_new_secret_that_only_the_edge_can_read() {
    let created = deployed(&[("TLS_VERSION", "7")]).await;
    let names: Vec<&String> = created.secrets.keys().collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("edge_tls")).collect::<Vec<_>>(), [&"edge_tls_7"]);
    let has = |service: &Value| {
        let secrets = container(service)["Secrets"].as_array().cloned().unwrap_or_default();
        secrets.into_iter().map(|secret| secret["File"].clone()).find(|file| file["Name"] == "edge_tls")
    };
    let file = json!({ "Name": "edge_tls", "UID": "10001", "GID": "10001", "Mode": 0o400 });
    assert_eq!(has(service(&created, "edge")), Some(file));
    for (name, service) in &created.services {
        assert_eq!(has(service).is_some(), name == "stackdemo_edge", "{name}");
    }
}

#[test]
fn the_file_in_place_of_a_certificate_is_blank() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/no-certificate.pem");
    assert!(net::pem::is_blank(&fs::read(path).unwrap()));
}

#[tokio::test]
async fn our_services_run_the_given_image_each_in_its_role() {
    let created = deployed(&[("IMAGE", "registry.example:5000/stackdemo:1.2.3")]).await;
    for (name, command) in [("web", &["/app"][..]), ("edge", &["/edge", "run"]), ("watch", &["/watch"])] {
        let container = container(service(&created, name));
        assert_eq!(container["Image"], "registry.example:5000/stackdemo:1.2.3");
        assert_eq!(container["Args"], json!(command));
        assert_eq!(container["Healthcheck"]["Test"], json!(["CMD", command[0], "healthcheck"]));
    }
}
