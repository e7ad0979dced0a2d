//! Runs a desk: shows it pictures, asks the ledger, sends what it says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

use super::{
    channel::{Http, Sender, Senders, senders},
    desk::{Desk, Failure, Job, Notice, Push, Retry},
    heartbeat,
    keeper::{self, Ask},
    ledger::{Ledger, Store, Told, Verdict},
    metrics::{Metrics, Outcome},
    settings::Settings,
    time::{self, millis},
};
use crate::picture::{Alert, AlertState, Millis, Picture};

/// How often there is a look at what is due.
const TICK: Duration = Duration::from_millis(250);

/// A picture that does not change is looked at again after this: time passes.
const LOOK: Duration = Duration::from_secs(1);

/// How often the ledger is read.
const SYNC: Duration = Duration::from_secs(5);

/// How often it is tried while it lacks something.
const SYNC_AHEAD: Duration = Duration::from_millis(500);

/// A claim lasts so much longer than sending may.
const SLACK: Duration = Duration::from_secs(10);

/// What time it is.
type Clock = Box<dyn Fn() -> Millis + Send>;

/// Alerts by fingerprint.
pub type Alerts = Arc<BTreeMap<String, Alert>>;

/// What the desk is told.
#[derive(Debug)]
pub(super) enum Event {
    Claimed(Job, Result<Vec<Verdict>, String>),
    Sent(Notice, Result<(), Failure>),
    Synced(Push, Result<Vec<(String, String, Told)>, String>),
}

enum Control {
    Reload(Box<Settings>, Senders, Http),
    Stop(oneshot::Sender<()>),
}

/// Alerts that are looked after.
#[derive(Debug)]
pub struct Running {
    alerts: watch::Receiver<Alerts>,
    control: mpsc::UnboundedSender<Control>,
    metrics: Metrics,
    task: JoinHandle<()>,
}

/// Looks after alerts by what the pictures show, from now on. `store` keeps what the instances know of each
/// other; without one, each announces by itself.
///
/// # Errors
/// A channel cannot be used as it is configured.
pub fn start(
    settings: Settings,
    pictures: watch::Receiver<Arc<Picture>>,
    store: Option<Arc<dyn Store>>,
) -> Result<Running, String> {
    start_with(settings, pictures, store, Box::new(time::now))
}

fn start_with(
    settings: Settings,
    pictures: watch::Receiver<Arc<Picture>>,
    store: Option<Arc<dyn Store>>,
    clock: Clock,
) -> Result<Running, String> {
    let senders = senders(&settings)?;
    let http = Http::new(&settings.general.authorities)?;
    let metrics = Metrics::default();
    let (shown, alerts) = watch::channel(Alerts::default());
    let (control, controls) = mpsc::unbounded_channel();
    let runner = Runner::new(settings, senders, http, pictures, Ledger::new(store), metrics.clone(), shown, clock);
    let task = tokio::spawn(runner.run(controls));
    Ok(Running { alerts, control, metrics, task })
}

impl Running {
    /// The alerts as the page shows them.
    #[must_use]
    pub fn alerts(&self) -> watch::Receiver<Alerts> {
        self.alerts.clone()
    }

    /// For `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Goes on by other settings.
    ///
    /// # Errors
    /// A channel cannot be used as it is configured; then nothing changes.
    pub fn reload(&self, settings: Settings) -> Result<(), String> {
        let senders = senders(&settings)?;
        let http = Http::new(&settings.general.authorities)?;
        // It runs as long as it is not stopped, and that takes it by value.
        drop(self.control.send(Control::Reload(Box::new(settings), senders, http)));
        Ok(())
    }

    /// Ends. What is being sent is finished, within `bound`.
    pub async fn stop(self, bound: Duration) {
        let (done, ended) = oneshot::channel();
        drop(self.control.send(Control::Stop(done)));
        if tokio::time::timeout(bound, ended).await.is_err() {
            warn!("messages were under way that are cut off; another instance sends them again");
        }
        self.task.abort();
    }
}

struct Runner {
    desk: Desk,
    senders: Senders,
    pictures: watch::Receiver<Arc<Picture>>,
    asks: mpsc::UnboundedSender<(Ask, Instant)>,
    events: mpsc::UnboundedReceiver<Event>,
    events_to: mpsc::UnboundedSender<Event>,
    shown: watch::Sender<Alerts>,
    metrics: Metrics,
    clock: Clock,
    /// How long a claim lasts.
    lifetime: Millis,
    /// Messages under way.
    sending: usize,
    is_syncing: bool,
    synced: Option<Instant>,
    looked: Option<Instant>,
    /// They end with the runner.
    tasks: JoinSet<()>,
    heartbeat: Option<tokio::task::AbortHandle>,
}

