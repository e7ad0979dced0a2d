//! Circles of files that import each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::imports::Import;

/// Files each of which imports all the others, directly or through each other.
#[derive(Debug)]
pub(crate) struct Circle {
    /// All files of the circle.
    pub(crate) files: BTreeSet<PathBuf>,
    /// A shortest path of imports from the first file back to itself.
    pub(crate) path: Vec<Import>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files import each other in a circle, for example:", self.files.len())?;
        for import in &self.path {
            write!(f, "\n    {import}")?;
        }
        Ok(())
    }
}

/// Returns all circles, each with all its files.
pub(crate) fn find(imports: &[Import]) -> Vec<Circle> {
    let mut by_file: BTreeMap<&Path, Vec<&Import>> = BTreeMap::new();
    for import in imports {
        by_file.entry(&import.from).or_default().push(import);
    }
    let mut circles: Vec<Circle> = Vec::new();
    for file in by_file.keys() {
        if circles.iter().any(|circle| circle.files.contains(*file)) {
            continue;
        }
        let Some(path) = shortest_path(&by_file, file, file) else { continue };
        let is_on_circle = |other: &&&Path| is_reachable(&by_file, file, other) && is_reachable(&by_file, other, file);
        let files = by_file.keys().filter(is_on_circle).map(|file| file.to_path_buf()).collect();
        circles.push(Circle { files, path });
    }
    circles
}

fn is_reachable(by_file: &BTreeMap<&Path, Vec<&Import>>, from: &Path, to: &Path) -> bool {
    shortest_path(by_file, from, to).is_some()
}

/// Returns a shortest path of imports from one file to another, or back to itself.
fn shortest_path(by_file: &BTreeMap<&Path, Vec<&Import>>, from: &Path, to: &Path) -> Option<Vec<Import>> {
    let mut reached: BTreeMap<&Path, Vec<Import>> = BTreeMap::new();
    let mut next = VecDeque::from([(from, Vec::new())]);
    while let Some((file, path)) = next.pop_front() {
        for import in by_file.get(file).into_iter().flatten() {
            if reached.contains_key(import.to.as_path()) {
                continue;
            }
            let mut path = path.clone();
            path.push((*import).clone());
            if import.to == to {
                return Some(path);
            }
            reached.insert(&import.to, path.clone());
            next.push_back((&import.to, path));
        }
    }
    None
}
