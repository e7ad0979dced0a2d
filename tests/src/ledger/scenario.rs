//! What happens to the endpoints of a proxy while it is under load.

use std::sync::Arc;
use std::time::Duration;

use super::endpoint::Mode;
use super::proxy::Proxy;
use super::totals::Totals;
use super::{Endpoint, Ledger, Load};
use crate::wait::{SOON, eventually, pause};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What happens, for the table.
    pub name: &'static str,
    event: Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    /// The first endpoint is killed, and starts again after this time.
    Killed(Duration),
    /// The first endpoint is killed every second, and starts again at once.
    RestartsEverySecond,
    /// The first endpoint refuses connections, and closes none.
    Refuses,
    /// The first endpoint behaves like this from now on.
    Turns(Mode),
    /// All endpoints behave like this from the start.
    All(Mode),
    /// Each endpoint in turn drains, ends, and is started again.
    Rolled,
    /// The endpoints are killed in turn, each for a second.
    DieInTurns,
    /// The proxy reads its configuration again every 200 ms.
    Reloads,
}

/// The pause of an idle connection at which an endpoint closes it exactly when the load sends its next request.
const GAP: Duration = Duration::from_millis(20);

/// All scenarios, in the order of the table: first those in which all endpoints stay able to serve.
pub const ALL: [Scenario; 16] = [
    of("nothing happens", Event::Nothing),
    of("endpoints replaced one after the other, each drained first", Event::Rolled),
    of("the configuration is read again every 200 ms", Event::Reloads),
    of("each connection is closed after a response", Event::All(Mode::Closes)),
    of("connections are closed when the next request comes", Event::All(Mode::ClosesIdle(GAP))),
    of("an endpoint is 20 times slower", Event::Turns(Mode::IsSlow(Duration::from_millis(20)))),
    of("an endpoint is killed", Event::Killed(Duration::MAX)),
    of("an endpoint is killed and starts again after 1 s", Event::Killed(Duration::from_secs(1))),
    of("an endpoint is killed every second and starts at once", Event::RestartsEverySecond),
    of("an endpoint refuses new connections", Event::Refuses),
    of("the endpoints die in turns, a second each", Event::DieInTurns),
    of("an endpoint hangs", Event::Turns(Mode::Hangs)),
    of("an endpoint hangs, its health checks answer", Event::Turns(Mode::HangsButIsHealthy)),
    of("an endpoint sends one byte a second", Event::Turns(Mode::Drips)),
    of("an endpoint answers 500 to everything", Event::Turns(Mode::Fails { every: 1 })),
    of("an endpoint answers 500 to every second request", Event::Turns(Mode::Fails { every: 2 })),
];

const fn of(name: &'static str, event: Event) -> Scenario {
    Scenario { name, event }
}

impl Scenario {
    /// Runs the scenario with `count` endpoints behind the proxy, and returns what became of the requests.
    ///
    /// # Panics
    /// If the proxy cannot be started.
    pub async fn run(&self, start: impl AsyncFn(&[std::net::SocketAddr]) -> Proxy, count: usize, load: Load) -> Totals {
        let ledger = Arc::new(Ledger::default());
        let mut endpoints = Vec::new();
        for _ in 0..count {
            endpoints.push(Endpoint::start(&ledger).await);
        }
        let addresses: Vec<_> = endpoints.iter().map(Endpoint::address).collect();
        let mut proxy = start(&addresses).await;
        let warm = Arc::new(Ledger::default());
        eventually("a response through the proxy", SOON, async || {
            let one = Load { requests: 1, connections: 1, pace: Duration::ZERO, http2: load.http2 };
            one.run(proxy.address(), &warm).await;
            let totals = warm.totals();
            totals.failed_gets + totals.failed_posts < totals.requests
        })
        .await;
        let began = load.takes() / 5;
        {
            let requests = load.run(proxy.address(), &ledger);
            tokio::pin!(requests);
            tokio::select! {
                () = &mut requests => {}
                () = async {
                    if !matches!(self.event, Event::All(_)) {
                        pause(began).await;
                    }
                    self.happen(&endpoints, &mut proxy, load.takes()).await;
                    std::future::pending::<()>().await;
                } => {}
            }
        }
        ledger.totals()
    }

    async fn happen(&self, endpoints: &[Endpoint], proxy: &mut Proxy, takes: Duration) {
        let Some(first) = endpoints.first() else { return };
        match self.event {
            Event::Nothing => {}
            Event::Killed(down) => {
                first.kill().await;
                pause(down.min(takes)).await;
                if down != Duration::MAX {
                    first.listen().await;
                }
            }
            Event::RestartsEverySecond => loop {
                first.kill().await;
                first.listen().await;
                pause(Duration::from_secs(1)).await;
            },
            Event::Refuses => first.refuse().await,
            Event::Turns(mode) => first.set(mode),
            Event::All(mode) => endpoints.iter().for_each(|endpoint| endpoint.set(mode)),
            Event::Rolled => {
                let pause_between = takes / u32::try_from(2 * endpoints.len()).unwrap_or(u32::MAX);
                for endpoint in endpoints {
                    endpoint.drain().await;
                    endpoint.listen().await;
                    pause(pause_between).await;
                }
            }
            Event::DieInTurns => loop {
                for endpoint in endpoints {
                    endpoint.kill().await;
                    pause(Duration::from_secs(1)).await;
                    endpoint.listen().await;
                    // The others must have been seen to be up again.
                    pause(Duration::from_secs(3)).await;
                }
            },
            Event::Reloads => loop {
                proxy.reload();
                pause(Duration::from_millis(200)).await;
            },
        }
    }
}
