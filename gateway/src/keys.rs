//! Keys: a root key in a file of mode 0600, and the bucket and data keys that derive from it or are wrapped under it.
//!
//! The root never leaves this module; nodes never see any key.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use domicile_chunker::{
    DataKey, Kek, ObjectName, RootKey, SecondKey, UnwrapError, WrapContext, WrappedKey, unwrap_data_key, wrap_data_key,
};
use domicile_types::{BucketName, ObjectKey, Place, TenantId};
use zeroize::Zeroizing;

use crate::clock::Clock;

/// The version of bucket keys in use. Rotation raises it and re-wraps.
const KEK_VERSION: u32 = 1;

/// Why the root key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Cannot be read or made.
    #[error("the key file {path} cannot be read or made")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read it.
    #[error("the key file {path} has mode {mode:o}: others may read it; set it to 600 and consider the key exposed")]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold 32 bytes.
    #[error("the key file {path} holds {length} bytes, not 32: restore it from its backup")]
    Length {
        /// Which file.
        path: PathBuf,
        /// How many bytes it holds.
        length: usize,
    },
}

/// Wraps and unwraps data keys for objects of any tenant, with keys held where this gateway is.
pub struct Keyring {
    root: RootKey,
    jurisdiction: Place,
    clock: Clock,
}

/// Whose data key: what the wrapping is bound to.
#[derive(Clone, Copy)]
pub struct KeyOwner<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Of which bucket.
    pub bucket: &'a BucketName,
    /// Of which key.
    pub key: &'a ObjectKey,
    /// The upload that brought it: every version has one of its own, known before the version's id is.
    pub version: &'a str,
}

impl<'a> KeyOwner<'a> {
    /// The chunker's name for it.
    #[must_use]
    pub const fn name(&self) -> ObjectName<'a> {
        ObjectName { tenant: self.tenant, bucket: self.bucket, key: self.key, version: self.version }
    }
}

/// What is needed beside the bucket's key to open a data key.
pub enum Second<'a> {
    /// Nothing.
    None,
    /// The key that the keyring holds under this name.
    Named(&'a str),
    /// A key that the client brings with every request.
    Customer(&'a SecondKey),
}

impl Keyring {
    /// Reads the root key, or makes one where there is none.
    pub fn open(path: &Path, jurisdiction: Place, clock: Clock) -> Result<Self, KeyFileError> {
        let bytes = read_secret(path, clock)?;
        Ok(Self { root: RootKey::from_bytes(*bytes), jurisdiction, clock })
    }

    /// A fresh data key.
    #[must_use]
    pub fn new_data_key(&self) -> DataKey {
        DataKey::from_bytes(self.clock.random())
    }

    /// Wraps a data key for the object's row.
    #[must_use]
    pub fn wrap(&self, owner: &KeyOwner<'_>, second: &Second<'_>, key: &DataKey) -> WrappedKey {
        wrap_data_key(&self.kek(owner, second), &self.context(owner), self.clock.random(), key)
    }

    /// Unwraps the data key of an object's row. [`UnwrapError::WrongKek`] is what another second key leads to.
    pub fn unwrap(&self, owner: &KeyOwner<'_>, second: &Second<'_>, wrapped: &[u8]) -> Result<DataKey, UnwrapError> {
        unwrap_data_key(&self.kek(owner, second), &self.context(owner), &WrappedKey::parse(wrapped)?)
    }

    fn kek(&self, owner: &KeyOwner<'_>, second: &Second<'_>) -> Kek {
        let bucket = self.root.tenant_key(owner.tenant, &self.jurisdiction).bucket_key(owner.bucket, KEK_VERSION);
        match second {
            Second::None => bucket,
            Second::Named(name) => bucket.joined("named", &self.root.named_key(name, &self.jurisdiction)),
            Second::Customer(key) => bucket.joined("customer", key),
        }
    }

    const fn context<'a>(&self, owner: &KeyOwner<'a>) -> WrapContext<'a> {
        WrapContext { object: owner.name(), kek_version: KEK_VERSION, jurisdiction: self.jurisdiction }
    }
}

/// Reads 32 secret bytes from a file that only its owner may read; draws and writes them where there is no file.
pub fn read_secret(path: &Path, clock: Clock) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(KeyFileError::TooOpen { path: path.to_owned(), mode });
            }
            let bytes = Zeroizing::new(fs::read(path).map_err(io)?);
            let length = bytes.len();
            let secret = <[u8; 32]>::try_from(bytes.as_slice());
            secret.map(Zeroizing::new).map_err(|_| KeyFileError::Length { path: path.to_owned(), length })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = Zeroizing::new(clock.random::<32>());
            write_secret(path, &*secret).map_err(io)?;
            Ok(secret)
        }
        Err(error) => Err(io(error)),
    }
}

/// Durable before it is used: a key that a crash loses takes everything under it along.
fn write_secret(path: &Path, secret: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_key_opens_with_the_second_key_that_it_was_wrapped_under_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(&folder.path().join("root.key"), Place::parse("DE").unwrap(), Clock).unwrap();
        let (tenant, bucket) = (TenantId::parse("tenant-a").unwrap(), BucketName::parse("training").unwrap());
        let key = ObjectKey::parse("a/b").unwrap();
        let owner = KeyOwner { tenant: &tenant, bucket: &bucket, key: &key, version: "v" };
        let (mine, yours) = (SecondKey::from_bytes([1; 32]), SecondKey::from_bytes([2; 32]));
        let seconds = || {
            [
                Second::None,
                Second::Named("key-1"),
                Second::Named("key-2"),
                Second::Customer(&mine),
                Second::Customer(&yours),
            ]
        };
        for (at, wrapped_under) in seconds().iter().enumerate() {
            let wrapped = keyring.wrap(&owner, wrapped_under, &keyring.new_data_key());
            for (tried, second) in seconds().iter().enumerate() {
                match keyring.unwrap(&owner, second, wrapped.as_bytes()) {
                    Ok(_) => assert_eq!(at, tried),
                    Err(error) => assert!(at != tried && error == UnwrapError::WrongKek, "{error}"),
                }
            }
        }
    }
}
