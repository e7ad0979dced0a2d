//! Only edges of the same user replace each other.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tests::{
    process::{Plan, Process, binary},
    wait::{SOON, eventually},
};

use super::{Place, fresh, is_served};
use crate::edge::{run, write};

/// Prepares an edge that runs as the user 65534, from a copy that this user can execute.
fn run_as_nobody(folder: &Path, config: &str) -> Plan {
    let program = folder.join("edge");
    fs::copy(binary("edge"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    write(folder, config);
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let plan = Process::of("setpriv").args(user).arg(program).args(["run", "--admin", "off", "--config"]);
    plan.arg(folder.join("edge.toml"))
}

#[tokio::test]
async fn another_user_can_neither_take_over_nor_be_taken_over_from() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let place = Place::new().await;
    let address = fresh();
    let mut first = place.start(&[address]).await;
    let other = tempfile::tempdir().unwrap();
    for path in [place.folder.path(), other.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let try_it = async |expected: &str| {
        let (status, output) = run_as_nobody(other.path(), &place.config(&[address])).start().output(SOON).await;
        assert_eq!(status.code(), Some(1), "{output}");
        assert!(output.contains(expected), "{output}");
        assert!(is_served(address).await);
    };
    // The lock belongs to root.
    try_it("takeover.sock.lock cannot be used").await;
    // Even if somebody opened lock and socket for all.
    for name in ["takeover.sock.lock", "takeover.sock"] {
        fs::set_permissions(place.folder.path().join(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    try_it("belongs to another user").await;

    // A client that does not look at the file is refused by the edge, before it has said anything.
    let script = "use IO::Socket::UNIX; my $edge = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; print <$edge>;";
    let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "perl", "-e", script];
    let (_, output) = Process::of("setpriv").args(user).arg(place.socket()).start().output(SOON).await;
    assert!(output.contains("refused the new edge runs as another user"), "{output}");
    first.process.line("the new edge runs as another user").await;
    assert!(is_served(address).await);

    // Nor does root take over from somebody else.
    assert_eq!(first.drain(SOON).await, Some(0));
    let place = Place { folder: other, upstream: place.upstream };
    let mut theirs = run_as_nobody(place.folder.path(), &place.config(&[address])).start();
    theirs.line("listening").await;
    eventually("the edge of the other user", SOON, async || is_served(address).await).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &place.config(&[address]));
    let (status, output) = run(folder.path()).start().output(SOON).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("belongs to another user"), "{output}");
    assert!(is_served(address).await);
}
