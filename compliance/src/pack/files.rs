//! The four files of a pack, as text, and the hash that names their contents.

use std::fs;
use std::path::{Path, PathBuf};

use crate::pack::PackLoadError;

/// The longest file of a pack, in bytes. Rules are read by people; a megabyte is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The contents of one folder under `policies/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFiles {
    /// The folder, for error messages.
    pub folder: PathBuf,
    /// `pack.toml`.
    pub facts: String,
    /// `rules.cedar`.
    pub rules: String,
    /// `cases.toml`.
    pub cases: String,
    /// `SOURCES.md`.
    pub sources: String,
}

impl PackFiles {
    /// Reads the four files of `folder`. All must be there.
    pub fn read(folder: &Path) -> Result<Self, PackLoadError> {
        Ok(Self {
            folder: folder.to_owned(),
            facts: read(&folder.join("pack.toml"))?,
            rules: read(&folder.join("rules.cedar"))?,
            cases: read(&folder.join("cases.toml"))?,
            sources: read(&folder.join("SOURCES.md"))?,
        })
    }

    /// BLAKE3, in hexadecimal, over each file's name and contents, each preceded by its length in bytes (u64, little
    /// endian), in the order of names.
    #[must_use]
    pub fn hash(&self) -> String {
        let files = [
            ("SOURCES.md", &self.sources),
            ("cases.toml", &self.cases),
            ("pack.toml", &self.facts),
            ("rules.cedar", &self.rules),
        ];
        let mut hasher = blake3::Hasher::new();
        for part in files.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]) {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The path of one of the files, for error messages.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn read(path: &Path) -> Result<String, PackLoadError> {
    let unreadable = |source| PackLoadError::Unreadable { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(PackLoadError::TooLong { path: path.to_owned(), bytes, bytes_max: FILE_BYTES_MAX });
    }
    fs::read_to_string(path).map_err(unreadable)
}
