//! The harness of the end-to-end tests: peers that a test starts and stops.
//!
//! A test runs the workspace's own programs ([`process`]) and sends requests with a client that records every outcome
//! ([`client`]). Their peers are a real Redis ([`redis`]), a DNS server whose answers change at run time ([`dns`]), the
//! tutorial's Flask application ([`flask`]), a scriptable HTTP server ([`upstream`]), a stand-in for a routing mesh
//! ([`balancer`]), one that records what it receives ([`receiver`]), a mail server ([`smtp`]), a list of a swarm's
//! nodes ([`nodes`]), a gRPC server with the health service ([`grpc_health`]), a Docker engine ([`dockerd`]), one that replays the responses of real engines ([`recorded`]) and
//! one that records the requests of a Docker client ([`engine`]). Nothing here mocks the workspace's own code.
//! [`browser`] is a real Chromium. It loads the page from `watch`, in front of an engine whose swarm a test changes
//! ([`manager`]), or from a server of the test's own cluster states ([`page_server`]). [`chaos`] checks the count under
//! faults, [`ledger`] what a proxy loses when endpoints fail, and [`swarm`] is a real swarm of three engines.
//!
//! Everything that a value of this crate starts ends when the value is dropped, also when the test panics. A test does
//! not sleep to wait for something: it waits for a condition with a deadline ([`wait`]).
//!
//! ```no_run
//! # use tests::{client::load::Load, dns::{Answer, Dns}, process::Process, upstream::Upstream, wait::{SOON, eventually}};
//! # async fn example() {
//! let tasks: [Upstream; 3] = Upstream::start_tasks().await;
//! let dns = Dns::start().await;
//! dns.set("tasks.web", Answer::addresses(tasks.each_ref().map(|task| task.address().ip())));
//! let listen = std::net::SocketAddr::from(([127, 0, 0, 1], tests::port::free()));
//! let mut edge = Process::ours("edge")
//!     .args(["run", "--listen", &listen.to_string()])
//!     .args(["--to", &format!("tasks.web:{}", tasks[0].address().port())])
//!     .args(["--dns", &dns.address().to_string()])
//!     .start();
//! edge.line("listening").await;
//!
//! let load = Load::on(&[listen]).start();
//! eventually("load on the first task", SOON, async || tasks[0].requests() > 10).await;
//! tasks[0].kill().await;
//! let before = load.done();
//! eventually("load on the others", SOON, async || load.done() > before + 100).await;
//! assert!(load.stop().await.iter().all(|record| record.is_ok()));
//! # }
//! ```

#![expect(clippy::expect_used, clippy::panic, reason = "a harness fails by panicking")]

pub mod balancer;
pub mod browser;
pub mod cert;
pub mod chaos;
pub mod client;
pub mod clock;
pub mod dns;
pub mod dockerd;
pub mod engine;
pub mod flask;
pub mod grpc_health;
pub mod ledger;
pub mod manager;
pub mod netns;
pub mod nodes;
pub mod page;
pub mod page_server;
pub mod port;
pub mod process;
pub mod python;
pub mod receiver;
pub mod recorded;
pub mod redis;
pub mod relay;
pub mod smtp;
pub mod swarm;
pub mod upstream;
pub mod wait;
