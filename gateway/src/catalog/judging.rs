//! By what is judged: a number that grows whenever packs, location databases or what is known of nodes change.
//!
//! Whoever stores something was allowed to under one number, and commits only if it is the number still: the row is read in
//! the transaction that commits, so a change either comes after the commit, and finds the object among those that it has to
//! look at, or before it, and then the commit fails and all is judged again.

use domicile_types::{PackId, PackVersion, UnixMillis};
use serde::{Deserialize, Serialize};

use super::proposal::remember_since;
use super::{Catalog, CatalogError, Stamp, keys};
use crate::state::{IfLost, Read, StoredRow, Tx};

/// How often that by which is judged has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JudgingEpoch(pub u64);

/// The packs in force, as the gateway remembers them over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Every pack.
    pub packs: Vec<PackVersion>,
    /// Those that were published while the gateway ran, by the hash of their files: they precede those of the folder.
    pub published: Vec<(PackId, String)>,
}

impl StoredRow for InForce {
    const NAME: &'static str = "packs in force";
    const VERSION: u8 = 1;
}

/// The row of the number.
#[derive(Serialize, Deserialize)]
struct EpochRow(JudgingEpoch);

impl StoredRow for EpochRow {
    const NAME: &'static str = "epoch of judging";
    const VERSION: u8 = 1;
}

impl Catalog {
    /// The number in force, and the packs that it was last changed with; none, where no gateway ran before.
    pub async fn judging(&self) -> Result<(JudgingEpoch, Option<InForce>), CatalogError> {
        self.read(|view| Ok((epoch(view)?, view.get_row(keys::PACKS_IN_FORCE)?))).await
    }

    /// Raises the number, and where packs changed remembers those in force. Returns the new number. From here on, nothing
    /// that was judged before commits.
    pub async fn advance_judging(&self, stamp: Stamp, packs: Option<InForce>) -> Result<JudgingEpoch, CatalogError> {
        self.write(stamp.once("advance-judging", &[]), move |tx| {
            let next = JudgingEpoch(epoch(tx)?.0 + 1);
            tx.put_row(keys::JUDGING_EPOCH.to_vec(), &EpochRow(next))?;
            if let Some(packs) = &packs {
                tx.put_row(keys::PACKS_IN_FORCE.to_vec(), packs)?;
                remember_since(tx, stamp.now, &packs.packs)?;
            }
            Ok(next)
        })
        .await
    }

    /// Remembers the packs of a first start, without a change.
    pub async fn remember_packs(&self, now: UnixMillis, packs: InForce) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            remember_since(tx, now, &packs.packs)?;
            Ok(tx.put_row(keys::PACKS_IN_FORCE.to_vec(), &packs)?)
        })
        .await
    }
}

fn epoch(read: &mut impl Read) -> Result<JudgingEpoch, CatalogError> {
    Ok(read.get_row::<EpochRow>(keys::JUDGING_EPOCH)?.map_or(JudgingEpoch::default(), |row| row.0))
}

/// Refuses to commit what was judged under another number.
pub(super) fn still_judged_by(tx: &mut Tx<'_>, judged: JudgingEpoch) -> Result<(), CatalogError> {
    let now = epoch(tx)?;
    if now == judged { Ok(()) } else { Err(CatalogError::JudgedBefore { now }) }
}
