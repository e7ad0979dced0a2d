//! The operator's page: its blocks of commands, run as they stand.
//!
//! A block of shell commands has a line before it that names it and says where it runs:
//! `<!-- run: NAME on HOST -->`, where HOST is a host's name, `all` for one host after the other, or `workstation` for
//! a machine outside of the swarm.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::cluster::Cluster;
use super::shell::{self, Failed};

/// How long a block may take.
const BLOCK: Duration = Duration::from_secs(10 * 60);

/// A page, and which of its blocks have run.
#[derive(Debug, Default)]
pub struct Page {
    blocks: Vec<Block>,
    ran: BTreeSet<String>,
    /// What blocks find in their environment.
    pub variables: Vec<(String, String)>,
}

/// A block of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name on the page, which no other block has.
    pub name: String,
    /// Where it runs.
    pub on: String,
    /// The commands.
    pub script: String,
}

impl Page {
    /// Reads the page at `path`.
    ///
    /// # Errors
    /// It cannot be read, or has a block of shell commands without a line before it that names it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { blocks: blocks(&text)?, ..Self::default() })
    }

    /// Runs the block `name` and returns what it wrote to standard output and to standard error.
    ///
    /// # Errors
    /// It did not succeed.
    ///
    /// # Panics
    /// The page has no such block.
    pub async fn run(&mut self, cluster: &Cluster, name: &str) -> Result<(String, String), Failed> {
        let block = self.blocks.iter().find(|block| block.name == name);
        let block = block.unwrap_or_else(|| panic!("the page has no block {name}"));
        self.ran.insert(name.to_owned());
        let hosts: Vec<_> = match block.on.as_str() {
            "workstation" => {
                let mut command = shell::program("bash", ["-euo", "pipefail", "-c", &block.script]);
                command.envs(self.variables.iter().cloned()).current_dir(&cluster.run.folder);
                return shell::output(command, BLOCK).await;
            }
            "all" => cluster.hosts.iter().collect(),
            on => vec![&cluster.hosts[cluster.index(on)]],
        };
        let mut written = (String::new(), String::new());
        for host in hosts {
            let (stdout, stderr) = host.bash(&block.script, &self.variables, BLOCK).await?;
            written.0 += &stdout;
            written.1 += &stderr;
        }
        Ok(written)
    }

    /// Sets a variable for all blocks from now on.
    pub fn export(&mut self, name: &str, value: &str) {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The blocks that have not run yet.
    #[must_use]
    pub fn not_run(&self) -> Vec<&str> {
        self.blocks.iter().map(|block| block.name.as_str()).filter(|name| !self.ran.contains(*name)).collect()
    }
}

fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut found: Vec<Block> = Vec::new();
    let mut before = "";
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let script: String = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| !line.starts_with("```"))
                .flat_map(|line| [line, "\n"])
                .collect();
            if language == "sh" {
                let named = before.strip_prefix("<!-- run: ").and_then(|rest| rest.strip_suffix(" -->"));
                let Some((name, on)) = named.and_then(|named| named.split_once(" on ")) else {
                    return Err(format!("line {}: no line `<!-- run: NAME on HOST -->` before it", number + 1));
                };
                if found.iter().any(|block| block.name == name) {
                    return Err(format!("line {}: a second block {name}", number + 1));
                }
                found.push(Block { name: name.to_owned(), on: on.to_owned(), script });
            }
        }
        before = line;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_commands_are_found_with_their_names() {
        let page = "text\n<!-- run: first on all -->\n```sh\none\n\ntwo\n```\n```text\nno command\n```\n";
        let expected = Block { name: "first".to_owned(), on: "all".to_owned(), script: "one\n\ntwo\n".to_owned() };
        assert_eq!(blocks(page), Ok(vec![expected]));
    }

    #[test]
    fn a_block_that_nobody_could_run_by_name_is_an_error() {
        for page in ["```sh\none\n```\n", "<!-- run: a on b -->\n\n```sh\none\n```\n"] {
            assert!(blocks(page).unwrap_err().contains("no line"), "{page}");
        }
        let twice = "<!-- run: a on b -->\n```sh\n```\n".repeat(2);
        assert_eq!(blocks(&twice), Err("line 5: a second block a".to_owned()));
    }
}
