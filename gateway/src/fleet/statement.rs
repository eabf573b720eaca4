//! The gateway's and the node's account of a month, held against each other. Pure.

use domicile_node_protocol::Statement;
use domicile_storage_node::accounting::{Account, Month, Owed, Tally, Terms};
use domicile_types::{NodeId, OperatorId, UnixMillis};
use serde::{Deserialize, Serialize};

/// A node's month as both sides see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reconciled {
    /// The month.
    #[schemars(with = "String")]
    pub month: Month,
    /// Who runs the node.
    #[schemars(with = "String")]
    pub operator: OperatorId,
    /// The node.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// Until when: the month's end, or when the node wrote its account.
    #[schemars(with = "u64")]
    pub until: UnixMillis,
    /// The gateway's sums.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub ours: Statement,
    /// The node's, as it signed it; none: it did not answer.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub theirs: Option<Statement>,
    /// The text that it signed.
    pub signed: Option<String>,
    /// Challenges not met.
    pub failures: u64,
    /// Where the two differ by more than is tolerated.
    pub differences: Vec<String>,
    /// What both agree on: the lesser of each, at the terms.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub owed: Owed,
}

/// The gateway's sums beside what the node signed.
#[must_use]
pub fn reconcile(
    account: &Account,
    tally: &Tally,
    theirs: Option<(Statement, String)>,
    now: UnixMillis,
    terms: &Terms,
    tolerance_basis_points: u16,
) -> Reconciled {
    let until = account.month.until(theirs.as_ref().map_or(now, |(theirs, _)| theirs.until.min(now)));
    let ours = tally.statement(account, until);
    let (theirs, signed) = theirs.unzip();
    let mut differences = Vec::new();
    let mut agreed = (ours.byte_hours, ours.served_bytes);
    match &theirs {
        None => differences.push("the node gave no statement".to_owned()),
        Some(theirs) => {
            let mut compare = |what: &str, ours: u64, theirs: u64, slack: u64| {
                let allowed = u64::try_from(u128::from(ours.max(theirs)) * u128::from(tolerance_basis_points) / 10_000);
                if ours.abs_diff(theirs) > allowed.unwrap_or(u64::MAX).max(slack) {
                    differences.push(format!("{what}: gateway {ours}, node {theirs}"));
                }
            };
            // What was under way as either side took its sums.
            let slack = 64 << 20;
            compare("byte-hours", ours.byte_hours, theirs.byte_hours, slack);
            compare("bytes served", ours.served_bytes, theirs.served_bytes, slack);
            compare("bytes stored", ours.stored_bytes, theirs.stored_bytes, slack);
            compare("bytes deleted", ours.deleted_bytes, theirs.deleted_bytes, slack);
            compare("challenges met", ours.proofs, theirs.proofs, 16);
            agreed = (ours.byte_hours.min(theirs.byte_hours), ours.served_bytes.min(theirs.served_bytes));
        }
    }
    let owed = terms.owed(agreed.0, agreed.1, tally.failures);
    Reconciled {
        month: account.month,
        operator: account.operator.clone(),
        node: account.node,
        until,
        ours,
        theirs,
        signed,
        failures: tally.failures,
        differences,
        owed,
    }
}

/// Why a node's statement is not one of the account that was asked for.
#[must_use]
pub fn mismatch(statement: &Statement, account: &Account) -> Option<&'static str> {
    if statement.v != Statement::VERSION {
        Some("it has another version")
    } else if statement.node != account.node || statement.gateway != account.gateway {
        Some("it is of another node or for another gateway")
    } else if statement.month != account.month.to_string() {
        Some("it is of another month")
    } else {
        None
    }
}

