//! `cargo run`: starts the whole stack on this machine, prints a table of its addresses, and drains on Ctrl-C or when
//! its terminal closes. SIGHUP from elsewhere reloads the file with the login of Redis.

mod flags;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use app::StoreConfig;
use local::{Options, Part, Stack};
use process::{CANNOT_RUN, StopSignals, WRONG_SETTING, chain};
use tokio::signal::unix::{SignalKind, signal};

use self::flags::Flags;

fn main() -> ExitCode {
    let flags = match Flags::of_process() {
        Ok(flags) => flags,
        Err(usage) => return process::usage(&usage),
    };
    let (options, log) = match flags.options() {
        Ok(options) => options,
        Err(errors) => return fail(&errors, WRONG_SETTING),
    };
    process::log_to_stderr(log);
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&chain(&*error), CANNOT_RUN),
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let stack = Stack::start(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut stops = StopSignals::listen()?;
        let mut hangups = signal(SignalKind::hangup())?;
        let has_terminal = io::stdin().is_terminal();
        // After the signal handlers are installed, so that a program that waits for the table may send a signal.
        print(&table(&stack, &options.store));
        let until_closed = async {
            while hangups.recv().await.is_some() {
                // The kernel disconnects a terminal that is closed before it sends the signal.
                if has_terminal && !io::stdin().is_terminal() {
                    return;
                }
                options.store.reload().await;
            }
        };
        let failed = tokio::select! {
            () = stops.next() => None,
            () = until_closed => None,
            part = stack.failed() => Some(part),
        };
        print("\nFinishing requests in progress ...\n");
        let again = tokio::spawn(stops.exit_on_next());
        let stopped = tokio::task::spawn_blocking(|| stack.stop()).await?;
        again.abort();
        stopped?;
        failed.map_or(Ok(()), |part| Err(Failed(part).into()))
    });
    // Does not wait for a file of logins whose reading hangs.
    runtime.shutdown_background();
    outcome
}

#[derive(Debug, thiserror::Error)]
#[error("{0} has stopped unexpectedly; run with LOG=info for the reason")]
struct Failed(Part);

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
