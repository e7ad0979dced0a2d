//! The test's own namespaces: network, mounts and processes that end with it.
//!
//! The test program restarts itself in namespaces that only its processes hold. However it ends, even by a panic or
//! SIGKILL, the kernel ends its child processes and removes interfaces, rules and mounts with the namespaces. Only
//! files and the engines' control groups remain; they are removed after the program has ended, or by the next run.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// The variable that is set inside the namespaces, to the folder of the run.
const VARIABLE: &str = "SWARM_RUN";

/// The time limit for the last processes of a run to leave their control groups.
const GROUPS_EMPTY: Duration = Duration::from_secs(10);

/// The file in the folder of a run that holds the network namespace that the test was started in.
const OUTER: &str = "outer-network";

/// A run, as seen by the program inside the namespaces.
#[derive(Clone, Debug)]
pub struct Run {
    /// Contains everything that the run writes.
    pub folder: PathBuf,
    /// The prefix of its control groups.
    pub name: String,
}

impl Run {
    /// Returns the run of this program if it is inside the namespaces.
    #[must_use]
    pub fn current() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os(VARIABLE)?);
        let name = name(&folder);
        Some(Self { folder, name })
    }

    /// Returns the network namespace that the test was started in, for programs that need the Internet.
    #[must_use]
    pub fn outer_network(&self) -> PathBuf {
        self.folder.join(OUTER)
    }
}

/// Restarts this program in new namespaces with the same arguments, and cleans up after it. Runs have their folders in
/// `cache`.
///
/// # Errors
/// It cannot be started or fails; the error of a failed run says where the logs are.
pub fn enter(cache: &Path) -> io::Result<ExitCode> {
    let runs = cache.join("runs");
    fs::create_dir_all(&runs)?;
    sweep(&runs)?;
    let folder = runs.join(std::process::id().to_string());
    fs::create_dir(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "sh", "-euc"])
        .arg(
            "mount --make-rprivate /
             touch \"$1\"
             mount --bind /proc/self/ns/net \"$1\"
             shift
             exec unshare --net --pid --fork --kill-child=KILL --mount-proc docker-init -- \"$@\"",
        )
        .args(["sh".as_ref(), folder.join(OUTER).as_os_str()])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, &folder)
        .status()?;
    remove_groups(&name(&folder));
    let left = left_behind(&folder);
    if status.success() && left.is_empty() {
        fs::remove_dir_all(&folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !left.is_empty() {
        return Err(io::Error::other(format!("left behind on this machine:\n{}", left.join("\n"))));
    }
    for host in fs::read_dir(&folder)?.flatten() {
        drop(fs::remove_dir_all(host.path().join("var")));
    }
    Err(io::Error::other(format!("the logs are in {} until the next run", folder.display())))
}

fn name(folder: &Path) -> String {
    let id = folder.file_name().map(|id| id.to_string_lossy().into_owned());
    format!("swarm-{}", id.unwrap_or_default())
}

/// Lists what a run has left behind outside its namespaces.
fn left_behind(folder: &Path) -> Vec<String> {
    let output_of = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = folder.to_string_lossy();
    let mut left: Vec<String> = mounts.lines().filter(|mount| mount.contains(&*path)).map(str::to_owned).collect();
    let network = output_of("ip", &["-oneline", "link"]) + &output_of("iptables-save", &[]);
    let ours = |line: &&str| ["fabric", "docker_gwbridge", "MESH", "10.10.25."].iter().any(|it| line.contains(it));
    left.extend(network.lines().filter(ours).map(str::to_owned));
    let group = name(folder);
    left.extend(groups(&group).into_iter().map(|group| group.display().to_string()));
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&*path) {
            left.push(format!("process {command}"));
        }
    }
    left
}

/// Removes what earlier runs have left behind.
fn sweep(runs: &Path) -> io::Result<()> {
    for run in fs::read_dir(runs)?.flatten() {
        let lock = File::open(run.path().join("lock"));
        if lock.is_ok_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        remove_groups(&name(&run.path()));
        fs::remove_dir_all(run.path())?;
    }
    Ok(())
}

/// Removes the control groups of a run, in every hierarchy.
fn remove_groups(run: &str) {
    for group in groups(run) {
        let deadline = Instant::now() + GROUPS_EMPTY;
        // Its last processes may still be ending.
        while remove_group(&group).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn groups(run: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let hierarchies = mounts.lines().filter_map(|mount| {
        let mut fields = mount.split(' ').skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        kind.starts_with("cgroup").then_some(at)
    });
    let groups = hierarchies.flat_map(|hierarchy| fs::read_dir(hierarchy).into_iter().flatten().flatten());
    let ours = |group: &fs::DirEntry| group.file_name().to_string_lossy().starts_with(&format!("{run}-"));
    groups.filter(ours).map(|group| group.path()).collect()
}

fn remove_group(group: &Path) -> io::Result<()> {
    for inner in fs::read_dir(group)?.flatten() {
        if inner.file_type()?.is_dir() {
            remove_group(&inner.path())?;
        }
    }
    fs::remove_dir(group)
}
