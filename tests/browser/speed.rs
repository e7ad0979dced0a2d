//! The cost of a frame with a hundred nodes, two thousand tasks and fifty changes a second.
//!
//! Only the CPU time of the page's thread is bounded, by wide limits that detect a slowdown by an order of magnitude.
//! Wall clock times are only printed: `cargo test -p tests --test browser speed -- --nocapture`.

#![expect(clippy::print_stdout, reason = "the figures")]

use std::time::Duration;

use serde_json::json;
use tests::browser::Screen;
use tests::page_server::now;
use tests::wait::pause;
use tokio::time::{Instant, MissedTickBehavior, interval};
use watch::cluster_state::{Health, Severity, TaskState};

use crate::{Show, clusters};

/// A script that records the work of each frame, tasks longer than 50 ms, and the intervals between frames while
/// scrolling.
const PROBE: &str = "
    window.probe = { batches: [], long: [], gaps: [] };
    const ask = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (run) => ask((at) => {
        const begun = performance.now();
        run(at);
        if (run.name === 'draw') probe.batches.push(performance.now() - begun);
    });
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) probe.long.push(entry.duration);
    }).observe({ type: 'longtask', buffered: true });
    window.roll = (frames, step) => new Promise((done) => {
        const end = performance.now() + 15000;
        let [last, left, way] = [performance.now(), frames, step];
        const frame = (at) => {
            probe.gaps.push(at - last);
            last = at;
            const room = document.documentElement.scrollHeight - innerHeight;
            if (scrollY + way > room || scrollY + way < 0) way = -way;
            scrollBy(0, way);
            left -= 1;
            if (left > 0 && at < end) ask(frame); else done(true);
        };
        ask(frame);
    });";

/// Returns the number of values, their median, their 95th percentile and their maximum.
fn summarize(values: &serde_json::Value) -> (usize, f64, f64, f64) {
    let mut values: Vec<f64> = values.as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).collect();
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of a list")]
        let index = ((values.len().saturating_sub(1)) as f64 * part).round() as usize;
        values.get(index).copied().unwrap_or_default()
    };
    (values.len(), at(0.5), at(0.95), at(1.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_nodes_and_fifty_changes_a_second_do_not_stutter() {
    let show = Show::of(clusters::swarm(100, 2000)).await;
    let page = &show.page;
    page.screen(Screen::DESK).await;
    // Measure the CPU time of the page's thread, which does not depend on other load.
    page.call("Performance.disable", json!({})).await;
    page.call("Performance.enable", json!({ "timeDomain": "threadTicks" })).await;
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": PROBE })).await;
    page.open(&show.server.url()).await;
    page.until("document.querySelectorAll('.tile').length === 2000 && document.querySelector('[data-settled]')").await;
    let first = page.evaluate("Math.max(...probe.batches)").await;
    println!("first drawing, 100 nodes and 2000 tasks: {:.0} ms of script", first.as_f64().unwrap_or_default());
    let still = phase(&show, "without scrolling", pause(Duration::from_secs(6))).await;
    // Scrolls through the whole page in about four seconds, at sixty frames a second.
    let rolling =
        phase(&show, "scrolling by 50 pixels a frame", async { drop(page.evaluate("roll(300, 50)").await) }).await;
    assert!(still < 25.0, "{still:.1} ms of the page's thread for a frame");
    assert!(rolling < 60.0, "{rolling:.1} ms of the page's thread for a frame while it scrolls");
    show.end();
}

/// Applies fifty changes a second until `end` completes, prints figures, and returns the CPU time of the page's thread
/// per frame, in milliseconds.
async fn phase(show: &Show, name: &str, end: impl Future<Output = ()>) -> f64 {
    let page = &show.page;
    page.evaluate("Object.assign(probe, { batches: [], long: [], gaps: [] }); 0").await;
    let before = metrics(show).await;
    let started = Instant::now();
    let mut sent = 0_u64;
    tokio::select! {
        () = end => {}
        () = fifty_a_second(show, &mut sent) => {}
    }
    let took = started.elapsed().as_secs_f64();
    let after = metrics(show).await;
    let (batches, median, high, max) = summarize(&page.evaluate("probe.batches").await);
    let (scrolled, gap, high_gap, _) = summarize(&page.evaluate("probe.gaps").await);
    let (long, _, _, longest) = summarize(&page.evaluate("probe.long").await);
    let spent = |name: &str| (after[name].as_f64().unwrap() - before[name].as_f64().unwrap()) * 1000.0;
    let frames = batches.max(scrolled) as f64;
    let of_frame = |name: &str| spent(name) / frames;
    println!("{name}: {sent} changes in {took:.1} s ({:.0} a second), {frames} frames", sent as f64 / took);
    println!("  drawing a batch (wall clock): median {median:.1} ms, 95 % {high:.1} ms, max {max:.1} ms");
    println!(
        "  a frame, in the thread's time: {:.1} ms, of it script {:.1}, style {:.1}, layout {:.1}",
        of_frame("TaskDuration"),
        of_frame("ScriptDuration"),
        of_frame("RecalcStyleDuration"),
        of_frame("LayoutDuration"),
    );
    println!("  tasks over 50 ms (wall clock): {long}, longest {longest:.0} ms");
    if scrolled > 0 {
        println!("  between frames (wall clock): median {gap:.1} ms, 95 % {high_gap:.1} ms");
    }
    assert!(sent > 50 && batches > 10, "{sent} changes, {batches} batches");
    of_frame("TaskDuration")
}

async fn fifty_a_second(show: &Show, sent: &mut u64) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        *sent += 1;
        let event = 1000 + u64::try_from(now()).unwrap_or_default();
        show.server.change(|cluster| {
            let id = format!("task{:05}", random.usize(0..2000));
            let task = cluster.tasks.get_mut(&id).unwrap();
            if random.u8(0..4) == 0 {
                task.node = Some(format!("node{}", random.usize(0..100)));
            }
            task.state = if random.bool() { TaskState::Running } else { TaskState::Starting };
            task.health = if task.state == TaskState::Running { Health::Healthy } else { Health::Starting };
            task.since = Some(now());
            cluster.timeline.push(clusters::event(event, now(), Severity::Info, &format!("{} moved", task.name)));
            cluster.timeline.drain(..cluster.timeline.len().saturating_sub(300));
        });
    }
}

async fn metrics(show: &Show) -> serde_json::Value {
    let answer = show.page.call("Performance.getMetrics", json!({})).await;
    let pairs = answer["metrics"].as_array().unwrap().iter();
    pairs
        .map(|pair| (pair["name"].as_str().unwrap().to_owned(), pair["value"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
