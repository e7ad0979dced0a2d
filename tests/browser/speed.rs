//! A hundred nodes and two thousand tasks, and fifty changes a second: what a frame costs.
//!
//! Figures depend on the machine, so the bounds are wide: they find what has become slower by an order.
//! `cargo test -p tests --test browser speed -- --nocapture` prints them.

use std::time::Duration;

use serde_json::json;
use tests::browser::Screen;
use tests::stage::now;
use tests::wait::pause;
use tokio::time::{Instant, MissedTickBehavior, interval};
use watch::picture::{Health, Severity, TaskState};

use crate::{Show, pictures};

/// Measures each frame's work, what takes longer than 50 ms, and how far apart frames are while it scrolls.
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
    window.roll = (millis) => new Promise((done) => {
        const begun = performance.now();
        let last = begun;
        const frame = (at) => {
            probe.gaps.push(at - last);
            last = at;
            const part = (at - begun) / millis;
            const room = document.documentElement.scrollHeight - innerHeight;
            scrollTo(0, room * (1 - Math.abs(1 - 2 * part)));
            if (part < 1) ask(frame); else done(true);
        };
        ask(frame);
    });";

fn sum_up(values: &serde_json::Value) -> (usize, f64, f64, f64) {
    let mut values: Vec<f64> = values.as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).collect();
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
        let index = ((values.len().saturating_sub(1)) as f64 * part).round() as usize;
        values.get(index).copied().unwrap_or_default()
    };
    (values.len(), at(0.5), at(0.95), at(1.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_nodes_and_fifty_changes_a_second_do_not_stutter() {
    let show = Show::of(pictures::swarm(100, 2000)).await;
    let page = &show.page;
    page.screen(Screen::DESK).await;
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": PROBE })).await;
    page.open(&show.stage.url()).await;
    page.until("document.querySelectorAll('.tile').length === 2000").await;
    let first = page.evaluate("probe.batches[probe.batches.indexOf(Math.max(...probe.batches))]").await;
    let first_long = page.evaluate("probe.long").await;
    page.until("document.querySelector('[data-settled]')").await;
    page.evaluate("probe.batches = []; probe.long = []; 0").await;

    let span = Duration::from_secs(8);
    let before = metrics(&show).await;
    let begun = Instant::now();
    let changes = async {
        let mut random = fastrand::Rng::with_seed(7);
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut sent = 0_u64;
        while begun.elapsed() < span {
            ticks.tick().await;
            sent += 1;
            show.stage.change(|picture| {
                let id = format!("task{:05}", random.usize(0..2000));
                let task = picture.tasks.get_mut(&id).unwrap();
                if random.u8(0..4) == 0 {
                    task.node = Some(format!("node{}", random.usize(0..100)));
                }
                task.state = if random.bool() { TaskState::Running } else { TaskState::Starting };
                task.health = if task.state == TaskState::Running { Health::Healthy } else { Health::Starting };
                task.since = Some(now());
                picture.timeline.push(pictures::event(1000 + sent, now(), Severity::Info, &format!("{} moved", task.name)));
                picture.timeline.drain(..picture.timeline.len().saturating_sub(300));
            });
            // The test's own copy of two thousand tasks is slow to compare: give the page its turn.
            tokio::task::yield_now().await;
        }
        sent
    };
    let (sent, _) = tokio::join!(changes, page.evaluate("roll(7000)"));
    let took = begun.elapsed();
    pause(Duration::from_millis(500)).await;
    let after = metrics(&show).await;

    let (batches, median, high, most) = sum_up(&page.evaluate("probe.batches").await);
    let (frames, gap, high_gap, most_gap) = sum_up(&page.evaluate("probe.gaps").await);
    let (long, _, _, longest) = sum_up(&page.evaluate("probe.long").await);
    let share = |name: &str| (after[name].as_f64().unwrap() - before[name].as_f64().unwrap()) / took.as_secs_f64() * 100.0;
    println!("first drawing of 100 nodes, 2000 tasks: {:.0} ms; long tasks: {first_long}", first.as_f64().unwrap_or_default());
    println!("{sent} deltas in {:.1} s, {:.0} a second", took.as_secs_f64(), sent as f64 / took.as_secs_f64());
    println!("drawing: {batches} batches, median {median:.1} ms, 95 % {high:.1} ms, most {most:.1} ms");
    println!("frames while it scrolls: {frames}, median gap {gap:.1} ms, 95 % {high_gap:.1} ms, most {most_gap:.1} ms");
    println!("long tasks (over 50 ms): {long}, longest {longest:.0} ms");
    println!(
        "of the time: script {:.0} %, style {:.0} %, layout {:.0} %, all tasks {:.0} %",
        share("ScriptDuration"), share("RecalcStyleDuration"), share("LayoutDuration"), share("TaskDuration"),
    );
    assert!(sent > 100 && batches > 50, "{sent} deltas, {batches} batches");
    assert!(median < 25.0, "drawing takes {median} ms");
    assert!(gap < 60.0, "a frame every {gap} ms");
    show.end();
}

async fn metrics(show: &Show) -> serde_json::Value {
    let answer = show.page.call("Performance.getMetrics", json!({})).await;
    let pairs = answer["metrics"].as_array().unwrap().iter();
    pairs.map(|pair| (pair["name"].as_str().unwrap().to_owned(), pair["value"].clone())).collect::<serde_json::Map<_, _>>().into()
}
