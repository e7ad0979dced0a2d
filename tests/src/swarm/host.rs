//! A machine with an engine.
//!
//! It has its own network, processes, host name, `/run`, `/etc/docker` and `/var/lib/docker`, so that the operator's
//! commands run on it unchanged. Its disk is a folder, which alone survives a loss of power.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::docker::Docker;
use super::fabric::{Cable, HUB, OUTSIDE};
use super::kernel::Kernel;
use super::mesh::{self, TABLES};
use super::namespaces::Run;
use super::shell::{self, Failed, PATH};
use crate::wait::eventually;

/// The time limit for an engine to start, including the removal of old containers.
const STARTED: Duration = Duration::from_secs(60);

/// The time limit for an engine to stop: its containers' grace periods, with a margin.
const STOPPED: Duration = Duration::from_secs(90);

/// Sets up a host in its new namespaces. Arguments: name, folder.
const SET_UP: &str = r#"
    hostname "$1"
    mount --make-rprivate /
    mount -t proc proc /proc
    mount -t tmpfs -o mode=755 tmpfs /run
    for own in var/lib/docker etc/docker; do
        mkdir -p "/$own"
        mount --bind "$2/$own" "/$own"
    done
    for own in etc/hosts etc/resolv.conf; do
        at=$(readlink -f "/$own")
        mkdir -p "$(dirname "$at")"
        [ -e "$at" ] || : >"$at"
        mount --bind "$2/$own" "$at"
    done
    ip link set lo up
    echo up
    exec docker-init -- sleep infinity
"#;

/// A host. Dropping it cuts its power.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its address on the fabric.
    pub address: Ipv4Addr,
    /// Its cable.
    pub cable: Cable,
    group: String,
    folder: PathBuf,
    kernel: Kernel,
    running: Option<Running>,
}

/// A running host.
#[derive(Debug)]
struct Running {
    /// Created the namespaces, and ends after all processes of the host.
    unshare: Child,
    /// The host's first process. All others end with it.
    init: Pid,
    engine: Child,
}

impl Host {
    /// Creates a host that is off and has an empty disk.
    ///
    /// # Errors
    /// Its folder cannot be created.
    pub fn new(run: &Run, kernel: Kernel, name: &str, address: Ipv4Addr) -> std::io::Result<Self> {
        let folder = run.folder.join(name);
        let group = format!("/{}-{name}", run.name);
        let host =
            Self { name: name.to_owned(), address, cable: Cable::of(address), group, folder, kernel, running: None };
        host.create_files()?;
        Ok(host)
    }

    /// Creates the files of a machine on which only an engine is installed.
    fn create_files(&self) -> std::io::Result<()> {
        let Self { name, folder, kernel, .. } = self;
        for own in ["var/lib/docker", "etc/docker", "root"] {
            fs::create_dir_all(folder.join(own))?;
        }
        let mut settings = serde_json::json!({
            "registry-mirrors": [format!("http://{}", HUB)],
            "insecure-registries": [HUB],
        });
        if !kernel.ipvs {
            settings["network-diagnostic-port"] = TABLES.into();
        }
        fs::write(folder.join("etc/docker/daemon.json"), settings.to_string())?;
        fs::write(folder.join("etc/resolv.conf"), format!("nameserver {OUTSIDE}\n"))?;
        fs::write(folder.join("etc/hosts"), format!("127.0.0.1 localhost\n127.0.1.1 {name}\n"))?;
        Ok(())
    }

