//! What happens to endpoints, names and proxy under load.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::Ledger;
use super::endpoint::{Endpoint, Mode};
use super::proxy::{HandOver, Proxy};
use super::service::Service;
use crate::dns::Answer;
use crate::wait::{SOON, eventually, pause};

/// An event. "The first" is the first endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Nothing,
    /// The first is killed.
    Killed,
    /// The first is killed, and starts again after this time.
    Restarted(Duration),
    /// The first is killed every second, and starts again at once.
    RestartsEverySecond,
    /// The endpoints are killed in turn, each for a second.
    DieInTurns,
    /// The first is stopped (SIGSTOP), and goes on later.
    Stopped,
    /// All packets to and from the first are dropped for a while.
    Cut,
    /// The first behaves like this from now on.
    Turns(Mode),
    /// All endpoints behave like this from the start.
    All(Mode),
    /// Each endpoint in turn drains, ends, and starts again at its address.
    Drained,
    /// Each is replaced by a new one at another address, as a swarm updates a service with `order: start-first`.
    StartFirst,
    /// The same with `order: stop-first`.
    StopFirst,
    /// A swarm scales the service to these numbers of endpoints.
    Scaled([usize; 2]),
    /// The name server gives another answer for a while.
    Resolves(Trouble),
    /// The proxy reads its configuration again every 200 ms.
    Reloads,
    /// The proxy is replaced by another, 20 times.
    Replaced(HandOver),
}

/// What is wrong with a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Silent,
    Fails,
    NoSuchName,
    Empty,
}

impl Event {
    /// Whether it goes on for as long as the load does.
    pub(super) fn is_endless(self) -> bool {
        matches!(self, Self::RestartsEverySecond | Self::DieInTurns | Self::Reloads)
    }

    /// Whether the proxy has to find the endpoints by name.
    pub(super) fn needs_names(self) -> bool {
        matches!(self, Self::StartFirst | Self::StopFirst | Self::Scaled(_) | Self::Resolves(_))
    }

    pub(super) fn hand_over(self) -> Option<HandOver> {
        if let Self::Replaced(by) = self { Some(by) } else { None }
    }
}

/// What an event changes.
pub(super) struct World {
    pub(super) ledger: Arc<Ledger>,
    pub(super) service: Service,
    pub(super) proxy: Proxy,
    /// How long the load takes.
    pub(super) takes: Duration,
    /// Whether the run is too short to wait for as long as a swarm does.
    pub(super) is_short: bool,
}

impl World {
    /// Makes what has to be so before the load begins.
    pub(super) async fn prepare(&mut self, event: Event) {
        if let Event::All(mode) = event {
            for endpoint in &mut self.service.endpoints {
                endpoint.set(mode).await;
            }
        }
    }

