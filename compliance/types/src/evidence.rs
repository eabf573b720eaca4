//! Where something is believed to be, and on what evidence.

use serde::{Deserialize, Serialize};

use crate::Place;

/// How well a place is evidenced. Ordered: a higher grade includes the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceGrade {
    /// Grade 0: the party says so.
    Declared,
    /// Grade 1: the location databases agree on the observed address.
    Observed,
    /// Grade 2: delay bounds and possession challenges do not contradict it.
    Measured,
    /// Grade 3: an attested host.
    Attested,
    /// Grade 4: contract and site audit on file.
    Audited,
}

impl EvidenceGrade {
    /// The grade as a number, 0 to 4.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Declared => 0,
            Self::Observed => 1,
            Self::Measured => 2,
            Self::Attested => 3,
            Self::Audited => 4,
        }
    }
}

/// What said where an address is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "source")]
pub enum LocationSource {
    /// A CIDR override of the configuration.
    Override {
        /// The network, in CIDR notation.
        network: String,
    },
    /// A location database.
    Database {
        /// File name.
        name: String,
        /// When it was built, in seconds since 1970 (the MMDB's `build_epoch`).
        build_epoch: u64,
        /// Blake3 of the file, in hexadecimal.
        hash: String,
    },
}

/// The candidate places of an address. Every candidate must be allowed for the whole to be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// Never empty, sorted, without duplicates; `[unknown]` when nothing is known.
    pub candidates: Vec<Place>,
    /// Who was asked and had an answer.
    pub sources: Vec<LocationSource>,
    /// What a reader of the decision must know: disagreement, absence, a stale database, a proxy flag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
