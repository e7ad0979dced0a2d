//! The hit counter: a port of the tutorial's program, which answers every visit with
//! `Hello World! I have been seen N times.`
//!
//! # Life of a hit
//!
//! [`serve()`] accepts the connection and reads the request. `routes` recognizes a visit.
//! [`Counter::hit`] adds it to the batch that the next round trip to the store will count. Its
//! number comes back and becomes the page. [`error`] maps failures to statuses in one table.
//!
//! # Use
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use app::{App, Counter, Limits, Options, StoreConfig};
//!
//! let counter = Counter::open(&StoreConfig::File("hits.redb".into()), Limits::default())?;
//! let app = App::new(counter.clone(), "node1", Options::default());
//! let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
//! app::serve(listener, app, std::future::pending()).await?;
//! counter.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! No code here reads the environment, exits, or keeps a global: any number of apps can run in one
//! process, on one counter or several. The one exception is [`program`], which is the whole process.

pub mod counter;
pub mod error;
mod metrics;
pub mod options;
pub mod program;
mod routes;
pub mod serve;

pub use counter::{Counter, CounterError, Limits, OpenError, RedisConfig, StoreConfig};
pub use error::Error;
pub use options::Options;
pub use routes::App;
pub use serve::serve;
