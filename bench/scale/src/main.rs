//! Prints the tables of docs/scale.md, or writes them into the page.

use std::{env, fs, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--write", page] => write(page),
        ["--write", ..] => Err("usage: scale [TABLE...] | --write PAGE".to_owned()),
        ref names => print(names),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("scale: {problem}");
            ExitCode::from(2)
        }
    }
}

fn write(page: &str) -> Result<(), String> {
    let before = fs::read_to_string(page).map_err(|error| format!("{page}: {error}"))?;
    let after = scale::page::with_tables(&before).map_err(|problem| format!("{page}: {problem}"))?;
    fs::write(page, after).map_err(|error| format!("{page}: {error}"))
}

fn print(names: &[&str]) -> Result<(), String> {
    let tables = scale::TABLES;
    if let Some(unknown) = names.iter().find(|name| !tables.iter().any(|(known, _)| known == *name)) {
        let known: Vec<_> = tables.iter().map(|(name, _)| *name).collect();
        return Err(format!("unknown table {unknown}; the tables are {}", known.join(", ")));
    }
    for (name, make) in tables.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        println!("{name}\n\n{}", make());
    }
    Ok(())
}
