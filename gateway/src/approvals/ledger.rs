//! How exports add up: who is counted with whom, over which days, and each object version once.
//!
//! An account is one key of one pack's ledger (exporter, recipient, class, as the pack's `per` says). It keeps a count for
//! every day, and of every object version the last day on which it was provided. Provided again within the window, its
//! individuals move to the later day and are not counted twice; its bytes are counted each time. So what a window holds is
//! the sum of its days, for calendar years and rolling windows alike. The day on which a rolling window begins counts whole:
//! that counts too much, never too little.

use domicile_compliance::pack::{Counted, Ledger, LedgerKey, Pack};
use domicile_types::{Classification, CountMethod, Counts, DataClass, PackId, PartyId, TenantId, Total, UnixMillis};
use serde::{Deserialize, Serialize};

const DAY_MILLIS: u64 = 86_400_000;
const HOUR_MILLIS: i64 = 3_600_000;
/// Percentages of a limit that are told of.
pub const MARKS: [u8; 2] = [70, 90];

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountName {
    /// Whose ledger.
    pub pack: PackId,
    /// Which.
    pub ledger: String,
    /// Who provides; absent where all exporters count together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exporter: Option<TenantId>,
    /// Who receives in the end; absent where all count together, and for a recipient that nobody named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<PartyId>,
    /// Of which class; absent where all count together, and for what is not classified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<DataClass>,
}

/// An account with what it is counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What is counted together.
    pub name: AccountName,
    /// Over which time.
    pub ledger: Ledger,
    /// Numbers of the pack that warnings are held against.
    pub limits: Vec<(Counted, u64)>,
}

/// What an account knows of an object version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The last day on which it was provided.
    pub day: u32,
    /// Its individuals, as counted then.
    pub counts: Counts,
}

/// What providing an object version changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// To be taken from an earlier day: the version is counted again today.
    pub moved: Option<Seen>,
    /// To be added to today.
    pub today: Counts,
    /// What the window gains.
    pub gained: Counts,
    /// What is known of the version from now on.
    pub seen: Seen,
}

impl AccountName {
    /// Sixteen bytes that stand for it in keys of rows.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut id = [0; 16];
        blake3::Hasher::new().update(&json).finalize_xof().fill(&mut id);
        id
    }
}

impl Account {
    /// The accounts of `pack` that data of this kind is counted in, when `exporter` provides it to `recipient`. Data without
    /// a class may be of any, and is counted.
    #[must_use]
    pub fn of(pack: &Pack, exporter: &TenantId, recipient: Option<&PartyId>, data: &Classification) -> Vec<Self> {
        let mut accounts = Vec::new();
        for (name, ledger) in &pack.facts().ledgers {
            let limits = limits(pack, ledger);
            for class in classes(ledger, data) {
                let per = |key| ledger.per.contains(&key);
                accounts.push(Self {
                    name: AccountName {
                        pack: pack.id().clone(),
                        ledger: name.clone(),
                        exporter: per(LedgerKey::Exporter).then(|| exporter.clone()),
                        recipient: recipient.filter(|_| per(LedgerKey::Recipient)).cloned(),
                        class,
                    },
                    ledger: ledger.clone(),
                    limits: limits.clone(),
                });
            }
        }
        accounts
    }

    /// The account of that name, if `pack` has its ledger still.
    #[must_use]
    pub fn known(pack: &Pack, name: &AccountName) -> Option<Self> {
        let ledger = pack.facts().ledgers.get(&name.ledger)?;
        Some(Self { name: name.clone(), ledger: ledger.clone(), limits: limits(pack, ledger) })
    }

    /// The day that an instant lies in, by the ledger's offset.
    #[must_use]
    pub fn day(&self, at: UnixMillis) -> u32 {
        let offset = i64::from(self.ledger.utc_offset_hours) * HOUR_MILLIS;
        u32::try_from(at.0.saturating_add_signed(offset) / DAY_MILLIS).unwrap_or(u32::MAX)
    }

    /// The first day of the window at `now`.
    #[must_use]
    pub fn first_day(&self, now: UnixMillis) -> u32 {
        self.day(self.ledger.since(now))
    }

