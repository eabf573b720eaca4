//! What was stated when a node was emptied: kept until it is put back into service.

use domicile_types::NodeId;
use serde::{Deserialize, Serialize};

use super::{Catalog, CatalogError, keys};
use crate::repair::LeavingStatement;
use crate::state::{IfLost, Read, StoredRow};

/// The statement, as JSON: its nouns have their text forms in it, as in the log.
#[derive(Debug, Serialize, Deserialize)]
struct Stated {
    json: String,
}

impl StoredRow for Stated {
    const NAME: &'static str = "statement of leaving";
    const VERSION: u8 = 1;
}

impl Catalog {
    /// What was stated of a node that was emptied.
    pub async fn statement(&self, node: &NodeId) -> Result<Option<LeavingStatement>, CatalogError> {
        let row = keys::leaving(node);
        self.read(move |view| {
            let Some(Stated { json }) = view.get_row(&row)? else { return Ok(None) };
            let damaged = CatalogError::Inconsistent { what: "a statement of leaving" };
            serde_json::from_str(&json).map(Some).map_err(|_| damaged)
        })
        .await
    }

    /// Keeps a statement, or with `None` forgets it.
    pub async fn put_statement(&self, node: &NodeId, statement: Option<LeavingStatement>) -> Result<(), CatalogError> {
        let row = keys::leaving(node);
        self.write(IfLost::Repeat, move |tx| match &statement {
            Some(statement) => {
                let damaged = CatalogError::Inconsistent { what: "a statement of leaving" };
                let json = serde_json::to_string(statement).map_err(|_| damaged)?;
                Ok(tx.put_row(row.clone(), &Stated { json })?)
            }
            None => Ok(tx.delete(row.clone())?),
        })
        .await
    }
}
