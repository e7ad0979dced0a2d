//! The scripts in deploy/, with a fake Docker client and a fake clock.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const WAIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/wait.sh");

fn write_program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}

/// Returns the error of wait.sh in a swarm of `nodes` that never becomes ready, with a clock that jumps past the time
/// limit.
fn timeout_error(nodes: usize, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let answers = format!("case \"$1 $2\" in 'node ls') seq {nodes} ;; 'service ls') echo web 1/2 ;; esac");
    write_program(folder.path(), "docker", &answers);
    write_program(folder.path(), "date", "if mkdir \"${0%/*}/began\" 2>/dev/null; then echo 0; else echo 1000000; fi");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(WAIT).args(arguments).env("PATH", path).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_default_wait_covers_an_update_of_all_edges_one_by_one() {
    for (nodes, seconds) in [(1, 300), (3, 300), (5, 300), (6, 360), (30, 1800)] {
        assert_eq!(timeout_error(nodes, &[]), format!("still missing after {seconds} s: web: 1/2\n"), "{nodes} nodes");
    }
    assert_eq!(timeout_error(30, &["7"]), "still missing after 7 s: web: 1/2\n");
}

/// A Docker client that keeps the label and the tasks of each service in a file, and records the variables of the last
/// deploy and the services of each.
const DOCKER: &str = r#"
mkdir -p services
case "$1 $2" in
    'service ls') ls services ;;
    'service inspect')
        case $4 in
            *Labels*) head -n 1 "services/$5" ;;
            *TaskTemplate*) tail -n 1 "services/$5" ;;
            *) echo "${UPDATED:-completed}" ;;
        esac ;;
    'stack deploy')
        env | grep -e ^WATCH_ -e ^WEB_ -e ^TLS_ | sort >deployed
        [ "$6" = stack.yml ] && set -- $(sed -n '/^services:/,/^networks:/s/^  \([a-z0-9-]*\):.*/\1/p' stack.yml) ||
            set -- $(sed -n '/^services:/,/^networks:/s/^  \([a-z0-9-]*\):.*/\1/p')
        echo "deploy $*" >>log
        for service in "$@"; do
            printf '%s\n' "$REDIS_DIGEST" "$REDIS_SH_VERSION $SENTINEL_SH_VERSION" >"services/stackdemo_$service"
        done ;;
esac
"#;

/// A folder with the scripts, a stack.env and a fake Docker client, which records the variables of each deploy.
struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    fn new(stack_env: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scripts = Path::new(WAIT).parent().unwrap();
        fs::create_dir_all(folder.path().join("deploy")).unwrap();
        fs::create_dir_all(folder.path().join("bin")).unwrap();
        for script in ["up.sh", "secrets.sh", "part.sh", "redis.sh", "sentinel.sh", "../stack.yml"] {
            fs::copy(scripts.join(script), folder.path().join("deploy").join(script)).unwrap();
        }
        write_program(&folder.path().join("deploy"), "wait.sh", "exit 0");
        for file in ["no-certificate.pem", "no-secret.txt", "watch.toml"] {
            fs::copy(scripts.join(file), folder.path().join("deploy").join(file)).unwrap();
        }
        write_program(&folder.path().join("deploy"), "count.sh", "echo \"$1\" >>log; [ ! -e apart ]");
        write_program(&folder.path().join("bin"), "docker", DOCKER);
        write_program(&folder.path().join("bin"), "sleep", "exit 0");
        fs::write(folder.path().join("stack.env"), stack_env).unwrap();
        Self { folder }
    }

    /// Deploys, and returns what was printed and the variables of the deploy.
    fn up(&self) -> (String, String) {
        let output = self.run();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), self.read("deployed"))
    }

    fn run(&self) -> Output {
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        Command::new(self.folder.path().join("deploy/up.sh")).env_clear().env("PATH", path).output().unwrap()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }
}

