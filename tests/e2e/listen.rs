//! The addresses that the programs listen on.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
};

use serde_json::Value;
use tests::{client::get, netns, process::Process, recorded::Recorded};

/// Runs in a network of its own, whose sockets for IPv6 do not include IPv4 by default.
#[tokio::test]
async fn every_address_includes_those_of_ipv4() {
    match netns::isolated("listen::every_address_includes_those_of_ipv4") {
        Ok(true) => {}
        Ok(false) => return,
        Err(why) => return eprintln!("SKIPPED: {why}"),
    }
    if let Err(why) = fs::write("/proc/sys/net/ipv6/bindv6only", "1") {
        return eprintln!("SKIPPED: the default cannot be set: {why}");
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let engine = Recorded::start("steady").await;
    let docker = engine.url();
    for (program, flags, path) in [
        ("app", vec!["--data", &data, "--listen", ":0"], "/healthz"),
        ("watch", vec!["--docker", &docker, "--listen", ":0"], "/healthz"),
        ("edge", vec!["run", "--listen", ":0", "--admin", ":0", "--to", "127.0.0.1:9", "--no-health"], "/"),
    ] {
        let mut process = Process::ours(program).args(flags).start();
        let mut lines = vec![process.line("\"listening\"").await];
        if program == "edge" {
            lines.push(process.line("\"status page").await);
        }
        for line in lines {
            let line: Value = serde_json::from_str(&line).unwrap();
            let address: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
            let reply = get((Ipv4Addr::LOCALHOST, address.port()).into(), path).await;
            assert!(reply.is_ok(), "{program}: {reply:?}");
        }
    }
}
