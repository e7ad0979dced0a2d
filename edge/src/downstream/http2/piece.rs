//! A piece of a response on its way to an HTTP/2 client.

use std::rc::Rc;

use bytes::{Buf, Bytes};

use crate::worker::client_activity::ClientActivity;

/// A piece of a response. It waits until the client has granted a window for it, and counts as held by the
/// client as long as it exists.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    /// Who holds it, and how many bytes; `None` for the edge's own texts.
    held: Option<(Rc<ClientActivity>, usize)>,
}

impl Piece {
    /// Copies a piece of a response, and counts it.
    pub(super) fn counted(bytes: &[u8], activity: &Rc<ClientActivity>) -> Self {
        activity.hold(bytes.len());
        Self { bytes: Bytes::copy_from_slice(bytes), held: Some((Rc::clone(activity), bytes.len())) }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, held: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some((activity, bytes)) = self.held.take() {
            activity.release(bytes);
        }
    }
}
