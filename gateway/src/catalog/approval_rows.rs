//! Approvals: few rows, read whole into memory; and what is used of each, read and written with every export.
//!
//! A change is decided on an approval as it was read, and is written only if it is that still; what must hold between two
//! people and their keys is asked again in the transaction that writes it.

use domicile_types::{ApprovalId, Counts, DataId};
use serde::{Deserialize, Serialize};

use super::identity::{AccessKey, Identity, IdentityName};
use super::{Catalog, CatalogError, keys};
use crate::approvals::{Actor, Approval, Refusal, State, Table, Used, change, same_person, table};
use crate::state::{IfLost, KeyRange, Order, Read, StoredRow, Tx, decode};

/// Rows read at once.
const PAGE: usize = 1_000;

/// As it is stored: the canonical JSON, of which the log has the hash.
#[derive(Serialize, Deserialize)]
struct Sheet(String);

impl StoredRow for Sheet {
    const NAME: &'static str = "approval";
    const VERSION: u8 = 1;
}

impl StoredRow for Used {
    const NAME: &'static str = "what is used of an approval";
    const VERSION: u8 = 1;
}

/// Individuals of a version that were counted against an approval.
#[derive(Serialize, Deserialize)]
pub(super) struct CountedOnce(pub(super) Counts);

impl StoredRow for CountedOnce {
    const NAME: &'static str = "version counted against an approval";
    const VERSION: u8 = 1;
}

impl Catalog {
    /// All approvals, if there has been a change since `epoch`.
    pub async fn approvals_since(&self, epoch: Option<u64>) -> Result<Option<Table>, CatalogError> {
        self.read(move |view| {
            let current = epoch_of(view)?;
            if epoch == Some(current) {
                return Ok(None);
            }
            Ok(Some(Table::new(current, all(view)?)))
        })
        .await
    }

    /// Keeps a request that is new, and marks the approval that it renews. The maker must hold none of the keys that it names,
    /// and an emergency must follow none that is unreviewed.
    pub async fn add_approval(&self, approval: Approval) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            let row = keys::approval(&approval.id);
            if let Some(present) = sheet(tx, &row)? {
                // The same row is this change, found done.
                return if present == approval { Ok(()) } else { Err(CatalogError::ApprovalChanged) };
            }
            holds_no_key(tx, &approval, &approval.maker)?;
            if approval.emergency.is_some() {
                change::emergency_allowed(&all(tx)?, &approval.terms.tenant, approval.requested)?;
            }
            if let Some(renewed) = &approval.terms.renews {
                let row = keys::approval(renewed);
                let predecessor = sheet(tx, &row)?.ok_or(CatalogError::NoSuchApproval)?;
                put(tx, &Approval { renewed_by: Some(approval.id), ..predecessor })?;
            }
            put(tx, &approval)?;
            changed(tx)
        })
        .await
    }

    /// Writes `next` over `before`, if that is what is there. Whoever approves must be another person than the maker, and hold
    /// none of the keys.
    pub async fn change_approval(&self, before: Approval, next: Approval) -> Result<(), CatalogError> {
        self.write(IfLost::Repeat, move |tx| {
            let present = sheet(tx, &keys::approval(&before.id))?.ok_or(CatalogError::NoSuchApproval)?;
            if present == next {
                return Ok(());
            }
            if present != before {
                return Err(CatalogError::ApprovalChanged);
            }
            // Ending an approval is never held up: only what comes into force is asked about.
            if next.state == State::Active {
                let checker = next.checker.as_deref().filter(|checker| !same_person(checker, &next.maker));
                let alone = Refusal::SamePerson("who asks for an approval does not decide on it");
                holds_no_key(tx, &next, checker.ok_or(alone)?)?;
                holds_no_key(tx, &next, &next.maker)?;
            }
            if next.emergency.is_some() && next.checker.is_some() && before.checker.is_none() {
                let at = next.decided.unwrap_or(next.requested);
                change::emergency_allowed(&all(tx)?, &next.terms.tenant, at)?;
            }
            put(tx, &next)?;
            changed(tx)
        })
        .await
    }

    /// What is used of each approval.
    pub async fn approvals_used(&self, ids: Vec<ApprovalId>) -> Result<Vec<Used>, CatalogError> {
        self.read(move |view| ids.iter().map(|id| used(view, id)).collect()).await
    }
}

