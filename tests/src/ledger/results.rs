//! The totals of many runs, kept in a file, so that a table can be made in pieces.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::proxy::Kind;
use super::totals::Totals;

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// The versions of the proxies.
    pub versions: BTreeMap<Kind, String>,
    /// The rows, in no order.
    pub rows: Vec<Row>,
}

/// One scenario with one number of endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The name of the scenario.
    pub scenario: String,
    /// The number of endpoints.
    pub pool: u8,
    /// Requests per second to each proxy.
    pub rate: u32,
    /// What each proxy lost.
    pub cells: BTreeMap<Kind, Totals>,
}

impl Results {
    /// Reads the file; empty without one.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such file.
    pub fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)
    }

    /// Enters a row. Cells of the same scenario and pool that it does not have are kept.
    pub fn enter(&mut self, row: Row) {
        match self.rows.iter_mut().find(|old| old.scenario == row.scenario && old.pool == row.pool) {
            Some(old) => {
                old.rate = row.rate;
                old.cells.extend(row.cells);
            }
            None => self.rows.push(row),
        }
    }

    /// The row of a scenario with a number of endpoints.
    #[must_use]
    pub fn row(&self, scenario: &str, pool: u8) -> Option<&Row> {
        self.rows.iter().find(|row| row.scenario == scenario && row.pool == pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_replaces_the_cells_that_it_measured() {
        let row = |kind, requests| {
            let totals = Totals { requests, ..Totals::default() };
            Row { scenario: "a".to_owned(), pool: 3, rate: 1000, cells: BTreeMap::from([(kind, totals)]) }
        };
        let mut results = Results::default();
        results.enter(row(Kind::Edge, 1));
        results.enter(row(Kind::Nginx, 2));
        results.enter(row(Kind::Edge, 3));
        let cells = &results.row("a", 3).unwrap().cells;
        assert_eq!(cells.values().map(|totals| totals.requests).collect::<Vec<_>>(), [3, 2]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/results.json");
        assert_eq!(Results::read(&file).unwrap(), Results::default());
        results.write(&file).unwrap();
        assert_eq!(Results::read(&file).unwrap(), results);
    }
}
