//! HTTP/1 on the wire (RFC 9112): where a head ends, where a body ends, what goes out.
//!
//! Pure but for [`write_buffer`], which writes to a stream: bytes go in, borrowed parts or decisions come out.
//! hyper serves HTTP/2 and the admin pages; on the path of an HTTP/1 request its maps, channels and
//! allocations cost as much as all else that the edge does in user space. A proxy needs less: it looks
//! at a dozen fields and passes the others on as they came.
//!
//! What is read loosely by some and strictly by others is how requests are smuggled, so all that RFC
//! 9112 lets a recipient refuse is refused here, and all that goes out is written anew: no byte of a
//! message's framing is passed on.

pub mod body;
pub mod chunked;
pub mod coalesce;
pub mod framing;
pub mod head;
pub mod write_buffer;
