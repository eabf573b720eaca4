//! What speaks for and against a declared place: graded, expiring, pure.
//!
//! Nothing here proves a place. It finds contradicting evidence, or it finds none; a second copy of the bytes elsewhere is
//! beyond any measurement. The grades:
//!
//! | grade | what it takes |
//! |---|---|
//! | 0 declared | the enrolment; anything contradicted, or not located, falls back to it |
//! | 1 observed | every location database puts the address in the declared place |
//! | 2 measured | 1, and challenges answered lately that bound the distance, as far as light allows |
//! | 3 attested | 1, and an attestation of the host on file |
//! | 4 audited | 1, and a contract and a report of a visit to the site on file |

use std::collections::BTreeSet;

use domicile_node_protocol::{Announcement, EvidenceLine};
use domicile_types::{EvidenceGrade, Located, LocationSource, OperatorId, PartyId, Place, UnixMillis};

use super::Reason;
use super::delay::{Bound, Delays};
use super::document::{Document, DocumentKind, Mark};

/// Everything that is known about where a node is.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// Where enrolment has it.
    pub declared: Place,
    /// Who runs it, by its enrolment.
    pub operator: &'a OperatorId,
    /// The legal entity, by its enrolment.
    pub party: &'a PartyId,
    /// Its own latest word.
    pub announced: Option<&'a Announcement>,
    /// Where the databases put its address.
    pub located: Option<&'a Located>,
    /// The autonomous system of its address, where a database knows it.
    pub network: Option<u32>,
    /// How fast it answered challenges.
    pub delays: &'a Delays,
    /// From where the delays were measured.
    pub vantage: Place,
    /// Documents about it.
    pub documents: &'a [Document],
}

/// What the evidence comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceView {
    /// How well the declared place is evidenced.
    pub grade: EvidenceGrade,
    /// What contradicts place or party and is not set aside.
    pub contradictions: BTreeSet<Mark>,
    /// What contradicts, and was set aside by a dispute that was upheld.
    pub set_aside: BTreeSet<Mark>,
    /// A line for each piece of evidence.
    pub lines: Vec<EvidenceLine>,
}

impl PlaceView {
    /// Weighs `claims` at `now`.
    #[must_use]
    pub fn of(claims: &Claims<'_>, now: UnixMillis) -> Self {
        let mut view = Self {
            grade: EvidenceGrade::Declared,
            contradictions: BTreeSet::new(),
            set_aside: BTreeSet::new(),
            lines: Vec::new(),
        };
        let valid: Vec<&Document> = claims.documents.iter().filter(|document| document.is_valid(now)).collect();
        view.declared(claims);
        if let Some(number) = claims.network {
            view.line("network", format!("its address lies in AS{number}"), false, None);
        }
        let observed = view.located(claims, &valid);
        let measured = view.delays(claims, &valid, now);
        let held = view.documents(claims, &valid);
        let grade = match held {
            _ if !view.contradictions.is_empty() || !observed => EvidenceGrade::Declared,
            held if held.contains(&DocumentKind::SiteAudit) && held.contains(&DocumentKind::Contract) => {
                EvidenceGrade::Audited
            }
            held if held.contains(&DocumentKind::HostAttestation) => EvidenceGrade::Attested,
            _ if measured => EvidenceGrade::Measured,
            _ => EvidenceGrade::Observed,
        };
        Self { grade, ..view }
    }

    /// The reasons that fence the node.
    #[must_use]
    pub fn reasons(&self) -> BTreeSet<Reason> {
        self.contradictions.iter().map(|mark| mark.reason).collect()
    }

    /// Whether the databases' answer was set aside: an officer has seen evidence that they are wrong.
    #[must_use]
    pub fn sets_location_aside(&self) -> bool {
        self.set_aside.iter().any(|mark| mark.reason == Reason::PlaceLocatedElsewhere)
    }

    fn declared(&mut self, claims: &Claims<'_>) {
        let Some(announced) = claims.announced else { return };
        let same_place = announced.place == claims.declared;
        self.line("declared", format!("the node says {}", announced.place), !same_place, None);
        if !same_place {
            self.contradict(Reason::PlaceDeclaredOtherwise, announced.place.to_string(), &[]);
        }
        if announced.operator != *claims.operator || announced.party.id != *claims.party {
            let who = format!("{} of {}", announced.operator, announced.party.id);
            self.line("declared", format!("the node says that it is run by {who}"), true, None);
            self.contradict(Reason::PartyDeclaredOtherwise, who, &[]);
        }
    }

