//! The bytes of an input that are passed on without a copy.

/// How much of the input goes on where it is.
#[derive(Default)]
pub(super) struct Passing {
    /// The bytes that were inspected.
    pub(super) at: usize,
    /// The bytes that go on where they are; equal to `at` until one did not.
    pub(super) count: usize,
}

impl Passing {
    /// Passes on the `bytes` at [`Self::at`].
    pub(super) fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.count == self.at && out.is_empty() {
            self.count += bytes.len();
        } else {
            out.extend_from_slice(bytes);
        }
    }
}