/// What is used of an approval.
pub(super) fn used(read: &mut impl Read, id: &ApprovalId) -> Result<Used, CatalogError> {
    Ok(read.get_row::<Used>(&keys::approval_used(id))?.unwrap_or_default())
}

/// Individuals of a version that were counted against an approval before.
pub(super) fn counted(read: &mut impl Read, id: &ApprovalId, data: &DataId) -> Result<Counts, CatalogError> {
    Ok(read.get_row::<CountedOnce>(&keys::approval_counted(id, data))?.map_or_else(Counts::default, |row| row.0))
}

/// The approval in a row.
pub(super) fn sheet(read: &mut impl Read, row: &[u8]) -> Result<Option<Approval>, CatalogError> {
    read.get_row::<Sheet>(row)?.map(|sheet| parse(&sheet)).transpose()
}

fn all(read: &mut impl Read) -> Result<Vec<Approval>, CatalogError> {
    let mut range = KeyRange::prefix(keys::APPROVALS);
    let mut found = Vec::new();
    loop {
        let rows = read.scan(&range, PAGE, Order::Ascending)?;
        for row in &rows {
            found.push(parse(&decode::<Sheet>(&row.row.value)?)?);
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => range = range.after(&last.key),
            _ => return Ok(found),
        }
    }
}

fn parse(sheet: &Sheet) -> Result<Approval, CatalogError> {
    serde_json::from_str(&sheet.0).map_err(|_| CatalogError::Inconsistent { what: "an approval that does not read" })
}

fn put(tx: &mut Tx<'_>, approval: &Approval) -> Result<(), CatalogError> {
    Ok(tx.put_row(keys::approval(&approval.id), &Sheet(approval.canonical()))?)
}

/// Refuses a person who would read under the approval: by the names of its actors, and by whose the keys are.
fn holds_no_key(tx: &mut Tx<'_>, approval: &Approval, person: &str) -> Result<(), CatalogError> {
    let refused = || CatalogError::from(Refusal::HoldsKey { person: person.to_owned() });
    if table::acts(&approval.terms.actors, person) {
        return Err(refused());
    }
    for actor in &approval.terms.actors {
        let Actor::AccessKey(key) = actor else { continue };
        let row = tx.get_row::<Identity>(&keys::identity(&IdentityName::Key(key.clone())))?;
        if let Some(Identity::Key(AccessKey { user: Some(user), .. })) = row
            && same_person(&user, person)
        {
            return Err(refused());
        }
    }
    Ok(())
}

fn epoch_of(read: &mut impl Read) -> Result<u64, CatalogError> {
    let row = read.get(keys::APPROVAL_EPOCH)?;
    Ok(row.and_then(|row| row.value.as_slice().try_into().ok()).map_or(0, u64::from_be_bytes))
}