    /// Whether every database agrees, or whoever does not was set aside.
    fn located(&mut self, claims: &Claims<'_>, valid: &[&Document]) -> bool {
        let (Some(located), Some(announced)) = (claims.located, claims.announced) else { return false };
        let names = |places: &[Place]| places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        let by = located.sources.iter().map(source_name).collect::<Vec<_>>().join(", ");
        let elsewhere = located.candidates.iter().any(|place| is_elsewhere(place, &claims.declared));
        let unknown = located.candidates.contains(&Place::Unknown);
        let says = match by.as_str() {
            "" => format!("nobody knows where {} is", announced.data_plane.ip()),
            by => format!("{} is in {} by {by}", announced.data_plane.ip(), names(&located.candidates)),
        };
        self.line("location-database", says, elsewhere, None);
        if elsewhere {
            let how = format!("{} in {}", announced.data_plane.ip(), names(&located.candidates));
            return self.contradict(Reason::PlaceLocatedElsewhere, how, valid);
        }
        !unknown
    }

    /// Whether challenges bound the distance, and do not contradict it.
    fn delays(&mut self, claims: &Claims<'_>, valid: &[&Document], now: UnixMillis) -> bool {
        // What the configuration places, no measurement does: the machines of a demonstration are a room apart.
        let is_placed = claims.located.is_some_and(|located| {
            located.sources.iter().any(|source| matches!(source, LocationSource::Override { .. }))
        });
        if is_placed {
            return false;
        }
        let Some(measured) = claims.delays.best(now) else { return false };
        let (says, contradicts, supports) = match Bound::of(measured.micros, claims.vantage, claims.declared) {
            Bound::Unplaced => (String::from("no distance is on file for the two places"), false, false),
            Bound::Agrees { within_km } => (format!("at most {within_km} km from {}", claims.vantage), false, true),
            Bound::SaysLittle { within_km } => {
                (format!("at most {within_km} km from {}", claims.vantage), false, false)
            }
            Bound::TooShort { within_km, least_km } => (
                format!(
                    "at most {within_km} km from {}, and {} begins at {least_km} km",
                    claims.vantage, claims.declared
                ),
                true,
                false,
            ),
        };
        let says = format!("{} challenges answered, the fastest in {} us: {says}", measured.samples, measured.micros);
        self.line("delay", says, contradicts, Some(measured.expires));
        if contradicts {
            let how = format!("{} from {}", claims.declared, claims.vantage);
            self.contradict(Reason::DelayTooShort, how, valid);
        }
        supports && measured.samples >= super::delay::SAMPLES_MIN
    }

    fn documents(&mut self, claims: &Claims<'_>, valid: &[&Document]) -> BTreeSet<DocumentKind> {
        let mut held = BTreeSet::new();
        for document in valid {
            let elsewhere = is_elsewhere(&document.place, &claims.declared);
            let says =
                format!("{} on file: {}, vouched for by {}", document.kind.name(), document.place, document.vouched_by);
            self.line(document.kind.name(), says, elsewhere, Some(document.expires));
            if elsewhere {
                self.contradict(Reason::PlaceAttestedElsewhere, format!("{} by {}", document.place, document.id), &[]);
            } else {
                held.insert(document.kind);
            }
        }
        held
    }

    /// Notes a contradiction; whether one of `documents` sets it aside.
    fn contradict(&mut self, reason: Reason, how: String, documents: &[&Document]) -> bool {
        let mark = Mark { reason, how };
        let is_settled = documents.iter().any(|document| document.settles.contains(&mark));
        let set = if is_settled { &mut self.set_aside } else { &mut self.contradictions };
        set.insert(mark);
        is_settled
    }

    fn line(&mut self, kind: &str, says: String, contradicts: bool, expires: Option<UnixMillis>) {
        self.lines.push(EvidenceLine { kind: kind.to_owned(), says, contradicts, expires });
    }
}

/// Whether `found` is a known place that neither lies in `declared` nor around it: databases know countries, enrolments
/// may name a province.
fn is_elsewhere(found: &Place, declared: &Place) -> bool {
    *found != Place::Unknown && !found.is_within(declared) && !declared.is_within(found)
}

fn source_name(source: &LocationSource) -> String {
    match source {
        LocationSource::Override { network } => format!("the configuration ({network})"),
        LocationSource::Database { name, .. } => name.clone(),
    }
}
