//! What an approval says, and what it must not say.

use std::collections::{BTreeMap, BTreeSet};

use domicile_compliance::pack::Mechanism;
use domicile_types::{
    ApprovalId, ApprovalRef, BucketName, Counts, MechanismId, PackId, Party, PartyId, Place, TenantId, UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Longest text of a request, in characters.
const TEXT_CHARS_MAX: usize = 2_000;
/// Access keys, users and roles that one approval may name.
const ACTORS_MAX: usize = 64;
/// Places that one approval may name.
const PLACES_MAX: usize = 64;
/// Owners that a recipient may name.
const OWNERS_MAX: usize = 64;
/// The whole of a party, in hundredths of a percent.
const WHOLE_BASIS_POINTS: u32 = 10_000;
/// A share above this is control.
const HALF_BASIS_POINTS: u16 = 5_000;
/// How long a chain of control is followed.
const CHAIN_MAX: usize = 16;
/// The longest emergency, in milliseconds.
pub const EMERGENCY_MILLIS_MAX: u64 = 24 * 3_600_000;
/// How long after it an emergency may stay unreviewed, in milliseconds.
pub const REVIEW_MILLIS_MAX: u64 = 72 * 3_600_000;
const DAY_MILLIS: u64 = 86_400_000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whose data: the exporter.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// The bucket that the dataset lies in.
    #[schemars(with = "String")]
    pub bucket: BucketName,
    /// The beginning of its keys; empty: the whole bucket.
    #[serde(default)]
    pub prefix: String,
    /// What it is for.
    pub purpose: String,
    /// Why that needs the data, and needs it there.
    pub necessity: String,
    /// Who receives.
    pub recipient: Recipient,
    /// Who acts for the recipient.
    pub actors: BTreeSet<Actor>,
    /// Whose mechanism.
    #[schemars(with = "String")]
    pub pack: PackId,
    /// The legal mechanism.
    #[schemars(with = "String")]
    pub mechanism: MechanismId,
    /// The instrument: a contract with its date, a certificate.
    pub instrument: String,
    /// The number that an authority gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_number: Option<String>,
    /// How much.
    pub quota: Quota,
    /// For what.
    pub operations: BTreeSet<Use>,
    /// From when on. Absent: from its approval on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub effective: Option<UnixMillis>,
    /// Until when.
    #[schemars(with = "u64")]
    pub expires: UnixMillis,
    /// The impact assessment that it rests on, by its reference.
    pub assessment: String,
    /// The approval that it is to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub renews: Option<ApprovalId>,
}

/// Who receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The legal entity, as rules see it.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub party: Party,
    /// Its address and whom to ask there.
    pub contact: String,
    /// Where it receives: every place that a reader may be at must be one of these.
    #[schemars(with = "Vec<String>")]
    pub places: BTreeSet<Place>,
}

/// Who acts for a recipient.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// An access key.
    AccessKey(String),
    /// A user of the tenant, by any of its keys.
    User(String),
    /// Sessions of a role of the tenant.
    Role(String),
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Distinct individuals. Absent: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
    /// Bytes.
    pub bytes: u64,
}

/// What an approval is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// To be handed bytes of objects.
    Retrieve,
    /// To be told of objects: HEAD and LIST.
    Query,
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Asked for.
    Requested,
    /// In force, from its day on.
    Active,
    /// Out of force until it is resumed.
    Suspended,
    /// Used up.
    Consumed,
    /// Over.
    Expired,
    /// Ended by people.
    Revoked,
    /// Turned down.
    Rejected,
    /// Taken back by its maker.
    Withdrawn,
}

/// An approval, from its request on. Its canonical JSON is what the log has the hash of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Its name.
    pub id: ApprovalId,
    /// What was asked for.
    pub terms: Terms,
    /// Who controls the recipient in the end: ledgers count by it.
    pub ultimate: PartyId,
    /// The person who asked.
    pub maker: String,
    /// When.
    pub requested: UnixMillis,
    /// The person who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checker: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<UnixMillis>,
    /// Where it stands.
    pub state: State,
    /// Why, where a person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Set for what was put in force in an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Emergency>,
    /// The request that is to follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_by: Option<ApprovalId>,
    /// Random: keeps the hash in the log from telling what is in here.
    pub salt: String,
}

/// An emergency: in force at once, looked at afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// What the emergency is.
    pub reason: String,
    /// When it must have been reviewed; set as it comes into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_by: Option<UnixMillis>,
    /// What the review found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// What came of looking at an emergency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Who looked: neither of the two who acted.
    pub by: String,
    /// When.
    pub at: UnixMillis,
    /// What was found.
    pub finding: String,
}

