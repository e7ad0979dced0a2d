//! Alerts: finds what is wrong and notifies people when it begins and when it ends.
//!
//! The [`rules`] find what is wrong in each cluster state. The [`alert_states`] turn that into alerts that begin
//! and end. The [`notifier`] decides which of them this instance should announce, and when. Through the
//! [`notification_log`] the instances know what the others have sent, and the [`channel`]s send it. All but the
//! last two are pure; `run` puts them together. `docs/alerts.md` describes all of it for users.

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
mod state_file;
mod test_message;
pub mod text;
pub mod time;

pub use self::{
    metrics::Metrics,
    run::{Alerts, Running, start},
    settings::Settings,
    test_message::{Report, test},
};
