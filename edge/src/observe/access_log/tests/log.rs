use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{numbered, parse};
use crate::{
    config,
    observe::{
        access_log::AccessLog,
        stats::{PerWorker, WorkerStats},
    },
};

const SOON: Duration = Duration::from_secs(20);

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

    /// The status fields of a log's lines, which number the records of a test.
    fn numbers(&self, name: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| parse(line)["status"].as_u64().unwrap()).collect()
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
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
fn lines_are_written_before_the_log_is_closed() {
    let fixture = Fixture::new(1);
    let log = fixture.start(1);
    log.sink(0).push(numbered(1));
    eventually("the line is written", || log.stats().written.value() == 1);
    assert_eq!(fixture.numbers("log"), [1]);
}

#[test]
fn reopen_creates_a_renamed_file_again_and_loses_no_line() {
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
fn reconfigure_switches_the_log_on_and_off_and_to_another_file() {
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
    // From then on, records belong to the next file.
    eventually("the file is closed", || !is_open(&fixture.path("a")));
    log.reconfigure(&config::AccessLog::File(fixture.path("b"))).unwrap();
    sink.push(numbered(5));
    log.close(SOON).unwrap();
    assert_eq!((fixture.numbers("a"), fixture.numbers("b")), (vec![2, 3], vec![5]));
}

fn is_open(path: &Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    // Other tests open and close files meanwhile, so a link may be gone when it is read.
    open.filter_map(Result::ok).any(|entry| fs::read_link(entry.path()).is_ok_and(|file| file == path))
}
