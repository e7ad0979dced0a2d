//! deploy/redis.sh with data that Redis cannot read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::process::Process;
use tests::wait::{SOON, eventually, throughout};

use super::redis_scripts::{ScriptedGroup, ask, data, lose};

/// The time for a failover after one that failed: sentinels wait for twice the failover timeout, and may disagree.
const FAILOVER: Duration = Duration::from_secs(60);

/// Its name, and what it does to the data in a folder or file.
pub(super) type Damage = (&'static str, fn(&Path));

/// What a power loss, a bad disk or a person can do to a server's files.
pub(super) const DAMAGES: [Damage; 10] = [
    ("zeros at the tail", |data| change(&newest(data, ".aof"), |bytes| bytes.extend([0; 4096]))),
    ("damage in the middle", |data| change(&newest(data, ".aof"), |bytes| blot(bytes))),
    ("only zeros", |data| change(&newest(data, ".aof"), |bytes| bytes.fill(0))),
    ("a missing increment", |data| remove(&newest(data, ".incr.aof"))),
    ("a damaged base", |data| change(&newest(data, ".base.rdb"), |bytes| blot(bytes))),
    ("an empty base", |data| change(&newest(data, ".base.rdb"), Vec::clear)),
    ("a missing base", |data| remove(&newest(data, ".base.rdb"))),
    ("a damaged manifest", |data| change(&newest(data, ".manifest"), |bytes| bytes.fill(0))),
    ("an empty manifest", |data| change(&newest(data, ".manifest"), Vec::clear)),
    ("a missing manifest", |data| remove(&newest(data, ".manifest"))),
];

pub(super) fn change(file: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    edit(&mut bytes);
    fs::write(file, bytes).unwrap();
}

/// Damages 64 bytes in the middle.
fn blot(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(64).for_each(|byte| *byte = 0xff);
}

fn remove(file: &Path) {
    fs::remove_file(file).unwrap();
}

/// Returns the last of the files of `data` whose name ends so.
pub(super) fn newest(data: &Path, end: &str) -> PathBuf {
    if data.is_file() {
        return data.to_path_buf();
    }
    let files = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.to_str().unwrap().ends_with(end)).max().unwrap()
}

/// Returns the names and contents of all files of `data`.
fn content(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    if data.is_file() {
        return vec![(PathBuf::new(), fs::read(data).unwrap())];
    }
    let files = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files.map(|path| (path.file_name().unwrap().into(), fs::read(path).unwrap())).collect();
    all.sort();
    all
}

/// Returns the folders with data that was set aside, in the order of time.
fn aside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_aside = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("damaged-");
    let mut found: Vec<_> = entries.filter(is_aside).collect();
    found.sort();
    found
}

async fn counts(port: u16, within: Duration, hits: &str) {
    eventually("the count", within, async || ask(port, &["GET", "hits"]).await.trim() == hits).await;
}

/// Asserts that nothing can be asked of it, and that its data stays.
async fn assert_untouched(group: &ScriptedGroup, index: usize, was: &[(PathBuf, Vec<u8>)]) {
    let folder = group.folders[index].path();
    throughout("waiting", Duration::from_secs(2), async || ask(group.ports[index], &["PING"]).await.trim() != "PONG")
        .await;
    assert_eq!(content(&data(folder)), was);
    assert_eq!(aside(folder), Vec::<PathBuf>::new());
    assert!(folder.join("waiting").exists(), "the health check sees it");
}

#[tokio::test]
async fn a_server_whose_data_is_damaged_sets_it_aside_and_copies_the_masters() {
    let group = ScriptedGroup::new();
    let (_sentinels, mut servers) = group.start_all().await;
    let folder = group.folders[2].path();
    let is_single = data(folder).is_file();
    // Redis before 7.0 has one file, to which the others cannot happen.
    for (name, damage) in DAMAGES.into_iter().take(if is_single { 3 } else { DAMAGES.len() }) {
        for number in 0..20 {
            ask(group.ports[0], &["SET", &format!("key{number}"), name]).await;
        }
        assert_eq!(ask(group.ports[0], &["WAIT", "2", "5000"]).await.trim(), "2", "{name}");
        servers[2].kill();
        damage(&data(folder));
        let damaged = content(&data(folder));
        servers[2] = group.server(2);
        let said = servers[2].line("cannot read the data: ").await;
        assert!(said.len() > "cannot read the data: ".len(), "{name}: {said}");
        servers[2].line("sentinels name the master").await;
        counts(group.ports[2], SOON, "7").await;
        assert_eq!(ask(group.ports[2], &["GET", "key19"]).await.trim(), name);
        eventually("the end of the copy", SOON, async || !folder.join("waiting").exists()).await;
        let kept = aside(folder).pop().unwrap();
        assert_eq!(content(&data(&kept)), damaged, "{name}");
        let why = fs::read_to_string(kept.join("why")).unwrap();
        assert!(said.contains(why.lines().next().unwrap()), "{name}: {why}");
        assert!(aside(folder).len() <= 2, "{name}");
        assert!(!folder.join("copying").exists(), "{name}");
    }

    // The copy is on disk.
    servers[2].kill();
    servers[2] = group.server(2);
    servers[2].line("starting as --replicaof").await;
    counts(group.ports[2], SOON, "7").await;
    assert_eq!(aside(folder).len(), 2);
}

/// Redis tells of the damage when it starts; the script's next start, which a swarm provides, knows of that.
#[tokio::test]
async fn damage_while_a_server_is_down_is_found_by_redis_and_mended_by_the_next_start() {
    let group = ScriptedGroup::new();
    let (_sentinels, mut servers) = group.start_all().await;
    servers[1].terminate();
    servers[1].exit(SOON).await;
    DAMAGES[0].1(&data(group.folders[1].path()));
    servers[1] = group.server(1);
    assert!(!servers[1].exit(SOON).await.success());
    servers[1] = group.server(1);
    servers[1].line("sentinels name the master").await;
    counts(group.ports[1], SOON, "7").await;
}

