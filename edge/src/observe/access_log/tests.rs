use std::{
    fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, atomic::AtomicBool},
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use crossbeam_queue::ArrayQueue;
use http::Version;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    AccessLog, Record, Sink, Text, line,
    queue::{Queue, Shared},
    writer::Writer,
};
use crate::{
    config,
    error::Kind,
    observe::stats::{PerWorker, WorkerStats},
};

const SOON: Duration = Duration::from_secs(20);

fn record() -> Record {
    Record {
        start: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        client: SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 4711)),
        tls: true,
        version: Version::HTTP_11,
        text: text("/a?b=c", b"curl/8"),
        status: 200,
        request_bytes: 0,
        response_bytes: 17,
        duration: Duration::from_micros(12_045),
        head: Duration::from_micros(11_999),
        pool: Some("web".into()),
        endpoint: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8000))),
        attempts: 1,
        error: None,
    }
}

fn text(target: &str, user_agent: &[u8]) -> Text {
    let mut text = Text::new(Vec::new(), "GET", target, Some(user_agent));
    text.set_host("example.test");
    text
}

fn numbered(number: u16) -> Record {
    Record { status: number, ..record() }
}

struct Fixture {
    directory: TempDir,
    stats: Arc<PerWorker<WorkerStats>>,
}

impl Fixture {
    fn new(workers: usize) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), stats: Arc::new(PerWorker::new(workers)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self, workers: usize) -> AccessLog {
        let config = config::AccessLog::File(self.path("log"));
        AccessLog::start(&config, workers, self.stats.clone()).unwrap()
    }

    /// The status fields of a log's lines: tests number their records by them.
    fn numbers(&self, name: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| parse(line)["status"].as_u64().unwrap()).collect()
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn line_of(record: &Record) -> String {
    let mut line = String::new();
    line::Format::default().append(&mut line, record);
    line
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_line_has_all_that_is_known() {
    insta::assert_snapshot!(line_of(&record()), @r#"{"time":"2023-11-14T22:13:20.123Z","client":"192.0.2.1:4711","method":"GET","host":"example.test","target":"/a?b=c","protocol":"HTTP/1.1","tls":true,"status":200,"request_bytes":0,"response_bytes":17,"duration_ms":12.045,"head_ms":11.999,"pool":"web","endpoint":"127.0.0.1:8000","attempts":1,"error":null,"user_agent":"curl/8"}"#);
}

#[test]
fn a_line_has_the_same_keys_when_nothing_is_known() {
    let empty =
        Record { text: Text::new(Vec::new(), "GET", "/", None), pool: None, endpoint: None, attempts: 0, ..record() };
    let full = Record { error: Some(Kind::Connect.label()), ..record() };
    let keys = |record| parse(&line_of(record)).as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&empty), keys(&full));
    assert_eq!(parse(&line_of(&empty))["endpoint"], Value::Null);
    assert_eq!(parse(&line_of(&full))["error"], "connect_failed");
}

#[test]
fn bytes_that_are_not_utf8_become_their_hexadecimal_text() {
    let text = text("/", b"a\xffb\xc3");
    assert_eq!(parse(&line_of(&Record { text, ..record() }))["user_agent"], r"a\xffb\xc3");
}