    /// Makes it happen.
    pub(super) async fn happen(&mut self, event: Event) {
        match event {
            Event::Nothing | Event::All(_) => {}
            Event::Killed => self.kill(0).await,
            Event::Restarted(after) => {
                self.kill(0).await;
                pause(after.min(self.takes / 5)).await;
                self.start_again(0).await;
            }
            Event::RestartsEverySecond => loop {
                self.kill(0).await;
                self.start_again(0).await;
                pause(Duration::from_secs(1)).await;
            },
            Event::DieInTurns => loop {
                for at in 0..self.service.endpoints.len() {
                    self.kill(at).await;
                    pause(Duration::from_secs(1)).await;
                    self.start_again(at).await;
                    // The others must have been seen to be up again.
                    pause(Duration::from_secs(3)).await;
                }
            },
            Event::Stopped => {
                self.first().freeze();
                pause(self.outage()).await;
                self.first().thaw();
            }
            Event::Cut => {
                let address = self.first().address().ip().to_string();
                filter("-A", &address);
                pause(self.outage()).await;
                filter("-D", &address);
            }
            Event::Turns(mode) => {
                // What hangs loses POSTs that begin later as well, so those under way now say nothing.
                if mode == Mode::Refuses {
                    self.ledger.happens();
                }
                self.first().set(mode).await;
            }
            Event::Drained => {
                for at in 0..self.service.endpoints.len() {
                    if let Some(endpoint) = self.service.endpoints.get_mut(at) {
                        endpoint.drain().await;
                    }
                    self.start_again(at).await;
                    pause(self.step()).await;
                }
            }
            Event::StartFirst => {
                for _ in 0..self.service.endpoints.len() {
                    self.service.add().await;
                    self.service.publish();
                    self.shut_down(1).await;
                    pause(self.step()).await;
                }
            }
            Event::StopFirst => {
                for _ in 0..self.service.endpoints.len() {
                    self.shut_down(1).await;
                    self.service.add().await;
                    self.service.publish();
                    pause(self.step()).await;
                }
            }
            Event::Scaled(counts) => {
                for count in counts {
                    while self.service.endpoints.len() < count {
                        self.service.add().await;
                    }
                    self.service.publish();
                    let surplus = self.service.endpoints.len().saturating_sub(count);
                    self.shut_down(surplus).await;
                    pause(self.step()).await;
                }
            }
            Event::Resolves(trouble) => {
                self.service.answer(match trouble {
                    Trouble::Silent => Answer::Silence,
                    Trouble::Fails => Answer::ServerFailure,
                    Trouble::NoSuchName => Answer::NoSuchName,
                    Trouble::Empty => Answer::Empty,
                });
                pause(self.step() * 4).await;
                self.service.publish();
                pause(self.step()).await;
            }
            Event::Reloads => loop {
                self.proxy.reload();
                pause(Duration::from_millis(200)).await;
            },
            Event::Replaced(_) => {
                for _ in 0..if self.is_short { 4 } else { 20 } {
                    self.proxy.replace().await;
                    pause(self.takes / 40).await;
                }
            }
        }
    }

    /// Two seconds if the load takes 20 s: the time that Docker waits between the removal of a task's address and its
    /// SIGTERM, and the delay between two tasks in stack.yml.
    fn step(&self) -> Duration {
        self.takes / 10
    }

    /// Longer than the time-outs of the proxies.
    fn outage(&self) -> Duration {
        (self.step() * 4).max(Duration::from_secs(6))
    }

    fn first(&mut self) -> &mut Endpoint {
        self.service.endpoints.first_mut().expect("an endpoint")
    }

    async fn kill(&mut self, at: usize) {
        let begun = self.ledger.requests();
        self.ledger.happens();
        if let Some(endpoint) = self.service.endpoints.get_mut(at) {
            endpoint.kill().await;
        }
        self.ledger.happened(begun);
    }

    async fn start_again(&mut self, at: usize) {
        if let Some(endpoint) = self.service.endpoints.get_mut(at) {
            endpoint.start_again().await;
        }
    }

    /// Shuts down the oldest endpoints as Docker does: their addresses are removed, and two seconds later they get
    /// SIGTERM.
    async fn shut_down(&mut self, count: usize) {
        let mut ending: Vec<Endpoint> = self.service.endpoints.drain(..count).collect();
        self.service.publish();
        let before = self.service.queries();
        if count > 0 {
            pause(self.step()).await;
        }
        if self.is_short {
            // One resolution may have begun before, and each asks for both families.
            let resolved = async || self.service.queries() >= before + 4;
            eventually("another resolution", SOON, resolved).await;
        }
        for endpoint in &mut ending {
            endpoint.drain().await;
        }
    }
}

/// Adds (`-A`) or deletes (`-D`) rules that drop all packets from and to an address of this host.
fn filter(action: &str, address: &str) {
    for side in ["-s", "-d"] {
        let rule = ["-w", action, "INPUT", side, address, "-j", "DROP"];
        let status = Command::new("iptables").args(rule).status().expect("iptables can be started");
        assert!(status.success(), "iptables {rule:?}");
    }
}
