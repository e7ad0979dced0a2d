//! No program displays a piece of a secret, however its file is damaged: not on its output, and not on a status page.
//!
//! Each run gives one program all secrets that it takes, damaged in the same way, because programs report every error at
//! once.

pub(crate) mod damage;
pub(crate) mod pieces;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use futures_util::{StreamExt, stream};
use tempfile::TempDir;
use tests::cert::Authority;
use tests::client::get;
use tests::process::{Plan, Process};
use tests::wait::{SOON, eventually_some};

use self::damage::{Damage, damages};
use self::pieces::Pieces;

/// The number of programs that run at the same time.
const AT_ONCE: usize = 8;

/// Secrets that are one line of text: the name of the file, its content, and the part that is secret.
const TEXTS: [(&str, &str, &str); 9] = [
    ("password", "ops:Zq7wXk2vNp9sTb4mLc8d\n", "Zq7wXk2vNp9sTb4mLc8d"),
    ("token", "Hf3yRj6tQw1zMx5gVb0k\n", "Hf3yRj6tQw1zMx5gVb0k"),
    ("redis", "Pd2nKs8uYe4iWo7aGl9c\n", "Pd2nKs8uYe4iWo7aGl9c"),
    ("url", "rediss://app:Uy9eLd4sXg7pRa2jTn6b@127.0.0.1:1/0\n", "Uy9eLd4sXg7pRa2jTn6b"),
    ("smtp", "Wc5kVh8mQz1tEf3oIr7x\n", "Wc5kVh8mQz1tEf3oIr7x"),
    ("sms", "Ga4jSn9bYu2lPd6qKv0z\n", "Ga4jSn9bYu2lPd6qKv0z"),
    ("webhook", "http://127.0.0.1:1/services/Xe7rTi1wOc5fMb8hLy3s\n", "Xe7rTi1wOc5fMb8hLy3s"),
    ("header", "Bearer Nd6vZk2gAq9pJu4tRx1e\n", "Nd6vZk2gAq9pJu4tRx1e"),
    ("heartbeat", "http://127.0.0.1:1/Ks8yFw3mVl5cHz0iQo7b\n", "Ks8yFw3mVl5cHz0iQo7b"),
];

/// A list of sentinels whose second entry was copied from a URL.
const SENTINELS: &str = "127.0.0.1:1,redis://app:Bt6rJx1vCq5hZm3fNk0w@127.0.0.1:1\n";

/// Its secret part.
const SENTINELS_SECRET: &str = "Bt6rJx1vCq5hZm3fNk0w";

const ALERTS: &str = r#"
[alerts]
ca_file = "key"
[mail]
host = "127.0.0.1"
user = "watch"
password_file = "smtp"
from = "watch@example.com"
to = "ops@example.com"
[sms]
url = "http://127.0.0.1:1"
account = "AC01"
token_file = "sms"
from = "+33600000000"
to = "+33612345678"
[[webhook]]
format = "slack"
url_file = "webhook"
[[webhook]]
name = "am"
format = "alertmanager"
url = "http://127.0.0.1:1"
header_files = { Authorization = "header" }
[heartbeat]
url_file = "heartbeat"
"#;

/// A certificate with its key, as PEM.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Key {
    /// Issues one for `www.example.com`.
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let files = authority.issue("site", &["www.example.com"]);
        let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        Self { chain: read(&files.certificate_file), key: read(&files.key_file) }
    }

    /// The pieces of the key.
    pub(crate) fn pieces(&self) -> Pieces {
        let body: String = self.key.lines().filter(|line| !line.starts_with("-----")).collect();
        Pieces::of(&body)
    }
}

/// The files of one run.
struct Files<'a> {
    folder: TempDir,
    damage: Damage,
    key: &'a Key,
    /// Whether every file has the content of another one.
    is_wrong: bool,
}

