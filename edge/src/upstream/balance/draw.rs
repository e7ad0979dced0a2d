//! Drawing candidates at random.

use super::Candidates;

/// Draws one that is not excluded; `None` if all are excluded.
pub(super) fn one(candidates: &impl Candidates, random: u64) -> Option<usize> {
    if candidates.is_weighted() {
        by_weight(candidates, random)
    } else {
        first_from(candidates, position(random, candidates.count()))
    }
}

/// Draws one that is not excluded, each as likely as its weight says; `None` if all are excluded. `random` is a random
/// number of at least 32 bits.
fn by_weight(candidates: &impl Candidates, random: u64) -> Option<usize> {
    from(candidates, random, |_| true)
}

/// Draws two different ones in the same way; the second is `None` if only one is left. Without weights it starts at a
/// random one and skips those that are excluded, so that few candidates are looked at.
pub(super) fn two(candidates: &impl Candidates, random: u64) -> Option<(usize, Option<usize>)> {
    // Two different ones: otherwise the busier of two would get a quarter of the requests, whatever its load.
    let (one, other) = (random & 0xffff_ffff, random >> 32);
    if candidates.is_weighted() {
        let one = by_weight(candidates, one)?;
        return Some((one, from(candidates, other, |index| index != one)));
    }
    let count = candidates.count();
    let one = first_from(candidates, position(one, count))?;
    let start = one + 1 + position(other, count - 1);
    let mut others = (0..count).map(|step| (start + step) % count);
    Some((one, others.find(|&other| other != one && !candidates.is_excluded(other))))
}

/// Returns the first that is not excluded from a position on.
pub(super) fn first_from(candidates: &impl Candidates, first: usize) -> Option<usize> {
    let count = candidates.count();
    (0..count).map(|step| (first + step) % count).find(|&index| !candidates.is_excluded(index))
}

/// Returns a random position among `count`.
fn position(random: u64, count: usize) -> usize {
    usize::try_from(random % (count as u64).max(1)).unwrap_or(0)
}

fn from(candidates: &impl Candidates, random: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
    let weight = |index: &usize| u64::from(candidates.weight(*index));
    let drawn = || (0..candidates.count()).filter(|&index| may(index) && !candidates.is_excluded(index));
    let total: u64 = drawn().map(|index| weight(&index)).sum();
    let mut left = random.checked_rem(total)?;
    drawn().find(|index| {
        let weight = weight(index);
        let is_here = left < weight;
        left = left.saturating_sub(weight);
        is_here
    })
}

#[cfg(test)]
mod tests {
    use super::{super::candidates::tests::Fixed as Test, *};

    #[test]
    fn each_is_drawn_as_often_as_its_weight_says() {
        let candidates = Test::weighing(&[3, 1, 2, 9]).without(3);
        let drawn: Vec<_> = (0..7).map(|random| by_weight(&candidates, random).unwrap()).collect();
        assert_eq!(drawn, [0, 0, 0, 1, 2, 2, 0]);
        assert_eq!(two(&candidates, 2 << 32), Some((0, Some(2))));
        assert_eq!(two(&Test::weighing(&[3, 1]).without(0), 5), Some((1, None)));
        assert_eq!(by_weight(&Test::weighing(&[3]).without(0), 5), None);
        assert_eq!(by_weight(&Test::weighing(&[]), 5), None);
    }
}
