use super::*;

const NOW: Millis = 10_000_000;

fn entry(status: Status, at: Millis, severity: Severity) -> LogEntry {
    LogEntry {
        status,
        at,
        thread: "m1".into(),
        rule: "node_down".into(),
        severity,
        since: 5,
        summary: "n1 is down".into(),
        subject: Subject::default(),
    }
}

fn firing(age: Millis) -> Announcement {
    Announcement::Firing { age, severity: Severity::Warning, repeat: Some(60_000) }
}

/// Claims one alert for `owner`.
fn claim(log: &mut NotificationLog, owner: &str, announcement: Announcement, now: Millis) -> ClaimResult {
    let request = ClaimRequest { fingerprint: "x".into(), announcement };
    log.claim(owner, "mail", &[request], 20_000, now).remove(0)
}

#[test]
fn a_claim_is_exclusive_until_it_expires_or_is_released() {
    let mut log = NotificationLog::default();
    assert_eq!(claim(&mut log, "a", firing(0), NOW), ClaimResult::Granted);
    assert_eq!(claim(&mut log, "b", firing(0), NOW + 5000), ClaimResult::Taken(15_000));
    assert_eq!(claim(&mut log, "a", firing(0), NOW + 5000), ClaimResult::Granted);
    assert_eq!(claim(&mut log, "b", firing(0), NOW + 25_000), ClaimResult::Granted);
    log.release("a", "mail", "x");
    assert_eq!(claim(&mut log, "a", firing(0), NOW + 26_000), ClaimResult::Taken(19_000));
    log.release("b", "mail", "x");
    assert_eq!(log, NotificationLog::default());
}

#[test]
fn channels_are_independent() {
    let mut log = NotificationLog::default();
    assert_eq!(claim(&mut log, "a", firing(0), NOW), ClaimResult::Granted);
    let request = ClaimRequest { fingerprint: "x".into(), announcement: firing(0) };
    assert_eq!(log.claim("b", "sms", &[request], 20_000, NOW), [ClaimResult::Granted]);
}

#[test]
fn an_alert_is_announced_again_only_at_a_higher_severity_or_after_the_repeat_time() {
    let mut log = NotificationLog::default();
    let first = entry(Status::Firing, NOW, Severity::Warning);
    log.record("a", "mail", "x", first.clone());
    assert_eq!(claim(&mut log, "b", firing(0), NOW + 59_999), ClaimResult::AlreadySent(Some(Box::new(first))));
    assert_eq!(claim(&mut log, "b", firing(0), NOW + 60_000), ClaimResult::Granted);
    let worse = Announcement::Firing { age: 0, severity: Severity::Critical, repeat: None };
    assert_eq!(claim(&mut log, "b", worse, NOW + 1), ClaimResult::Granted);
}

#[test]
fn an_end_is_announced_once_and_only_after_a_beginning() {
    let mut log = NotificationLog::default();
    assert_eq!(claim(&mut log, "a", Announcement::Resolved, NOW), ClaimResult::AlreadySent(None));
    log.record("a", "mail", "x", entry(Status::Firing, NOW, Severity::Warning));
    assert_eq!(claim(&mut log, "b", Announcement::Resolved, NOW + 100), ClaimResult::Granted);
    let end = entry(Status::Resolved, NOW + 200, Severity::Warning);
    log.record("b", "mail", "x", end.clone());
    assert_eq!(claim(&mut log, "a", Announcement::Resolved, NOW + 300), ClaimResult::AlreadySent(Some(Box::new(end))));
}

#[test]
fn an_end_waits_while_another_instance_still_sees_the_alert() {
    let mut log = NotificationLog::default();
    log.record("a", "mail", "x", entry(Status::Firing, NOW, Severity::Warning));
    log.record_seen("b", ["x"], NOW);
    assert_eq!(claim(&mut log, "b", Announcement::Resolved, NOW), ClaimResult::Granted);
    log.release("b", "mail", "x");
    assert_eq!(claim(&mut log, "a", Announcement::Resolved, NOW + 14_999), ClaimResult::StillFiring);
    assert_eq!(claim(&mut log, "a", Announcement::Resolved, NOW + 15_000), ClaimResult::Granted);
    log.release("a", "mail", "x");
    log.record_seen("b", ["x"], NOW + 16_000);
    log.record_seen("b", [], NOW + 17_000);
    assert_eq!(claim(&mut log, "a", Announcement::Resolved, NOW + 17_001), ClaimResult::Granted);
}

