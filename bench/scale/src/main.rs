//! Prints the tables of docs/scale.md: all, or those that are named.

use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let tables = scale::TABLES;
    if let Some(unknown) = wanted.iter().find(|name| !tables.iter().any(|(known, _)| known == name)) {
        let known: Vec<_> = tables.iter().map(|(name, _)| *name).collect();
        eprintln!("scale: no table is called {unknown}; there are {}", known.join(", "));
        return ExitCode::from(2);
    }
    for (name, make) in tables {
        if wanted.is_empty() || wanted.iter().any(|other| other == name) {
            println!("{name}\n\n{}", make());
        }
    }
    ExitCode::SUCCESS
}
