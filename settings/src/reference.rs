//! Compares the documentation of a settings file with the keys that the code reads. For the tests of the programs.

use std::collections::BTreeMap;

/// Maps the full path of each key to its kind and default.
pub type Keys = BTreeMap<String, (String, String)>;

/// Returns the code blocks of `docs` in `language`.
pub fn blocks<'a>(docs: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let starts: Vec<_> = docs.match_indices(&fence).map(|(start, _)| start + fence.len()).collect();
    starts.into_iter().map(|start| docs[start..].split("```").next().unwrap_or_default())
}

/// Parses the keys from the tables of `docs`: one row per key, with key, kind, default and meaning, under a
/// third-level heading per section.
///
/// # Errors
/// A row is malformed or a duplicate.
pub fn documented(docs: &str) -> Result<Keys, String> {
    let mut section = None;
    let mut keys = Keys::new();
    for line in docs.lines() {
        if line.starts_with("## ") {
            section = None;
        } else if let Some(heading) = line.strip_prefix("### ") {
            let name = heading.trim_matches(['`', '[', ']']);
            section = Some(if heading == "The top of the file" { String::new() } else { format!("{name}.") });
        } else if let (Some(section), Some(row)) = (&section, line.strip_prefix("| `")) {
            let (key, row) = row.split_once("` | ").ok_or_else(|| format!("not a key: {line}"))?;
            let [kind, default, meaning] = row.split(" | ").collect::<Vec<_>>()[..] else {
                return Err(format!("not kind, default and meaning: {line}"));
            };
            if meaning.len() <= 10 {
                return Err(format!("meaning too short: {line}"));
            }
            if keys.insert(format!("{section}{key}"), (kind.to_owned(), default.to_owned())).is_some() {
                return Err(format!("duplicate: {line}"));
            }
        }
    }
    Ok(keys)
}

/// Checks that the documentation agrees with the code.
///
/// # Errors
/// Lists the rows that the documentation must have instead.
pub fn compare(documented: &Keys, known: &Keys) -> Result<(), String> {
    let missing = known.iter().filter(|(key, row)| documented.get(*key) != Some(row));
    let missing: Vec<_> = missing.map(|(key, (kind, default))| format!("{key} | {kind} | {default}")).collect();
    if !missing.is_empty() {
        return Err(format!("should be:\n{}", missing.join("\n")));
    }
    let unknown: Vec<_> = documented.keys().filter(|key| !known.contains_key(*key)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(format!("there are no such keys: {unknown:?}")) }
}
