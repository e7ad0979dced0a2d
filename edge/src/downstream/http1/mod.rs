//! HTTP/1 connections of clients.

mod connection;

pub use self::connection::{Connection, End};
