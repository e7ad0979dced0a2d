//! Whether the body of a request is kept, so that the request can be sent again.
//!
//! Only what is short is kept, as in Envoy (`retry` with its buffer limit) and linkerd (`ReplayBody`): past the bound, a
//! request that has begun cannot be sent again. The copy is the bytes on the wire, in the buffer from which they were
//! written; see [`WriteBuffer::keep`](crate::protocol::h1::write_buffer::WriteBuffer::keep).

use std::rc::Rc;

use crate::{
    io::memory::{Held, Level, Memory},
    protocol::h1::framing::Framing,
};

/// A body that is kept. Its bytes are counted in the budget of the process until it is dropped.
#[derive(Debug)]
pub struct Replay {
    /// In bytes.
    max: u64,
    memory: Rc<Memory>,
    held: Held,
}

impl Replay {
    /// Keeps a body with this framing and at most `max` bytes. `None` if it is known to be longer, or if memory is
    /// scarce.
    #[must_use]
    pub fn new(framing: Framing, max: usize, memory: &Rc<Memory>) -> Option<Self> {
        let max = max as u64;
        let may_fit = match framing {
            Framing::None => false,
            Framing::Length(length) => length <= max,
            Framing::Chunked | Framing::Close => max > 0,
        };
        let replay = || Self { max, memory: Rc::clone(memory), held: Held::new(memory, 0) };
        (may_fit && has_memory(memory)).then(replay)
    }

    /// Counts the body, which has this many bytes so far. Returns whether it can still be kept.
    pub(super) fn admit(&mut self, bytes: u64) -> bool {
        let admitted = bytes <= self.max && has_memory(&self.memory);
        if admitted {
            self.held.set(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        admitted
    }
}

/// Clients are about to lose their connections otherwise.
fn has_memory(memory: &Memory) -> bool {
    memory.level() < Level::Shedding
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::io::memory::Budget;

    #[test]
    fn a_body_is_kept_up_to_the_bound_and_counted() {
        let budget = Arc::new(Budget::new(Some(1 << 30), 1));
        let memory = Memory::new(Arc::clone(&budget));
        let before = budget.used();
        for framing in [Framing::None, Framing::Length(1 << 21)] {
            assert!(Replay::new(framing, 1 << 20, &memory).is_none(), "{framing:?}");
        }
        assert!(Replay::new(Framing::Chunked, 0, &memory).is_none());
        let mut replay = Replay::new(Framing::Chunked, 1 << 20, &memory).unwrap();
        assert!(replay.admit(1000) && replay.admit(1 << 20));
        assert!(budget.used() >= 1 << 20, "{}", budget.used());
        assert!(!replay.admit((1 << 20) + 1));
        drop(replay);
        assert!(budget.used() - before < 1 << 20, "{}", budget.used());
    }

    #[test]
    fn no_body_is_kept_while_memory_is_scarce() {
        let memory = Memory::new(Arc::new(Budget::new(Some(8 << 20), 1)));
        let mut replay = Replay::new(Framing::Length(10), 100, &memory).unwrap();
        memory.hold(7 << 20);
        assert!(!replay.admit(10));
        assert!(Replay::new(Framing::Length(10), 100, &memory).is_none());
    }
}