#[test]
fn a_deploy_without_a_password_for_the_page_creates_one_and_prints_it_once() {
    // Without a line break at its end.
    let checkout = Checkout::new("IMAGE=x");
    let (printed, deployed) = checkout.up();
    let (password, token) = (checkout.read("page.txt"), checkout.read("token.txt"));
    assert!(printed.contains(&password) && printed.contains(&token), "{printed}");
    let secret = password.trim_end().strip_prefix("watch:").unwrap();
    assert!(secret.len() == 24 && token.trim_end().len() == 24 && secret != token.trim_end(), "{password} {token}");
    for variable in [
        "WATCH_PASSWORD=page.txt",
        "WATCH_PASSWORD_FILE=/run/secrets/watch_password",
        "WATCH_TOKEN=token.txt",
        "WATCH_TOKEN_FILE=/run/secrets/watch_token",
    ] {
        assert!(deployed.lines().any(|line| line == variable), "{variable}: {deployed}");
    }
    assert_eq!(checkout.read("stack.env"), "IMAGE=x", "the operator's file stays as it is");
    for file in ["page.txt", "token.txt", "secrets.env"] {
        let mode = fs::metadata(checkout.folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is private");
    }
    assert_eq!(checkout.up(), (String::new(), deployed), "nothing is created or printed again");
    assert_eq!((checkout.read("page.txt"), checkout.read("token.txt")), (password.clone(), token));
    assert!(!checkout.read("secrets.env").contains(secret), "only the names of files");
}

const ALL: &str = "deploy web redis-1 redis-2 redis-3 sentinel-1 sentinel-2 sentinel-3 edge watch";

#[test]
fn a_change_of_redis_is_deployed_to_one_server_at_a_time_and_only_while_all_are_in_sync() {
    let checkout = Checkout::new("IMAGE=x\nWATCH_OPEN=yes\n");
    let log = || {
        checkout.up();
        let log = checkout.read("log");
        fs::remove_file(checkout.folder.path().join("log")).unwrap();
        log.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(log(), [ALL], "the first deploy");
    assert_eq!(log(), [ALL], "nothing changed");
    fs::write(checkout.folder.path().join("stack.env"), "IMAGE=y\nWATCH_OPEN=yes\n").unwrap();
    assert_eq!(log(), [ALL], "another image of ours");

    let script = checkout.folder.path().join("deploy/redis.sh");
    fs::write(&script, fs::read_to_string(&script).unwrap() + "# changed\n").unwrap();
    let mut expected = Vec::new();
    for service in ["redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3"] {
        expected.extend(["whole".to_owned(), format!("deploy {service}"), "whole".to_owned()]);
    }
    expected.push(ALL.to_owned());
    assert_eq!(log(), expected, "a changed script");
    assert_eq!(log(), [ALL], "it was deployed");

    // An option of the servers, in a comment's company. The fake client takes their tasks for unchanged.
    let stack = checkout.folder.path().join("stack.yml");
    let text = fs::read_to_string(&stack).unwrap();
    fs::write(&stack, format!("# A comment.\n{text}")).unwrap();
    assert_eq!(log(), [ALL], "a comment");
    fs::write(&stack, text.replace("- 96mb", "- 97mb")).unwrap();
    let changed = log();
    let mut deploys = changed.iter().filter(|line| *line != "whole");
    assert!(deploys.by_ref().take(6).all(|line| line.split(' ').count() == 2), "{changed:?}");
    assert_eq!(deploys.collect::<Vec<_>>(), [ALL]);
}

#[test]
fn no_redis_is_restarted_while_another_is_not_in_sync_or_after_one_that_did_not_start() {
    let checkout = Checkout::new("IMAGE=x\nWATCH_OPEN=yes\n");
    checkout.up();
    let file = |name: &str| checkout.folder.path().join(name);
    let script = file("deploy/redis.sh");
    fs::write(&script, fs::read_to_string(&script).unwrap() + "# changed\n").unwrap();
    fs::write(file("apart"), "").unwrap();
    fs::remove_file(file("log")).unwrap();
    let output = checkout.run();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{error}");
    assert!(error.contains("redis-1 must not stop before, but not all are in sync"), "{error}");
    assert!(checkout.read("log").lines().all(|line| line == "whole"));

    fs::remove_file(file("apart")).unwrap();
    fs::remove_file(file("log")).unwrap();
    write_program(&file("bin"), "docker", &format!("UPDATED=rollback_completed\n{DOCKER}"));
    let output = checkout.run();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("redis-1 does not start as deployed"), "{error}");
    assert_eq!(checkout.read("log"), "whole\ndeploy redis-1\n");
}

#[test]
fn a_changed_file_is_a_new_secret_and_the_others_keep_their_names() {
    let checkout = Checkout::new("TLS_CERT=site.pem\nTLS_VERSION=2\nWATCH_SMTP=smtp.txt\nWATCH_VERSION=1\n");
    let write = |file: &str, text: &str| fs::write(checkout.folder.path().join(file), text).unwrap();
    let versions = || {
        let (_, deployed) = checkout.up();
        let of = |name: &str| {
            deployed.lines().find_map(|line| line.strip_prefix(&format!("{name}_VERSION="))).map(str::to_owned)
        };
        let versions = ["TLS", "WATCH_SMTP", "WATCH_SMS", "WATCH_CONFIG", "WATCH_PASSWORD", "WATCH_TOKEN"]
            .map(|name| of(name).unwrap());
        assert!(versions.iter().all(|version| version.len() == 12), "{versions:?}");
        versions
    };
    write("site.pem", "one\n");
    write("smtp.txt", "s3cret\n");
    let first = versions();
    assert_eq!(versions(), first, "the same files");
    write("smtp.txt", "other\n");
    let second = versions();
    assert_ne!(second[1], first[1]);
    assert_eq!((&second[0], &second[2..]), (&first[0], &first[2..]));
    write("site.pem", "two\n");
    assert_ne!(versions()[0], first[0]);

    fs::remove_file(checkout.folder.path().join("site.pem")).unwrap();
    fs::remove_file(checkout.folder.path().join("deployed")).unwrap();
    let output = checkout.run();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("site.pem"), "{error}");
    assert!(!checkout.folder.path().join("deployed").exists(), "a missing file stops the deploy");
}

