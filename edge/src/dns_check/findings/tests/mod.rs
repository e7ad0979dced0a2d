//! Which findings follow from which facts.

mod addresses;
mod names;

use crate::dns_check::testing::{codes, two_edges};

#[test]
fn two_good_edges_have_no_findings() {
    assert_eq!(codes(&two_edges()), [""; 0]);
}