#[test]
fn an_end_covers_a_beginning_before_it_for_a_limited_time() {
    let mut log = NotificationLog::default();
    log.record("a", "mail", "x", entry(Status::Resolved, NOW, Severity::Warning));
    // An outdated cluster state still shows an alert that has ended.
    assert!(matches!(claim(&mut log, "b", firing(5000), NOW + 2000), ClaimResult::AlreadySent(Some(_))));
    assert_eq!(claim(&mut log, "b", firing(1000), NOW + 2000), ClaimResult::Granted);
    log.release("b", "mail", "x");
    assert_eq!(claim(&mut log, "b", firing(100_000), NOW + 60_000), ClaimResult::Granted);
}

#[test]
fn the_newer_entry_is_kept() {
    let mut log = NotificationLog::default();
    log.record("a", "mail", "x", entry(Status::Resolved, NOW, Severity::Warning));
    log.record("b", "mail", "x", entry(Status::Firing, NOW - 1, Severity::Warning));
    log.restore("mail", "x", entry(Status::Firing, NOW + 1, Severity::Warning));
    let entry: Vec<_> =
        log.entries().map(|(channel, fingerprint, entry)| (channel, fingerprint, entry.status)).collect();
    assert_eq!(entry, [("mail", "x", Status::Resolved)]);
}

#[test]
fn expired_entries_are_pruned() {
    let mut log = NotificationLog::default();
    log.record("a", "mail", "over", entry(Status::Resolved, NOW, Severity::Warning));
    log.record("a", "mail", "lasts", entry(Status::Firing, NOW, Severity::Warning));
    log.claim("a", "mail", &[ClaimRequest { fingerprint: "claimed".into(), announcement: firing(0) }], 20_000, NOW);
    log.record_seen("a", ["lasts"], NOW);
    log.prune(NOW + RESOLVED_RETENTION);
    let left: Vec<_> = log.entries().map(|(_, fingerprint, _)| fingerprint).collect();
    assert_eq!(left, ["lasts"]);
    log.prune(NOW + FIRING_RETENTION);
    assert_eq!(log, NotificationLog::default());
}

#[test]
fn the_log_is_bounded() {
    let mut log = NotificationLog::default();
    for number in 0..MAX_ENTRIES as i64 + 5 {
        log.record("a", "mail", &format!("f{number}"), entry(Status::Firing, NOW + number, Severity::Warning));
    }
    log.prune(NOW + 10_000);
    let left: Vec<_> = log.entries().map(|(_, fingerprint, _)| fingerprint).collect();
    assert_eq!(left.len(), MAX_ENTRIES);
    assert!(!left.contains(&"f4") && left.contains(&"f5"));
}

#[test]
fn entries_of_a_clock_that_was_ahead_do_not_block_claims() {
    let mut log = NotificationLog::default();
    let ahead = NOW + 3_600_000;
    claim(&mut log, "a", firing(0), ahead);
    let request = ClaimRequest { fingerprint: "y".into(), announcement: firing(0) };
    log.claim("a", "mail", &[request], 20_000, NOW);
    log.record("a", "mail", "z", entry(Status::Firing, ahead, Severity::Warning));
    log.record_seen("b", ["z"], ahead);
    log.clamp_times(NOW);
    assert_eq!(claim(&mut log, "b", firing(0), NOW), ClaimResult::Granted);
    let request = |fingerprint: &str, announcement| [ClaimRequest { fingerprint: fingerprint.into(), announcement }];
    // Claims made at the current time remain.
    assert_eq!(log.claim("b", "mail", &request("y", firing(0)), 20_000, NOW), [ClaimResult::Taken(20_000)]);
    assert_eq!(log.claim("a", "mail", &request("z", Announcement::Resolved), 20_000, NOW), [ClaimResult::Granted]);
    // A new entry replaces one that seemed to be from the future.
    log.record("a", "mail", "z", entry(Status::Resolved, NOW, Severity::Warning));
    assert!(log.entries().any(|(_, fingerprint, entry)| (fingerprint, entry.status) == ("z", Status::Resolved)));
}