#[test]
fn a_page_with_a_password_or_a_token_and_one_that_is_open_on_purpose_stay_as_they_are() {
    for settings in [
        "WATCH_PASSWORD=p.txt\nWATCH_PASSWORD_FILE=/run/secrets/watch_password\n",
        "WATCH_TOKEN=p.txt\nWATCH_TOKEN_FILE=/run/secrets/watch_token\n",
        "WATCH_OPEN=yes\n",
        "WATCH_OPEN=true\n",
    ] {
        // The password of an earlier run does not close a page that was opened since.
        let checkout = Checkout::new("IMAGE=x\n");
        checkout.up();
        fs::write(checkout.folder.path().join("stack.env"), settings).unwrap();
        fs::write(checkout.folder.path().join("p.txt"), "ops:s3cret\n").unwrap();
        let (printed, deployed) = checkout.up();
        assert_eq!(printed, "", "{settings}");
        assert!(!deployed.contains("page.txt") && !deployed.contains("token.txt"), "{settings}: {deployed}");
        assert!(settings.lines().all(|line| deployed.contains(line)), "{settings}: {deployed}");
    }
    // A password without the setting that makes watch read it would have no effect.
    let checkout = Checkout::new("WATCH_PASSWORD=p.txt\n");
    fs::write(checkout.folder.path().join("p.txt"), "ops:s3cret\n").unwrap();
    let (printed, deployed) = checkout.up();
    assert!(!printed.contains("s3cret"), "{printed}");
    assert!(deployed.contains("WATCH_PASSWORD=p.txt\nWATCH_PASSWORD_FILE=/run/secrets/watch_password\n"), "{deployed}");
    assert_eq!(checkout.read("p.txt"), "ops:s3cret\n");
}
