//! What a balancing policy sees of the endpoints.

/// The endpoints that a request may be sent to. Each is known by its position, from 0 to [`count`](Self::count).
pub trait Candidates {
    /// How many there are, excluded ones among them.
    fn count(&self) -> usize;

    /// Whether a candidate must not be picked, for example because it was tried for this request.
    fn is_excluded(&self, index: usize) -> bool;

    /// The number of a candidate's active requests, over all workers.
    fn load(&self, index: usize) -> u64;

    /// How long a candidate takes to respond, in seconds; 0 if that is not known.
    fn latency(&self, _index: usize) -> f64 {
        0.0
    }

    /// Whether the weights differ. If not, no other method about weights is called.
    fn is_weighted(&self) -> bool {
        false
    }

    /// A candidate's weight, at least 1.
    fn weight(&self, _index: usize) -> u32 {
        1
    }

    /// The weight of an ordinary candidate: weights may be in parts of it.
    fn unit(&self) -> u32 {
        1
    }

    /// The percentage of its weight that a candidate has; less than 100 in a slow start.
    fn percentage(&self, _index: usize) -> u32 {
        100
    }

    /// What identifies a candidate for consistent hashing, in every process.
    fn hash(&self, index: usize) -> u64 {
        self.id(index)
    }

    /// What identifies a candidate while positions change.
    fn id(&self, index: usize) -> u64 {
        index as u64
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::Candidates;

    /// Candidates with a load, a weight and whether they are excluded.
    #[derive(Clone, Debug)]
    pub(in crate::upstream::balance) struct Fixed {
        pub(in crate::upstream::balance) loads: Vec<u64>,
        pub(in crate::upstream::balance) latencies: Vec<f64>,
        pub(in crate::upstream::balance) weights: Vec<u32>,
        pub(in crate::upstream::balance) excluded: Vec<bool>,
        pub(in crate::upstream::balance) ids: Vec<u64>,
        /// What the weights are multiplied with.
        pub(in crate::upstream::balance) unit: u32,
        /// The percentages of their weights that they have; 100 for those beyond the list.
        pub(in crate::upstream::balance) percentages: Vec<u32>,
    }

    impl Fixed {
        /// Idle candidates of these weights.
        pub(in crate::upstream::balance) fn weighing(weights: &[u32]) -> Self {
            Self {
                loads: vec![0; weights.len()],
                latencies: vec![0.0; weights.len()],
                weights: weights.to_vec(),
                excluded: vec![false; weights.len()],
                ids: (0..weights.len() as u64).collect(),
                unit: 1,
                percentages: Vec::new(),
            }
        }

        /// Candidates of the same weight with these loads.
        pub(in crate::upstream::balance) fn loaded(loads: &[u64]) -> Self {
            Self { loads: loads.to_vec(), ..Self::weighing(&vec![1; loads.len()]) }
        }

        /// The same without one of them.
        pub(in crate::upstream::balance) fn without(mut self, index: usize) -> Self {
            self.excluded[index] = true;
            self
        }
    }

    impl Candidates for Fixed {
        fn count(&self) -> usize {
            self.weights.len()
        }

        fn is_excluded(&self, index: usize) -> bool {
            self.excluded[index]
        }

        fn load(&self, index: usize) -> u64 {
            self.loads[index]
        }

        fn latency(&self, index: usize) -> f64 {
            self.latencies[index]
        }

        fn is_weighted(&self) -> bool {
            self.weights.windows(2).any(|pair| pair[0] != pair[1])
        }

        fn weight(&self, index: usize) -> u32 {
            self.weights[index] * self.unit
        }

        fn unit(&self) -> u32 {
            self.unit
        }

        fn percentage(&self, index: usize) -> u32 {
            self.percentages.get(index).copied().unwrap_or(100)
        }

        fn id(&self, index: usize) -> u64 {
            self.ids[index]
        }
    }
}
