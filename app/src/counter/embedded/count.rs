//! The number in the database.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::counter::error::StoreError;

const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("count");
const KEY: &str = "hits";

/// One number needs almost no cache; redb's default is sized for databases.
pub(super) const CACHE_BYTES: usize = 1 << 20;

/// The largest count of Redis, so that a count can be moved there.
pub(super) const MAX: u64 = i64::MAX.unsigned_abs();

/// Returns the count.
pub(super) fn read(database: &Database) -> Result<u64, StoreError> {
    let refused = |error: redb::Error| StoreError::Refused(error.into());
    let transaction = database.begin_read().map_err(|e| refused(e.into()))?;
    let table = transaction.open_table(TABLE).map_err(|e| refused(e.into()))?;
    Ok(table.get(KEY).map_err(|e| refused(e.into()))?.map_or(0, |count| count.value()))
}

/// Adds and commits, after `prepare` has accepted the new count. After an error before the commit, nothing was counted.
pub(super) fn commit(
    database: &Database,
    hits: u64,
    prepare: impl FnOnce(u64) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let refused = |error: redb::Error| StoreError::Refused(error.into());
    let transaction = database.begin_write().map_err(|e| refused(e.into()))?;
    let count = {
        let mut table = transaction.open_table(TABLE).map_err(|e| refused(e.into()))?;
        let before = table.get(KEY).map_err(|e| refused(e.into()))?.map_or(0, |count| count.value());
        let count = before
            .checked_add(hits)
            .filter(|count| *count <= MAX)
            .ok_or_else(|| StoreError::NotACount(format!("{before} cannot grow by {hits}")))?;
        table.insert(KEY, count).map_err(|e| refused(e.into()))?;
        count
    };
    prepare(count)?;
    transaction.commit().map_err(|e| StoreError::Lost(redb::Error::from(e).into()))?;
    Ok(count)
}
