//! What exports are charged to: the quotas of approvals and the accounts of ledgers.
//!
//! An export is tallied first ([`Catalog::tally`]): what it would come to. It is judged by that tally and then charged
//! ([`Catalog::charge`]) in one transaction that reads everything again and adds only if it is what was judged by. So two
//! reads never take the same room, and nothing is ever charged that is then denied. Bytes that did not leave are given back
//! ([`Catalog::refund`]); individuals are not.

use domicile_compliance::pack::Counted;
use domicile_types::{ApprovalId, Counts, DataId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::approval_rows::{CountedOnce, counted, used};
use super::{Catalog, CatalogError, keys};
use crate::approvals::ledger::{Account, AccountName, Seen, greater, less, mark};
use crate::approvals::{Quota, Used};
use crate::state::{IfLost, KeyRange, Order, Read, StoredRow, Tx, decode};

/// Days of a window: three years, and some.
const DAYS_MAX: usize = 1_200;
/// Accounts read at once.
const PAGE: usize = 1_000;

/// An export to be tallied and charged.
#[derive(Debug, Clone)]
pub struct Bill {
    /// When.
    pub now: UnixMillis,
    /// The object version, by what its bytes are stored under: copies that share them are one.
    pub data: DataId,
    /// The individuals in all of it, and the bytes that are asked for.
    pub counts: Counts,
    /// Approvals that it stands on, and what they let leave.
    pub approvals: Vec<(ApprovalId, Quota)>,
    /// Accounts that count it.
    pub accounts: Vec<Account>,
}

/// How an approval or an account stands before an export and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Before.
    pub before: Counts,
    /// After, if the export is served.
    pub after: Counts,
}

/// What an export comes to: one standing for every approval and every account of its bill, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Of approvals.
    pub approvals: Vec<Standing>,
    /// Of accounts.
    pub accounts: Vec<Standing>,
}

/// What came of a charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Charged {
    /// It is charged.
    Done(Receipt),
    /// Others were charged in between: tally and judge again.
    Changed,
    /// This approval has no room for it.
    Over(ApprovalId),
}

/// What was charged, so that what does not leave can be given back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Bytes.
    pub bytes: u64,
    /// To which approvals.
    pub approvals: Vec<ApprovalId>,
    /// To which days of which accounts.
    pub days: Vec<([u8; 16], u32)>,
    /// Marks that this charge passed: of an approval (none: of an account), by a short name.
    pub marks: Vec<(Option<ApprovalId>, String)>,
}

/// An account as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    /// What it counts.
    pub name: AccountName,
    /// When it was last charged.
    pub last: UnixMillis,
    /// By day, what it counted.
    pub days: Vec<(u32, Counts)>,
}

/// The head of an account.
#[derive(Clone, Serialize, Deserialize)]
struct Head {
    /// The name, as JSON: its absent fields are left out there.
    name: String,
    last: UnixMillis,
    told: Vec<(u8, u8)>,
}

impl StoredRow for Head {
    const NAME: &'static str = "account of a ledger";
    const VERSION: u8 = 1;
}

#[derive(Serialize, Deserialize)]
struct Day(Counts);

impl StoredRow for Day {
    const NAME: &'static str = "day of an account";
    const VERSION: u8 = 1;
}

impl StoredRow for Seen {
    const NAME: &'static str = "version in an account";
    const VERSION: u8 = 1;
}

impl Catalog {
    /// What an export would come to.
    pub async fn tally(&self, bill: Bill) -> Result<Tally, CatalogError> {
        self.read(move |view| tally(view, &bill)).await
    }

    /// Charges an export, if it still comes to what it was judged by, and every quota has room for it.
    pub async fn charge(&self, bill: Bill, judged: Tally) -> Result<Charged, CatalogError> {
        self.write(IfLost::Report, move |tx| {
            let now = tally(tx, &bill)?;
            if now != judged {
                return Ok(Charged::Changed);
            }
            for ((id, quota), standing) in bill.approvals.iter().zip(&now.approvals) {
                if !has_room(*quota, standing.after) {
                    return Ok(Charged::Over(*id));
                }
            }
            let mut receipt = Receipt { bytes: bill.counts.bytes, ..Receipt::default() };
            for ((id, quota), standing) in bill.approvals.iter().zip(&now.approvals) {
                charge_approval(tx, &bill, (id, *quota), *standing, &mut receipt)?;
            }
            for (account, standing) in bill.accounts.iter().zip(&now.accounts) {
                charge_account(tx, &bill, account, *standing, &mut receipt)?;
            }
            Ok(Charged::Done(receipt))
        })
        .await
    }

