//! The approvals as this gateway knows them: read by every request from abroad, replaced as a whole.

use std::sync::Arc;

use domicile_types::{ApprovalId, UnixMillis};
use parking_lot::RwLock;
use tokio::sync::{Mutex, MutexGuard};

use super::table::Table;
use crate::catalog::{Catalog, CatalogError};

/// All approvals, in memory.
#[derive(Default)]
pub struct Board {
    table: RwLock<Arc<Table>>,
    changing: Mutex<()>,
    charging: Mutex<()>,
}

impl Board {
    /// As of now.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Reads them again, if there was a change.
    pub async fn refresh(&self, catalog: &Catalog) -> Result<(), CatalogError> {
        let epoch = self.table().epoch;
        // No epoch is 0 but that of a table without rows.
        if let Some(table) = catalog.approvals_since(Some(epoch)).await? {
            let mut known = self.table.write();
            if table.epoch > known.epoch {
                *known = Arc::new(table);
            }
        }
        Ok(())
    }

    /// Whether a read that was allowed under these may go on.
    #[must_use]
    pub fn may_go_on(&self, approvals: &[ApprovalId], now: UnixMillis) -> bool {
        approvals.is_empty() || self.table.read().may_go_on(approvals, now)
    }

    /// One change at a time: what the log says of it is then what is written.
    pub async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// One export is judged and charged at a time, so that none is judged in vain. Between gateways the transaction tells.
    pub async fn charge(&self) -> MutexGuard<'_, ()> {
        self.charging.lock().await
    }
}
