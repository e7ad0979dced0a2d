//! The loop around a notifier.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

use super::{
    event::{Alerts, Clock, Control, Event},
    log_worker::{self, LogRequest},
};
use crate::{
    alert::{
        channel::{Http, Sender, Senders},
        heartbeat,
        metrics::{Metrics, Outcome},
        notification_log::SharedLog,
        notifier::{Failure, Notification, Notifier, Retry, Undelivered},
        settings::Settings,
        state_file::{Entries, StateFile},
        time::{self, millis},
    },
    cluster_state::{AlertState, ClusterState, Millis},
};

/// How often the notifier is asked what is due.
const TICK: Duration = Duration::from_millis(250);

/// How often a cluster state that does not change is evaluated again, since time passes.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);

/// How much longer than the longest send a claim lasts.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);

/// What one instance needs to evaluate alerts and send notifications.
pub(super) struct Runner {
    notifier: Notifier,
    senders: Senders,
    states: watch::Receiver<Arc<ClusterState>>,
    requests: mpsc::UnboundedSender<(LogRequest, Instant)>,
    events: mpsc::UnboundedReceiver<Event>,
    events_to: mpsc::UnboundedSender<Event>,
    shown: watch::Sender<Alerts>,
    metrics: Metrics,
    clock: Clock,
    /// How long a claim lasts.
    lifetime: Millis,
    /// Where this instance keeps what it has announced.
    state_file: Option<StateFile>,
    /// What the state file had at the start, until it is known whether the log has it.
    remembered: Option<Entries>,
    /// The number of messages being sent.
    sending: usize,
    is_syncing: bool,
    synced: Option<Instant>,
    observed: Option<Instant>,
    /// The tasks end with the runner.
    tasks: JoinSet<()>,
    heartbeat: Option<tokio::task::AbortHandle>,
}

impl Runner {
    #[expect(clippy::too_many_arguments, reason = "it is made in one place")]
    pub(super) fn new(
        settings: Settings,
        senders: Senders,
        http: Http,
        states: watch::Receiver<Arc<ClusterState>>,
        log: SharedLog,
        metrics: Metrics,
        shown: watch::Sender<Alerts>,
        clock: Clock,
    ) -> Self {
        let instance = format!("{:012x}", fastrand::u64(..1 << 48));
        let notifier = Notifier::new(&instance, settings.notifier_config());
        let has_log = log.is_configured();
        let notifier = if has_log { notifier } else { notifier.without_log() };
        let (requests, requested) = mpsc::unbounded_channel();
        let (events_to, events) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(log_worker::run(instance.clone(), log, requested, events_to.clone(), metrics.clone()));
        let mut runner = Self {
            notifier,
            senders,
            states,
            requests,
            events,
            events_to,
            shown,
            metrics,
            clock,
            lifetime: 0,
            state_file: None,
            remembered: None,
            sending: 0,
            is_syncing: false,
            synced: None,
            observed: None,
            tasks,
            heartbeat: None,
        };
        if !has_log && settings.general.state_file.is_none() && !settings.channels.is_empty() {
            info!("without Redis and state_file, a restart sends messages about alerts that still fire again");
        }
        runner.open_state_file(settings.general.state_file.clone());
        if !has_log {
            runner.recall();
        }
        runner.follow(settings, http);
        runner
    }

    /// Opens the state file if it is not the one in use.
    fn open_state_file(&mut self, path: Option<PathBuf>) {
        if self.state_file.as_ref().map(StateFile::path) == path.as_deref() {
            return;
        }
        let (file, entries) = path.map(|path| StateFile::open(path, (self.clock)())).unzip();
        (self.state_file, self.remembered) = (file, entries);
    }

    /// Learns what the state file had at the start.
    fn recall(&mut self) {
        if let Some(entries) = self.remembered.take() {
            let now = (self.clock)();
            self.notifier.remember(entries, now);
        }
    }

    fn save(&self, now: Millis) {
        if let Some(file) = &self.state_file {
            file.save(&self.notifier.announced(now));
        }
    }

    /// Applies settings to everything but the notifier.
    fn follow(&mut self, settings: Settings, http: Http) {
        let longest = settings.channels.iter().map(|channel| channel.timeout).max().unwrap_or_default();
        self.lifetime = millis(longest + CLAIM_MARGIN);
        if let Some(before) = self.heartbeat.take() {
            before.abort();
        }
        self.heartbeat = settings.heartbeat.map(|heartbeat| {
            let beating = heartbeat::run(heartbeat, http, self.states.clone(), self.metrics.clone());
            self.tasks.spawn(beating)
        });
    }

