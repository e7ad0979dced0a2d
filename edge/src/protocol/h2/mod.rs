//! What the edge looks at in the bytes of HTTP/2 clients before the library `h2` does (RFC 9113).
//!
//! h2 ends a whole connection for some errors of one request, answers others with a reset where HTTP/1 has a
//! response, refuses characters in a path that HTTP/1 lets through, and bounds no control frames. No setting changes
//! that. A proxy in front of the edge shares connections among its visitors, so one of them could cut off the others.
//! Therefore an [`inspector::Inspector`] reads along:
//!
//! - It decodes every header block with its own [`hpack::Decoder`] and checks each field as HTTP/1 does. A block without
//!   faults passes as it came.
//! - The first fault makes it write this and all later blocks of the connection anew, without compression, because h2
//!   would otherwise lose track of the dynamic table. The block that it writes is valid, and has a [`mark`] that tells
//!   the edge what to do with its stream.
//! - It limits frames that ask for work and carry none ([`flood`]).
//!
//! Pure: bytes and times go in, bytes come out.

mod block;
pub mod fault;
pub mod flood;
pub mod frame;
pub mod hpack;
pub mod inspector;
pub mod limits;
pub mod mark;
