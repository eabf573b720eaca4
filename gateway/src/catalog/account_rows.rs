//! Accounts of nodes: a row of sums for each node and month, and the node's signed statement of a month that is over.

use std::collections::BTreeMap;

use domicile_storage_node::accounting::{Month, Tally};
use domicile_types::NodeId;
use serde::{Deserialize, Serialize};

use super::{Catalog, CatalogError, Stamp, keys};
use crate::state::{KeyRange, Order, Read, StoredRow, decode};

/// Sums, as JSON.
#[derive(Serialize, Deserialize)]
struct Sums(String);

impl StoredRow for Sums {
    const NAME: &'static str = "account of a node";
    const VERSION: u8 = 1;
}

/// A signed statement's text.
#[derive(Serialize, Deserialize)]
struct Kept(String);

impl StoredRow for Kept {
    const NAME: &'static str = "statement of a node";
    const VERSION: u8 = 1;
}

/// Rows read or written at once.
const PAGE: usize = 900;

impl Catalog {
    /// Adds sums to what is written down of their nodes and months; at most 900 of them are written, and the rest returned.
    pub async fn add_to_accounts(
        &self,
        stamp: Stamp,
        mut sums: BTreeMap<(NodeId, Month), Tally>,
    ) -> Result<BTreeMap<(NodeId, Month), Tally>, CatalogError> {
        let rest = sums.keys().nth(PAGE).copied().map(|key| sums.split_off(&key)).unwrap_or_default();
        self.write(stamp.once("add-to-accounts", &[]), move |tx| {
            for ((node, month), tally) in &sums {
                let row = keys::account(node, &month.to_string());
                let mut total = match tx.get_row::<Sums>(&row)? {
                    Some(Sums(json)) => read_sums(&json)?,
                    None => Tally::default(),
                };
                total.add(tally);
                let json = serde_json::to_string(&total).map_err(|_| damaged())?;
                tx.put_row(row, &Sums(json))?;
            }
            Ok(())
        })
        .await?;
        Ok(rest)
    }

    /// The sums of a node's month, with what it held before from all months before it.
    pub async fn account(&self, node: NodeId, month: Month) -> Result<Tally, CatalogError> {
        self.read(move |view| {
            let mut found = Tally::default();
            let mut range = KeyRange::prefix(&keys::accounts(&node));
            loop {
                let rows = view.scan(&range, PAGE, Order::Ascending)?;
                for row in &rows {
                    let of = row.key.get(keys::accounts(&node).len()..).and_then(|text| std::str::from_utf8(text).ok());
                    let of = of.and_then(|text| Month::parse(text).ok()).ok_or_else(damaged)?;
                    let Sums(json) = decode(&row.row.value)?;
                    let tally = read_sums(&json)?;
                    if of < month {
                        found.held_before_bytes = found.held_before_bytes.saturating_add(tally.stored_bytes);
                        found.held_before_bytes = found.held_before_bytes.saturating_sub(tally.deleted_bytes);
                    } else if of == month {
                        found.add(&tally);
                    }
                }
                match rows.last() {
                    Some(last) if rows.len() == PAGE => range = range.after(&last.key),
                    _ => return Ok(found),
                }
            }
        })
        .await
    }

    /// Keeps a node's signed statement of a month that is over. The first one stays.
    pub async fn keep_statement(
        &self,
        stamp: Stamp,
        node: NodeId,
        month: Month,
        text: String,
    ) -> Result<(), CatalogError> {
        let row = keys::statement(&node, &month.to_string());
        self.write(stamp.once("keep-statement", &[&row]), move |tx| {
            if tx.get_row::<Kept>(&row)?.is_none() {
                tx.put_row(row.clone(), &Kept(text.clone()))?;
            }
            Ok(())
        })
        .await
    }

    /// The signed statement that was kept.
    pub async fn kept_statement(&self, node: NodeId, month: Month) -> Result<Option<String>, CatalogError> {
        self.read(move |view| {
            let row = view.get(&keys::statement(&node, &month.to_string()))?;
            row.map(|row| Ok(decode::<Kept>(&row.value)?.0)).transpose()
        })
        .await
    }
}

fn read_sums(json: &str) -> Result<Tally, CatalogError> {
    serde_json::from_str(json).map_err(|_| damaged())
}

const fn damaged() -> CatalogError {
    CatalogError::Inconsistent { what: "an account of a node" }
}
