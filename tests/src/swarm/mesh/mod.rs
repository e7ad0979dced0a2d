//! Replaces IPVS in a swarm.
//!
//! An engine uses IPVS for two purposes. In the namespace `ingress_sbox`, it distributes the connections to a published
//! port over the service's tasks, wherever they run. In one namespace per overlay network, `lb_...`, it does the same
//! for the virtual addresses of the services on that network. Without IPVS in the kernel, the engine creates the
//! namespaces and logs an error.
//!
//! This program runs on each host beside the engine. Several times a second it reads the table of endpoints that the
//! engines exchange by gossip, and from which they would program IPVS: a task that is about to stop is marked in it
//! before it gets its signal, and a host that is cut off continues with the last state. From the table it computes
//! iptables rules for the same namespaces ([`rules`]), and applies them when they change.
//!
//! See libnetwork's `service_linux.go` for the original, and `diagnostic/server.go` for access to the table.

mod record;
mod rules;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use self::record::Endpoint;
use self::rules::{Kind, Rules};
use crate::netns::thread_in;

/// The port on which a host's engine serves its tables to the mesh.
pub const TABLES: u16 = 2_000;

/// The argument that makes the test program run [`serve`].
pub const ARGUMENT: &str = "mesh";

/// The interval between updates of the rules.
const PERIOD: Duration = Duration::from_millis(150);

/// The shortest interval between queries for the id of an unknown network.
const QUERY_INTERVAL: Duration = Duration::from_secs(1);

/// The time limit for a response of the engine.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The folder in which the engine keeps its namespaces.
const NAMESPACES: &str = "/run/docker/netns";

/// Keeps the rules up to date until the host ends.
#[expect(clippy::print_stderr, reason = "this is its log")]
pub fn serve() -> ! {
    let mut mesh = Mesh::default();
    let mut reported = String::new();
    loop {
        let error = mesh.update().err().map_or_else(String::new, |error| error.to_string());
        if error != reported && !error.is_empty() {
            eprintln!("mesh: {error}");
        }
        reported = error;
        std::thread::sleep(PERIOD);
    }
}

#[derive(Debug, Default)]
struct Mesh {
    /// The ids of networks by the namespace in which their traffic is balanced.
    networks: HashMap<String, String>,
    /// When the networks were last queried.
    queried: Option<Instant>,
    /// The applied rules by namespace, with its inode, which distinguishes it from an older one of the same name.
    applied: HashMap<String, (u64, Rules)>,
    /// The applied rules of the host itself, which forward published ports to `ingress_sbox`.
    host: Option<String>,
}

impl Mesh {
    /// Computes and applies the rules of all namespaces of the host.
    fn update(&mut self) -> io::Result<()> {
        let Ok(found) = fs::read_dir(NAMESPACES) else { return Ok(()) };
        let found: HashMap<String, PathBuf> =
            found.flatten().map(|file| (file.file_name().to_string_lossy().into_owned(), file.path())).collect();
        // A namespace of another network may get the same name later.
        self.networks.retain(|name, _| found.contains_key(name));
        self.applied.retain(|name, _| found.contains_key(name));
        // A namespace that cannot be entered yet must not delay the others.
        let mut result = Ok(());
        for (name, path) in found {
            let kind = match name.as_str() {
                "ingress_sbox" => Kind::Ingress,
                other if other.starts_with("lb_") => Kind::Network,
                _ => continue,
            };
            let Some(network) = self.network(&name)? else { continue };
            // It may just have been removed.
            let Ok(inode) = fs::metadata(&path).map(|file| file.ino()) else { continue };
            let rules = Rules::of(kind, &endpoints(&network)?);
            let applied = self.apply(kind, &name, &path, inode, rules);
            result = result.and(applied);
        }
        result
    }

    /// Returns the id of the network that is balanced in `namespace`, once the engine knows it.
    fn network(&mut self, namespace: &str) -> io::Result<Option<String>> {
        if let Some(id) = self.networks.get(namespace) {
            return Ok(Some(id.clone()));
        }
        if self.queried.is_some_and(|queried| queried.elapsed() < QUERY_INTERVAL) {
            return Ok(None);
        }
        self.queried = Some(Instant::now());
        for network in get(&mut engine()?, "/networks")?.as_array().into_iter().flatten() {
            let id = network["Id"].as_str().unwrap_or_default();
            if network["Driver"] == "overlay" {
                let name = match network["Ingress"].as_bool() {
                    Some(true) => "ingress_sbox".to_owned(),
                    _ => format!("lb_{}", id.get(..9).unwrap_or_default()),
                };
                self.networks.insert(name, id.to_owned());
            }
        }
        Ok(self.networks.get(namespace).cloned())
    }

