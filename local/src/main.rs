//! `cargo run`: starts the whole stack on this machine, prints a table of its addresses, and drains on Ctrl-C.

use std::{
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
};

use app::{RedisConfig, StoreConfig};
use clap::{CommandFactory, FromArgMatches, Parser};
use local::{Options, Part, Stack};
use process::{CANNOT_RUN, StopSignals, WRONG_SETTING, chain};
use tracing_subscriber::EnvFilter;

/// The folder in the user's state directory (XDG Base Directory Specification).
const FOLDER: &str = "stackdemo";

/// Runs the whole stack on this machine: replicas of the hit counter, and an edge in front of them.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Address of the first replica; each further one listens on the next port.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Address of the edge.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8088")]
    edge: SocketAddr,
    /// Address of the edge's status page.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// Number of replicas.
    #[arg(long, value_name = "NUMBER", default_value = "3")]
    replicas: NonZeroUsize,
    /// Store the count in this Redis instead of a file: redis://, rediss:// or redis+unix://.
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    redis_url: Option<String>,
    /// Folder of the file that stores the count [default: stackdemo in the user's state directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Log level, or filters such as `edge=debug,info`.
    #[arg(long, value_name = "FILTER", env = "LOG", default_value = "warn")]
    log: String,
}

fn main() -> ExitCode {
    let flags = match flags() {
        Ok(flags) => flags,
        Err(usage) => return process::usage(&usage),
    };
    match EnvFilter::try_new(&flags.log) {
        Ok(filter) => process::log_to_stderr(filter),
        Err(error) => return fail(&format!("--log: {error}"), WRONG_SETTING),
    }
    let store = match store(&flags) {
        Ok(store) => store,
        Err(error) => return fail(&error, WRONG_SETTING),
    };
    let options = Options { replicas: flags.replicas, app: flags.listen, edge: flags.edge, admin: flags.admin, store };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&chain(&*error), CANNOT_RUN),
    }
}

fn flags() -> Result<Flags, clap::Error> {
    let command = process::without_empty_variables(Flags::command());
    Flags::from_arg_matches(&command.try_get_matches()?)
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let stack = Stack::start(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stops = StopSignals::listen()?;
        // After the signal handlers are installed, so that a program that waits for the table may send a signal.
        print(&table(&stack, &options.store));
        let failed = tokio::select! {
            () = stops.next() => None,
            part = stack.failed() => Some(part),
        };
        print("\nFinishing requests in progress ...\n");
        let again = tokio::spawn(stops.exit_on_next());
        let stopped = tokio::task::spawn_blocking(|| stack.stop()).await?;
        again.abort();
        stopped?;
        failed.map_or(Ok(()), |part| Err(Failed(part).into()))
    })
}

#[derive(Debug, thiserror::Error)]
#[error("{0} has stopped unexpectedly; run with LOG=info for the reason")]
struct Failed(Part);

fn store(flags: &Flags) -> Result<StoreConfig, String> {
    if let Some(url) = &flags.redis_url {
        let redis = RedisConfig::parse(url, None).map_err(|error| format!("--redis-url: {}", chain(&error)))?;
        return Ok(StoreConfig::Redis(redis));
    }
    let folder = flags.data.clone().or_else(state_folder);
    let folder = folder.ok_or("neither XDG_STATE_HOME nor HOME is set: give a folder for the count with --data DIR")?;
    Ok(StoreConfig::File(folder.join("hits.redb")))
}

fn state_folder() -> Option<PathBuf> {
    let from = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join(FOLDER))
}

/// Formats the addresses of all parts, and commands to try.
fn table(stack: &Stack, store: &StoreConfig) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    for (index, address) in stack.replicas().iter().enumerate() {
        rows.push((format!("replica {}", index + 1), format!("http://{address}")));
    }
    rows.push(("edge".to_owned(), format!("http://{}", stack.edge())));
    rows.push(("status page".to_owned(), format!("http://{}", stack.admin())));
    rows.push((
        "count".to_owned(),
        match store {
            StoreConfig::Redis(redis) => redis.to_string(),
            StoreConfig::File(file) => file.display().to_string(),
        },
    ));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, place) in &rows {
        text += &format!("  {name:width$}  {place}\n");
    }
    let replica = stack.replicas().first().copied().unwrap_or_else(|| stack.edge());
    format!(
        "\n{text}\nTry:\n\n  curl {replica}\n  curl {}\n\nAll share one count. Ctrl-C stops the stack.\n",
        stack.edge()
    )
}

fn print(text: &str) {
    // Fails if stdout is closed, which does not matter.
    let mut stdout = io::stdout();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

fn fail(why: &dyn std::fmt::Display, code: u8) -> ExitCode {
    process::fail("local", why, code)
}