    pub(super) async fn run(mut self, mut controls: mpsc::UnboundedReceiver<Control>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tick(),
                Some(event) = self.events.recv() => self.take(event),
                control = controls.recv() => match control {
                    Some(Control::Reload(settings, senders, http)) => {
                        self.notifier.replace(settings.notifier_config());
                        self.senders = senders;
                        // This instance knows more than a file that is new to it.
                        self.open_state_file(settings.general.state_file.clone());
                        self.remembered = None;
                        self.follow(*settings, http);
                    }
                    Some(Control::Stop(done)) => {
                        self.finish().await;
                        // The caller may no longer be waiting.
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
        let is_new = self.states.has_changed().unwrap_or(false);
        if is_new || self.observed.is_none_or(|observed| observed.elapsed() >= OBSERVE_INTERVAL) {
            self.observed = Some(Instant::now());
            let cluster = self.states.borrow_and_update().clone();
            self.notifier.observe(&cluster, now);
            self.show();
        }
        for notification in self.notifier.redeliveries(now) {
            self.send(notification);
        }
        for group in self.notifier.next(now) {
            self.request(LogRequest::Claim { group, lifetime: self.lifetime });
        }
        let pause = time::duration(self.notifier.pause());
        if self.notifier.has_receivers()
            && !self.is_syncing
            && self.synced.is_none_or(|synced| synced.elapsed() >= pause)
        {
            self.sync(now);
        }
    }

    fn sync(&mut self, now: Millis) {
        self.is_syncing = true;
        self.synced = Some(Instant::now());
        self.request(LogRequest::Sync(self.notifier.log_sync(now)));
    }

    fn request(&self, request: LogRequest) {
        // The worker ends with this sender.
        drop(self.requests.send((request, Instant::now())));
    }

    /// Publishes the alerts for the page.
    fn show(&self) {
        let alerts = self.notifier.alerts();
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
            Event::Claimed(group, results) => {
                if let Some(notification) = self.notifier.claimed(&group, results.map_err(drop), now) {
                    self.send(notification);
                }
            }
            Event::Sent(notification, outcome) => {
                self.sending = self.sending.saturating_sub(1);
                self.sent(&notification, &outcome);
                self.notifier.sent(&notification, outcome, now);
                self.save(now);
                if !self.is_syncing {
                    self.sync(now);
                }
            }
            Event::Synced(sync, entries) => {
                self.is_syncing = false;
                match &entries {
                    // The log knows what was announced after this instance had written its file.
                    Ok(_) => self.remembered = None,
                    Err(_) => self.recall(),
                }
                self.notifier.synced(&sync, entries.map_err(drop), now);
                self.save(now);
            }
        }
    }

    fn send(&mut self, notification: Notification) {
        self.sending += 1;
        let sender = self.senders.get(&notification.receiver).filter(|_| !notification.silent).cloned();
        let events = self.events_to.clone();
        self.tasks.spawn(async move {
            let outcome = match sender {
                Some(sender) => attempt(sender, notification.clone()).await,
                None => Ok(()),
            };
            // This fails only when the runner has ended.
            drop(events.send(Event::Sent(notification, outcome)));
        });
        while self.tasks.try_join_next().is_some() {}
    }

    fn sent(&self, notification: &Notification, outcome: &Result<(), Failure>) {
        if notification.silent {
            return;
        }
        let (channel, rule, alerts) = (&notification.receiver, notification.rule, notification.items.len());
        let to = notification.recipients.join(", ");
        let to = if to.is_empty() { "all" } else { to.as_str() };
        let what = match outcome {
            Ok(()) => {
                info!(channel, to, rule, alerts, kind = ?notification.kind, id = notification.id, "message sent");
                Outcome::sent
            }
            Err(Failure { retry: Retry::Partial, undelivered, .. }) => {
                let missing = undelivered.len();
                info!(channel, rule, alerts, missing, kind = ?notification.kind, id = notification.id, "message sent in part");
                for Undelivered { recipient, error, retry } in undelivered {
                    warn!(channel, to = recipient, rule, error, ?retry, "message not sent");
                }
                Outcome::partly
            }
            Err(Failure { error, retry, .. }) => {
                warn!(channel, to, rule, alerts, error, ?retry, "message not sent");
                Outcome::failed
            }
        };
        self.metrics.notification(channel, what);
    }

    /// Waits for messages that are being sent, and writes them down. The caller limits the time.
    async fn finish(&mut self) {
        self.finish_messages().await;
        self.save((self.clock)());
        if let Some(file) = self.state_file.take() {
            file.close().await;
        }
    }

    async fn finish_messages(&mut self) {
        while self.sending > 0 {
            match self.events.recv().await {
                // A claimed group is not sent any more: its claim expires or is released.
                Some(Event::Claimed(..)) | None => {}
                Some(event) => self.take(event),
            }
        }
        self.sync((self.clock)());
        let bound = Instant::now() + Duration::from_secs(2);
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Synced(..)) if !self.notifier.has_unlogged() => return,
                    Some(Event::Claimed(..)) => {}
                    Some(event) => self.take(event),
                    None => return,
                },
                () = sleep_until(bound) => return,
            }
        }
    }
}

/// Sends in a task of its own, so that a panic there is reported as a failure.
async fn attempt(sender: Arc<Sender>, notification: Notification) -> Result<(), Failure> {
    let sending = tokio::spawn(async move { sender.send(&notification).await });
    sending.await.unwrap_or_else(|error| Err(Failure::new(error.to_string(), Retry::After(Duration::from_secs(60)))))
}
