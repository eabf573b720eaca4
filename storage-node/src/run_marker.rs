//! Whether the run before ended in a way that may have cost the database its last second.
//!
//! A killed process loses nothing: the kernel holds what it wrote. Only a machine that stopped without warning may have
//! lost unsynced rows, among them what tickets had spent. So a run leaves the id of its boot behind, and takes it away
//! when it ends in good order.

use domicile_types::UnixMillis;

use crate::database::{Change, Database, DatabaseError, Table};

const RUN: &[u8] = b"run";
const FENCE: &[u8] = b"tickets-not-before";

/// Marks a run of this boot; whether the run before may have lost rows.
pub(crate) fn begin_run(database: &Database, boot_id: &[u8]) -> Result<bool, DatabaseError> {
    let before = database.get(Table::Meta, RUN)?;
    let lost = before.is_some_and(|before| before != boot_id || boot_id.is_empty());
    database.put(Table::Meta, RUN, boot_id)?;
    database.sync()?;
    Ok(lost)
}

/// Takes the mark away: everything is written and synced.
pub(crate) fn end_run(database: &Database) -> Result<(), DatabaseError> {
    database.sync()?;
    database.write(&[Change { table: Table::Meta, key: RUN.to_vec(), value: None }])?;
    database.sync()
}

/// From when on tickets are believed.
pub(crate) fn fence(database: &Database) -> Result<UnixMillis, DatabaseError> {
    let row = database.get(Table::Meta, FENCE)?;
    let millis =
        row.map(|row| row.try_into().map(u64::from_le_bytes).map_err(|_| Table::Meta.bad_row())).transpose()?;
    Ok(UnixMillis(millis.unwrap_or(0)))
}

/// Believes no ticket from before `now` again.
pub(crate) fn set_fence(database: &Database, now: UnixMillis) -> Result<(), DatabaseError> {
    database.put(Table::Meta, FENCE, &now.0.to_le_bytes())?;
    database.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_cut_off_by_another_boot_may_have_lost_rows() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path(), true).unwrap();
        assert!(!begin_run(&database, b"boot-1").unwrap(), "the first run");
        assert!(!begin_run(&database, b"boot-1").unwrap(), "killed, same boot");
        assert!(begin_run(&database, b"boot-2").unwrap(), "the machine went down");
        end_run(&database).unwrap();
        assert!(!begin_run(&database, b"boot-3").unwrap(), "ended in good order");
        assert!(begin_run(&database, b"").unwrap(), "no boot id to compare");
    }

    #[test]
    fn a_fence_stays_until_it_is_moved() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path(), true).unwrap();
        assert_eq!(fence(&database).unwrap(), UnixMillis(0));
        set_fence(&database, UnixMillis(5)).unwrap();
        assert_eq!(fence(&database).unwrap(), UnixMillis(5));
    }
}
