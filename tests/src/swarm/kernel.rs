//! The features of this machine's kernel that a swarm needs.

use std::fs;
use std::path::Path;

use super::shell;

/// Features that Docker Swarm uses and that some kernels lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// IPVS, which implements the routing mesh and the services' virtual addresses.
    pub ipvs: bool,
    /// ESP, which encrypts an overlay network.
    pub esp: bool,
}

impl Kernel {
    /// Probes the kernel. Must run in a network namespace of its own.
    pub async fn probe() -> Self {
        // The engine would load it as well. Fails if the kernel has no modules, or not this one.
        drop(shell::run("modprobe ip_vs").await);
        let ipvs = Path::new("/proc/net/ip_vs").exists();
        let esp = shell::run(
            "ip xfrm state add src 127.0.0.1 dst 127.0.0.1 proto esp spi 0x1 mode transport \
             aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 64",
        );
        let esp = esp.await.is_ok();
        drop(shell::run("ip xfrm state flush").await);
        Self { ipvs, esp }
    }

    /// Describes what the test uses of it, in lines to print.
    #[must_use]
    pub fn describe(self) -> [&'static str; 2] {
        [
            if self.ipvs {
                "routing mesh and virtual addresses: the kernel's own IPVS"
            } else {
                "routing mesh and virtual addresses: iptables rules from the engines' own tables, since this kernel has \
                 no IPVS"
            },
            if self.esp {
                "stack.yml: unchanged"
            } else {
                "stack.yml: without `driver_opts: { encrypted: \"true\" }` of the network `back`, since this kernel has \
                 no ESP; otherwise unchanged"
            },
        ]
    }
}

/// Returns all reasons why no swarm can be started here; none if it can.
#[must_use]
pub fn obstacles() -> Vec<String> {
    let mut found = Vec::new();
    if !rustix::process::geteuid().is_root() {
        found.push("not root: engines, namespaces and mounts need it".to_owned());
    }
    let programs = [
        ("dockerd", "docker.io"),
        ("docker", "docker.io"),
        ("docker-init", "docker.io"),
        ("docker-registry", "docker-registry"),
        ("iptables", "iptables"),
        ("ip", "iproute2"),
        ("nsenter", "util-linux"),
        ("setpriv", "util-linux"),
    ];
    for (program, package) in programs {
        if shell::installed(program).is_none() {
            found.push(format!("no {program}: apt-get install {package}"));
        }
    }
    for namespace in ["net", "mnt", "pid", "uts"] {
        if !Path::new("/proc/self/ns").join(namespace).exists() {
            found.push(format!("the kernel has no {namespace} namespaces"));
        }
    }
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !filesystems.lines().any(|line| line.ends_with("\toverlay")) {
        found.push("the kernel has no overlayfs".to_owned());
    }
    found
}
