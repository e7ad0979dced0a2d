//! What the findings say about names and about addresses.

mod addresses;
mod names;

use crate::dns_check::testing::{found, two};

#[test]
fn two_edges_that_everybody_knows_are_well() {
    assert_eq!(found(&two()), [""; 0]);
}
