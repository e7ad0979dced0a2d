//! The file of a source `file://`.
#![no_main]

use edge::upstream::discovery::addresses_in_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|contents: &[u8]| {
    match addresses_in_file(contents) {
        Ok(addresses) => assert!(!addresses.is_empty()),
        Err(message) => assert!(!message.is_empty()),
    }
});
