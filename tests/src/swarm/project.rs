//! Puts the project's files and images on hosts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::host::Host;
use super::kernel::Kernel;
use super::namespaces::Run;
use super::shell::{self, Failed};

/// The only option of the stack that some kernels do not support.
const ENCRYPTED: &str = "    driver_opts: { encrypted: \"true\" }\n";

/// The time limit for a build with an empty cache.
const BUILD: Duration = Duration::from_secs(30 * 60);

/// Returns the top folder of the project.
#[must_use]
pub fn root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member).to_owned()
}

/// Copies the files that git tracks or does not ignore, in their current state, to the folder in which commands on
/// `host` run.
///
/// # Errors
/// They cannot be copied.
///
/// # Panics
/// The stack file does not contain the option to leave out.
pub async fn copy_to(host: &Host, kernel: Kernel) -> Result<(), Failed> {
    let script = "cd \"$1\"; git -c safe.directory='*' ls-files -z --cached --others --exclude-standard \
        | tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory \"$2\"";
    let mut command = shell::program("bash", ["-euo", "pipefail", "-c", script, "bash"]);
    command.arg(root()).arg(host.home());
    shell::output(command, shell::TIMEOUT).await?;
    if !kernel.esp {
        let stack = host.home().join("stack.yml");
        let text = fs::read_to_string(&stack).expect("the project has a stack file");
        assert_eq!(text.matches(ENCRYPTED).count(), 1, "stack.yml has no line {ENCRYPTED:?}");
        fs::write(&stack, text.replace(ENCRYPTED, "")).expect("a writable folder");
    }
    Ok(())
}

/// Copies the build cache of the engine of `tests/swarm/images` to `host`, which must be off, so that the same build on
/// the host is cached and needs no network.
///
/// # Errors
/// It cannot be copied.
pub async fn copy_build_cache(run: &Run, host: &Host) -> Result<(), Failed> {
    // Layers never change, so links suffice; the engine writes to all other files.
    let script = "from=$1 to=$2
        exec {lock}>>\"$from.lock\"
        flock \"$lock\"
        rm -rf \"$to\"
        mkdir \"$to\"
        cp --archive --link \"$from/overlay2\" \"$to\"
        find \"$from\" -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp --archive --target-directory \"$to\" {} +";
    let mut command = shell::program("bash", ["-euo", "pipefail", "-c", script, "bash"]);
    command.arg(cache(run).join("engine")).arg(host.folder().join("var/lib/docker"));
    shell::output(command, BUILD).await.map(drop)
}

/// Returns the folder in which `tests/swarm/images` keeps its results.
fn cache(run: &Run) -> PathBuf {
    // <cache>/runs/<run>
    run.folder.ancestors().nth(2).unwrap_or(&run.folder).join("images")
}

/// Runs `tests/swarm/images` in the network that the test was started in, by default with the engine that it starts,
/// and otherwise with the one at `docker_host`.
///
/// # Errors
/// It fails.
pub async fn images(run: &Run, docker_host: Option<&str>, arguments: &[&str]) -> Result<String, Failed> {
    let mut command = shell::program("nsenter", [] as [&str; 0]);
    let mut network = std::ffi::OsString::from("--net=");
    network.push(run.outer_network());
    command.arg(network);
    // In a mount namespace of its own, with the machine's own resolver settings.
    command.args(["unshare", "--mount", "sh", "-euc", "umount /etc/resolv.conf; exec \"$@\"", "sh"]);
    command.arg(root().join("tests/swarm/images")).args(arguments).current_dir(root());
    command.env("SWARM_IMAGES", cache(run));
    // The client that the hosts use, not one that this machine prefers.
    if let Some(docker) = shell::installed("docker") {
        command.env("SWARM_DOCKER", docker);
    }
    if let Some(docker_host) = docker_host {
        command.env("DOCKER_HOST", docker_host);
    }
    Ok(shell::output(command, BUILD).await?.0)
}
