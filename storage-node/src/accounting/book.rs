//! The node's own sums: a row for each gateway and month.

use std::collections::HashMap;
use std::sync::Arc;

use domicile_node_protocol::{Receipt, ReceiptVerb};
use domicile_types::{NodeId, UnixMillis};
use parking_lot::Mutex;

use super::{Month, Tally};
use crate::database::{Change, Database, DatabaseError, Table};

/// What a row's key begins with, in the table of counters.
const PREFIX: &[u8] = b"account/";

/// The node's sums.
pub(crate) struct Book {
    database: Arc<Database>,
    open: Mutex<HashMap<NodeId, Page>>,
}

/// A gateway's month that is being written.
#[derive(Debug, Clone, Copy)]
struct Page {
    month: Month,
    tally: Tally,
    unsaved: bool,
}

impl Book {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database, open: Mutex::default() }
    }

    /// Counts a receipt for something done on behalf of `gateway`. What is stored and deleted is written down at once; what
    /// is served and proved with [`Book::save`].
    pub(crate) fn note(&self, gateway: NodeId, receipt: &Receipt) -> Result<(), DatabaseError> {
        let mut open = self.open.lock();
        let month = Month::of(receipt.time);
        let mut page = self.page(&mut open, gateway, month)?;
        page.tally.note(page.month, receipt);
        page.unsaved = true;
        if matches!(receipt.verb, ReceiptVerb::Stored | ReceiptVerb::Deleted) {
            self.write(&gateway, &mut page)?;
        }
        open.insert(gateway, page);
        Ok(())
    }

    /// Begins anew from what is held, after the database was lost: what was served and deleted before is not known any more.
    pub(crate) fn begin_with(
        &self,
        gateway: NodeId,
        now: UnixMillis,
        held: impl IntoIterator<Item = (u64, UnixMillis)>,
    ) -> Result<(), DatabaseError> {
        let month = Month::of(now);
        let mut page = Page { month, tally: Tally::default(), unsaved: true };
        for (bytes, since) in held {
            page.tally.held(month, bytes, since);
        }
        self.write(&gateway, &mut page)?;
        self.open.lock().insert(gateway, page);
        Ok(())
    }

    /// The sums of a month; none if nothing was done in it and nothing held.
    pub(crate) fn tally(&self, gateway: NodeId, month: Month, now: UnixMillis) -> Result<Option<Tally>, DatabaseError> {
        let mut open = self.open.lock();
        // A month that nothing happened in begins with what the one before left.
        let current = self.page(&mut open, gateway, Month::of(now))?;
        open.insert(gateway, current);
        if current.month == month {
            return Ok(Some(current.tally));
        }
        Ok(self.row(&gateway, month)?)
    }

    /// Writes down what is not written at once.
    pub(crate) fn save(&self) -> Result<(), DatabaseError> {
        let mut open = self.open.lock();
        for (gateway, page) in open.iter_mut().filter(|(_, page)| page.unsaved) {
            self.write(gateway, page)?;
        }
        Ok(())
    }

    /// The page of `month`, or of a later one that was begun already (the clock was set back).
    fn page(&self, open: &mut HashMap<NodeId, Page>, gateway: NodeId, month: Month) -> Result<Page, DatabaseError> {
        let before = match open.get(&gateway) {
            Some(page) => Some(*page),
            None => self.newest(&gateway)?,
        };
        let Some(mut page) = before else { return Ok(Page { month, tally: Tally::default(), unsaved: true }) };
        while page.month < month {
            self.write(&gateway, &mut page)?;
            let tally = Tally::beginning_with(page.tally.held_bytes());
            page = Page { month: page.month.next(), tally, unsaved: true };
        }
        Ok(page)
    }

    fn newest(&self, gateway: &NodeId) -> Result<Option<Page>, DatabaseError> {
        let rows = self.database.scan(Table::Counters, &prefix(gateway))?;
        let Some((key, value)) = rows.last() else { return Ok(None) };
        let month = key.get(prefix(gateway).len()..).and_then(|month| std::str::from_utf8(month).ok());
        let month = month.and_then(|month| Month::parse(month).ok()).ok_or_else(|| Table::Counters.bad_row())?;
        let tally = serde_json::from_slice(value).map_err(|_| Table::Counters.bad_row())?;
        Ok(Some(Page { month, tally, unsaved: false }))
    }

    fn row(&self, gateway: &NodeId, month: Month) -> Result<Option<Tally>, DatabaseError> {
        let row = self.database.get(Table::Counters, &key(gateway, month))?;
        row.map(|row| serde_json::from_slice(&row).map_err(|_| Table::Counters.bad_row())).transpose()
    }

    fn write(&self, gateway: &NodeId, page: &mut Page) -> Result<(), DatabaseError> {
        let value = serde_json::to_vec(&page.tally).map_err(|_| Table::Counters.bad_row())?;
        self.database.write(&[Change { table: Table::Counters, key: key(gateway, page.month), value: Some(value) }])?;
        page.unsaved = false;
        Ok(())
    }
}

fn prefix(gateway: &NodeId) -> Vec<u8> {
    [PREFIX, gateway.public_key(), b"/"].concat()
}

fn key(gateway: &NodeId, month: Month) -> Vec<u8> {
    [prefix(gateway), month.to_string().into_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use domicile_node_protocol::LeafHash;
    use domicile_types::{DataId, IdentityKey, ShardCid};

    use super::*;

    fn receipt(verb: ReceiptVerb, bytes: u64, time: UnixMillis) -> Receipt {
        Receipt {
            v: Receipt::VERSION,
            verb,
            cid: ShardCid::of(b"shard"),
            data: DataId::from_bytes([1; 16]),
            bytes,
            node: IdentityKey::from_seed(&[1; 32]).id(),
            ticket: LeafHash::from_digest([2; 32]),
            time,
        }
    }

    #[test]
    fn what_is_held_goes_over_into_the_next_month_also_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let gateway = IdentityKey::from_seed(&[2; 32]).id();
        let other = IdentityKey::from_seed(&[3; 32]).id();
        let (october, december) = (Month::parse("2026-10").unwrap(), Month::parse("2026-12").unwrap());
        {
            let book = Book::new(Arc::new(Database::open(directory.path(), true).unwrap()));
            book.note(gateway, &receipt(ReceiptVerb::Stored, 1000, october.start())).unwrap();
            book.note(gateway, &receipt(ReceiptVerb::Deleted, 400, october.start().plus_millis(5))).unwrap();
            book.note(gateway, &receipt(ReceiptVerb::Served, 70, october.start())).unwrap();
            book.save().unwrap();
        }
        let book = Book::new(Arc::new(Database::open(directory.path(), false).unwrap()));
        let tally = |month| book.tally(gateway, month, december.start()).unwrap();
        assert_eq!(tally(october).unwrap().served_bytes, 70);
        assert_eq!(tally(october.next()).unwrap(), Tally::beginning_with(600), "nothing happened in November");
        assert_eq!(tally(december).unwrap(), Tally::beginning_with(600));
        assert_eq!(tally(december.next()), None);
        assert_eq!(book.tally(other, december, december.start()).unwrap(), Some(Tally::default()));
    }
}
