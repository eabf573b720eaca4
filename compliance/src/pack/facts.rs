//! `pack.toml`: the facts of a regime.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use domicile_types::{DataClass, EvidenceGrade, MechanismId, Place, SchemeId, SuiteId, UnixMillis};
use serde::Deserialize;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::pack::{KeyCustody, Ledger, Loci, Locus, Mechanism, PackFiles, PackLoadError};
use crate::place::{Group, Membership, TerritoryMap};

/// What a regime holds to be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFacts {
    /// The regime in words.
    pub title: String,
    /// The day its law was read, `YYYY-MM-DD`.
    pub as_of: String,
    /// The group that is home territory: leaving it is an export.
    pub home: String,
    /// What a deny by default stands on.
    pub default_cite: String,
    /// Whether one encrypted shard is data by this regime.
    pub shard_is_data: bool,
    /// How long log entries about its data are kept: the records of what was provided to whom.
    pub retention_days: u32,
    /// How long logs of access and operation must be kept at least, where the law has a term of its own for them.
    pub log_retention_days: u32,
    /// The least evidence of a node's place.
    pub evidence_minimum: EvidenceGrade,
    /// Which algorithms it admits.
    pub algorithms: Algorithms,
    /// Which root key its data keys hang from.
    pub key_jurisdiction: String,
    /// Who may hold keys.
    pub key_custody: KeyCustody,
    /// Where the parts of an installation must be.
    pub loci: Loci,
    /// The classes it has rules about. Others are `unrecognised` to it.
    pub classes: BTreeSet<DataClass>,
    /// How it reads places.
    pub territory: TerritoryMap,
    /// Its groups of places, by name.
    pub groups: BTreeMap<String, Group>,
    /// Its numbers: `context.pack.thresholds.<name>`.
    pub thresholds: BTreeMap<String, i64>,
    /// What approvals may stand on: `context.approved.<mechanism>`.
    pub mechanisms: BTreeMap<MechanismId, Mechanism>,
    /// What it counts of exports: `context.total.<ledger>`.
    pub ledgers: BTreeMap<String, Ledger>,
    /// Its terms, each a Cedar expression over `context`: `context.term.<name>` in rules.
    pub definitions: BTreeMap<String, String>,
}

/// Which algorithms a regime admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithms {
    /// Any suite on offer.
    Any,
    /// FIPS-approved ones only.
    Fips,
}

impl Algorithms {
    /// The suite that segments are sealed with.
    #[must_use]
    pub const fn suite(self) -> SuiteId {
        match self {
            Self::Any => SuiteId::ChaCha20Poly1305,
            Self::Fips => SuiteId::Aes256Gcm,
        }
    }
}

/// `pack.toml` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPack {
    title: String,
    as_of: String,
    home: String,
    default_cite: String,
    shard_is_data: bool,
    retention_days: u32,
    log_retention_days: Option<u32>,
    evidence_minimum: EvidenceGrade,
    algorithms: Algorithms,
    key_jurisdiction: String,
    #[serde(default)]
    key_custody: KeyCustody,
    classes: BTreeSet<DataClass>,
    #[serde(default)]
    locus: Loci,
    #[serde(default)]
    territory: BTreeMap<Place, Place>,
    groups: BTreeMap<String, RawGroup>,
    #[serde(default)]
    thresholds: BTreeMap<String, i64>,
    #[serde(default)]
    mechanisms: BTreeMap<MechanismId, Mechanism>,
    #[serde(default)]
    ledgers: BTreeMap<String, Ledger>,
    #[serde(default)]
    definitions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    ownership_at_least_basis_points: Option<u32>,
    members: Vec<RawMembership>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMembership {
    places: Vec<Place>,
    /// First day, in UTC.
    from: Option<String>,
    /// Last day, in UTC.
    to: Option<String>,
    recipient: Option<SchemeId>,
    #[serde(default)]
    suspended: bool,
}

