//! Where the parts of an installation must be: gateway, keys, names, log, repair, support; and who may hold keys.
//!
//! Rules decide request by request. These facts say the same in advance, for those who plan an installation or report on
//! one, and a pack whose rules do not keep what its facts promise is not loaded.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Action, Classification, EvidenceGrade, NodeId, OperationKind, Place, Subject, SubjectFacts};
use domicile_types::{UnixMillis, Verdict};
use serde::Deserialize;

use crate::decide::{Ask, AskClass, Question, stands_alone};
use crate::pack::Pack;

/// A part of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Locus {
    /// Where plaintext is: the gateway, and where TLS ends.
    Gateway,
    /// Where keys are held or used.
    Key,
    /// Where names, sizes and manifests are kept.
    Metadata,
    /// Where the audit log is kept.
    Log,
    /// Where shards are rebuilt to.
    Repair,
    /// Where people sit who administer and support it. No request shows that, so no rule can keep it.
    Support,
}

impl Locus {
    /// Who would do what there.
    fn role(self) -> Option<(Subject, Action, OperationKind)> {
        let nobody = NodeId::from_public_key([0; 32]);
        Some(match self {
            Self::Gateway => (Subject::Gateway(nobody), Action::Process, OperationKind::GetObject),
            Self::Key => (Subject::KeyService, Action::HoldKey, OperationKind::GetObject),
            Self::Metadata => (Subject::Gateway(nobody), Action::Index, OperationKind::PutObject),
            Self::Log => (Subject::Gateway(nobody), Action::Log, OperationKind::PutObject),
            Self::Repair => (Subject::Node(nobody), Action::Repair, OperationKind::Repair),
            Self::Support => return None,
        })
    }
}

/// Who may hold keys. What is further down is stricter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyCustody {
    /// Anybody, anywhere.
    #[default]
    Anywhere,
    /// Anybody, at the places of [`Locus::Key`].
    Within,
    /// Entities of those places, at those places.
    Own,
}

/// By locus, the groups of which one must hold the place. A locus that is absent may be anywhere.
pub type Loci = BTreeMap<Locus, BTreeSet<String>>;

/// A locus whose fact the rules do not keep: what is unclassified may be there at a place that belongs to no group.
pub(crate) fn unkept(pack: &Pack, now: UnixMillis) -> Option<Locus> {
    let nowhere = [Some(Place::Unknown), Place::parse("ZZ").ok()];
    pack.facts().loci.keys().copied().find(|locus| {
        let Some((subject, action, operation)) = locus.role() else { return false };
        nowhere.into_iter().flatten().any(|place| {
            let facts = SubjectFacts { subject, places: vec![place], evidence: EvidenceGrade::Audited, party: None };
            let question = Question {
                operation,
                packs: vec![pack.id().clone()],
                classification: Classification::default(),
                asks: vec![Ask { action, facts, class: AskClass::Required }],
                now,
                located_warnings: Vec::new(),
                approvals: Vec::new(),
                totals: Vec::new(),
            };
            stands_alone(pack, &question) == Verdict::Allow
        })
    })
}