proptest! {
    #[test]
    fn every_line_is_printable_ascii_and_parses_back_to_what_was_sent(
        agent in "[^\u{0}-\u{8}\u{a}-\u{1f}\u{7f}]*",
        pool in any::<String>(),
        target in r#"/[a-z0-9"{}|\\^%~&=\[\]é日]*"#,
        (status, sent, micros) in any::<(u16, u64, u32)>(),
    ) {
        let record = Record {
            text: text(&target, agent.as_bytes()),
            pool: Some(pool.as_str().into()),
            status,
            response_bytes: sent,
            duration: Duration::from_micros(micros.into()),
            ..record()
        };
        let line = line_of(&record);
        let text = line.strip_suffix('\n').unwrap();
        prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
        let value = parse(text);
        prop_assert_eq!(value["user_agent"].as_str(), Some(agent.as_str()));
        prop_assert_eq!(value["pool"].as_str(), Some(pool.as_str()));
        prop_assert_eq!(value["target"].as_str(), Some(target.as_str()));
        prop_assert_eq!(value["status"].as_u64(), Some(status.into()));
        prop_assert_eq!(value["response_bytes"].as_u64(), Some(sent));
        prop_assert_eq!(value["duration_ms"].as_f64(), Some(f64::from(micros) / 1000.0));
    }

    #[test]
    fn no_bytes_of_a_header_break_a_line(bytes in any::<Vec<u8>>()) {
        let line = line_of(&Record { text: text("/", &bytes), ..record() });
        prop_assert!(line.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        parse(&line);
    }
}

#[test]
fn lines_of_one_worker_are_in_order_and_close_writes_them_all() {
    let fixture = Fixture::new(2);
    let log = fixture.start(2);
    let sinks = [log.sink(0), log.sink(1)];
    thread::scope(|scope| {
        for (worker, sink) in sinks.iter().enumerate() {
            let first = u16::try_from(worker).unwrap() * 10_000;
            scope.spawn(move || (0..5_000).for_each(|number| sink.push(numbered(first + number))));
        }
    });
    let stats = log.stats();
    log.close(SOON).unwrap();
    let (first, second): (Vec<u64>, Vec<u64>) = fixture.numbers("log").iter().partition(|number| **number < 10_000);
    assert_eq!(first, (0..5_000).collect::<Vec<_>>());
    assert_eq!(second, (10_000..15_000).collect::<Vec<_>>());
    assert_eq!((stats.written.value(), stats.lost.value()), (10_000, 0));
}

#[test]
fn lines_are_written_without_being_asked_for() {
    let fixture = Fixture::new(1);
    let log = fixture.start(1);
    log.sink(0).push(numbered(1));
    eventually("the line is written", || log.stats().written.value() == 1);
    assert_eq!(fixture.numbers("log"), [1]);
}

#[test]
fn a_renamed_file_is_opened_anew_and_no_line_is_lost() {
    let fixture = Fixture::new(1);
    let mut log = fixture.start(1);
    let sink = log.sink(0);
    sink.push(numbered(1));
    fs::rename(fixture.path("log"), fixture.path("log.1")).unwrap();
    sink.push(numbered(2));
    log.reopen().unwrap();
    eventually("lines reach the new file", || {
        sink.push(numbered(3));
        fs::metadata(fixture.path("log")).unwrap().len() > 0
    });
    log.close(SOON).unwrap();
    assert_eq!(fixture.numbers("log.1")[..2], [1, 2]);
    assert_eq!(fixture.numbers("log")[0], 3);
}

#[test]
fn a_log_is_switched_on_off_and_elsewhere_by_a_reload() {
    let fixture = Fixture::new(1);
    let mut log = AccessLog::start(&config::AccessLog::Off, 1, fixture.stats.clone()).unwrap();
    let sink = log.sink(0);
    assert!(!sink.is_on());
    sink.push(numbered(1));
    log.reconfigure(&config::AccessLog::File(fixture.path("a"))).unwrap();
    assert!(sink.is_on());
    sink.push(numbered(2));
    eventually("the line is written", || log.stats().written.value() == 1);
    log.reconfigure(&config::AccessLog::File(fixture.path("no/such/folder"))).unwrap_err();
    sink.push(numbered(3));
    eventually("the line is written", || log.stats().written.value() == 2);
    log.reconfigure(&config::AccessLog::Off).unwrap();
    sink.push(numbered(4));
    // The writer has taken it in: what is pushed from here on belongs to the next file.
    eventually("the file is closed", || !is_open(&fixture.path("a")));
    log.reconfigure(&config::AccessLog::File(fixture.path("b"))).unwrap();
    sink.push(numbered(5));
    log.close(SOON).unwrap();
    assert_eq!((fixture.numbers("a"), fixture.numbers("b")), (vec![2, 3], vec![5]));
}

fn is_open(path: &Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    // Others open and close files meanwhile, so that a link may be gone when it is read.
    open.filter_map(Result::ok).any(|entry| fs::read_link(entry.path()).is_ok_and(|file| file == path))
}

/// A log whose queues nobody empties but the test.
fn by_hand(stats: &Arc<PerWorker<WorkerStats>>) -> Arc<Shared> {
    let queues = OnceLock::new();
    queues.get_or_init(|| [Queue { records: ArrayQueue::new(4), spare: ArrayQueue::new(4) }].into());
    Arc::new(Shared {
        on: AtomicBool::new(true),
        queues,
        workers: 1,
        worker_stats: stats.clone(),
        stats: Arc::default(),
    })
}

#[test]
fn a_full_queue_drops_the_newest_and_counts() {
    let stats = Arc::new(PerWorker::<WorkerStats>::new(1));
    let shared = by_hand(&stats);
    let sink = Sink::new(shared.clone(), 0);
    (0..6).for_each(|number| sink.push(numbered(number)));
    assert_eq!(stats.of(0).log_dropped.value(), 2);
    let mut out = Vec::new();
    assert!(Writer::with_output(shared, &mut out).drain());
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 4);
}

/// Takes as many bytes as there is room for, like a disk that runs full.
#[derive(Default)]
struct Disk {
    room: usize,
    bytes: Vec<u8>,
    calls: usize,
}

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= taken;
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn many_lines_are_written_with_one_call() {
    let shared = by_hand(&Arc::new(PerWorker::new(1)));
    let sink = Sink::new(shared.clone(), 0);
    (0..4).for_each(|number| sink.push(numbered(number)));
    let mut disk = Disk { room: usize::MAX, ..Disk::default() };
    Writer::with_output(shared, &mut disk).drain();
    assert_eq!(disk.calls, 1);
}

#[test]
fn a_full_disk_loses_lines_but_tears_none_of_the_next() {
    let shared = by_hand(&Arc::new(PerWorker::new(1)));
    let sink = Sink::new(shared.clone(), 0);
    let mut disk = Disk { room: 20, ..Disk::default() };
    sink.push(numbered(1));
    let mut writer = Writer::with_output(shared.clone(), &mut disk);
    writer.drain();
    sink.push(numbered(2));
    writer.drain();
    assert_eq!((shared.stats.errors.value(), shared.stats.lost.value()), (2, 2));

    writer.output().room = usize::MAX;
    sink.push(numbered(3));
    writer.drain();
    assert_eq!((shared.stats.errors.value(), shared.stats.written.value()), (2, 1));
    let text = String::from_utf8(disk.bytes).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(parse(lines[1])["status"], 3);
}
