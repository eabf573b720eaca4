//! How nodes stand, documents about their places, disputes: few rows, read whole into memory at start.

use domicile_types::NodeId;
use serde::{Deserialize, Serialize};

use super::{Catalog, CatalogError, keys};
use crate::fleet::standing::{Delays, Dispute, Document, Standing};
use crate::state::{IfLost, KeyRange, Order, Read, StoredRow, View, decode};

/// Rows read at once.
const PAGE: usize = 1_000;
/// Rows written at once.
const WRITES: usize = 500;

/// What is kept of a node's standing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    /// Which node.
    pub node: NodeId,
    /// How it stands.
    pub standing: Standing,
    /// How fast it answered challenges.
    pub delays: Delays,
    /// The autonomous system that its address lies in.
    pub network: Option<u32>,
}

impl StoredRow for NodeFile {
    const NAME: &'static str = "standing";
    const VERSION: u8 = 1;
}

impl StoredRow for Document {
    const NAME: &'static str = "document of place";
    const VERSION: u8 = 1;
}

impl StoredRow for Dispute {
    const NAME: &'static str = "dispute";
    const VERSION: u8 = 1;
}

/// All of these rows.
#[derive(Debug, Clone, Default)]
pub struct StandingRows {
    /// How nodes stand.
    pub files: Vec<NodeFile>,
    /// Documents, also those that ended.
    pub documents: Vec<Document>,
    /// Disputes, also those that are settled.
    pub disputes: Vec<Dispute>,
}

impl Catalog {
    /// Everything that is kept of standings.
    pub async fn standing_rows(&self) -> Result<StandingRows, CatalogError> {
        self.read(|view| {
            Ok(StandingRows {
                files: all(view, keys::STANDINGS)?,
                documents: all(view, keys::DOCUMENTS)?,
                disputes: all(view, keys::DISPUTES)?,
            })
        })
        .await
    }

    /// Keeps how nodes stand now.
    pub async fn put_standings(&self, files: &[NodeFile]) -> Result<(), CatalogError> {
        for batch in files.chunks(WRITES) {
            let batch = batch.to_vec();
            self.write(IfLost::Repeat, move |tx| {
                batch.iter().try_for_each(|file| Ok(tx.put_row(keys::standing(&file.node), file)?))
            })
            .await?;
        }
        Ok(())
    }

    /// Keeps a document; one of the same name is replaced.
    pub async fn put_document(&self, document: Document) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| Ok(tx.put_row(keys::document(&document.node, &document.id), &document)?))
            .await
    }

    /// Keeps a dispute, and the document that settles it if there is one, in one transaction.
    pub async fn put_dispute(&self, dispute: Dispute, document: Option<Document>) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            if let Some(document) = &document {
                tx.put_row(keys::document(&document.node, &document.id), document)?;
            }
            Ok(tx.put_row(keys::dispute(&dispute.node, &dispute.id), &dispute)?)
        })
        .await
    }
}

fn all<R: StoredRow>(view: &mut View<'_>, prefix: &[u8]) -> Result<Vec<R>, CatalogError> {
    let mut range = KeyRange::prefix(prefix);
    let mut found = Vec::new();
    loop {
        let rows = view.scan(&range, PAGE, Order::Ascending)?;
        for row in &rows {
            found.push(decode(&row.row.value)?);
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => range = range.after(&last.key),
            _ => return Ok(found),
        }
    }
}
