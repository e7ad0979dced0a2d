//! The harness of the end to end tests: real peers, started and stopped by a test.
//!
//! A test talks to our own built programs ([`process`]) with a client that records every answer
//! ([`client`]). Around them stand a real Redis ([`redis`]), a real DNS server whose answers change at
//! run time ([`dns`]), the tutorial's Flask application ([`flask`]), a scriptable HTTP server
//! ([`upstream`]), one that keeps what it is sent ([`receiver`]), a mail server ([`smtp`]), a list of a
//! swarm's nodes ([`nodes`]), a Docker engine ([`dockerd`]), one that answers what real ones did
//! ([`recorded`]) and one that records what the Docker client sends ([`engine`]). Nothing here is a mock of
//! our own code. [`browser`] is a real Chromium; it is shown the page by `watch` in front of an engine whose
//! swarm a test changes ([`manager`]), or cluster states of a test's own ([`page_server`]). [`chaos`] is the checker of
//! the count under faults, [`swarm`] a real swarm of three engines.
//!
//! Whatever a value of this crate starts ends when the value is dropped, also when the test panics. A
//! test never sleeps: it waits for a condition with a deadline ([`wait`]).
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

pub mod browser;
pub mod cert;
pub mod chaos;
pub mod client;
pub mod dns;
pub mod dockerd;
pub mod engine;
pub mod flask;
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