    /// Gives back bytes that were charged and did not leave. Returns what of each approval is used now.
    pub async fn refund(&self, receipt: Receipt, bytes: u64) -> Result<Vec<(ApprovalId, Used)>, CatalogError> {
        let back = Counts { bytes: bytes.min(receipt.bytes), ..Counts::default() };
        self.write(IfLost::Report, move |tx| {
            let mut left = Vec::with_capacity(receipt.approvals.len());
            for id in &receipt.approvals {
                let mut row = used(tx, id)?;
                if back.bytes > 0 {
                    row.counts = less(row.counts, back);
                    tx.put_row(keys::approval_used(id), &row)?;
                }
                left.push((*id, row));
            }
            for (account, day) in receipt.days.iter().filter(|_| back.bytes > 0) {
                let counts = less(on_day(tx, account, *day)?, back);
                tx.put_row(keys::account_day(account, *day), &Day(counts))?;
            }
            Ok(left)
        })
        .await
    }

    /// Every account, with its days.
    pub async fn accounts(&self) -> Result<Vec<AccountState>, CatalogError> {
        self.read(|view| {
            let mut range = KeyRange::prefix(keys::ACCOUNTS);
            let mut found = Vec::new();
            loop {
                let rows = view.scan(&range, PAGE, Order::Ascending)?;
                for row in &rows {
                    let head: Head = decode(&row.row.value)?;
                    let name: AccountName = serde_json::from_str(&head.name)
                        .map_err(|_| CatalogError::Inconsistent { what: "an account whose name does not read" })?;
                    let days = days(view, &name.id(), 0)?;
                    found.push(AccountState { name, last: head.last, days });
                }
                match rows.last() {
                    Some(last) if rows.len() == PAGE => range = range.after(&last.key),
                    _ => return Ok(found),
                }
            }
        })
        .await
    }
}

/// Whether a quota has room for what would be used of it.
fn has_room(quota: Quota, after: Counts) -> bool {
    after.bytes <= quota.bytes && quota.subjects.is_none_or(|subjects| after.subjects <= subjects)
}

fn tally(read: &mut impl Read, bill: &Bill) -> Result<Tally, CatalogError> {
    let mut found = Tally { approvals: Vec::new(), accounts: Vec::new() };
    for (id, _) in &bill.approvals {
        let before = used(read, id)?.counts;
        let known = counted(read, id, &bill.data)?;
        let gained = Counts { bytes: bill.counts.bytes, ..less(bill.counts, known) };
        found.approvals.push(Standing { before, after: before.plus(gained) });
    }
    for account in &bill.accounts {
        let id = account.name.id();
        let now = latest(read, &id, bill.now)?;
        let (first, today) = (account.first_day(now), account.day(now));
        let days = days(read, &id, first)?;
        let before = days.iter().fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts));
        let seen = read.get_row::<Seen>(&keys::account_seen(&id, &bill.data))?;
        let gained = account.enter(seen, first, today, bill.counts).gained;
        found.accounts.push(Standing { before, after: before.plus(gained) });
    }
    Ok(found)
}

fn charge_approval(
    tx: &mut Tx<'_>,
    bill: &Bill,
    (id, quota): (&ApprovalId, Quota),
    standing: Standing,
    receipt: &mut Receipt,
) -> Result<(), CatalogError> {
    let mut row = used(tx, id)?;
    row.counts = standing.after;
    let limits =
        [("subjects", quota.subjects, standing.after.subjects), ("bytes", Some(quota.bytes), standing.after.bytes)];
    for ((what, limit, after), told) in limits.into_iter().zip(&mut row.told) {
        let reached = limit.map_or(0, |limit| mark(after, limit));
        if reached > *told {
            receipt.marks.push((Some(*id), format!("{what}-{reached}-percent")));
            *told = reached;
        }
    }
    let known = counted(tx, id, &bill.data)?;
    let once = greater(known, Counts { bytes: 0, ..bill.counts });
    if once != known {
        tx.put_row(keys::approval_counted(id, &bill.data), &CountedOnce(once))?;
    }
    receipt.approvals.push(*id);
    Ok(tx.put_row(keys::approval_used(id), &row)?)
}