    /// Returns whether the host is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Switches the host on if it is off, and waits until its engine responds.
    ///
    /// # Errors
    /// The kernel refuses.
    ///
    /// # Panics
    /// The engine does not start.
    #[expect(clippy::zombie_processes, reason = "processes that a panicking harness started end with it")]
    pub async fn start(&mut self) -> Result<(), Failed> {
        if self.is_on() {
            return Ok(());
        }
        let mut unshare = Command::new("unshare")
            .args(["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child=KILL", "sh", "-euc", SET_UP, "sh"])
            .args([self.name.as_ref(), self.folder.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log("host.log"))
            .spawn()
            .expect("unshare can be started");
        let mut line = String::new();
        let read = BufReader::new(unshare.stdout.take().expect("piped")).read_line(&mut line);
        assert!(read.is_ok() && line == "up\n", "{} did not come up; see its host.log", self.name);
        let pid = Pid::from_child(&unshare).as_raw_pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let init = children.trim().parse().ok().and_then(Pid::from_raw).expect("one child of unshare");
        self.cable.plug(init).await?;

        let engine = self.spawn_engine(init);
        self.running = Some(Running { unshare, init, engine });
        self.until_engine_responds().await?;
        if !self.kernel.ipvs {
            let mut mesh = self.command(std::env::current_exe().expect("the program's own path"));
            mesh.arg(mesh::ARGUMENT).stdout(self.log("mesh.log")).stderr(self.log("mesh.log"));
            // Ends with the host.
            drop(mesh.spawn().expect("nsenter can be started"));
        }
        Ok(())
    }

    /// Restarts the engine, as `systemctl restart docker` does.
    ///
    /// # Errors
    /// The engine cannot be signalled.
    ///
    /// # Panics
    /// The host is off, or its engine does not stop or does not start.
    #[expect(clippy::zombie_processes, reason = "a host that is switched off waits for its engine")]
    pub async fn restart_engine(&mut self) -> Result<(), Failed> {
        let init = self.init();
        self.stop_engine().await?;
        let engine = self.spawn_engine(init);
        if let Some(running) = &mut self.running {
            running.engine = engine;
        }
        self.until_engine_responds().await
    }

    fn spawn_engine(&self, init: Pid) -> Child {
        let mut engine = self.command_in(init, "dockerd");
        engine.args(["--cgroup-parent", &self.group, "--exec-opt", "native.cgroupdriver=cgroupfs"]);
        engine.stdout(self.log("engine.log")).stderr(self.log("engine.log"));
        engine.spawn().expect("nsenter can be started")
    }

    async fn until_engine_responds(&self) -> Result<(), Failed> {
        let docker = self.docker();
        eventually(&format!("start of the engine of {}", self.name), STARTED, async || {
            docker.get("/info").await.is_ok()
        })
        .await;
        if !self.kernel.ipvs {
            // The engine opens its tables, from which the mesh works, only when it reloads its settings.
            self.run("kill -HUP \"$(cat /run/docker.pid)\"").await?;
        }
        Ok(())
    }

    async fn stop_engine(&mut self) -> Result<(), Failed> {
        self.run("kill -TERM \"$(cat /run/docker.pid)\"").await?;
        let name = self.name.clone();
        if let Some(running) = &mut self.running {
            eventually(&format!("end of the engine of {name}"), STOPPED, async || {
                running.engine.try_wait().is_ok_and(|ended| ended.is_some())
            })
            .await;
        }
        Ok(())
    }

    /// Cuts the power: first the network cable, so that the kernel cannot close connections for a process, then all
    /// processes at once.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn kill(&mut self) -> Result<(), Failed> {
        if self.is_on() {
            self.cable.cut().await?;
        }
        self.off();
        Ok(())
    }

    /// Destroys the machine, and puts a new one in its place, which is off.
    ///
    /// # Errors
    /// The kernel refuses.
    ///
    /// # Panics
    /// Its disk cannot be emptied.
    pub async fn destroy(&mut self) -> Result<(), Failed> {
        self.kill().await?;
        for own in ["var", "etc", "root"] {
            fs::remove_dir_all(self.folder.join(own)).expect("a disk to empty");
        }
        self.create_files().expect("a writable folder");
        Ok(())
    }

    /// Shuts the host down: the engine stops its containers, then all other processes end.
    ///
    /// # Errors
    /// The engine cannot be signalled.
    ///
    /// # Panics
    /// It does not stop.
    pub async fn shut_down(&mut self) -> Result<(), Failed> {
        self.stop_engine().await?;
        self.off();
        Ok(())
    }

