//! What came of running the cases.

use std::fmt;

use domicile_types::PackVersion;
use serde::Serialize;

use crate::cases::CaseReadError;

/// Over all packs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// One per pack, in the order of names.
    pub packs: Vec<PackReport>,
}

/// Of one pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackReport {
    /// Which pack, in which version.
    pub pack: PackVersion,
    /// Why its cases could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// One per case, in the order of the file.
    pub results: Vec<CaseResult>,
    /// Rules that determine no case.
    pub rules_in_no_case: Vec<String>,
}

/// Of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// The case.
    pub name: String,
    /// How it fell short; nothing: it passed.
    pub faults: Vec<String>,
}

impl CaseReport {
    /// Whether every case of every pack passed and every rule determined one.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.packs.is_empty() && self.packs.iter().all(PackReport::passed)
    }
}

impl PackReport {
    pub(super) fn unreadable(pack: PackVersion, error: &CaseReadError) -> Self {
        Self { pack, unreadable: Some(told(error)), results: Vec::new(), rules_in_no_case: Vec::new() }
    }

    /// Whether every case passed and every rule determined one.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.unreadable.is_none()
            && self.rules_in_no_case.is_empty()
            && self.results.iter().all(|result| result.faults.is_empty())
    }
}

/// An error with what it stems from.
pub(super) fn told(error: &CaseReadError) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PackReport { pack, unreadable, results, rules_in_no_case } in &self.packs {
            let held = results.iter().filter(|result| result.faults.is_empty()).count();
            writeln!(f, "{} (as of {}): {held} of {} cases hold", pack.pack, pack.as_of, results.len())?;
            if let Some(problem) = unreadable {
                writeln!(f, "  {problem}")?;
            }
            for result in results.iter().filter(|result| !result.faults.is_empty()) {
                writeln!(f, "  FAILED {}", result.name)?;
                result.faults.iter().try_for_each(|fault| writeln!(f, "    {fault}"))?;
            }
            for rule in rules_in_no_case {
                writeln!(f, "  rule {rule} determines no case: add one")?;
            }
        }
        Ok(())
    }
}
