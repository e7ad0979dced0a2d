//! A hundred nodes and two thousand tasks, and fifty changes a second.
