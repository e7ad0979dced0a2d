//! Requests over HTTP/2. hyper implements the protocol; two bodies connect it to the edge's own HTTP/1.

mod piece;
mod relay;
mod request_body;
mod response_body;
mod service;

pub use self::{
    piece::Piece,
    request_body::{CONNECTION_WINDOW, STREAM_WINDOW},
    response_body::ResponseBody,
    service::answer,
};
