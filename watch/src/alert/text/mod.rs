//! Pure: the text of messages.

mod context;
mod gsm;
mod json;
mod plain;
mod sms;
#[cfg(test)]
mod tests;
mod wording;

pub use self::{
    context::Context,
    json::{alertmanager, document, ntfy, slack},
    plain::{body, subject},
    sms::sms,
    wording::clean,
};
