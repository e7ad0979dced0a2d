//! What is read of the engine's answers: the allow-list on the way in.
//!
//! A field that is not here is skipped by the parser, so that environment, arguments, secrets and labels
//! of a service never become a value in this process. Words of which newer engines may have more are
//! text, and an entry that cannot be read is left out: `bollard`'s own models have closed enumerations, down
//! to the types of mounts, and one unknown word would lose the whole list. They also have no
//! `NetworksAttachments`.
//!
//! Names are those of the Docker Engine API, "Nodes", "Services", "Tasks" and "System".

use std::net::IpAddr;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// The entries of a list that can be read, and how many cannot.
pub(super) fn list<T: DeserializeOwned>(body: &[u8]) -> Result<(Vec<T>, usize), serde_json::Error> {
    let Some(entries) = serde_json::from_slice::<Option<Vec<&RawValue>>>(body)? else { return Ok((Vec::new(), 0)) };
    let all = entries.len();
    let read: Vec<T> = entries.into_iter().filter_map(|entry| serde_json::from_str(entry.get()).ok()).collect();
    let lost = all - read.len();
    Ok((read, lost))
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
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ServiceSpec {
    pub(super) name: String,
    pub(super) labels: Option<ServiceLabels>,
    pub(super) task_template: TaskSpec,
    pub(super) mode: ServiceMode,
}

/// One label, which `docker stack deploy` sets.
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
    pub(super) replicated_job: Option<Present>,
    pub(super) global_job: Option<Present>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Replicated {
    pub(super) replicas: Option<u64>,
}

/// An object of which only matters that it is there.
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
    /// The engine's word; its documentation says `HealthCheck`.
    #[serde(alias = "HealthCheck")]
    pub(super) healthcheck: Option<HealthCheck>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HealthCheck {
    pub(super) test: Option<Vec<TestWord>>,
}

/// A word of a check's command, of which only `NONE` is of interest: the others may hold a password.
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
    /// Whether it checks anything.
    pub(super) fn is_one(&self) -> bool {
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
    /// Its addresses on overlay networks.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let attachments = self.networks_attachments.iter().flatten();
        // Written with the network's prefix length.
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

/// What an engine says when it says no.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_read_does_not_lose_the_others() {
        let body = br#"[{"ID":"a"},{"ID":7},{"ID":"b","Unknown":{"new":[1]},"Status":{"State":"levitating"}}]"#;
        let (tasks, lost) = list::<Task>(body).unwrap();
        assert_eq!((tasks.len(), lost), (2, 1));
        assert_eq!(tasks[1].status.state, "levitating");
    }

    #[test]
    fn an_empty_list_may_be_null_and_anything_else_is_an_error() {
        assert_eq!(list::<Task>(b"null").unwrap().0.len(), 0);
        assert_eq!(list::<Task>(b"[]").unwrap().0.len(), 0);
        list::<Task>(br#"{"message":"no"}"#).unwrap_err();
        list::<Task>(b"").unwrap_err();
    }

    #[test]
    fn no_check_and_the_check_none_are_no_check() {
        for (text, is_one) in [
            (r#"{}"#, false),
            (r#"{"Test":[]}"#, false),
            (r#"{"Test":["NONE"]}"#, false),
            (r#"{"Test":["CMD","/app","--password","s3cret"]}"#, true),
        ] {
            let check: HealthCheck = serde_json::from_str(text).unwrap();
            assert_eq!(check.is_one(), is_one, "{text}");
            assert!(!format!("{check:?}").contains("s3cret"));
        }
    }
}
