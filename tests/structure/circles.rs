//! Files that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::imports::Import;

/// Files each of which imports, directly or through others, all the others.
#[derive(Debug)]
pub(crate) struct Circle {
    /// All of them.
    pub(crate) files: BTreeSet<PathBuf>,
    /// The imports of a shortest way around through the first of them.
    pub(crate) way: Vec<Import>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files import each other in a circle, for example:", self.files.len())?;
        for import in &self.way {
            write!(f, "\n    {import}")?;
        }
        Ok(())
    }
}

/// Every circle, with as many files as belong to it.
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
        let Some(way) = way(&by_file, file, file) else { continue };
        let is_on_circle = |other: &&&Path| way_exists(&by_file, file, other) && way_exists(&by_file, other, file);
        let files = by_file.keys().filter(is_on_circle).map(|file| file.to_path_buf()).collect();
        circles.push(Circle { files, way });
    }
    circles
}

fn way_exists(by_file: &BTreeMap<&Path, Vec<&Import>>, from: &Path, to: &Path) -> bool {
    way(by_file, from, to).is_some()
}

/// The fewest imports that lead from one file to another, or to itself.
fn way(by_file: &BTreeMap<&Path, Vec<&Import>>, from: &Path, to: &Path) -> Option<Vec<Import>> {
    let mut reached: BTreeMap<&Path, Vec<Import>> = BTreeMap::new();
    let mut next = VecDeque::from([(from, Vec::new())]);
    while let Some((file, way)) = next.pop_front() {
        for import in by_file.get(file).into_iter().flatten() {
            if reached.contains_key(import.to.as_path()) {
                continue;
            }
            let mut way = way.clone();
            way.push((*import).clone());
            if import.to == to {
                return Some(way);
            }
            reached.insert(&import.to, way.clone());
            next.push_back((&import.to, way));
        }
    }
    None
}