/// A newer Redis moves the file into its folder before it reads it.
#[tokio::test]
async fn a_damaged_file_of_an_older_redis_is_set_aside_as_well() {
    let group = ScriptedGroup::new();
    let (_sentinels, mut servers) = group.start_all().await;
    let folder = group.folders[2].path();
    servers[2].kill();
    lose(&data(folder));
    let set = b"*3\r\n$3\r\nSET\r\n$4\r\nhits\r\n$1\r\n7\r\n".as_slice();
    fs::write(folder.join("appendonly.aof"), [set, &[0; 4096]].concat()).unwrap();
    servers[2] = group.server(2);
    servers[2].line("sentinels name the master").await;
    counts(group.ports[2], SOON, "7").await;
    assert_eq!(aside(folder).len(), 1);
}

#[tokio::test]
async fn damaged_data_stays_while_the_sentinels_name_this_server_or_too_few_answer() {
    let group = ScriptedGroup::new();
    let (mut sentinels, mut servers) = group.start_all().await;
    servers[1..].iter_mut().for_each(Process::kill);
    servers[0].kill();
    let damaged = data(group.folders[0].path());
    DAMAGES[1].1(&damaged);
    let was = content(&damaged);

    sentinels[..2].iter_mut().for_each(Process::kill);
    servers[0] = group.server(0);
    servers[0].line("waiting for the sentinels: 1 name this server, 0 another").await;
    assert_untouched(&group, 0, &was).await;

    sentinels[0] = group.sentinel(0);
    servers[0].line("waiting for the sentinels to name another master, because it cannot read its data").await;
    assert_untouched(&group, 0, &was).await;

    // As after a power cut of the site: the sentinels promote one whose data is good.
    sentinels[1] = group.sentinel(1);
    for index in [1, 2] {
        servers[index] = group.server(index);
    }
    eventually("data that is set aside", FAILOVER, async || !aside(group.folders[0].path()).is_empty()).await;
    counts(group.ports[0], FAILOVER, "7").await;
}

#[tokio::test]
async fn damaged_data_stays_while_the_master_does_not_answer_or_has_no_data() {
    let group = ScriptedGroup::new();
    let (_sentinels, mut servers) = group.start_all().await;
    servers.iter_mut().for_each(Process::kill);
    let damaged = data(group.folders[2].path());
    DAMAGES[1].1(&damaged);
    let was = content(&damaged);
    servers[2] = group.server(2);
    servers[2].line("which does not answer").await;
    assert_untouched(&group, 2, &was).await;

    // Nobody can be promoted meanwhile: the other replica is dead, and this one is unreachable.
    servers[0] = group.server(0);
    counts(group.ports[0], SOON, "7").await;
    servers[2].line("sentinels name the master").await;
    counts(group.ports[2], SOON, "7").await;

    servers[2].kill();
    ask(group.ports[0], &["FLUSHALL"]).await;
    fs::remove_dir_all(aside(group.folders[2].path()).pop().unwrap()).unwrap();
    let damaged = data(group.folders[2].path());
    DAMAGES[0].1(&damaged);
    let was = content(&damaged);
    servers[2] = group.server(2);
    servers[2].line("which has no data").await;
    assert_untouched(&group, 2, &was).await;
    ask(group.ports[0], &["SET", "hits", "8"]).await;
    counts(group.ports[2], SOON, "8").await;
}

#[tokio::test]
async fn a_server_that_starts_empty_is_no_candidate_before_it_has_copied_everything() {
    let group = ScriptedGroup::new();
    let (_sentinels, mut servers) = group.start_all().await;
    servers.iter_mut().for_each(Process::kill);
    let folder = group.folders[2].path();
    lose(&data(folder));
    // Twice: the files of an incomplete copy are no data either.
    for _ in 0..2 {
        servers[2] = group.server(2);
        servers[2].line("starting as --replicaof").await;
        eventually("files", SOON, async || folder.join("redis.pid").exists()).await;
        throughout("being unreachable", Duration::from_secs(4), async || {
            ask(group.ports[2], &["PING"]).await.trim() != "PONG"
        })
        .await;
        assert!(folder.join("waiting").exists(), "the health check sees it");
        servers[2].kill();
    }

    // The master never returns. The sentinels promote the other replica, and this one learns of it.
    servers[2] = group.server(2);
    servers[1] = group.server(1);
    counts(group.ports[2], FAILOVER, "7").await;
    let master = ask(group.sentinels[0], &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "counter"]).await;
    assert_eq!(master, format!("127.0.0.1\n{}\n", group.ports[1]));
    eventually("the end of the copy", SOON, async || !folder.join("waiting").exists()).await;
}

#[tokio::test]
async fn a_wrong_option_is_not_taken_for_damaged_data() {
    let group = ScriptedGroup::new();
    let (_sentinels, mut servers) = group.start_all().await;
    servers[2].kill();
    let was = content(&data(group.folders[2].path()));
    servers[2] = group.server_with(2, &["--appendfsync", "sometimes"]);
    servers[2].line("redis-server does not even start without data").await;
    assert!(!servers[2].exit(SOON).await.success());
    assert_eq!(content(&data(group.folders[2].path())), was);
    servers[2] = group.server(2);
    counts(group.ports[2], SOON, "7").await;
    assert_eq!(aside(group.folders[2].path()), Vec::<PathBuf>::new());
}
