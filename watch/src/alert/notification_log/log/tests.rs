use super::*;

const NOW: Millis = 10_000_000;

fn told(word: Word, at: Millis, severity: Severity) -> Told {
    Told {
        word,
        at,
        thread: "m1".into(),
        rule: "node_down".into(),
        severity,
        since: 5,
        summary: "n1 is down".into(),
        subject: Subject::default(),
    }
}

fn firing(age: Millis) -> Ask {
    Ask::Firing { age, severity: Severity::Warning, repeat: Some(60_000) }
}

/// What `owner` gets when it asks at a time.
fn ask(book: &mut Book, owner: &str, ask: Ask, now: Millis) -> Verdict {
    let want = Want { fingerprint: "x".into(), ask };
    book.claim(owner, "mail", &[want], 20_000, now).remove(0)
}

#[test]
fn one_gets_the_claim_until_it_runs_out_or_is_given_back() {
    let mut book = Book::default();
    assert_eq!(ask(&mut book, "a", firing(0), NOW), Verdict::Granted);
    assert_eq!(ask(&mut book, "b", firing(0), NOW + 5000), Verdict::Busy(15_000));
    assert_eq!(ask(&mut book, "a", firing(0), NOW + 5000), Verdict::Granted);
    assert_eq!(ask(&mut book, "b", firing(0), NOW + 25_000), Verdict::Granted);
    book.release("a", "mail", "x");
    assert_eq!(ask(&mut book, "a", firing(0), NOW + 26_000), Verdict::Busy(19_000));
    book.release("b", "mail", "x");
    assert_eq!(book, Book::default());
}

#[test]
fn channels_do_not_know_of_each_other() {
    let mut book = Book::default();
    assert_eq!(ask(&mut book, "a", firing(0), NOW), Verdict::Granted);
    let want = Want { fingerprint: "x".into(), ask: firing(0) };
    assert_eq!(book.claim("b", "sms", &[want], 20_000, NOW), [Verdict::Granted]);
}

#[test]
fn what_was_announced_is_announced_again_only_when_it_matters_more_or_lasts() {
    let mut book = Book::default();
    let first = told(Word::Firing, NOW, Severity::Warning);
    book.record("a", "mail", "x", first.clone());
    assert_eq!(ask(&mut book, "b", firing(0), NOW + 59_999), Verdict::Done(Some(Box::new(first))));
    assert_eq!(ask(&mut book, "b", firing(0), NOW + 60_000), Verdict::Granted);
    let worse = Ask::Firing { age: 0, severity: Severity::Critical, repeat: None };
    assert_eq!(ask(&mut book, "b", worse, NOW + 1), Verdict::Granted);
}

#[test]
fn an_end_is_announced_once_and_only_after_a_beginning() {
    let mut book = Book::default();
    assert_eq!(ask(&mut book, "a", Ask::Resolved, NOW), Verdict::Done(None));
    book.record("a", "mail", "x", told(Word::Firing, NOW, Severity::Warning));
    assert_eq!(ask(&mut book, "b", Ask::Resolved, NOW + 100), Verdict::Granted);
    let end = told(Word::Resolved, NOW + 200, Severity::Warning);
    book.record("b", "mail", "x", end.clone());
    assert_eq!(ask(&mut book, "a", Ask::Resolved, NOW + 300), Verdict::Done(Some(Box::new(end))));
}

#[test]
fn an_end_waits_while_somebody_else_still_sees_the_trouble() {
    let mut book = Book::default();
    book.record("a", "mail", "x", told(Word::Firing, NOW, Severity::Warning));
    book.see("b", ["x"], NOW);
    assert_eq!(ask(&mut book, "b", Ask::Resolved, NOW), Verdict::Granted);
    book.release("b", "mail", "x");
    assert_eq!(ask(&mut book, "a", Ask::Resolved, NOW + 14_999), Verdict::Held);
    assert_eq!(ask(&mut book, "a", Ask::Resolved, NOW + 15_000), Verdict::Granted);
    book.release("a", "mail", "x");
    book.see("b", ["x"], NOW + 16_000);
    book.see("b", [], NOW + 17_000);
    assert_eq!(ask(&mut book, "a", Ask::Resolved, NOW + 17_001), Verdict::Granted);
}

