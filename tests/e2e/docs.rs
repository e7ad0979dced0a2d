//! docs/deploy.md and docs/firewall.md: their blocks are valid scripts, and match the stack. The tests of the swarm run
//! them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tests::engine::Engine;
use tests::page::{Host, blocks};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// Returns the variables that the head of stack.yml lists.
fn listed(stack: &str) -> BTreeSet<&str> {
    let list = stack.lines().skip_while(|line| !line.starts_with("# Variables")).skip(1);
    let list = list.take_while(|line| *line != "#");
    let lines = list.filter_map(|line| line.strip_prefix("#     "));
    let words = lines.flat_map(|line| line.split(' ').map(name).take_while(is_variable));
    words.collect()
}

/// Returns the name in `NAME,` or `NAME=value`.
fn name(word: &str) -> &str {
    word.split([',', '=']).next().unwrap_or_default()
}

fn is_variable(name: &&str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[test]
fn every_block_of_the_pages_says_where_it_runs_and_is_a_script() {
    let of = |page: &str| blocks(&read(page)).unwrap_or_else(|problem| panic!("{page}: {problem}"));
    let (deploy, firewall) = (of("docs/deploy.md"), of("docs/firewall.md"));
    assert!(deploy.len() > 20 && firewall.len() == 3, "{} and {} blocks", deploy.len(), firewall.len());
    for block in deploy.into_iter().chain(firewall) {
        let mut shell = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(block.script.as_bytes()).unwrap();
        let output = shell.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{} on line {}: {errors}", block.name, block.line);
    }
}

#[test]
fn every_wait_in_a_block_has_a_timeout() {
    for block in blocks(&read("docs/deploy.md")).unwrap() {
        for line in block.script.lines() {
            let waits = line.contains("while ") || line.contains("until ");
            assert!(!waits || line.trim_start().starts_with("timeout "), "{}: {line}", block.name);
        }
    }
}

#[test]
fn a_block_continues_only_after_the_count_it_relies_on() {
    let mut found = 0;
    for block in blocks(&read("docs/deploy.md")).unwrap() {
        // With `set -e` the shell ends at the first failure.
        let commands = block.script.replace("\\\n", " ");
        let lines: Vec<&str> = commands.lines().map(str::trim).collect();
        let ends_on_failure = lines.contains(&"set -e");
        for (index, line) in lines.iter().enumerate() {
            let next = lines[index + 1..].iter().find(|line| !line.is_empty());
            let counts = line.starts_with("deploy/count.sh") || line.contains(" deploy/count.sh");
            // Printing the saved number is harmless.
            if counts && next.is_some_and(|next| !next.starts_with("cat ") && *next != "done" && *next != ")") {
                found += 1;
                assert!(ends_on_failure || line.ends_with("&&"), "{}: continues after a failure: {line}", block.name);
            }
        }
    }
    assert!(found > 3, "{found}");
}

#[test]
fn scripts_of_the_page_exist_and_run_on_a_node() {
    let mut found = BTreeSet::new();
    for block in blocks(&read("docs/deploy.md")).unwrap() {
        let words = block.script.split(|c: char| c.is_whitespace() || "'\"();".contains(c));
        for script in words.filter(|word| word.starts_with("deploy/") && word.ends_with(".sh")) {
            assert!(matches!(block.host, Host::Node(_)), "{} runs {script} on {}", block.name, block.host);
            found.insert(script.to_owned());
        }
    }
    assert!(found.contains("deploy/up.sh"), "{found:?}");
    for script in found {
        let mode = fs::metadata(root().join(&script)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script}");
    }
}

#[test]
fn variables_of_the_stack_are_listed_at_its_head_and_explained_in_the_page() {
    let (stack, page) = (read("stack.yml"), read("docs/deploy.md"));
    let used = stack.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next());
    let listed = listed(&stack);
    assert_eq!(used.collect::<BTreeSet<_>>(), listed);
    for name in listed {
        let mentions = page.match_indices(name).any(|(at, _)| {
            let around = [page[..at].chars().next_back(), page[at + name.len()..].chars().next()];
            around.into_iter().flatten().all(|c| !c.is_alphanumeric() && c != '_')
        });
        assert!(mentions, "docs/deploy.md does not mention {name}");
    }
}

#[tokio::test]
async fn the_sizes_of_the_page_are_those_of_the_stack() {
    let page = read("docs/deploy.md");
    let rows: BTreeSet<Vec<&str>> = page
        .lines()
        .skip_while(|line| *line != "## Sizes")
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .skip(2)
        .map(|row| row.split(" | ").enumerate().filter(|(column, _)| *column != 1).map(|(_, cell)| cell).collect())
        .collect();

    let engine = Engine::start().await;
    let deployed = engine.deploy(&root().join("stack.yml"), "stackdemo", &[("REDIS_DIGEST", "0123")]).await;
    assert!(deployed.status.success());
    let megabytes = |bytes: &serde_json::Value| format!("{} MB", bytes.as_u64().unwrap() / 1024 / 1024);
    let expected = engine.created().services.into_iter().map(|(name, service)| {
        let resources = &service["TaskTemplate"]["Resources"];
        let cores = resources["Limits"]["NanoCPUs"].as_u64().unwrap() as f64 / 1e9;
        let name = name.trim_start_matches("stackdemo_").trim_end_matches(|c: char| c == '-' || c.is_ascii_digit());
        let (limits, reserved) = (&resources["Limits"], &resources["Reservations"]);
        [name.to_owned(), megabytes(&limits["MemoryBytes"]), megabytes(&reserved["MemoryBytes"]), cores.to_string()]
    });
    let expected: BTreeSet<[String; 4]> = expected.collect();
    assert_eq!(rows, expected.iter().map(|row| row.iter().map(String::as_str).collect()).collect());
}