    fn apply(&mut self, kind: Kind, name: &str, path: &Path, inode: u64, rules: Rules) -> io::Result<()> {
        let before = self.applied.get(name).filter(|(of, _)| *of == inode);
        let old: &[Ipv4Addr] = before.map_or(&[], |(_, before)| &before.addresses);
        // The engine removes addresses with a service's last task, even if there is a new task by then.
        if before.is_some_and(|(_, before)| *before == rules) && has(path, &rules.addresses) {
            return Ok(());
        }
        // Repeated every time, since a new namespace may have the inode of its predecessor.
        let mut script = rules::SETUP.to_owned();
        for address in old.iter().filter(|address| !rules.addresses.contains(address)) {
            script += &format!("ip address delete {address}/32 dev eth0 || true\n");
        }
        for address in &rules.addresses {
            script += &format!("ip address replace {address}/32 dev eth0\n");
        }
        script += &format!("iptables-restore --wait --noflush <<'END'\n{}END\n", rules.table);
        shell(Some(path), &script)?;
        if kind == Kind::Ingress {
            let sandbox = shell(Some(path), "ip -4 -oneline address show eth1")?;
            let address = sandbox.split_whitespace().skip_while(|word| *word != "inet").nth(1);
            if let Some((address, _)) = address.and_then(|address| address.split_once('/')) {
                self.forward_from_host(address, &rules)?;
            }
        }
        self.applied.insert(name.to_owned(), (inode, rules));
        Ok(())
    }

    /// Forwards published ports of the host to the namespace at `sandbox`.
    fn forward_from_host(&mut self, sandbox: &str, rules: &Rules) -> io::Result<()> {
        let table = rules.host(sandbox);
        let mut script = String::new();
        match &self.host {
            Some(before) if *before == table => return Ok(()),
            Some(_) => {}
            None => script += rules::SETUP_ON_HOST,
        }
        script += &format!("iptables-restore --wait --noflush <<'END'\n{table}END\n");
        shell(None, &script)?;
        self.host = Some(table);
        Ok(())
    }
}

/// Returns whether the namespace has these addresses.
fn has(namespace: &Path, addresses: &[Ipv4Addr]) -> bool {
    if addresses.is_empty() {
        return true;
    }
    let own = thread_in(namespace, || fs::read_to_string("/proc/thread-self/net/fib_trie"));
    let Some(own) = own.ok().and_then(|thread| thread.join().ok()?.ok()?.ok()) else { return false };
    let own: Vec<&str> = own.lines().filter_map(|line| line.trim().strip_prefix("|-- ")).collect();
    addresses.iter().all(|address| own.contains(&address.to_string().as_str()))
}

/// Returns the endpoints in a network that the engine knows.
fn endpoints(network: &str) -> io::Result<Vec<Endpoint>> {
    let mut tables = TcpStream::connect((Ipv4Addr::LOCALHOST, TABLES))?;
    tables.set_read_timeout(Some(TIMEOUT))?;
    let table = get(&mut tables, &format!("/gettable?nid={network}&tname=endpoint_table&json"))?;
    let entries = table["details"]["entries"].as_array().into_iter().flatten();
    let found: Vec<Endpoint> = entries.filter_map(|entry| Endpoint::parse(entry["value"].as_str()?)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    // Every network has at least one endpoint. An engine that has joined another swarm keeps serving the tables of the
    // old one. Its API is up to date then, but does not mark tasks that are about to stop.
    Ok(record::from_inspection(&get(&mut engine()?, &format!("/networks/{network}?verbose=true"))?))
}

fn engine() -> io::Result<UnixStream> {
    let engine = UnixStream::connect("/run/docker.sock")?;
    engine.set_read_timeout(Some(TIMEOUT))?;
    Ok(engine)
}

/// Sends a GET with HTTP/1.0, so that the response ends with the connection.
fn get(server: &mut (impl Read + Write), path: &str) -> io::Result<Value> {
    server.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    server.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(io::Error::other)
}

/// Runs a script, by default in the network namespace of the host.
fn shell(namespace: Option<&Path>, script: &str) -> io::Result<String> {
    let mut command = match namespace {
        Some(namespace) => {
            let mut net = PathBuf::from("--net=").into_os_string();
            net.push(namespace);
            let mut command = Command::new("nsenter");
            command.arg(net).arg("sh");
            command
        }
        None => Command::new("sh"),
    };
    let ended = command.args(["-euc", script]).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !ended.status.success() {
        return Err(io::Error::other(format!("{}: {script}", ended.status)));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}