    fn off(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // It may have ended already.
        kill_process(running.init, Signal::KILL).unwrap_or(());
        drop(running.unshare.wait());
        drop(running.engine.wait());
    }

    /// Drops all packets between the host and `others`. Everything else still reaches the host.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn cut_off_from(&self, others: &[Ipv4Addr]) -> Result<(), Failed> {
        for other in others {
            self.run(&format!(
                "iptables -w -t raw -I PREROUTING -i eth0 -s {other} -j DROP
                 iptables -w -t mangle -I POSTROUTING -o eth0 -d {other} -j DROP"
            ))
            .await?;
        }
        Ok(())
    }

    /// Undoes [`cut_off_from`](Self::cut_off_from).
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn reconnect_to(&self, others: &[Ipv4Addr]) -> Result<(), Failed> {
        for other in others {
            self.run(&format!(
                "iptables -w -t raw -D PREROUTING -i eth0 -s {other} -j DROP
                 iptables -w -t mangle -D POSTROUTING -o eth0 -d {other} -j DROP"
            ))
            .await?;
        }
        Ok(())
    }

    /// Returns the API of the host's engine.
    #[must_use]
    pub fn docker(&self) -> Docker {
        Docker::at(self.path("/run/docker.sock"))
    }

    /// Returns the network namespaces of the running tasks of all services whose names begin with `service`.
    pub async fn networks_of(&self, service: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let docker = self.docker();
        let containers = docker.list("/containers/json", &[("label", &["com.docker.swarm.service.name"])]).await;
        for container in containers.unwrap_or_default() {
            let of = container["Labels"]["com.docker.swarm.service.name"].as_str().unwrap_or_default();
            if !of.split_once('_').is_some_and(|(_, name)| name.starts_with(service)) {
                continue;
            }
            let id = container["Id"].as_str().unwrap_or_default();
            // It may have ended by now.
            let Ok(container) = docker.get(&format!("/containers/{id}/json")).await else { continue };
            // The engine reports a path below /var/run, a symbolic link that would lead out of the host.
            let key = container["NetworkSettings"]["SandboxKey"].as_str().unwrap_or_default();
            found.push(self.path(key.strip_prefix("/var").unwrap_or(key)));
        }
        found
    }

    /// Returns a path of the host as seen from outside.
    ///
    /// # Panics
    /// The host is off.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init().as_raw_pid()))
    }

    /// Returns the folder in which commands run. It survives a loss of power.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Returns the folder with the disk and the logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a bash script on the host and returns its standard output.
    ///
    /// # Errors
    /// The script fails.
    pub async fn run(&self, script: &str) -> Result<String, Failed> {
        Ok(self.bash(script, &[], shell::TIMEOUT).await?.0)
    }

    /// Runs a bash script with variables for at most `within`, and returns its standard output and standard error.
    ///
    /// # Errors
    /// The script fails, or exceeds the time limit.
    pub async fn bash(
        &self,
        script: &str,
        variables: &[(String, String)],
        within: Duration,
    ) -> Result<(String, String), Failed> {
        let mut command = self.command("bash");
        // nsenter starts in the host's root folder.
        command.args(["-euo", "pipefail", "-c"]).arg(format!("cd\n{script}")).envs(variables.iter().cloned());
        shell::output(command.into(), within).await
    }

    /// Returns a command that runs `program` on the host.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command_in(self.init(), program)
    }

    fn command_in(&self, init: Pid, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &init.as_raw_pid().to_string(), "--mount", "--uts", "--net", "--pid", "--"]);
        command.arg(program).env_clear().env("PATH", PATH).env("HOME", self.home()).stdin(Stdio::null());
        command
    }

    fn init(&self) -> Pid {
        match &self.running {
            Some(running) => running.init,
            None => panic!("{} is off", self.name),
        }
    }

    fn log(&self, name: &str) -> File {
        let path = self.folder.join(name);
        OpenOptions::new().create(true).append(true).open(path).expect("a writable folder")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.off();
    }
}