#[test]
fn an_end_covers_what_began_before_it_but_not_for_ever() {
    let mut book = Book::default();
    book.record("a", "mail", "x", told(Word::Resolved, NOW, Severity::Warning));
    // A cluster state that lags still shows what is over.
    assert!(matches!(ask(&mut book, "b", firing(5000), NOW + 2000), Verdict::Done(Some(_))));
    assert_eq!(ask(&mut book, "b", firing(1000), NOW + 2000), Verdict::Granted);
    book.release("b", "mail", "x");
    assert_eq!(ask(&mut book, "b", firing(100_000), NOW + 60_000), Verdict::Granted);
}

#[test]
fn the_newer_word_stays() {
    let mut book = Book::default();
    book.record("a", "mail", "x", told(Word::Resolved, NOW, Severity::Warning));
    book.record("b", "mail", "x", told(Word::Firing, NOW - 1, Severity::Warning));
    book.remind("mail", "x", told(Word::Firing, NOW + 1, Severity::Warning));
    let told: Vec<_> = book.told().map(|(channel, fingerprint, told)| (channel, fingerprint, told.word)).collect();
    assert_eq!(told, [("mail", "x", Word::Resolved)]);
}

#[test]
fn what_matters_no_more_is_forgotten() {
    let mut book = Book::default();
    book.record("a", "mail", "over", told(Word::Resolved, NOW, Severity::Warning));
    book.record("a", "mail", "lasts", told(Word::Firing, NOW, Severity::Warning));
    book.claim("a", "mail", &[Want { fingerprint: "claimed".into(), ask: firing(0) }], 20_000, NOW);
    book.see("a", ["lasts"], NOW);
    book.prune(NOW + REMEMBERED);
    let left: Vec<_> = book.told().map(|(_, fingerprint, _)| fingerprint).collect();
    assert_eq!(left, ["lasts"]);
    book.prune(NOW + FORGOTTEN);
    assert_eq!(book, Book::default());
}

#[test]
fn it_does_not_grow_without_end() {
    let mut book = Book::default();
    for number in 0..MOST as i64 + 5 {
        book.record("a", "mail", &format!("f{number}"), told(Word::Firing, NOW + number, Severity::Warning));
    }
    book.prune(NOW + 10_000);
    let left: Vec<_> = book.told().map(|(_, fingerprint, _)| fingerprint).collect();
    assert_eq!(left.len(), MOST);
    assert!(!left.contains(&"f4") && left.contains(&"f5"));
}

#[test]
fn what_a_clock_that_was_ahead_has_written_holds_nobody_up() {
    let mut book = Book::default();
    let ahead = NOW + 3_600_000;
    ask(&mut book, "a", firing(0), ahead);
    let want = Want { fingerprint: "y".into(), ask: firing(0) };
    book.claim("a", "mail", &[want], 20_000, NOW);
    book.record("a", "mail", "z", told(Word::Firing, ahead, Severity::Warning));
    book.see("b", ["z"], ahead);
    book.settle(NOW);
    assert_eq!(ask(&mut book, "b", firing(0), NOW), Verdict::Granted);
    let want = |fingerprint: &str, ask| [Want { fingerprint: fingerprint.into(), ask }];
    // Claims of this time stay.
    assert_eq!(book.claim("b", "mail", &want("y", firing(0)), 20_000, NOW), [Verdict::Busy(20_000)]);
    assert_eq!(book.claim("a", "mail", &want("z", Ask::Resolved), 20_000, NOW), [Verdict::Granted]);
    // What is said now is newer than what seemed to be said later.
    book.record("a", "mail", "z", told(Word::Resolved, NOW, Severity::Warning));
    assert!(book.told().any(|(_, fingerprint, told)| (fingerprint, told.word) == ("z", Word::Resolved)));
}
