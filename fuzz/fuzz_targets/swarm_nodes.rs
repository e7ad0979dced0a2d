//! The list of nodes that a `watch` returns to an edge with an endpoint `swarm://`.
#![no_main]

use edge::upstream::discovery::addresses_in_list;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    match addresses_in_list(body) {
        Ok(addresses) => assert!(!addresses.at_port(80).is_empty()),
        Err(message) => assert!(!message.is_empty()),
    }
});
