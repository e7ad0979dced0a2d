//! Runs the blocks of commands of the operator's page unchanged, on the hosts that they name.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::Cluster;
use super::host::Host as Machine;
use super::shell::{self, Failed};
use crate::page::{Block, Host, blocks};
use crate::wait::pause;

/// The time limit for a block.
const BLOCK: Duration = Duration::from_secs(10 * 60);

/// Errors of an engine after which the page tells the operator to run the block again: the managers are electing a
/// leader, or an object changed between Docker's reading and writing it.
const REPEAT: [&str; 2] = ["The swarm does not have a leader", "update out of sequence"];

/// How long the operator runs a block again.
const REPEAT_FOR: Duration = Duration::from_secs(60);

/// A page, and which of its blocks have run.
#[derive(Debug, Default)]
pub struct Page {
    blocks: Vec<Block>,
    ran: BTreeSet<String>,
    /// The environment of the blocks.
    pub variables: Vec<(String, String)>,
}

impl Page {
    /// Reads the page at `path`.
    ///
    /// # Errors
    /// The page cannot be read, or a block does not say where it runs.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let blocks = blocks(&text).map_err(|problem| format!("{}: {problem}", path.display()))?;
        Ok(Self { blocks, ..Self::default() })
    }

    /// Runs the block `name` and returns its standard output and standard error.
    ///
    /// # Errors
    /// The block fails.
    ///
    /// # Panics
    /// The page has no such block.
    pub async fn run(&mut self, cluster: &Cluster, name: &str) -> Result<(String, String), Failed> {
        let block = self.take(name);
        self.execute(cluster, &block).await
    }

    /// Runs the block `name` with `old` replaced by `new`. If the block runs on the node `old`, it runs on the node
    /// `new`.
    ///
    /// # Errors
    /// The block fails.
    ///
    /// # Panics
    /// The page has no such block, or the block does not contain `old`.
    pub async fn run_with(
        &mut self,
        cluster: &Cluster,
        name: &str,
        old: &str,
        new: &str,
    ) -> Result<(String, String), Failed> {
        let mut block = self.take(name);
        assert!(block.script.contains(old), "block {name} has no {old:?}");
        block.script = block.script.replace(old, new);
        if block.host == Host::Node(old.to_owned()) {
            block.host = Host::Node(new.to_owned());
        }
        self.execute(cluster, &block).await
    }

    /// Runs the block `name` on these hosts only.
    ///
    /// # Errors
    /// The block fails.
    ///
    /// # Panics
    /// The page has no such block.
    pub async fn run_on(&mut self, cluster: &Cluster, name: &str, hosts: &[usize]) -> Result<(), Failed> {
        let mut block = self.take(name);
        for host in hosts {
            block.host = Host::Node(cluster.hosts[*host].name.clone());
            self.execute(cluster, &block).await?;
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Block {
        let block = self.blocks.iter().find(|block| block.name == name);
        let block = block.unwrap_or_else(|| panic!("the page has no block {name}")).clone();
        self.ran.insert(name.to_owned());
        block
    }

    async fn execute(&self, cluster: &Cluster, block: &Block) -> Result<(String, String), Failed> {
        let hosts: Vec<_> = match &block.host {
            Host::Workstation => {
                let mut command = shell::program("bash", ["-euo", "pipefail", "-c", &block.script]);
                command.envs(self.variables.iter().cloned()).current_dir(&cluster.run.folder);
                return shell::output(command, BLOCK).await;
            }
            Host::All => cluster.hosts.iter().collect(),
            Host::Node(name) => vec![&cluster.hosts[cluster.index(name)]],
        };
        let mut written = (String::new(), String::new());
        for host in hosts {
            let (stdout, stderr) = self.execute_on(host, &block.script).await?;
            written.0 += &stdout;
            written.1 += &stderr;
        }
        Ok(written)
    }

    async fn execute_on(&self, host: &Machine, script: &str) -> Result<(String, String), Failed> {
        let last_start = Instant::now() + REPEAT_FOR;
        loop {
            match host.bash(script, &self.variables, BLOCK).await {
                Err(failed) if Instant::now() < last_start && REPEAT.iter().any(|why| failed.output.contains(why)) => {
                    pause(Duration::from_secs(1)).await;
                }
                ended => return ended,
            }
        }
    }

    /// Sets a variable for all later blocks.
    pub fn export(&mut self, name: &str, value: &str) {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Returns the names of the blocks that have not run.
    #[must_use]
    pub fn not_run(&self) -> Vec<&str> {
        self.blocks.iter().map(|block| block.name.as_str()).filter(|name| !self.ran.contains(*name)).collect()
    }
}