/// Statements as CSV, one line a node.
pub fn to_csv(rows: &[Reconciled], currency: &str) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "month",
        "operator",
        "node",
        "until_unix_millis",
        "byte_hours",
        "byte_hours_by_node",
        "stored_bytes",
        "stored_bytes_by_node",
        "served_bytes",
        "served_bytes_by_node",
        "deleted_bytes",
        "held_bytes",
        "proofs",
        "failures",
        "earned_micros",
        "withheld_micros",
        "payable_micros",
        "currency",
        "differences",
    ])?;
    for row in rows {
        let theirs = |of: fn(&Statement) -> u64| row.theirs.as_ref().map(of).map(|n| n.to_string()).unwrap_or_default();
        writer.write_record([
            row.month.to_string(),
            row.operator.to_string(),
            row.node.to_string(),
            row.until.0.to_string(),
            row.ours.byte_hours.to_string(),
            theirs(|theirs| theirs.byte_hours),
            row.ours.stored_bytes.to_string(),
            theirs(|theirs| theirs.stored_bytes),
            row.ours.served_bytes.to_string(),
            theirs(|theirs| theirs.served_bytes),
            row.ours.deleted_bytes.to_string(),
            row.ours.held_bytes.to_string(),
            row.ours.proofs.to_string(),
            row.failures.to_string(),
            row.owed.earned_micros.to_string(),
            row.owed.withheld_micros.to_string(),
            row.owed.payable_micros.to_string(),
            currency.to_owned(),
            row.differences.join("; "),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::*;

    fn account() -> Account {
        Account {
            node: IdentityKey::from_seed(&[1; 32]).id(),
            operator: OperatorId::parse("storage-sz").unwrap(),
            gateway: IdentityKey::from_seed(&[2; 32]).id(),
            month: Month::parse("2026-11").unwrap(),
        }
    }

    fn terms() -> Terms {
        Terms { micros_per_tib_hour: 1_000_000, ..Terms::default() }
    }

    #[test]
    fn both_sides_with_the_same_receipts_agree_and_the_lesser_counts_where_they_do_not() {
        let end = account().month.next().start();
        let ours = Tally::beginning_with(1 << 40);
        let theirs = |held: u64| {
            let statement = Tally::beginning_with(held).statement(&account(), end);
            Some((statement, "signed".to_owned()))
        };
        let agrees = reconcile(&account(), &ours, theirs(1 << 40), end, &terms(), 100);
        assert_eq!((agrees.differences.clone(), agrees.owed.payable_micros), (Vec::new(), 720_000_000));
        let claims_more = reconcile(&account(), &ours, theirs(2 << 40), end, &terms(), 100);
        assert_eq!(claims_more.owed.payable_micros, 720_000_000);
        assert!(claims_more.differences[0].starts_with("byte-hours"), "{:?}", claims_more.differences);
        let claims_less = reconcile(&account(), &ours, theirs(1 << 39), end, &terms(), 100);
        assert_eq!(claims_less.owed.payable_micros, 360_000_000);
        let silent = reconcile(&account(), &ours, None, end, &terms(), 100);
        assert_eq!(silent.differences, ["the node gave no statement"]);
    }

    #[test]
    fn missed_challenges_cost_their_share_and_csv_tells_all() {
        let end = account().month.next().start();
        let ours = Tally { failures: 2, ..Tally::beginning_with(1 << 40) };
        let row = reconcile(&account(), &ours, None, end, &terms(), 100);
        assert_eq!(row.owed.withheld_micros, 14_400_000);
        let csv = to_csv(&[row], "EUR").unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
        assert!(
            lines[1].starts_with("2026-11,storage-sz,12D3KooW")
                && lines[1].contains(",2,720000000,14400000,705600000,EUR,")
        );
    }

    #[test]
    fn a_statement_of_something_else_is_not_taken() {
        let statement = Tally::default().statement(&account(), account().month.start());
        assert_eq!(mismatch(&statement, &account()), None);
        let december = Statement { month: "2026-12".to_owned(), ..statement.clone() };
        assert!(mismatch(&december, &account()).is_some());
        assert!(mismatch(&Statement { gateway: account().node, ..statement }, &account()).is_some());
    }
}
