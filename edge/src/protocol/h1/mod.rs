//! HTTP/1 on the wire (RFC 9112): parsing heads, finding the end of bodies, and writing messages.
//!
//! Pure, except for [`write_buffer`] and [`coalesce`], which write to a stream: bytes go in, borrowed parts or
//! decisions come out. hyper serves the admin pages, and h2 HTTP/2. On the path of an HTTP/1 request its maps, channels
//! and allocations would cost as much as everything else that the edge does in user space. A proxy needs less: it
//! examines a dozen fields and passes the others on unchanged.
//!
//! Request smuggling exploits messages that some recipients parse loosely and others strictly. Therefore everything
//! that RFC 9112 allows a recipient to reject is rejected here, and all framing is written again: no byte of a
//! message's framing is passed on.

pub mod body;
pub mod chunked;
pub mod coalesce;
pub mod framing;
pub mod head;
pub mod write_buffer;
