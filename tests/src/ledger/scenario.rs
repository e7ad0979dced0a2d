//! The scenarios, and how one is run.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::endpoint::Mode;
use super::event::{Event, Trouble, World};
use super::proxy::{HandOver, Kind, Proxy, Setup};
use super::service::Service;
use super::totals::Totals;
use super::{Ledger, Load};
use crate::netns;
use crate::wait::{SOON, eventually, pause};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What happens, for the table.
    pub name: &'static str,
    /// How much may be lost.
    pub aim: Aim,
    /// The numbers of endpoints with which it is run.
    pub pools: &'static [u8],
    event: Event,
}

/// What a proxy should lose at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Nothing: whoever replaces, scales and configures gives notice, or some endpoint always serves.
    Nothing,
    /// The POSTs that were under way: an endpoint dies without notice.
    UnderWay,
    /// As little as possible: an endpoint takes requests and does not do its work.
    Little,
}

/// All scenarios, in the order of the table.
pub const ALL: &[Scenario] = &[
    of("nothing happens", Aim::Nothing, &[3], Event::Nothing),
    of("the configuration is read again every 200 ms", Aim::Nothing, &[3], Event::Reloads),
    of("the proxy is replaced 20 times", Aim::Nothing, &[3], Event::Replaced(HandOver::ReusePort)),
    of("the proxy is replaced 20 times, socket inherited", Aim::Nothing, &[3], Event::Replaced(HandOver::Inherited)),
    of("the proxy is replaced 20 times, by takeover", Aim::Nothing, &[3], Event::Replaced(HandOver::Takeover)),
    of("endpoints are drained and restarted in turn", Aim::Nothing, &[2, 3], Event::Drained),
    of("endpoints are replaced, start-first", Aim::Nothing, &[1, 2, 3], Event::StartFirst),
    of("endpoints are replaced, stop-first", Aim::Nothing, &[1, 2, 3], Event::StopFirst),
    of("the service is scaled to 10, then 2", Aim::Nothing, &[3], Event::Scaled([10, 2])),
    of("the name server is silent", Aim::Nothing, &[2], Event::Resolves(Trouble::Silent)),
    of("the name server answers SERVFAIL", Aim::Nothing, &[2], Event::Resolves(Trouble::Fails)),
    of("the name server answers NXDOMAIN", Aim::Nothing, &[2], Event::Resolves(Trouble::NoSuchName)),
    of("the name server answers without an address", Aim::Nothing, &[2], Event::Resolves(Trouble::Empty)),
    of("each connection is closed after a response", Aim::Nothing, &[3], Event::All(Mode::Closes)),
    of("connections are closed when the next request comes", Aim::Nothing, &[3], Event::All(Mode::ClosesIdle(IDLE))),
    of("an endpoint is 20 times slower", Aim::Nothing, &[3], Event::Turns(Mode::IsSlow(100))),
    of("an endpoint is killed", Aim::UnderWay, &[2, 3], Event::Killed),
    of("an endpoint is killed, starts after 1 s", Aim::UnderWay, &[1, 2, 3], Event::Restarted(Duration::from_secs(1))),
    of("an endpoint is killed and started every second", Aim::UnderWay, &[1, 2, 3], Event::RestartsEverySecond),
    of("endpoints die in turns, a second each", Aim::UnderWay, &[2, 3], Event::DieInTurns),
    of("an endpoint refuses new connections", Aim::UnderWay, &[2, 3], Event::Turns(Mode::Refuses)),
    of("an endpoint is stopped (SIGSTOP)", Aim::Little, &[2, 3], Event::Stopped),
    of("packets from and to an endpoint are dropped", Aim::Little, &[2, 3], Event::Cut),
    of("an endpoint never answers", Aim::Little, &[2, 3], Event::Turns(Mode::Hangs)),
    of("an endpoint answers health checks only", Aim::Little, &[2, 3], Event::Turns(Mode::HangsButIsHealthy)),
    of("an endpoint sends one byte a second", Aim::Little, &[2, 3], Event::Turns(Mode::Drips)),
    of("an endpoint answers 500", Aim::Little, &[2, 3], Event::Turns(Mode::Fails(1))),
    of("an endpoint answers every second request with 500", Aim::Little, &[2, 3], Event::Turns(Mode::Fails(2))),
];

/// With this load, all connections are as idle between two requests as the endpoints need to close them then:
/// the pace of 40 ms less the 5 ms that a request takes at the endpoint, and one for the way.
const IDLE: u64 = 34;

const fn of(name: &'static str, aim: Aim, pools: &'static [u8], event: Event) -> Scenario {
    Scenario { name, aim, pools, event }
}

impl Scenario {
    /// Whether it means anything for this proxy. The others have one way to be replaced.
    #[must_use]
    pub fn is_for(&self, kind: Kind) -> bool {
        kind == Kind::Edge || self.event.hand_over().is_none_or(|by| by == HandOver::ReusePort)
    }

    /// Why it cannot be run here.
    ///
    /// # Errors
    /// The reason.
    pub fn is_possible(&self) -> Result<(), &'static str> {
        if self.event == Event::Cut && !netns::is_isolated() {
            return Err("packets can be dropped only in an own network namespace, which root can create");
        }
        Ok(())
    }

    /// Runs the scenario with `count` endpoints behind a proxy, and returns what became of the requests.
    ///
    /// # Panics
    /// If the proxy or an endpoint cannot be started.
    pub async fn run(&self, kind: Kind, count: u8, load: Load) -> Totals {
        let load = Load { in_bursts: self.event == Event::All(Mode::ClosesIdle(IDLE)), ..load };
        let ledger = Arc::<Ledger>::default();
        let service = Service::start(&ledger, count, self.event.needs_names()).await;
        let is_short = load.takes() < Duration::from_secs(10);
        let setup = Setup { backend: service.backend(), hand_over: self.event.hand_over(), is_short };
        let proxy = Proxy::start(kind, setup);
        let addresses = [proxy.address(false), proxy.address(true)];
        let address = |is_http2: bool| addresses[usize::from(is_http2)];
        answers(address).await;
        let takes = load.takes();
        let mut world = World { ledger: Arc::clone(&ledger), service, proxy, takes, is_short };
        world.prepare(self.event).await;
        let over = watch::Sender::new(self.event.is_endless());
        {
            let requests = load.run(address, &ledger, over.subscribe());
            tokio::pin!(requests);
            tokio::select! {
                () = &mut requests => {}
                () = async {
                    pause(takes / 5).await;
                    world.happen(self.event).await;
                    over.send_replace(true);
                    std::future::pending::<()>().await;
                } => {}
            }
        }
        world.proxy.end().await;
        world.service.end().await;
        ledger.totals()
    }
}

/// Waits until the proxy answers in both protocols.
async fn answers(address: impl Fn(bool) -> std::net::SocketAddr + Copy) {
    eventually("a response through the proxy", SOON, async || {
        let ledger = Arc::<Ledger>::default();
        let one = Load { requests: 4, connections: 2, pace: Duration::ZERO, in_bursts: false };
        one.run(address, &ledger, watch::Sender::new(true).subscribe()).await;
        let totals = ledger.totals();
        totals.failed_gets + totals.failed_posts == 0
    })
    .await;
}