impl<'a> Files<'a> {
    fn new(damage: Damage, key: &'a Key, is_wrong: bool) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), damage, key, is_wrong };
        for (name, content, _) in TEXTS {
            damage.put(if is_wrong { &key.key } else { content }, &files.path(name));
        }
        let password = TEXTS[0].1;
        damage.put(if is_wrong { password } else { &key.key }, &files.path("key"));
        let combined = format!("{}{}", key.chain, key.key);
        damage.put(if is_wrong { password } else { &combined }, &files.path("combined"));
        std::fs::write(files.path("chain"), &key.chain).unwrap();
        std::fs::write(files.path("watch.toml"), ALERTS).unwrap();
        let [chain, key, combined] = ["chain", "key", "combined"].map(|name| files.path(name));
        let config = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
             certificates = [{{ certificate = {chain:?}, key = {key:?} }}, {{ certificate = {combined:?}, key = {combined:?} }}]\n\
             [pool.web]\nendpoints = \"127.0.0.1:1\"\nhealth = false\n"
        );
        std::fs::write(files.path("edge.toml"), config).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns `--flag=PATH`.
    fn flag(&self, flag: &str, name: &str) -> OsString {
        let mut text = OsString::from(format!("--{flag}="));
        text.push(self.path(name));
        text
    }

    /// Returns a damaged text, if it can be the value of a variable or an argument.
    fn value(&self, text: &str) -> Option<OsString> {
        self.damage.value(if self.is_wrong { &self.key.key } else { text }).map(OsString::from_vec)
    }

    fn redis_url(&self) -> Option<OsString> {
        let (_, url, _) = TEXTS.iter().find(|(name, ..)| *name == "url")?;
        self.value(url)
    }
}

