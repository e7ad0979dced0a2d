//! Panics: a bug of ours is logged; one of a library that meets damaged data is an error.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::Cell,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind},
    thread,
};

thread_local! {
    /// Whether the caller of this thread's work expects panics.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, which may panic on damaged data, as some libraries do. The panic is not logged. What `work` owns is
/// dropped.
///
/// # Errors
/// It panicked, for this reason.
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = CAUGHT.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    outcome.map_err(|payload| reason(&*payload))
}

fn reason(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}

pub(crate) fn log_panic(panic: &PanicHookInfo<'_>) {
    if CAUGHT.get() {
        return;
    }
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    let backtrace = Backtrace::capture();
    // Present only with RUST_BACKTRACE, as usual.
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        location,
        thread = thread.name(),
        backtrace,
        reason = panic.payload_as_str().unwrap_or("no reason given"),
        "a panic, which is a bug"
    );
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        panic,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_logged_with_its_location_and_reason() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let before = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        let number = 7;
        let result = tracing::subscriber::with_default(log, || catch_unwind(|| panic!("number {number}")));
        panic::set_hook(before);
        assert!(result.is_err());
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        for part in ["\"level\":\"ERROR\"", "\"reason\":\"number 7\"", "\"location\":\"process/src/panics.rs:"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn a_caught_panic_is_an_error_with_its_reason() {
        assert_eq!(catch_panic(|| 1), Ok(1));
        let number = 7;
        assert_eq!(catch_panic::<()>(|| panic!("number {number}")), Err("number 7".to_owned()));
        assert!(!CAUGHT.get());
    }
}