/// What of an approval is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// How much.
    pub counts: Counts,
    /// Marks that were told of: 0, 70 or 90 percent, of individuals and of bytes.
    pub told: [u8; 2],
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// A text that is empty, too long, or has control characters.
    #[error("{what} is missing or no text of 1 to {TEXT_CHARS_MAX} characters on one line: state it")]
    Text {
        /// Which.
        what: &'static str,
    },
    /// A list that is empty or too long.
    #[error("{what}: name 1 to {most}")]
    List {
        /// Which.
        what: &'static str,
        /// The most.
        most: usize,
    },
    /// A recipient at an unknown place.
    #[error("{what} is unknown: nothing can be provided to a place that nobody can name")]
    UnknownPlace {
        /// Which place.
        what: &'static str,
    },
    /// Owners hold more than the whole, or nothing.
    #[error(
        "the owners of the recipient are at most {OWNERS_MAX}, and hold 1 to 10000 hundredths of a percent together"
    )]
    Owners,
    /// A mechanism that the pack does not have.
    #[error("the pack {pack} has no mechanism {mechanism}; it has: {known}")]
    UnknownMechanism {
        /// The pack.
        pack: PackId,
        /// What was named.
        mechanism: MechanismId,
        /// What there is.
        known: String,
    },
    /// A quota of nothing.
    #[error("a quota of no {what} lets nothing leave: state one")]
    NoQuota {
        /// Bytes or individuals.
        what: &'static str,
    },
    /// A mechanism under which individuals are counted.
    #[error("{mechanism} counts individuals: state a quota of subjects")]
    SubjectsDemanded {
        /// Which.
        mechanism: MechanismId,
    },
    /// It would never be in force.
    #[error("it expires at {expires}, which is not after {after}: state a later time")]
    PastExpiry {
        /// When it ends.
        expires: UnixMillis,
        /// Now, or when it is to begin.
        after: UnixMillis,
    },
    /// It would last longer than the mechanism allows.
    #[error("{mechanism} lasts {days_max} days at the most: let it expire earlier")]
    TooLong {
        /// Which.
        mechanism: MechanismId,
        /// The most.
        days_max: u32,
    },
    /// An emergency that is none.
    #[error("an emergency lasts 24 hours at the most, begins at once and renews nothing")]
    NoEmergency,
}

impl Terms {
    /// Refuses what could not be approved. `mechanisms` are those of the pack named.
    pub fn check(
        &self,
        mechanisms: &BTreeMap<MechanismId, Mechanism>,
        now: UnixMillis,
        is_emergency: bool,
    ) -> Result<(), TermsError> {
        let number = self.authority_number.iter().map(|number| ("the authority's number", number));
        for (what, text) in [
            ("the purpose", &self.purpose),
            ("the necessity", &self.necessity),
            ("the recipient's name", &self.recipient.party.name),
            ("the recipient's contact", &self.recipient.contact),
            ("the instrument", &self.instrument),
            ("the reference of the impact assessment", &self.assessment),
        ]
        .into_iter()
        .chain(number)
        {
            one_line(what, text)?;
        }
        self.check_recipient()?;
        within("actors", self.actors.len(), ACTORS_MAX)?;
        within("operations", self.operations.len(), 2)?;
        for actor in &self.actors {
            let (Actor::AccessKey(name) | Actor::User(name) | Actor::Role(name)) = actor;
            one_line("the name of an actor", name)?;
        }
        let mechanism = mechanisms.get(&self.mechanism).ok_or_else(|| TermsError::UnknownMechanism {
            pack: self.pack.clone(),
            mechanism: self.mechanism.clone(),
            known: mechanisms.keys().map(MechanismId::as_str).collect::<Vec<_>>().join(", "),
        })?;
        self.check_quota(mechanism)?;
        self.check_time(mechanism, now, is_emergency)
    }

