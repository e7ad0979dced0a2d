//! The tables in docs/scale.md.

use std::fmt::Write;

use crate::TABLES;

/// The page with its tables rewritten: each stands after a line `<!-- scale: NAME -->` and ends with an empty one.
///
/// # Errors
/// A name that no table has, or a table that is not in the page.
pub fn with_tables(page: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut lines = page.lines();
    let mut missing: Vec<_> = TABLES.iter().map(|(name, _)| *name).collect();
    while let Some(line) = lines.next() {
        text.push_str(line);
        text.push('\n');
        let Some(name) = line.strip_prefix("<!-- scale: ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        let table = TABLES.iter().find(|(known, _)| *known == name);
        let (name, make) = table.ok_or_else(|| format!("no table is called {name}"))?;
        missing.retain(|other| other != name);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", make());
        lines.by_ref().find(|line| line.is_empty());
    }
    if missing.is_empty() { Ok(text) } else { Err(format!("not in the page: {}", missing.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_nobody_shows_is_told() {
        assert_eq!(with_tables("<!-- scale: rests -->\n"), Err("no table is called rests".to_owned()));
        let problem = with_tables("text\n").unwrap_err();
        assert!(problem.starts_with("not in the page: rest, count"), "{problem}");
    }
}
