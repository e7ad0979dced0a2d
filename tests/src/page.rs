//! Extracts the commands of `docs/deploy.md` and `docs/firewall.md`, so that tests run what an operator copies.
//!
//! A block of commands is fenced as `sh`. The line before it names the block and the host:
//! `<!-- run: NAME on HOST -->`. The block's first line names the host for the reader.

use std::fmt;

/// The host that a block runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// One node of the swarm.
    Node(String),
    /// Every node in turn.
    All,
    /// A machine outside the swarm that has the repository and curl.
    Workstation,
}

/// Commands that an operator copies at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Name in the page.
    pub name: String,
    /// The host that it runs on.
    pub host: Host,
    /// Script for `bash -euo pipefail`.
    pub script: String,
    /// Number of the line with the name.
    pub line: usize,
}

/// Why a page is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Problem {
    line: usize,
    what: String,
}

impl Host {
    /// Returns the nodes that a page may name.
    pub const NODES: [&str; 3] = ["serveur17", "serveur18", "serveur19"];

    fn parse(text: &str) -> Option<Self> {
        match text {
            "all" => Some(Self::All),
            "workstation" => Some(Self::Workstation),
            node => Self::NODES.contains(&node).then(|| Self::Node(node.to_owned())),
        }
    }
}

impl fmt::Display for Host {
    /// Formats the host like a block's first line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => f.write_str(name),
            Self::All => f.write_str("every node"),
            Self::Workstation => f.write_str("your own machine"),
        }
    }
}

/// Returns the blocks of a page in order.
///
/// # Errors
/// The first problem that would leave a block untested, or run it on a different host than a reader would.
pub fn blocks(page: &str) -> Result<Vec<Block>, Problem> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut announced: Option<(String, Host)> = None;
    let mut lines = page.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((line, text)) = lines.next() {
        let problem = |what: String| Problem { line, what };
        if let Some(run) = text.strip_prefix("<!-- run: ") {
            let parts = run.strip_suffix(" -->").and_then(|run| run.split_once(" on "));
            let (name, host) = parts.ok_or_else(|| problem("write <!-- run: NAME on HOST -->".to_owned()))?;
            if blocks.iter().any(|block| block.name == name) {
                return Err(problem(format!("a second block is called {name}")));
            }
            let host = Host::parse(host).ok_or_else(|| problem(format!("no host is called {host}")))?;
            announced = Some((name.to_owned(), host));
            continue;
        }
        match (text.strip_prefix("```"), announced.take()) {
            (Some("sh"), Some((name, host))) => {
                let script = fenced(&mut lines);
                if script.lines().next() != Some(&format!("# on {host}")) {
                    return Err(problem(format!("the first line of {name} is not: # on {host}")));
                }
                blocks.push(Block { name, host, script, line: line - 1 });
            }
            (Some("sh" | "bash" | "shell" | ""), None) => {
                return Err(problem("no line <!-- run: NAME on HOST --> before it".to_owned()));
            }
            (_, Some((name, _))) => return Err(problem(format!("no block of sh follows the line that names {name}"))),
            // Not a block of commands.
            (Some(_), None) => drop(fenced(&mut lines)),
            (None, None) => {}
        }
    }
    Ok(blocks)
}

fn fenced<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> String {
    let inside = lines.map(|(_, text)| text).take_while(|text| *text != "```");
    inside.flat_map(|text| [text, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(page: &str) -> String {
        blocks(page).expect_err(page).to_string()
    }

    #[test]
    fn a_block_has_a_name_a_host_and_a_script() {
        let page =
            "text\n\n<!-- run: one on serveur18 -->\n```sh\n# on serveur18\na\n\nb\n```\n\n```text\n<!-- x\n```\n";
        let host = Host::Node("serveur18".to_owned());
        let script = "# on serveur18\na\n\nb\n".to_owned();
        assert_eq!(blocks(page).unwrap(), [Block { name: "one".to_owned(), host, script, line: 3 }]);
    }

    #[test]
    fn a_block_that_no_test_would_run_is_an_error() {
        for (page, expected) in [
            ("```sh\na\n```\n", "line 1: no line <!-- run: NAME on HOST --> before it"),
            ("```\na\n```\n", "line 1: no line <!-- run: NAME on HOST --> before it"),
            ("<!-- run: one on all -->\n\n```sh\n", "line 2: no block of sh follows the line that names one"),
            ("<!-- run: one on serveur20 -->\n", "line 1: no host is called serveur20"),
            ("<!-- run: one -->\n", "line 1: write <!-- run: NAME on HOST -->"),
            (
                "<!-- run: one on all -->\n```sh\n# on serveur17\n```\n",
                "line 2: the first line of one is not: # on every node",
            ),
            (
                "<!-- run: one on all -->\n```sh\n# on every node\n```\n<!-- run: one on all -->\n",
                "line 5: a second block is called one",
            ),
        ] {
            assert_eq!(problem(page), expected);
        }
    }
}
