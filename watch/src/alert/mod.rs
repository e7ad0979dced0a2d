//! A word when something goes wrong, and one when it is over.
//!
//! Pictures come in; [`rules`] find what is wrong in each, the [`alert_states`] makes alerts of it that begin
//! and end, the [`notifier`] decides what this instance has to say of them and when, the [`notification_log`] is how the
//! instances know of each other's words, and the [`channel`]s carry them. All but the last two are pure;
//! `run` puts them together. `docs/alerts.md` says what all of it is for.

pub mod alert_states;
pub mod channel;
pub mod condition;
mod heartbeat;
mod metrics;
pub mod notification_log;
pub mod notifier;
pub mod position;
pub mod rule;
pub mod rules;
mod run;
pub mod settings;
pub mod silence;
mod test_message;
pub mod text;
pub mod time;

pub use self::{
    metrics::Metrics,
    run::{Alerts, Running, start},
    settings::Settings,
    test_message::{Report, test},
};
