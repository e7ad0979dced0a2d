//! Requests over HTTP/2. hyper implements the protocol behind an [`InspectedStream`]; two bodies connect it to the edge's
//! own HTTP/1.

mod inspected_stream;
mod piece;
mod relay;
mod request_body;
mod response_body;
mod service;

pub use self::{
    inspected_stream::InspectedStream,
    piece::Piece,
    request_body::{CONNECTION_WINDOW, STREAM_WINDOW, Upload},
    response_body::ResponseBody,
    service::answer,
};