fn charge_account(
    tx: &mut Tx<'_>,
    bill: &Bill,
    account: &Account,
    standing: Standing,
    receipt: &mut Receipt,
) -> Result<(), CatalogError> {
    let id = account.name.id();
    let now = latest(tx, &id, bill.now)?;
    let (first, today) = (account.first_day(now), account.day(now));
    let seen = tx.get_row::<Seen>(&keys::account_seen(&id, &bill.data))?;
    let entry = account.enter(seen, first, today, bill.counts);
    if let Some(Seen { day, counts }) = entry.moved {
        let rest = less(on_day(tx, &id, day)?, counts);
        tx.put_row(keys::account_day(&id, day), &Day(rest))?;
    }
    let sum = on_day(tx, &id, today)?.plus(entry.today);
    tx.put_row(keys::account_day(&id, today), &Day(sum))?;
    tx.put_row(keys::account_seen(&id, &bill.data), &entry.seen)?;
    let head = tx.get_row::<Head>(&keys::ledger_account(&id))?;
    let told: Vec<_> =
        head.iter().flat_map(|head| &head.told).filter_map(|(unit, mark)| Some((unit_of(*unit)?, *mark))).collect();
    let (crossed, told) = account.marks(&told, standing.after);
    for (counted, mark) in crossed {
        let AccountName { pack, ledger, .. } = &account.name;
        receipt.marks.push((None, format!("{pack}-{ledger}-{}-{mark}-percent", name_of(counted))));
    }
    let name = serde_json::to_string(&account.name)
        .map_err(|_| CatalogError::Inconsistent { what: "an account whose name cannot be written" })?;
    let told = told.into_iter().map(|(counted, mark)| (byte_of(counted), mark)).collect();
    receipt.days.push((id, today));
    Ok(tx.put_row(keys::ledger_account(&id), &Head { name, last: now, told })?)
}

/// `now`, or when the account was last charged, whichever is later: a clock that goes back does not reopen a window.
fn latest(read: &mut impl Read, account: &[u8; 16], now: UnixMillis) -> Result<UnixMillis, CatalogError> {
    let head = read.get_row::<Head>(&keys::ledger_account(account))?;
    Ok(head.map_or(now, |head| head.last.max(now)))
}

fn days(read: &mut impl Read, account: &[u8; 16], first: u32) -> Result<Vec<(u32, Counts)>, CatalogError> {
    // Windows are three years at the most; what an account counted before is for its list alone, and cut there.
    let range =
        KeyRange::new(keys::account_day(account, first), [&keys::account_day(account, u32::MAX)[..], &[0]].concat());
    let rows = read.scan(&range, DAYS_MAX, Order::Descending)?;
    let day = |key: &[u8]| key.last_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let read_day = |row: crate::state::KeyedRow| Ok((day(&row.key), decode::<Day>(&row.row.value)?.0));
    let mut found: Vec<_> = rows.into_iter().map(read_day).collect::<Result<_, CatalogError>>()?;
    found.reverse();
    Ok(found)
}

fn on_day(read: &mut impl Read, account: &[u8; 16], day: u32) -> Result<Counts, CatalogError> {
    Ok(read.get_row::<Day>(&keys::account_day(account, day))?.map_or_else(Counts::default, |day| day.0))
}

const fn byte_of(counted: Counted) -> u8 {
    match counted {
        Counted::Subjects => 0,
        Counted::Sensitive => 1,
        Counted::Bytes => 2,
    }
}

const fn unit_of(byte: u8) -> Option<Counted> {
    match byte {
        0 => Some(Counted::Subjects),
        1 => Some(Counted::Sensitive),
        2 => Some(Counted::Bytes),
        _ => None,
    }
}

const fn name_of(counted: Counted) -> &'static str {
    match counted {
        Counted::Subjects => "subjects",
        Counted::Sensitive => "sensitive",
        Counted::Bytes => "bytes",
    }
}

#[cfg(test)]
#[path = "ledger_rows_tests.rs"]
mod tests;
