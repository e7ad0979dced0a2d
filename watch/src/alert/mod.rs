//! A word when something goes wrong, and one when it is over.
//!
//! Pictures come in; [`rules`] find what is wrong in each, the [`machine`] makes alerts of it that begin
//! and end, the [`desk`] decides what this instance has to say of them and when, the [`ledger`] is how the
//! instances know of each other's words, and the channels carry them. All but the last two are pure.

pub mod condition;
pub mod desk;
pub mod ledger;
pub mod machine;
pub mod rule;
pub mod rules;
pub mod silence;
pub mod time;