    /// What it changes to provide a version with these individuals on `day`. `bytes` are counted whatever was before.
    #[must_use]
    pub fn enter(&self, before: Option<Seen>, first_day: u32, day: u32, object: Counts) -> Entry {
        // What was provided before the window began is provided anew.
        let before = before.filter(|seen| seen.day >= first_day);
        let known = before.map_or_else(Counts::default, |seen| seen.counts);
        let counts = greater(known, Counts { bytes: 0, ..object });
        let gained = Counts { bytes: object.bytes, ..less(counts, known) };
        let moved = before.filter(|seen| seen.day != day);
        let today = if moved.is_some() { Counts { bytes: object.bytes, ..counts } } else { gained };
        Entry { moved, today, gained, seen: Seen { day, counts } }
    }

    /// The marks that `after` is beyond and `told` does not have yet, and what was told from now on. Below a mark again, as
    /// windows move on, it is told of anew.
    #[must_use]
    pub fn marks(&self, told: &[(Counted, u8)], after: Counts) -> (Vec<(Counted, u8)>, Vec<(Counted, u8)>) {
        let (mut crossed, mut now) = (Vec::new(), Vec::new());
        for (counted, limit) in &self.limits {
            let mark = mark(counted.of(after), *limit);
            let before = told.iter().find(|(known, _)| known == counted).map_or(0, |(_, mark)| *mark);
            if mark > before {
                crossed.push((*counted, mark));
            }
            now.push((*counted, mark));
        }
        (crossed, now)
    }
}

/// The totals that rules see: one a ledger, the greatest of its accounts in each unit where data counts in several.
#[must_use]
pub fn totals(accounts: &[(Account, Counts, Counts)], now: UnixMillis) -> Vec<Total> {
    let mut totals: Vec<Total> = Vec::new();
    for (account, before, after) in accounts {
        let AccountName { pack, ledger, .. } = &account.name;
        match totals.iter_mut().find(|total| total.pack == *pack && total.ledger == *ledger) {
            Some(total) => {
                total.before = greater(total.before, *before);
                total.after = greater(total.after, *after);
            }
            None => totals.push(Total {
                pack: pack.clone(),
                ledger: ledger.clone(),
                since: account.ledger.since(now),
                before: *before,
                after: *after,
                method: CountMethod::Sum,
            }),
        }
    }
    totals
}

/// The highest mark that `used` of `limit` is at or beyond; 0: none. A limit of nothing is beyond every mark at once.
#[must_use]
pub fn mark(used: u64, limit: u64) -> u8 {
    let beyond = |mark: &&u8| u128::from(used) * 100 >= u128::from(limit) * u128::from(**mark);
    if used == 0 { 0 } else { MARKS.iter().rev().find(beyond).copied().unwrap_or(0) }
}

/// The greater of both, unit by unit.
#[must_use]
pub fn greater(one: Counts, other: Counts) -> Counts {
    Counts {
        subjects: one.subjects.max(other.subjects),
        sensitive: one.sensitive.max(other.sensitive),
        bytes: one.bytes.max(other.bytes),
    }
}

/// What is left of `from` without `part`; never below nothing.
#[must_use]
pub fn less(from: Counts, part: Counts) -> Counts {
    Counts {
        subjects: from.subjects.saturating_sub(part.subjects),
        sensitive: from.sensitive.saturating_sub(part.sensitive),
        bytes: from.bytes.saturating_sub(part.bytes),
    }
}

/// The numbers that warnings are held against.
fn limits(pack: &Pack, ledger: &Ledger) -> Vec<(Counted, u64)> {
    let thresholds = &pack.facts().thresholds;
    let limit = |(counted, name): (&Counted, &String)| Some((*counted, u64::try_from(*thresholds.get(name)?).ok()?));
    ledger.limits.iter().filter_map(limit).collect()
}

/// The classes that data counts under; none where the ledger counts other data only.
fn classes(ledger: &Ledger, data: &Classification) -> Vec<Option<DataClass>> {
    let counted = |class: &&DataClass| ledger.classes.is_empty() || ledger.classes.contains(*class);
    let found: Vec<DataClass> = data.classes.iter().filter(counted).cloned().collect();
    let is_unclassified = data.classes.is_empty();
    match (found.is_empty(), ledger.per.contains(&LedgerKey::Class)) {
        (true, _) if !is_unclassified => Vec::new(),
        (true, _) | (false, false) => vec![None],
        (false, true) => found.into_iter().map(Some).collect(),
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
pub(crate) mod tests;