fn changed(tx: &mut Tx<'_>) -> Result<(), CatalogError> {
    let next = epoch_of(tx)?.saturating_add(1);
    Ok(tx.put(keys::APPROVAL_EPOCH.to_vec(), next.to_be_bytes().to_vec())?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use domicile_types::{TenantId, UnixMillis};

    use super::*;
    use crate::approvals::record::tests::{NOW, requested};
    use crate::approvals::{Emergency, Order};
    use crate::catalog::CatalogConfig;
    use crate::state::{MemoryStore, Owner};

    fn catalog() -> Catalog {
        let config = CatalogConfig { token_key: [1; 32], process: Owner([2; 16]), sweep_grace_millis: 0 };
        Catalog::new(Arc::new(MemoryStore::new(Arc::new(|| UnixMillis(0)))), config)
    }

    fn approved(by: &str) -> Approval {
        let (next, _) = Order::Approve.apply(&requested(), by, None, NOW).unwrap();
        next
    }

    async fn stored(catalog: &Catalog) -> Approval {
        let table = catalog.approvals_since(None).await.unwrap().unwrap();
        let approval = table.get(&requested().id).unwrap();
        Approval::clone(approval)
    }

    #[tokio::test]
    async fn a_change_is_written_over_what_it_was_decided_on_and_nothing_else() {
        let catalog = catalog();
        catalog.add_approval(requested()).await.unwrap();
        let table = catalog.approvals_since(None).await.unwrap().unwrap();
        assert!(catalog.approvals_since(Some(table.epoch)).await.unwrap().is_none());
        catalog.change_approval(requested(), approved("anna")).await.unwrap();
        assert_eq!(stored(&catalog).await.state, State::Active);
        let (withdrawn, _) = Order::Withdraw.apply(&requested(), "olga", None, NOW).unwrap();
        let late = catalog.change_approval(requested(), withdrawn).await;
        assert!(matches!(late, Err(CatalogError::ApprovalChanged)), "{late:?}");
        assert!(catalog.approvals_since(Some(table.epoch)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn the_transaction_itself_refuses_one_pair_of_eyes() {
        let catalog = catalog();
        catalog.add_approval(requested()).await.unwrap();
        // As if whoever called had not asked.
        let forged = Approval { checker: Some("OLGA ".to_owned()), ..approved("anna") };
        let refused = catalog.change_approval(requested(), forged).await;
        assert!(matches!(refused, Err(CatalogError::Approval(Refusal::SamePerson(_)))), "{refused:?}");
        assert_eq!(stored(&catalog).await.state, State::Requested);
    }

    #[tokio::test]
    async fn neither_maker_nor_checker_may_be_who_reads() {
        let catalog = catalog();
        let tenant = TenantId::parse("a").unwrap();
        let user = crate::catalog::User {
            tenant: tenant.clone(),
            name: "Anna".to_owned(),
            created: NOW,
            enabled: true,
            policy: None,
        };
        catalog.add_identity(Identity::User(user)).await.unwrap();
        let key = AccessKey {
            id: "AKID".to_owned(),
            tenant,
            user: Some("Anna".to_owned()),
            sealed_secret: Bytes::new(),
            created: NOW,
            expires: None,
            enabled: true,
        };
        catalog.add_identity(Identity::Key(key)).await.unwrap();
        let of_anna = Approval { maker: "anna".to_owned(), ..requested() };
        let refused = catalog.add_approval(of_anna).await;
        assert!(matches!(refused, Err(CatalogError::Approval(Refusal::HoldsKey { .. }))), "{refused:?}");
        catalog.add_approval(requested()).await.unwrap();
        let refused = catalog.change_approval(requested(), approved("anna")).await;
        assert!(matches!(refused, Err(CatalogError::Approval(Refusal::HoldsKey { .. }))), "{refused:?}");
        catalog.change_approval(requested(), approved("otto")).await.unwrap();
    }

    #[tokio::test]
    async fn no_emergency_follows_one_that_nobody_reviewed() {
        let catalog = catalog();
        let emergency = |id: u8, requested_at| {
            let mut approval = requested();
            approval.id = ApprovalId::from_bytes([id; 16]);
            approval.requested = requested_at;
            approval.terms.expires = requested_at.plus_millis(3_600_000);
            approval.emergency = Some(Emergency { reason: "fire".to_owned(), review_by: None, review: None });
            approval
        };
        let first = emergency(1, NOW);
        catalog.add_approval(first.clone()).await.unwrap();
        let (broken, _) = Order::Approve.apply(&first, "anna", None, NOW).unwrap();
        catalog.change_approval(first, broken.clone()).await.unwrap();
        let late = broken.emergency.as_ref().unwrap().review_by.unwrap().plus_millis(1);
        let refused = catalog.add_approval(emergency(2, late)).await;
        assert!(matches!(refused, Err(CatalogError::Approval(Refusal::ReviewOverdue { .. }))), "{refused:?}");
        let (reviewed, _) = Order::Review.apply(&broken, "otto", Some("it was one"), late).unwrap();
        catalog.change_approval(broken, reviewed).await.unwrap();
        catalog.add_approval(emergency(2, late)).await.unwrap();
    }

    #[tokio::test]
    async fn a_renewal_marks_what_it_is_to_follow() {
        let catalog = catalog();
        catalog.add_approval(requested()).await.unwrap();
        let mut renewal = Approval { id: ApprovalId::from_bytes([2; 16]), ..requested() };
        renewal.terms.renews = Some(ApprovalId::from_bytes([9; 16]));
        assert!(matches!(catalog.add_approval(renewal.clone()).await, Err(CatalogError::NoSuchApproval)));
        renewal.terms.renews = Some(requested().id);
        catalog.add_approval(renewal.clone()).await.unwrap();
        assert_eq!(stored(&catalog).await.renewed_by, Some(renewal.id));
    }
}
