use std::sync::Mutex;

use tokio::time::sleep;

use super::{
    recipients::{combined, to_each},
    *,
};

#[test]
fn pauses_grow_to_a_limit_and_vary() {
    let seconds = |failures, random, asked: Option<u64>| {
        pause(BACKOFF, failures, random, asked.map(Duration::from_secs)).as_secs_f64()
    };
    assert_eq!(seconds(0, 0.5, None), 2.0);
    assert_eq!((seconds(1, 0.0, None), seconds(1, 1.0, None)), (3.2, 4.8));
    assert_eq!(seconds(100, 0.5, None), 300.0);
    // A longer pause that the server asks for counts, up to a limit.
    assert_eq!(seconds(0, 0.5, Some(30)), 30.0);
    assert_eq!(seconds(5, 0.5, Some(1)), 64.0);
    assert_eq!(seconds(0, 0.5, Some(1_000_000)), 3600.0);
    // A recipient that was deferred is tried after 1, 3 and 7 min: greylisting ends after five.
    let minutes: f64 = (0..3).map(|failures| pause(REDELIVERY, failures, 0.5, None).as_secs_f64() / 60.0).sum();
    assert_eq!(minutes, 7.0);
}

/// Sends to `a`, `b` and `c`. Each of `fail` fails as many times, with this hint.
async fn send(fail: &[(&str, usize, RetryHint)]) -> (Result<(), SendError>, Vec<String>) {
    let tries = Mutex::new(Vec::new());
    let end = Instant::now() + Duration::from_secs(10);
    let sent = to_each(&["a", "b", "c"], end, |to| {
        let before = tries.lock().unwrap().iter().filter(|other| *other == to).count();
        tries.lock().unwrap().push((*to).to_owned());
        let failing = fail.iter().find(|(name, times, _)| name == to && before < *times);
        let result = match failing {
            Some((_, _, hint)) => Err(SendError::new(format!("{to} failed"), *hint)),
            None => Ok(()),
        };
        async move { result }
    });
    let sent = combined(&["a", "b", "c"].map(Into::into), sent.await);
    (sent, tries.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn only_recipients_that_failed_are_retried() {
    assert_eq!(send(&[]).await, (Ok(()), ["a", "b", "c"].map(Into::into).into()));
    let again = RetryHint::Again(None);
    assert_eq!(send(&[("b", 1, again)]).await, (Ok(()), ["a", "b", "c", "b"].map(Into::into).into()));
    let (sent, tries) = send(&[("b", 9, again)]).await;
    let error = sent.unwrap_err();
    assert_eq!((error.error.as_str(), error.hint), ("1 of 3 recipients failed: b: b failed", RetryHint::Partial));
    assert_eq!(error.undelivered, [("b".to_owned(), SendError::transient("b failed"))]);
    assert_eq!(tries, ["a", "b", "c", "b"]);
    // A recipient for which the server asks for time gets that.
    let later = RetryHint::Again(Some(Duration::from_secs(30)));
    let (sent, tries) = send(&[("b", 9, later)]).await;
    assert_eq!(sent.unwrap_err().undelivered[0].1.hint, later);
    assert_eq!(tries, ["a", "b", "c"]);
    let (sent, tries) = send(&[("b", 9, RetryHint::Permanent), ("c", 1, again)]).await;
    assert_eq!(sent.unwrap_err().hint, RetryHint::Partial);
    assert_eq!(tries, ["a", "b", "c", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_for_all_is_transient_if_one_of_them_is() {
    let (permanent, again) = (RetryHint::Permanent, RetryHint::Again(Some(Duration::from_secs(7))));
    let (sent, tries) = send(&[("a", 9, permanent), ("b", 9, again), ("c", 9, permanent)]).await;
    assert_eq!(sent, Err(SendError::new("b failed", again)));
    assert_eq!(tries.len(), 3);
    let (sent, _) = send(&[("a", 9, permanent), ("b", 9, permanent), ("c", 9, permanent)]).await;
    assert_eq!(sent.unwrap_err().hint, permanent);
}

#[test]
fn everything_in_an_address_but_the_host_is_secret() {
    let url = "https://hooks.example.com/services/T0000000/B1?key=0123456789";
    let hidden = secrets(url);
    for secret in [url, "/services/T0000000/B1?key=0123456789", "T0000000", "0123456789"] {
        assert!(hidden.contains(&secret), "{secret}");
    }
    assert!(!hidden.contains(&"hooks.example.com"));
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_recipient_does_not_hide_that_the_others_have_the_message() {
    for seconds in [1, 10] {
        let (begun, timeout) = (Instant::now(), Duration::from_secs(seconds));
        let tries = Mutex::new(Vec::new());
        let sent = to_each(&["a", "hangs", "c"], begun + timeout, |to| {
            tries.lock().unwrap().push((*to).to_owned());
            let hangs = *to == "hangs";
            async move { if hangs { std::future::pending().await } else { Ok(()) } }
        });
        let error = combined(&["a", "hangs", "c"].map(Into::into), sent.await).unwrap_err();
        assert_eq!(error.hint, RetryHint::Partial);
        assert_eq!(error.error, "1 of 3 recipients failed: hangs: timed out");
        assert_eq!(tries.into_inner().unwrap(), ["a", "hangs", "c", "hangs"]);
        assert!(begun.elapsed() <= timeout + Duration::from_millis(1), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_recipient_gets_the_whole_time() {
    let begun = Instant::now();
    let send = |_: &&str| async {
        sleep(Duration::from_secs(9)).await;
        Ok(())
    };
    assert_eq!(to_each(&["a"], begun + Duration::from_secs(10), send).await, [Ok(())]);
}

#[test]
fn a_secret_within_another_or_within_a_header_value_is_hidden() {
    let value = crate::alert::settings::Secret::new("Bearer tk_abc");
    let hidden: Vec<_> = http::words(&value).chain(["tk_abcdef"]).collect();
    let text = http::redacted("not for tk_abc, nor tk_abcdef, nor Bearer tk_abc", &hidden);
    assert_eq!(text, "not for (secret), nor (secret), nor (secret)");
}

#[tokio::test(start_paused = true)]
async fn a_recipient_that_hangs_once_gets_another_attempt() {
    let hung = Mutex::new(false);
    let sent = to_each(&["a", "hangs"], Instant::now() + Duration::from_secs(2), |to| {
        let hangs = *to == "hangs" && !std::mem::replace(&mut *hung.lock().unwrap(), true);
        async move { if hangs { std::future::pending().await } else { Ok(()) } }
    });
    assert_eq!(sent.await, [Ok(()), Ok(())]);
}

#[test]
fn retry_after_is_a_number_of_seconds_or_a_date() {
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_767);
    let seconds = |text| http::retry_after(text, now).map(|pause| pause.as_secs());
    assert_eq!(seconds(" 120 "), Some(120));
    // RFC 9110 section 5.6.7.
    assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(10));
    assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
    for wrong in ["", "-1", "soon", "Sun, 06 Nov"] {
        assert_eq!(seconds(wrong), None, "{wrong}");
    }
}
