//! Replaces the tables in docs/scale.md.

use std::fmt::Write;

use crate::TABLES;

/// Returns the page with its tables replaced. A table starts after a line `<!-- scale: NAME -->` and ends before an
/// empty line.
///
/// # Errors
/// The page names an unknown table, or lacks a table.
pub fn with_tables(page: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut lines = page.lines();
    let mut missing: Vec<_> = TABLES.iter().map(|(name, _)| *name).collect();
    while let Some(line) = lines.next() {
        text.push_str(line);
        text.push('\n');
        let Some(name) = line.strip_prefix("<!-- scale: ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        let table = TABLES.iter().find(|(known, _)| *known == name);
        let (name, make) = table.ok_or_else(|| format!("unknown table {name}"))?;
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
    fn unknown_and_missing_tables_are_reported() {
        assert_eq!(with_tables("<!-- scale: rests -->\n"), Err("unknown table rests".to_owned()));
        let problem = with_tables("text\n").unwrap_err();
        assert!(problem.starts_with("not in the page: rest, count"), "{problem}");
    }
}