impl Runner {
    #[expect(clippy::too_many_arguments, reason = "it is made in one place")]
    fn new(
        settings: Settings,
        senders: Senders,
        http: Http,
        pictures: watch::Receiver<Arc<Picture>>,
        ledger: Ledger,
        metrics: Metrics,
        shown: watch::Sender<Alerts>,
        clock: Clock,
    ) -> Self {
        let me = format!("{:012x}", fastrand::u64(..1 << 48));
        let (asks, asked) = mpsc::unbounded_channel();
        let (events_to, events) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper::run(me.clone(), ledger, asked, events_to.clone(), metrics.clone()));
        let mut runner = Self {
            desk: Desk::new(&me, settings.orders()),
            senders,
            pictures,
            asks,
            events,
            events_to,
            shown,
            metrics,
            clock,
            lifetime: 0,
            sending: 0,
            is_syncing: false,
            synced: None,
            looked: None,
            tasks,
            heartbeat: None,
        };
        runner.follow(settings, http);
        runner
    }

    /// Goes by these settings in all but the desk.
    fn follow(&mut self, settings: Settings, http: Http) {
        let longest = settings.channels.iter().map(|channel| channel.timeout).max().unwrap_or_default();
        self.lifetime = millis(longest + SLACK);
        if let Some(before) = self.heartbeat.take() {
            before.abort();
        }
        self.heartbeat = settings.heartbeat.map(|heartbeat| {
            let beating = heartbeat::run(heartbeat, http, self.pictures.clone(), self.metrics.clone());
            self.tasks.spawn(beating)
        });
    }

    async fn run(mut self, mut controls: mpsc::UnboundedReceiver<Control>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tick(),
                Some(event) = self.events.recv() => self.take(event),
                control = controls.recv() => match control {
                    Some(Control::Reload(settings, senders, http)) => {
                        self.desk.replace(settings.orders());
                        self.senders = senders;
                        self.follow(*settings, http);
                    }
                    Some(Control::Stop(done)) => {
                        self.finish().await;
                        // Whoever asked may have gone.
                        done.send(()).unwrap_or(());
                        return;
                    }
                    None => return self.finish().await,
                },
            }
        }
    }

    fn tick(&mut self) {
        let now = (self.clock)();
        let is_new = self.pictures.has_changed().unwrap_or(false);
        if is_new || self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            let picture = self.pictures.borrow_and_update().clone();
            self.desk.observe(&picture, now);
            self.show();
        }
        for job in self.desk.next(now) {
            self.ask(Ask::Claim { job, lifetime: self.lifetime });
        }
        let pause = if self.desk.is_ahead() { SYNC_AHEAD } else { SYNC };
        if self.desk.has_lines() && !self.is_syncing && self.synced.is_none_or(|synced| synced.elapsed() >= pause) {
            self.sync(now);
        }
    }

    fn sync(&mut self, now: Millis) {
        self.is_syncing = true;
        self.synced = Some(Instant::now());
        self.ask(Ask::Sync(self.desk.push(now)));
    }

    fn ask(&self, ask: Ask) {
        // The keeper ends with this.
        drop(self.asks.send((ask, Instant::now())));
    }

    /// Publishes what the page shows.
    fn show(&self) {
        let alerts = self.desk.alerts();
        let count = |state| alerts.values().filter(|alert| alert.state == state).count();
        self.metrics.alerts("pending", count(AlertState::Pending));
        self.metrics.alerts("firing", count(AlertState::Firing));
        self.shown.send_if_modified(|shown| {
            let is_new = **shown != alerts;
            if is_new {
                *shown = Arc::new(alerts);
            }
            is_new
        });
    }

    fn take(&mut self, event: Event) {
        let now = (self.clock)();
        match event {
            Event::Claimed(job, verdicts) => {
                if let Some(notice) = self.desk.claimed(&job, verdicts.map_err(drop), now) {
                    self.send(notice);
                }
            }
            Event::Sent(notice, outcome) => {
                self.sending = self.sending.saturating_sub(1);
                self.sent(&notice, &outcome);
                self.desk.sent(&notice, outcome, now);
                if !self.is_syncing {
                    self.sync(now);
                }
            }
            Event::Synced(push, told) => {
                self.is_syncing = false;
                self.desk.synced(&push, told.map_err(drop), now);
            }
        }
    }

    fn send(&mut self, notice: Notice) {
        self.sending += 1;
        let sender = self.senders.get(&notice.line).filter(|_| !notice.silent).cloned();
        let events = self.events_to.clone();
        self.tasks.spawn(async move {
            let outcome = match sender {
                Some(sender) => attempt(sender, notice.clone()).await,
                None => Ok(()),
            };
            // Without a runner nobody wants to know.
            drop(events.send(Event::Sent(notice, outcome)));
        });
        while self.tasks.try_join_next().is_some() {}
    }

    fn sent(&self, notice: &Notice, outcome: &Result<(), Failure>) {
        if notice.silent {
            return;
        }
        let (channel, rule, alerts) = (&notice.line, notice.rule, notice.items.len());
        let what = match outcome {
            Ok(()) => {
                info!(channel, rule, alerts, kind = ?notice.kind, id = notice.id, "a message was sent");
                Outcome::sent
            }
            Err(Failure { error, retry }) => {
                warn!(channel, rule, alerts, error, ?retry, "a message was not sent");
                if *retry == Retry::Partial { Outcome::partly } else { Outcome::failed }
            }
        };
        self.metrics.notification(channel, what);
    }

    /// Waits for what is being sent, and writes it down. Whoever waits for this has a bound.
    async fn finish(&mut self) {
        while self.sending > 0 {
            match self.events.recv().await {
                // What is claimed is not sent any more: its claim runs out, or is given back.
                Some(Event::Claimed(..)) | None => {}
                Some(event) => self.take(event),
            }
        }
        self.sync((self.clock)());
        let bound = Instant::now() + Duration::from_secs(2);
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Synced(..)) if !self.desk.is_ahead() => return,
                    Some(Event::Claimed(..)) => {}
                    Some(event) => self.take(event),
                    None => return,
                },
                () = sleep_until(bound) => return,
            }
        }
    }
}

/// Sends in a task of its own, so that a bug there is a failure and not silence.
async fn attempt(sender: Arc<Sender>, notice: Notice) -> Result<(), Failure> {
    let sending = tokio::spawn(async move { sender.send(&notice).await });
    sending
        .await
        .unwrap_or_else(|error| Err(Failure { error: error.to_string(), retry: Retry::After(Duration::from_secs(60)) }))
}

#[cfg(test)]
mod tests;
