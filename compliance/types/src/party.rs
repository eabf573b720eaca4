//! Legal entities: place alone decides neither GDPR's importer test nor 28 CFR 202's ownership test.

use serde::{Deserialize, Serialize};

use crate::{PartyId, Place, SchemeId, UnixMillis};

/// A legal entity, as enrolment recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Identifier within this installation.
    pub id: PartyId,
    /// Registered name.
    pub name: String,
    /// Where it is incorporated.
    pub incorporated: Place,
    /// Where its headquarters (principal place of business) is.
    pub headquartered: Place,
    /// Who owns it, as far as enrolment found out. Shares need not add up to the whole.
    #[serde(default)]
    pub owners: Vec<Ownership>,
    /// Who controls it, where that is another party.
    #[serde(default)]
    pub controlled_by: Option<PartyId>,
    /// Schemes it is certified under. Some adequacy decisions reach certified recipients only (the EU-US Data Privacy
    /// Framework, say), so a place without them is not enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certifications: Vec<Certification>,
}

/// A certification that a pack may demand of a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certification {
    /// The scheme, in the vocabulary of the packs: `eu-us-dpf`.
    pub scheme: SchemeId,
    /// When it lapses; absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixMillis>,
}

/// One owner's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ownership {
    /// The owner.
    pub owner: PartyId,
    /// Where the owner is organised, or resides.
    pub place: Place,
    /// Direct and indirect share, in hundredths of a percent (10,000 = all of it).
    pub share_basis_points: u16,
}
