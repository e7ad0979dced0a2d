//! Coalesces the slices of a small message into one plain write.
//!
//! Head and body come as separate slices. For large ones a vectored write saves a copy; for small ones copying them
//! together costs less than the kernel's work for a vector.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;

/// Messages up to this length are copied together. In bytes.
const SMALL: usize = 2048;

/// Writes slices, and those of a small message as one.
pub fn poll_write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [slice] = slices {
        return Pin::new(stream).poll_write(cx, slice);
    }
    let mut message = [0; SMALL];
    let mut length = 0;
    for slice in slices {
        match message.get_mut(length..length + slice.len()) {
            Some(target) => target.copy_from_slice(slice),
            None => return Pin::new(stream).poll_write_vectored(cx, slices),
        }
        length += slice.len();
    }
    Pin::new(stream).poll_write(cx, &message[..length])
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Returns what arrives when all slices are written.
    async fn arrived(slices: &[Vec<u8>]) -> Vec<u8> {
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        let mut left: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut left = &mut left[..];
        while left.iter().any(|slice| !slice.is_empty()) {
            let count = poll_fn(|cx| poll_write(&mut near, cx, left)).await.unwrap();
            assert!(count > 0);
            IoSlice::advance_slices(&mut left, count);
        }
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        all
    }

    proptest! {
        #[test]
        fn all_bytes_arrive_in_order(slices in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1500), 0..6)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(arrived(&slices)), slices.concat());
        }
    }

    #[tokio::test]
    async fn messages_around_the_limit_arrive_whole() {
        for length in [SMALL - 1, SMALL, SMALL + 1] {
            let slices = [vec![1; 100], vec![2; length - 100]];
            assert_eq!(arrived(&slices).await, slices.concat());
        }
    }
}
