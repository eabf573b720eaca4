//! What gateways tell the node's operator: the newest notice of each is kept and shown, and nothing acts on it.

use std::sync::Arc;

use domicile_node_protocol::Notice;
use domicile_types::NodeId;

use crate::database::{Database, DatabaseError, Table};

/// What a row's key begins with, in the table of things that are one of a kind.
const PREFIX: &[u8] = b"notice/";
/// Lines of evidence, failures, reasons and asks that are kept of each; a gateway that sends more is cut short.
const LINES_MAX: usize = 64;
/// The longest text of a line, in characters.
const TEXT_CHARS_MAX: usize = 512;

/// The newest notice of each gateway.
pub(crate) struct Notices {
    database: Arc<Database>,
}

impl Notices {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Keeps a notice in place of the one before. `gateway` is the peer that sent it, whatever the notice says.
    pub(crate) fn keep(&self, gateway: NodeId, notice: Notice) -> Result<(), DatabaseError> {
        let notice = Notice { gateway, ..cut(notice) };
        let json = serde_json::to_vec(&notice).map_err(|_| Table::Meta.bad_row())?;
        self.database.put(Table::Meta, &key(&gateway), &json)
    }

    pub(crate) fn of(&self, gateway: &NodeId) -> Result<Option<Notice>, DatabaseError> {
        let row = self.database.get(Table::Meta, &key(gateway))?;
        row.map(|row| serde_json::from_slice(&row).map_err(|_| Table::Meta.bad_row())).transpose()
    }
}

fn key(gateway: &NodeId) -> Vec<u8> {
    [PREFIX, gateway.public_key()].concat()
}

fn cut(mut notice: Notice) -> Notice {
    let short = |text: &mut String| *text = text.chars().take(TEXT_CHARS_MAX).collect();
    short(&mut notice.state);
    notice.reasons.truncate(LINES_MAX);
    notice.reasons.iter_mut().for_each(short);
    notice.asks.truncate(LINES_MAX);
    notice.asks.iter_mut().for_each(short);
    notice.evidence_lines.truncate(LINES_MAX);
    for line in &mut notice.evidence_lines {
        short(&mut line.kind);
        short(&mut line.says);
    }
    notice.failures.truncate(LINES_MAX);
    for failure in &mut notice.failures {
        short(&mut failure.shard);
        short(&mut failure.reason);
    }
    notice
}

#[cfg(test)]
mod tests {
    use domicile_types::{EvidenceGrade, IdentityKey, Place, UnixMillis};

    use super::*;

    #[test]
    fn the_newest_notice_of_each_gateway_is_kept_under_the_name_of_who_sent_it() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (IdentityKey::from_seed(&[1; 32]).id(), IdentityKey::from_seed(&[2; 32]).id());
        let notice = |state: &str| Notice {
            gateway: other,
            time: UnixMillis(5),
            state: state.to_owned(),
            reasons: vec!["silent".to_owned(); 100],
            place: Place::parse("CN").unwrap(),
            evidence: EvidenceGrade::Observed,
            evidence_lines: Vec::new(),
            score_basis_points: 10_000,
            failures: Vec::new(),
            asks: vec!["x".repeat(10_000)],
        };
        {
            let notices = Notices::new(Arc::new(Database::open(directory.path(), true).unwrap()));
            notices.keep(one, notice("online")).unwrap();
            notices.keep(one, notice("suspect")).unwrap();
        }
        let notices = Notices::new(Arc::new(Database::open(directory.path(), false).unwrap()));
        let kept = notices.of(&one).unwrap().unwrap();
        assert_eq!((kept.gateway, kept.state.as_str()), (one, "suspect"));
        assert_eq!((kept.reasons.len(), kept.asks[0].len()), (LINES_MAX, TEXT_CHARS_MAX));
        assert_eq!(notices.of(&other).unwrap(), None);
    }
}
