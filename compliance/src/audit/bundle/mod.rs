//! Evidence bundles: everything that an auditor needs to judge a range of a log, in one folder, on any machine.
//!
//! ```text
//! <bundle>/README.md                what this is and how to check it, with this tool and with others
//! <bundle>/manifest.json            what it is about, and the length and SHA-256 of every other file
//! <bundle>/log/...                  checkpoint, log.vkey, seen.json, witnessed.json, exported-range, tile/...: an export of
//!                                   the range
//! <bundle>/proofs/<index>.tlog-proof   proofs of single entries (c2sp.org/tlog-proof): of all, or where they are many, of
//!                                   the first and the last
//! <bundle>/inputs.jsonl             a line per question: <BLAKE3 of the JSON, hexadecimal> <canonical JSON>
//! <bundle>/packs/<hash>/...         the four files of every pack that decided, in the version that did
//! <bundle>/databases.json           the location databases that were in use, by their hashes
//! <bundle>/openings.jsonl           what commitments hide; only where it was asked for
//! ```
//!
//! *In scope*: writing one from an open log ([`write_bundle`]), and checking one from its files alone ([`verify_bundle`]).
//! *Out of scope*: archives, and who may have one.

mod check;
mod leaf;
mod manifest;
mod readme;
mod select;
mod write;

pub use check::{BundleFault, BundleReport, verify_bundle};
pub use manifest::{BUNDLE_FORMAT, FileNote, Manifest};
pub use select::entries_between;
pub use write::{BundleError, BundleRequest, write_bundle};

pub(super) use check::{each_line, input_line, pack_files};
pub(super) use leaf::Leaf;

/// The export of the log within a bundle.
pub const LOG_FOLDER: &str = "log";
/// What a bundle is about.
pub(super) const MANIFEST_FILE: &str = "manifest.json";
/// The decisions' questions.
pub(super) const INPUTS_FILE: &str = "inputs.jsonl";
/// What commitments open to.
pub(super) const OPENINGS_FILE: &str = "openings.jsonl";
/// Packs by their hash.
pub(super) const PACKS_FOLDER: &str = "packs";
/// Proofs of single entries.
pub(super) const PROOFS_FOLDER: &str = "proofs";
/// The location databases of the range.
pub(super) const DATABASES_FILE: &str = "databases.json";
/// Checkpoints that others hold: pairs of who and what, in the log's folder.
pub const SEEN_FILE: &str = "seen.json";

/// Checkpoints that witnesses cosigned: pairs of a witness's key and a note, in the log's folder.
pub(super) const WITNESSED_FILE: &str = "witnessed.json";

/// One opened commitment: a line of the openings.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// The commitment, as entries have it.
    pub commitment: domicile_types::Commitment,
    /// What kind of value: `actor`, `address`, `bucket` or `key`.
    pub domain: String,
    /// What hid it, in hexadecimal.
    pub salt: String,
    /// The value.
    pub value: String,
}

/// What the files of a bundle hash to now.
#[cfg(test)]
pub(super) fn files_for_tests(bundle: &std::path::Path) -> std::collections::BTreeMap<String, FileNote> {
    let files = manifest::files_of(bundle).unwrap();
    files.into_iter().map(|(name, path)| (name, FileNote::of(&path).unwrap())).collect()
}
