//! Jurisdiction packs: one regime's facts and rules, read from `policies/<pack>/`.
//!
//! | file | what it holds | read by |
//! |---|---|---|
//! | `pack.toml` | facts: territory map, groups with dates, thresholds, retention, evidence minimum, definitions | [`facts`] |
//! | `rules.cedar` | rules, each with `@id` and `@cite`, some with `@limb` and `@obligation` | [`rules`] |
//! | `cases.toml` | scenarios with the decision they must come to | [`crate::cases`] |
//! | `SOURCES.md` | where each fact comes from and what is unverified; people read it, but it must be there | nobody |
//!
//! A pack that does not parse, or whose rules do not validate in Cedar's strict mode against the schema made from its own
//! facts ([`schema`]), is not loaded at all.

pub(crate) mod bench;
mod definitions;
pub mod error;
pub mod facts;
mod files;
mod lawbook;
pub mod ledger;
pub mod locus;
pub mod rules;
pub mod schema;
pub(crate) mod wants;

use domicile_types::{PackId, PackVersion, UnixMillis};

use crate::cases;
pub use crate::pack::error::PackLoadError;
pub use crate::pack::facts::{Algorithms, PackFacts};
pub use crate::pack::files::PackFiles;
pub use crate::pack::lawbook::{Lawbook, PackSet, UnknownPack};
pub use crate::pack::ledger::{Counted, Ledger, LedgerKey, LedgerWindow, Mechanism};
pub use crate::pack::locus::{KeyCustody, Loci, Locus};
pub use crate::pack::rules::{Rule, RuleBook};

/// One regime, ready to judge.
#[derive(Debug)]
pub struct Pack {
    version: PackVersion,
    facts: PackFacts,
    rules: RuleBook,
    cases: String,
}

impl Pack {
    /// Parses and validates the files of the pack `id`.
    pub fn parse(id: PackId, files: &PackFiles) -> Result<Self, PackLoadError> {
        let facts = PackFacts::parse(files)?;
        let rules = RuleBook::parse(&facts, files)?;
        let version = PackVersion { pack: id, as_of: facts.as_of.clone(), hash: files.hash() };
        let pack = Self { version, facts, rules, cases: files.cases.clone() };
        if let Some(locus) = locus::unkept(&pack, UnixMillis(0)) {
            let problem =
                "is bound to groups of places, but no rule denies it at a place that is in none: add the rule";
            return Err(PackLoadError::Fact {
                path: files.path("pack.toml"),
                fact: format!("locus.{locus:?}").to_lowercase(),
                problem: problem.to_owned(),
            });
        }
        match cases::problem(&pack) {
            None => Ok(pack),
            Some(problem) => Err(PackLoadError::Cases { path: files.path("cases.toml"), problem }),
        }
    }

    /// The same pack with other rules on its benches.
    #[cfg(test)]
    pub(crate) fn with_rules(&self, rules: RuleBook) -> Self {
        let Self { version, facts, cases, .. } = self;
        Self { version: version.clone(), facts: facts.clone(), rules, cases: cases.clone() }
    }

    /// Its name: the name of its folder.
    #[must_use]
    pub const fn id(&self) -> &PackId {
        &self.version.pack
    }

    /// Name, date of the law, and hash of the files.
    #[must_use]
    pub const fn version(&self) -> &PackVersion {
        &self.version
    }

    /// What `pack.toml` says.
    #[must_use]
    pub const fn facts(&self) -> &PackFacts {
        &self.facts
    }

    /// What `rules.cedar` says.
    #[must_use]
    pub const fn rules(&self) -> &RuleBook {
        &self.rules
    }

    /// The text of `cases.toml`.
    pub(crate) fn cases(&self) -> &str {
        &self.cases
    }
}