/// Prepares a program, unless its secrets cannot be damaged in this way.
type Prepare = fn(&Files<'_>) -> Option<Plan>;

/// Every program in every form that takes secrets, with a part of the line by which it says that it runs.
const PROGRAMS: [(&str, &str, Prepare); 15] = [
    ("edge check", NEVER, |files| Some(edge_check(Process::ours("edge"), files))),
    ("edge run", "\"status page", |files| {
        let flags = ["run", "--admin", "127.0.0.1:0", "--workers", "1"];
        Some(Process::ours("edge").args(flags).arg(files.flag("config", "edge.toml")))
    }),
    ("edge run, token", "\"status page", |files| {
        let flags = ["run", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--workers=1"];
        let to = ["--to-mesh=swarm://127.0.0.1:1", "--to-port=1"];
        Some(Process::ours("edge").args(flags).args(to).arg(files.flag("swarm-token-file", "token")))
    }),
    ("edge dns", NEVER, |files| {
        let flags = ["dns", "www.example.com", "--no-system", "--resolver=127.0.0.1:1", "--timeout=1s"];
        let flags = flags.into_iter().chain(["--http-port=off", "--https-port=off"]);
        Some(Process::ours("edge").args(flags).arg(files.flag("ca", "key")))
    }),
    ("app, sentinels", "listening", |files| {
        let files = [files.flag("redis-password-file", "redis"), files.flag("sentinel-password-file", "redis")];
        Some(Process::ours("app").args(["--listen=127.0.0.1:0", "--redis-sentinels=127.0.0.1:1"]).args(files))
    }),
    ("app, URL in a file", "listening", |files| {
        let files = [files.flag("redis-url-file", "url"), files.flag("redis-ca-file", "key")];
        Some(Process::ours("app").arg("--listen=127.0.0.1:0").args(files))
    }),
    ("app, URL in a variable", "listening", |files| {
        Some(Process::ours("app").arg("--listen=127.0.0.1:0").env("REDIS_URL", files.redis_url()?))
    }),
    ("app, login of a sentinel", "listening", |files| {
        Some(Process::ours("app").arg("--listen=127.0.0.1:0").env("REDIS_SENTINELS", files.value(SENTINELS)?))
    }),
    ("watch check", NEVER, |files| Some(watch(Process::ours("watch").arg("check"), files))),
    ("watch", "listening", |files| Some(watch(Process::ours("watch"), files))),
    ("watch check, login of a sentinel", NEVER, |files| {
        let plan = Process::ours("watch").arg("check").env("REDIS_SENTINELS", files.value(SENTINELS)?);
        Some(plan.arg(files.flag("redis-password-file", "redis")))
    }),
    ("local", "Ctrl-C stops the stack", |files| {
        let mut url = OsString::from("--redis-url=");
        url.push(files.redis_url()?);
        let flags = ["--listen=127.0.0.1:0", "--edge=127.0.0.1:0", "--admin=127.0.0.1:0", "--replicas=1"];
        Some(Process::ours("local").args(flags).arg(url))
    }),
    ("stackdemo edge", NEVER, |files| Some(edge_check(Process::ours("stackdemo").arg("edge"), files))),
    ("stackdemo app", "listening", |files| {
        Some(Process::ours("stackdemo").args(["app", "--listen=127.0.0.1:0"]).env("REDIS_URL", files.redis_url()?))
    }),
    ("stackdemo watch", NEVER, |files| Some(watch(Process::ours("stackdemo").args(["watch", "check"]), files))),
];

/// For a program that ends by itself.
const NEVER: &str = "\0";

fn edge_check(program: Plan, files: &Files<'_>) -> Plan {
    program.arg("check").arg(files.flag("config", "edge.toml"))
}

fn watch(program: Plan, files: &Files<'_>) -> Plan {
    let flags = [
        files.flag("config", "watch.toml"),
        files.flag("password-file", "password"),
        files.flag("token-file", "token"),
        files.flag("redis-url-file", "url"),
    ];
    program.args(["--listen=127.0.0.1:0", "--docker=tcp://127.0.0.1:1"]).args(flags)
}

/// Runs a program until it ends or says that it runs, and returns everything that it displayed.
async fn displayed(plan: Plan, running: &str) -> String {
    let mut process = plan.start();
    let runs = eventually_some("the end or the start of the program", SOON, async || {
        if process.lines().iter().any(|line| line.contains(running)) {
            return Some(true);
        }
        process.exited().map(|_| false)
    });
    let mut text = String::new();
    if runs.await {
        let lines = process.lines();
        if let Some(admin) = lines.iter().find(|line| line.contains("status page")).and_then(|line| address(line)) {
            for path in ["/", "/status.json"] {
                text += &get(admin, path).await.expect("an answer").text();
            }
        }
        process.terminate();
    }
    text + &process.output(SOON).await.1
}

/// Returns the address in a line of the log, or after `http://`.
fn address(line: &str) -> Option<SocketAddr> {
    let json = serde_json::from_str::<serde_json::Value>(line).ok();
    let logged = json.as_ref().and_then(|json| json["address"].as_str());
    logged.or(line.rsplit_once("http://").map(|(_, address)| address))?.trim().parse().ok()
}

#[tokio::test]
async fn no_program_displays_a_piece_of_a_damaged_secret() {
    let key = Key::new();
    let mut pieces = vec![("key", key.pieces()), ("sentinels", Pieces::of(SENTINELS_SECRET))];
    pieces.extend(TEXTS.map(|(name, _, secret)| (name, Pieces::of(secret))));
    let damages = damages();
    assert!(damages.len() > 50, "{}", damages.len());
    let unchanged = damages[0];
    let runs = damages.into_iter().map(|damage| (damage, false)).chain([(unchanged, true)]);
    let runs = runs.flat_map(|run| PROGRAMS.map(|program| (run, program)));
    let leaks = stream::iter(runs).map(|((damage, is_wrong), (program, running, prepare))| {
        let (key, pieces) = (&key, &pieces);
        async move {
            let files = Files::new(damage, key, is_wrong);
            let text = displayed(prepare(&files)?, running).await;
            let found = pieces.iter().find_map(|(name, pieces)| Some((name, pieces.find(&text)?)));
            let damage = if is_wrong { "the wrong file" } else { damage.name };
            found.map(|(name, piece)| format!("{program}; {damage}: {piece:?} of {name}:\n{text}"))
        }
    });
    let leaks: Vec<String> = leaks.buffer_unordered(AT_ONCE).filter_map(async |leak| leak).collect().await;
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n\n"));
}
