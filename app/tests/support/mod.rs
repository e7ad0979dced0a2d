//! Shared by the integration tests: the program, and a client for it.
#![allow(dead_code, reason = "each test binary uses another part of this")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// The time limit for all waits. It only guards against a hang, and does not decide a test.
pub(crate) const HANG_GUARD: Duration = Duration::from_secs(30);

/// Calls `done` repeatedly until it returns a value, and returns that value.
pub(crate) fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < HANG_GUARD, "timeout while waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The program, on a port that the kernel chose. Dropping it kills the process.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, [])
    }

    pub(crate) fn start_with<const N: usize>(arguments: &[&str], variables: [(&str, &str); N]) -> Self {
        let mut command = command(arguments);
        command.args(["--listen", "127.0.0.1:0"]).envs(variables).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let address = loop {
            let start = seen.len();
            let read = log.read_line(&mut seen).unwrap();
            assert_ne!(read, 0, "the program ended: {seen}");
            // JSON: ...,"message":"listening","address":"127.0.0.1:1234",...
            if let Some((_, rest)) = seen[start..].split_once("\"address\":\"") {
                break rest.split('"').next().unwrap().parse().unwrap();
            }
        };
        // Reads the rest, so that the program never blocks on its log.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self::start(&["--data", folder.to_str().unwrap()])
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.address, path)
    }

    /// Makes a visit that must succeed, and returns its number.
    pub(crate) fn visit(&self) -> u64 {
        self.get("/").number()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the program to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns a command that runs the program without the variables of this process.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app"));
    command.env_clear().args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn number(&self) -> u64 {
        assert_eq!(self.status, 200, "{self:?}");
        let rest = self.body.strip_prefix("Hello World! I have been seen ").unwrap();
        rest.strip_suffix(" times.\n").unwrap().parse().unwrap()
    }
}

/// Sends one request on a new connection, and returns the response.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    let mut stream = connect(address);
    send(&mut stream, path, "connection: close\r\n");
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    parse(&text)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG_GUARD)).unwrap();
    stream
}

/// Sends a GET with these additional header lines.
pub(crate) fn send(stream: &mut TcpStream, path: &str, headers: &str) {
    // In one write: a server that rejects the request may close the connection before a second one.
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n").as_bytes()).unwrap();
}

/// Reads one response from a connection that stays open.
pub(crate) fn receive(stream: &mut BufReader<TcpStream>) -> Answer {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut text).unwrap(), 0, "closed after {text:?}");
    }
    let head = parse(&text).head.to_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    parse(&(text + &String::from_utf8(body).unwrap()))
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head: head.to_owned(), body: body.to_owned() }
}
