//! The manifest: what a bundle is about, and what it consists of.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use domicile_types::{Commitment, UnixMillis};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::MANIFEST_FILE;

/// The form of bundles that this code writes and reads.
pub const BUNDLE_FORMAT: &str = "domicile.evidence-bundle/1";

/// What a bundle is about, and what it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`BUNDLE_FORMAT`].
    pub format: String,
    /// The log's name.
    pub origin: String,
    /// The log's public key, as a C2SP verifier key.
    pub key: String,
    /// How many entries the checkpoint covers.
    pub size: u64,
    /// First and end (exclusive) of the entries that it is about.
    pub entries: (u64, u64),
    /// The time that was asked for: from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<UnixMillis>,
    /// The time that was asked for: to (exclusive).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<UnixMillis>,
    /// Where it is about one bucket: the commitments to its name. Inputs and openings are only those of its entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Vec<Commitment>>,
    /// Whether commitments are opened.
    pub opened: bool,
    /// What decisions of the range stand on and the gateway no longer has: `inputs <hash>`, `pack <hash>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
    /// When it was made, by the gateway's clock.
    pub made: UnixMillis,
    /// Every other file, by its path below the bundle.
    pub files: BTreeMap<String, FileNote>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileNote {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl FileNote {
    /// Reads a file whole, piece by piece.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 128 << 10]);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            bytes += u64::try_from(count).unwrap_or(0);
            hasher.update(buffer.get(..count).unwrap_or(&[]));
        }
        Ok(Self { bytes, sha256: HEXLOWER.encode(&hasher.finalize()) })
    }
}

impl Manifest {
    /// SHA-256 of the manifest's file, in hexadecimal: it seals the whole bundle.
    pub fn seal(bundle: &Path) -> io::Result<String> {
        Ok(FileNote::of(&bundle.join(MANIFEST_FILE))?.sha256)
    }
}

/// What is in a bundle's folder: every regular file by its path with `/` between names, without the manifest. Anything that is
/// neither file nor folder is refused: a link could lead out of the bundle.
pub(super) fn files_of(bundle: &Path) -> Result<BTreeMap<String, PathBuf>, (PathBuf, io::Error)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(String::new(), bundle.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        let at = |error| (folder.clone(), error);
        for entry in fs::read_dir(&folder).map_err(at)? {
            let entry = entry.map_err(at)?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| at(io::Error::other("a file's name is not UTF-8")))?;
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let kind = entry.file_type().map_err(at)?;
            if kind.is_dir() {
                folders.push((path, entry.path()));
            } else if !kind.is_file() {
                return Err((
                    entry.path(),
                    io::Error::other("neither a file nor a folder: nothing else may be in a bundle"),
                ));
            } else if path != MANIFEST_FILE {
                found.insert(path, entry.path());
            }
        }
    }
    Ok(found)
}
