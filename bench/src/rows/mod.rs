//! The rows of the table.

mod app;
mod bench;
mod bodies;
mod counts;
mod handshakes;
mod held;
mod http2;
mod idle;
mod latency;
mod lifecycle;
mod row;
mod small_get;
mod table;
mod websocket;

pub(crate) use self::{
    bench::Bench,
    row::{Aim, Metric, Row, Side},
    table::ROWS,
};