impl PackFacts {
    /// Parses `pack.toml`. Fields that no pack has are errors.
    pub(crate) fn parse(files: &PackFiles) -> Result<Self, PackLoadError> {
        let reader = Reader { path: files.path("pack.toml") };
        let raw: RawPack =
            toml::from_str(&files.facts).map_err(|source| PackLoadError::Toml { path: reader.path.clone(), source })?;
        for (fact, text) in
            [("title", &raw.title), ("default_cite", &raw.default_cite), ("key_jurisdiction", &raw.key_jurisdiction)]
        {
            if text.trim().is_empty() {
                return Err(reader.fault(fact, "is empty: state it"));
            }
        }
        reader.day("as_of", &raw.as_of)?;
        let territory = TerritoryMap::new(raw.territory)
            .map_err(|source| PackLoadError::Territory { path: reader.path.clone(), source })?;
        let mut groups = BTreeMap::new();
        for (name, group) in raw.groups {
            reader.identifier("groups", &name)?;
            let group = reader.group(&name, group, &territory)?;
            groups.insert(name, group);
        }
        if !groups.contains_key(&raw.home) {
            return Err(reader.fault("home", &format!("there is no group {:?}: name one of [groups]", raw.home)));
        }
        reader.loci(&raw.locus, raw.key_custody, &groups)?;
        if raw.log_retention_days == Some(0) || raw.retention_days == 0 {
            return Err(reader.fault("retention_days", "is 0: state how long records and logs are kept"));
        }
        for (name, threshold) in &raw.thresholds {
            reader.identifier("thresholds", name)?;
            if *threshold < 0 {
                return Err(reader.fault(&format!("thresholds.{name}"), "is negative: a count is at least 0"));
            }
        }
        for (name, ledger) in &raw.ledgers {
            reader.identifier("ledgers", name)?;
            reader.ledger(name, ledger, &raw.classes, &raw.thresholds)?;
        }
        for (name, mechanism) in &raw.mechanisms {
            reader.mechanism(name, mechanism)?;
        }
        for name in raw.definitions.keys() {
            reader.identifier("definitions", name)?;
        }
        Ok(Self {
            title: raw.title,
            as_of: raw.as_of,
            home: raw.home,
            default_cite: raw.default_cite,
            shard_is_data: raw.shard_is_data,
            retention_days: raw.retention_days,
            log_retention_days: raw.log_retention_days.unwrap_or(raw.retention_days),
            evidence_minimum: raw.evidence_minimum,
            algorithms: raw.algorithms,
            key_jurisdiction: raw.key_jurisdiction,
            key_custody: raw.key_custody,
            loci: raw.locus,
            classes: raw.classes,
            territory,
            groups,
            thresholds: raw.thresholds,
            mechanisms: raw.mechanisms,
            ledgers: raw.ledgers,
            definitions: raw.definitions,
        })
    }
}

/// Names the file in every fault.
struct Reader {
    path: PathBuf,
}

impl Reader {
    fn fault(&self, fact: &str, problem: &str) -> PackLoadError {
        PackLoadError::Fact { path: self.path.clone(), fact: fact.to_owned(), problem: problem.to_owned() }
    }

    /// Names that rules use as attributes must be identifiers.
    fn identifier(&self, table: &str, name: &str) -> Result<(), PackLoadError> {
        let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let problem = "is not a name that rules can use: a-z, 0-9 and _, a letter first";
        if fits { Ok(()) } else { Err(self.fault(&format!("{table}.{name}"), problem)) }
    }

    fn loci(&self, loci: &Loci, custody: KeyCustody, groups: &BTreeMap<String, Group>) -> Result<(), PackLoadError> {
        for (locus, within) in loci {
            let fact = format!("locus.{locus:?}").to_lowercase();
            if within.is_empty() {
                return Err(self.fault(&fact, "names no group: nothing could ever be there"));
            }
            if let Some(group) = within.iter().find(|group| !groups.contains_key(*group)) {
                return Err(self.fault(&fact, &format!("there is no group {group:?}: name one of [groups]")));
            }
        }
        if custody != KeyCustody::Anywhere && !loci.contains_key(&Locus::Key) {
            return Err(self.fault("key_custody", "binds keys to places: name their groups in [locus] as `key`"));
        }
        Ok(())
    }