    fn check_recipient(&self) -> Result<(), TermsError> {
        let Recipient { party, places, .. } = &self.recipient;
        within("places of the recipient", places.len(), PLACES_MAX)?;
        for (what, place) in [
            ("where the recipient is incorporated", party.incorporated),
            ("where the recipient has its headquarters", party.headquartered),
        ] {
            if place == Place::Unknown {
                return Err(TermsError::UnknownPlace { what });
            }
        }
        if places.contains(&Place::Unknown) {
            return Err(TermsError::UnknownPlace { what: "a place of the recipient" });
        }
        let held: u32 = party.owners.iter().map(|owner| u32::from(owner.share_basis_points)).sum();
        let nothing = party.owners.iter().any(|owner| owner.share_basis_points == 0);
        if party.owners.len() > OWNERS_MAX || held > WHOLE_BASIS_POINTS || nothing {
            return Err(TermsError::Owners);
        }
        Ok(())
    }

    fn check_quota(&self, mechanism: &Mechanism) -> Result<(), TermsError> {
        if self.quota.bytes == 0 {
            return Err(TermsError::NoQuota { what: "bytes" });
        }
        match self.quota.subjects {
            Some(0) => Err(TermsError::NoQuota { what: "subjects" }),
            None if mechanism.demands_subject_quota => {
                Err(TermsError::SubjectsDemanded { mechanism: self.mechanism.clone() })
            }
            _ => Ok(()),
        }
    }

    fn check_time(&self, mechanism: &Mechanism, now: UnixMillis, is_emergency: bool) -> Result<(), TermsError> {
        let begins = self.effective.map_or(now, |effective| effective.max(now));
        if self.expires <= begins {
            return Err(TermsError::PastExpiry { expires: self.expires, after: begins });
        }
        let from = self.effective.unwrap_or(now);
        if let Some(days_max) = mechanism.days_max
            && self.expires.millis_since(from) > u64::from(days_max).saturating_mul(DAY_MILLIS)
        {
            return Err(TermsError::TooLong { mechanism: self.mechanism.clone(), days_max });
        }
        let short = self.expires.millis_since(now) <= EMERGENCY_MILLIS_MAX;
        if is_emergency && (!short || self.effective.is_some_and(|from| from > now) || self.renews.is_some()) {
            return Err(TermsError::NoEmergency);
        }
        Ok(())
    }
}

impl Approval {
    /// BLAKE3 of the canonical JSON, in hexadecimal: what the log has of it.
    #[must_use]
    pub fn hash(&self) -> String {
        blake3::hash(self.canonical().as_bytes()).to_hex().to_string()
    }

    /// The canonical JSON: compact, fields in the order declared, absent instead of null.
    #[must_use]
    pub fn canonical(&self) -> String {
        // Nothing in here fails to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it is in force.
    #[must_use]
    pub fn is_in_force(&self, now: UnixMillis) -> bool {
        self.state == State::Active && self.terms.effective.is_none_or(|from| from <= now) && now < self.terms.expires
    }

    /// Whether a person had a hand in it.
    #[must_use]
    pub fn has_hand(&self, person: &str) -> bool {
        same_person(&self.maker, person) || self.checker.as_deref().is_some_and(|checker| same_person(checker, person))
    }

    /// As decisions name it.
    #[must_use]
    pub fn reference(&self) -> ApprovalRef {
        ApprovalRef {
            id: self.id,
            pack: self.terms.pack.clone(),
            mechanism: self.terms.mechanism.clone(),
            expires: self.terms.expires,
        }
    }
}

/// Whether two names of persons are one person: tokens are written by hand, so letters' case and outer blanks do not count.
#[must_use]
pub fn same_person(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// Who controls `party` in the end: stated control first, else who owns more than half, and so on upwards through the parties
/// that `known` has. Itself, where nobody does.
#[must_use]
pub fn ultimate(party: &Party, known: &BTreeMap<PartyId, Party>) -> PartyId {
    let mut at = party;
    let mut id = &party.id;
    for _ in 0..CHAIN_MAX {
        let majority = at.owners.iter().find(|owner| owner.share_basis_points > HALF_BASIS_POINTS);
        let Some(above) = at.controlled_by.as_ref().or(majority.map(|owner| &owner.owner)) else { break };
        id = above;
        match known.get(above) {
            Some(next) => at = next,
            None => break,
        }
    }
    id.clone()
}

/// A text of a request or an order.
pub fn one_line(what: &'static str, text: &str) -> Result<(), TermsError> {
    let length = text.trim().chars().count();
    let fits = (1..=TEXT_CHARS_MAX).contains(&length) && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(TermsError::Text { what }) }
}

fn within(what: &'static str, count: usize, most: usize) -> Result<(), TermsError> {
    if (1..=most).contains(&count) { Ok(()) } else { Err(TermsError::List { what, most }) }
}

#[cfg(test)]
#[path = "record_tests.rs"]
pub(crate) mod tests;
