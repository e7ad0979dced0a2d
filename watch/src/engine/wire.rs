//! The fields that are read from the engine's responses: an allow-list at the input.
//!
//! The parser skips every other field, so environment, arguments, secrets and labels of a service never become
//! values in this process. Enumerations that newer engines may extend are kept as text, and an entry that
//! cannot be parsed is skipped. `bollard`'s own models have closed enumerations, down to the types of mounts,
//! so that one unknown value would lose the whole list. They also lack `NetworksAttachments`.
//!
//! Names follow the Docker Engine API, sections "Nodes", "Services", "Tasks" and "System".

use std::net::IpAddr;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Parses a list; returns its entries and the number of entries that cannot be parsed.
pub(super) fn list<T: DeserializeOwned>(body: &[u8]) -> Result<(Vec<T>, usize), serde_json::Error> {
    let Some(entries) = serde_json::from_slice::<Option<Vec<&RawValue>>>(body)? else { return Ok((Vec::new(), 0)) };
    let all = entries.len();
    let read: Vec<T> = entries.into_iter().filter_map(|entry| serde_json::from_str(entry.get()).ok()).collect();
    let unreadable = all - read.len();
    Ok((read, unreadable))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Node {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) updated_at: Option<String>,
    pub(super) spec: NodeSpec,
    pub(super) description: Option<NodeDescription>,
    pub(super) status: NodeStatus,
    pub(super) manager_status: Option<ManagerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NodeSpec {
    pub(super) role: String,
    pub(super) availability: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NodeDescription {
    pub(super) hostname: String,
    pub(super) platform: Platform,
    pub(super) resources: Resources,
    pub(super) engine: EngineDescription,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Platform {
    #[serde(rename = "Architecture")]
    pub(super) architecture: String,
    #[serde(rename = "OS")]
    pub(super) os: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resources {
    #[serde(rename = "NanoCPUs")]
    pub(super) nano_cpus: Option<i64>,
    #[serde(rename = "MemoryBytes")]
    pub(super) memory_bytes: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EngineDescription {
    pub(super) engine_version: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NodeStatus {
    pub(super) state: String,
    pub(super) message: Option<String>,
    pub(super) addr: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ManagerStatus {
    pub(super) leader: bool,
    pub(super) reachability: String,
    pub(super) addr: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Service {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) updated_at: Option<String>,
    pub(super) spec: ServiceSpec,
    pub(super) endpoint: Option<ServiceEndpoint>,
    pub(super) update_status: Option<UpdateStatus>,
    pub(super) job_status: Option<JobStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct JobStatus {
    pub(super) job_iteration: Option<Iteration>,
}

/// Which execution of a job a task belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Iteration {
    pub(super) index: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ServiceSpec {
    pub(super) name: String,
    pub(super) labels: Option<ServiceLabels>,
    pub(super) task_template: TaskSpec,
    pub(super) mode: ServiceMode,
}

/// The one label that is read; `docker stack deploy` sets it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceLabels {
    #[serde(rename = "com.docker.stack.namespace")]
    pub(super) stack: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ServiceMode {
    pub(super) replicated: Option<Replicated>,
    pub(super) global: Option<Present>,
    pub(super) replicated_job: Option<ReplicatedJob>,
    pub(super) global_job: Option<Present>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Replicated {
    pub(super) replicas: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ReplicatedJob {
    pub(super) max_concurrent: Option<u64>,
    pub(super) total_completions: Option<u64>,
}

/// An object of which only the presence matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Present {}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ServiceEndpoint {
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Port {
    pub(super) published_port: Option<u16>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct UpdateStatus {
    pub(super) state: String,
    pub(super) started_at: Option<String>,
    pub(super) completed_at: Option<String>,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Task {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) created_at: Option<String>,
    pub(super) spec: TaskSpec,
    #[serde(rename = "ServiceID")]
    pub(super) service_id: String,
    pub(super) slot: Option<u64>,
    #[serde(rename = "NodeID")]
    pub(super) node_id: String,
    pub(super) status: TaskStatus,
    pub(super) desired_state: String,
    pub(super) job_iteration: Option<Iteration>,
    pub(super) networks_attachments: Option<Vec<Attachment>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TaskSpec {
    pub(super) container_spec: Option<ContainerSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ContainerSpec {
    pub(super) image: String,
    /// The engine's spelling; its documentation has `HealthCheck`.
    #[serde(alias = "HealthCheck")]
    pub(super) healthcheck: Option<HealthCheck>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HealthCheck {
    pub(super) test: Option<Vec<TestWord>>,
}

/// An argument of a check's command. Only `NONE` matters; the others may contain a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TestWord {
    None,
    Other,
}

impl<'de> Deserialize<'de> for TestWord {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let word = String::deserialize(input)?;
        Ok(if word == "NONE" { Self::None } else { Self::Other })
    }
}

impl HealthCheck {
    /// Whether a check is configured.
    pub(super) fn is_enabled(&self) -> bool {
        self.test.as_ref().and_then(|words| words.first()).is_some_and(|first| *first == TestWord::Other)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TaskStatus {
    pub(super) timestamp: Option<String>,
    pub(super) state: String,
    pub(super) message: Option<String>,
    pub(super) err: Option<String>,
    pub(super) container_status: Option<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ContainerStatus {
    pub(super) exit_code: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Attachment {
    pub(super) addresses: Option<Vec<String>>,
}

impl Task {
    /// The task's addresses on overlay networks.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let attachments = self.networks_attachments.iter().flatten();
        // Addresses carry the prefix length of the network.
        let texts = attachments.flat_map(|attachment| attachment.addresses.iter().flatten());
        texts.filter_map(|text| text.split('/').next()?.parse().ok())
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Info {
    pub(super) swarm: SwarmInfo,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SwarmInfo {
    #[serde(rename = "NodeID")]
    pub(super) node_id: String,
    pub(super) local_node_state: String,
    pub(super) control_available: bool,
    pub(super) error: Option<String>,
}

/// The body of an error response.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody {
    pub(super) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_entry_does_not_lose_the_others() {
        let body = br#"[{"ID":"a"},{"ID":7},{"ID":"b","Unknown":{"new":[1]},"Status":{"State":"levitating"}}]"#;
        let (tasks, unreadable) = list::<Task>(body).unwrap();
        assert_eq!((tasks.len(), unreadable), (2, 1));
        assert_eq!(tasks[1].status.state, "levitating");
    }

    #[test]
    fn an_empty_list_may_be_null_and_other_values_are_errors() {
        assert_eq!(list::<Task>(b"null").unwrap().0.len(), 0);
        assert_eq!(list::<Task>(b"[]").unwrap().0.len(), 0);
        list::<Task>(br#"{"message":"no"}"#).unwrap_err();
        list::<Task>(b"").unwrap_err();
    }

    #[test]
    fn a_missing_check_and_the_check_none_are_disabled() {
        for (text, is_enabled) in [
            (r#"{}"#, false),
            (r#"{"Test":[]}"#, false),
            (r#"{"Test":["NONE"]}"#, false),
            (r#"{"Test":["CMD","/app","--password","s3cret"]}"#, true),
        ] {
            let check: HealthCheck = serde_json::from_str(text).unwrap();
            assert_eq!(check.is_enabled(), is_enabled, "{text}");
            assert!(!format!("{check:?}").contains("s3cret"));
        }
    }
}