    fn ledger(
        &self,
        name: &str,
        ledger: &Ledger,
        classes: &BTreeSet<DataClass>,
        thresholds: &BTreeMap<String, i64>,
    ) -> Result<(), PackLoadError> {
        let fact = format!("ledgers.{name}");
        if let Some(class) = ledger.classes.iter().find(|class| !classes.contains(class)) {
            return Err(self.fault(&fact, &format!("counts {class}, which is none of the pack's classes")));
        }
        if let Some(limit) = ledger.limits.values().find(|limit| !thresholds.contains_key(*limit)) {
            return Err(self.fault(&fact, &format!("is held against {limit:?}, which is none of [thresholds]")));
        }
        if !(-12..=14).contains(&ledger.utc_offset_hours) {
            return Err(self.fault(&fact, "utc_offset_hours is from -12 to 14"));
        }
        Ok(())
    }

    fn mechanism(&self, name: &MechanismId, mechanism: &Mechanism) -> Result<(), PackLoadError> {
        let fact = format!("mechanisms.{name}");
        // Rules write it as an attribute, with `_` for `-`.
        if name.as_str().bytes().any(|b| !matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            return Err(self.fault(&fact, "is not a name that rules can use: a-z, 0-9 and -, a letter first"));
        }
        if mechanism.title.trim().is_empty() || mechanism.cite.trim().is_empty() {
            return Err(self.fault(&fact, "needs a title and a cite"));
        }
        if mechanism.days_max == Some(0) {
            return Err(self.fault(&fact, "days_max is 0: no approval could ever stand on it"));
        }
        Ok(())
    }

    fn group(&self, name: &str, raw: RawGroup, territory: &TerritoryMap) -> Result<Group, PackLoadError> {
        let fact = format!("groups.{name}");
        if raw.ownership_at_least_basis_points.is_some_and(|share| share == 0 || share > 10_000) {
            return Err(self.fault(&fact, "ownership_at_least_basis_points is 1 to 10000 (5000 = one half)"));
        }
        let mut members = Vec::with_capacity(raw.members.len());
        for member in raw.members {
            members.push(self.membership(&fact, member, territory)?);
        }
        for (at, member) in members.iter().enumerate() {
            let mut others = members.iter().skip(at.saturating_add(1));
            if let Some(place) = others.find_map(|other| member.contradicts(other)) {
                let problem = format!("{place} is suspended and not suspended over the same days: keep one");
                return Err(self.fault(&fact, &problem));
            }
        }
        Ok(Group {
            name: name.to_owned(),
            members,
            ownership_at_least_basis_points: raw.ownership_at_least_basis_points,
        })
    }

    fn membership(
        &self,
        fact: &str,
        raw: RawMembership,
        territory: &TerritoryMap,
    ) -> Result<Membership, PackLoadError> {
        if raw.places.is_empty() || raw.places.contains(&Place::Unknown) {
            return Err(self.fault(fact, "a membership needs places, and unknown belongs nowhere"));
        }
        // A member that the map reads as another place would never match: the pack contradicts itself.
        if let Some(place) = raw.places.iter().find(|place| territory.read(**place) != **place) {
            let problem = format!("{place} counts as {} by [territory]: list that instead", territory.read(*place));
            return Err(self.fault(fact, &problem));
        }
        let from = raw.from.map(|day| self.day(fact, &day)).transpose()?;
        let last = raw.to.map(|day| self.day(fact, &day)).transpose()?;
        let until = last.map(|day| day.plus_millis(24 * 60 * 60 * 1000));
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            return Err(self.fault(fact, "ends before it begins: give the last day as `to`"));
        }
        Ok(Membership { places: raw.places, from, until, recipient: raw.recipient, suspended: raw.suspended })
    }

    /// The first instant of a day, in UTC.
    fn day(&self, fact: &str, text: &str) -> Result<UnixMillis, PackLoadError> {
        let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
        let day = day.map_err(|_| self.fault(fact, &format!("{text:?} is not a day: write YYYY-MM-DD")))?;
        if day.year() < 1970 {
            return Err(self.fault(fact, &format!("{text} lies before 1970: leave the date out")));
        }
        Ok(UnixMillis::from(OffsetDateTime::new_utc(day, time::Time::MIDNIGHT)))
    }
}
