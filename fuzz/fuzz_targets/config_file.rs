//! The configuration file: it is rejected with at least one message, or means the same after `edge check` has printed
//! it.
#![no_main]

use std::path::Path;

use edge::config::file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = Path::new("/etc/edge/edge.toml");
    match file::parse(text, path) {
        Ok(loaded) => {
            let printed = file::render(&loaded.config);
            let again = file::parse(&printed, path).unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(again.config, loaded.config, "{printed}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
