//! The identity file: 32 random bytes in hexadecimal, for the owner's eyes only, made on the first start.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use domicile_types::IdentityKey;

/// The name of the file in a data directory.
pub const IDENTITY_FILE: &str = "identity.key";

/// Why an identity cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system said no.
    #[error("cannot read or make the identity file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others can read it, so others may have it.
    #[error("the identity file {path} can be read by others: chmod 600 it, or make a new identity and enrol again")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// Not 64 hexadecimal digits.
    #[error("the identity file {path} is damaged: restore it from a copy, or remove it and enrol the new identity")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the identity in `directory`; `fresh_seed` becomes it if there is none.
pub fn load_or_create(directory: &Path, fresh_seed: &[u8; 32]) -> Result<IdentityKey, IdentityError> {
    let path = directory.join(IDENTITY_FILE);
    let io = |source| IdentityError::Io { path: path.clone(), source };
    std::fs::create_dir_all(directory).map_err(io)?;
    match File::open(&path) {
        Ok(file) => read(&path, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(directory, &path, fresh_seed).map_err(io)?;
            Ok(IdentityKey::from_seed(fresh_seed))
        }
        Err(error) => Err(io(error)),
    }
}

fn read(path: &Path, file: File) -> Result<IdentityKey, IdentityError> {
    let io = |source| IdentityError::Io { path: path.to_owned(), source };
    let mode = file.metadata().map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(IdentityError::Exposed { path: path.to_owned() });
    }
    let mut text = String::new();
    let read = file.take(128).read_to_string(&mut text);
    let damaged = || IdentityError::Damaged { path: path.to_owned() };
    read.map_err(|_| damaged())?;
    let seed = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).map_err(|_| damaged())?;
    let seed: [u8; 32] = seed.try_into().map_err(|_| damaged())?;
    Ok(IdentityKey::from_seed(&seed))
}

/// Written whole under another name first: a half-written identity would be an identity lost.
fn create(directory: &Path, path: &Path, seed: &[u8; 32]) -> io::Result<()> {
    let unfinished = path.with_extension("key.new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{}", HEXLOWER_PERMISSIVE.encode(seed))?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = load_or_create(directory.path(), &[1; 32]).unwrap();
        let again = load_or_create(directory.path(), &[2; 32]).unwrap();
        assert_eq!(first.id(), again.id());
        let path = directory.path().join(IDENTITY_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_exposed_or_damaged_identity_is_refused_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        load_or_create(directory.path(), &[1; 32]).unwrap();
        let path = directory.path().join(IDENTITY_FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load_or_create(directory.path(), &[2; 32]), Err(IdentityError::Exposed { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "0123").unwrap();
        assert!(matches!(load_or_create(directory.path(), &[2; 32]), Err(IdentityError::Damaged { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0123");
    }
}
