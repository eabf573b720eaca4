//! Claims: who needs a body, and what it is under. A version has one, and so has an upload in progress.
//!
//! A body is needed as long as there is a claim on it. A claim says what a repair is decided by, so that one needs neither
//! the version's row nor its key: whose the data is, the packs of its bucket and those it was stored under, and what it is.

use domicile_types::{Classification, DataId, PackId, UploadId};
use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::garbage::Origin;
use super::{CatalogError, compact, keys};
use crate::state::{KeyRange, Order, Read, StoredRow, Tx, decode};

/// Claims that are read at once.
const CLAIMS_AT_ONCE: usize = 1_000;

/// What a body is under by one of those that need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose, in which bucket, and that bucket's packs.
    pub origin: Origin,
    /// The packs that the version was decided by: its source's, too, where it is a copy.
    pub packs: Vec<PackId>,
    /// What the data is.
    #[serde(with = "compact::classification")]
    pub classification: Classification,
}

impl StoredRow for Claim {
    const NAME: &'static str = "claim";
    const VERSION: u8 = 1;
}

impl Claim {
    pub(super) fn of(bucket: &Bucket, packs: &[PackId], classification: &Classification) -> Self {
        Self { origin: bucket.origin(), packs: packs.to_vec(), classification: classification.clone() }
    }

    /// The packs of the bucket and of the version, each once.
    #[must_use]
    pub fn all_packs(&self) -> Vec<PackId> {
        let mut packs = self.origin.packs.clone();
        packs.extend(self.packs.iter().filter(|pack| !self.origin.packs.contains(pack)).cloned());
        packs
    }
}

/// Writes the claim of `upload` on `data`, or writes it anew.
pub(super) fn put_claim(tx: &mut Tx<'_>, data: DataId, upload: UploadId, claim: &Claim) -> Result<(), CatalogError> {
    Ok(tx.put_row(keys::claim(data, upload), claim)?)
}

/// Ends the claim of `upload` on `data`. Whether it was the last: then the body is garbage.
pub(super) fn end_claim(tx: &mut Tx<'_>, data: DataId, upload: UploadId) -> Result<bool, CatalogError> {
    tx.delete(keys::claim(data, upload))?;
    Ok(tx.scan(&KeyRange::prefix(&keys::claims(data)), 1, Order::Ascending)?.is_empty())
}

/// Every claim on `data` that differs from the others. None: nobody needs the body any more.
pub(super) fn distinct_claims(read: &mut impl Read, data: DataId) -> Result<Vec<Claim>, CatalogError> {
    let mut distinct: Vec<Claim> = Vec::new();
    let mut range = KeyRange::prefix(&keys::claims(data));
    loop {
        let rows = read.scan(&range, CLAIMS_AT_ONCE, Order::Ascending)?;
        for found in &rows {
            let claim: Claim = decode(&found.row.value)?;
            if !distinct.contains(&claim) {
                distinct.push(claim);
            }
        }
        match rows.last() {
            Some(last) if rows.len() == CLAIMS_AT_ONCE => range = range.after(&last.key),
            _ => return Ok(distinct),
        }
    }
}
