//! The key hierarchy: root -> tenant and jurisdiction -> bucket (KEK) -> data key, and how a data key is wrapped.
//!
//! ```text
//! tenant key  = HKDF-Expand(root key,   fields("domicile/tenant-key/1", tenant, jurisdiction))
//! KEK         = HKDF-Expand(tenant key, fields("domicile/bucket-key/1", bucket, KEK version))
//! data key    = 32 random bytes, one per data id
//! joined KEK  = HKDF-Expand(KEK, fields("domicile/joined-key/1", purpose, second key)), where two keys are needed
//! wrapped key = 0x01 || nonce (24) || commitment (32) || XChaCha20-Poly1305 (32 + 16)
//! ```
//!
//! Every key is zeroized when dropped and prints nothing of itself. Keys never reach a node.

use std::fmt;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use domicile_types::{BucketName, ObjectKey, Place, TenantId};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::derive::{Fields, expand};
use crate::layout::TAG_BYTES;

/// Length of every key here.
pub const KEY_BYTES: usize = 32;
/// Nonce of XChaCha20-Poly1305; drawn at random for every wrapping and every sealed manifest.
pub const XNONCE_BYTES: usize = 24;
/// A wrapped data key.
pub const WRAPPED_KEY_BYTES: usize = 1 + XNONCE_BYTES + KEY_BYTES + KEY_BYTES + TAG_BYTES;

const WRAP_VERSION: u8 = 1;

macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; KEY_BYTES]);

        impl $name {
            /// From 32 uniformly random bytes: drawn by the caller, or handed out by a key service.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret_key!(
    /// What all keys of a gateway derive from: a file with mode 0600, or a key service.
    RootKey
);
secret_key!(
    /// The key of one tenant in one key jurisdiction. Destroying it shreds everything the tenant keeps there.
    TenantKey
);
secret_key!(
    /// A bucket's key-encrypting key, in one version.
    Kek
);
secret_key!(
    /// A key that is needed beside the bucket's: one with a name in the gateway's keyring, or one that a client brings and
    /// nobody keeps.
    SecondKey
);
secret_key!(
    /// The key of one data id: segments are sealed under keys derived from it, and so is the manifest.
    DataKey
);

impl RootKey {
    /// The key of `tenant` for data whose keys are held in `jurisdiction`.
    #[must_use]
    pub fn tenant_key(&self, tenant: &TenantId, jurisdiction: &Place) -> TenantKey {
        let place = jurisdiction.to_string();
        let info = Fields::new("domicile/tenant-key/1").with(tenant.as_str().as_bytes()).with(place.as_bytes());
        TenantKey(subkey(&self.0, &info))
    }

    /// The key that is known by `name` where keys are held in `jurisdiction`.
    ///
    /// # Panics
    /// When the name is longer than 65,535 bytes.
    #[must_use]
    pub fn named_key(&self, name: &str, jurisdiction: &Place) -> SecondKey {
        let place = jurisdiction.to_string();
        let info = Fields::new("domicile/named-key/1").with(name.as_bytes()).with(place.as_bytes());
        SecondKey(subkey(&self.0, &info))
    }
}

impl Kek {
    /// The KEK that takes both keys to derive. `purpose` keeps keys of different origin apart.
    #[must_use]
    pub fn joined(&self, purpose: &str, second: &SecondKey) -> Self {
        let info = Fields::new("domicile/joined-key/1").with(purpose.as_bytes()).with(&second.0);
        Self(subkey(&self.0, &info))
    }
}

impl TenantKey {
    /// The bucket's KEK in version `kek_version`. Rotation raises the version and re-wraps; data stays where it is.
    #[must_use]
    pub fn bucket_key(&self, bucket: &BucketName, kek_version: u32) -> Kek {
        let info =
            Fields::new("domicile/bucket-key/1").with(bucket.as_str().as_bytes()).with(&kek_version.to_be_bytes());
        Kek(subkey(&self.0, &info))
    }
}

impl DataKey {
    pub(crate) const fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// A second copy for an encoder that outlives the caller's borrow; dropped and zeroized with it.
    pub(crate) const fn duplicate(&self) -> Self {
        Self(self.0)
    }

    /// A key for another purpose than segments; `domain` never begins like the info of a segment key.
    pub(crate) fn subkey(&self, domain: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(subkey(&self.0, &Fields::new(domain)))
    }
}

fn subkey(key: &[u8; KEY_BYTES], info: &Fields) -> [u8; KEY_BYTES] {
    let mut output = [0; KEY_BYTES];
    expand(key, &[info.as_bytes()], &mut output);
    output
}

/// The object version that a wrapped key or a manifest belongs to: neither opens under another name.
#[derive(Clone, Copy)]
pub struct ObjectName<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// In which bucket.
    pub bucket: &'a BucketName,
    /// Under which key.
    pub key: &'a ObjectKey,
    /// Which version: `null`, a version id, or the upload id while a multipart upload is open.
    pub version: &'a str,
}

impl ObjectName<'_> {
    /// `domain`, then the four names.
    ///
    /// # Panics
    /// When the version is longer than 65,535 bytes: S3 version ids have at most 1,024.
    pub(crate) fn fields(&self, domain: &str) -> Fields {
        Fields::new(domain)
            .with(self.tenant.as_str().as_bytes())
            .with(self.bucket.as_str().as_bytes())
            .with(self.key.as_str().as_bytes())
            .with(self.version.as_bytes())
    }
}

/// What a wrapped data key is bound to.
#[derive(Clone, Copy)]
pub struct WrapContext<'a> {
    /// The object version.
    pub object: ObjectName<'a>,
    /// Version of the bucket's KEK.
    pub kek_version: u32,
    /// Where the key is held.
    pub jurisdiction: Place,
}

impl WrapContext<'_> {
    fn associated_data(&self) -> Fields {
        self.object
            .fields("domicile/wrap/1")
            .with(&self.kek_version.to_be_bytes())
            .with(self.jurisdiction.to_string().as_bytes())
    }
}

/// A data key as it is stored: useless without its KEK, and bound to one object version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey([u8; WRAPPED_KEY_BYTES]);

impl WrappedKey {
    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; WRAPPED_KEY_BYTES] {
        &self.0
    }

    /// Stored bytes, checked for length and version only; [`unwrap_data_key`] checks the rest.
    pub fn parse(bytes: &[u8]) -> Result<Self, UnwrapError> {
        let bytes: [u8; WRAPPED_KEY_BYTES] =
            bytes.try_into().map_err(|_| UnwrapError::Length { bytes: bytes.len() })?;
        match bytes {
            [WRAP_VERSION, ..] => Ok(Self(bytes)),
            [version, ..] => Err(UnwrapError::Version { version }),
        }
    }
}

/// Why a wrapped key does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// Not the length of a wrapped key.
    #[error("a wrapped key is {WRAPPED_KEY_BYTES} bytes, not {bytes}: the row is damaged")]
    Length {
        /// The length found.
        bytes: usize,
    },
    /// Written by a later release.
    #[error("wrapped key has version {version}, this release reads 1: upgrade before reading")]
    Version {
        /// The version byte.
        version: u8,
    },
    /// The commitment is another KEK's.
    #[error("wrapped key was made under another KEK: check tenant, jurisdiction, bucket and KEK version")]
    WrongKek,
    /// The KEK is right, but the key belongs to another object, version or jurisdiction, or was altered.
    #[error("wrapped key belongs to another object version or jurisdiction, or was altered")]
    WrongContext,
}

/// Wraps `key` under `kek` for `context`. `nonce` is random and used once.
#[must_use]
pub fn wrap_data_key(kek: &Kek, context: &WrapContext<'_>, nonce: [u8; XNONCE_BYTES], key: &DataKey) -> WrappedKey {
    let derived = WrapKey::derive(kek, &nonce);
    let mut sealed = [0; KEY_BYTES];
    let tag = InOutBuf::new(key.bytes(), &mut sealed).ok().and_then(|buffer| {
        derived.cipher.encrypt_inout_detached(&nonce.into(), context.associated_data().as_bytes(), buffer).ok()
    });
    #[expect(clippy::expect_used, reason = "both lengths are 32")]
    let tag = tag.expect("32 bytes can be sealed");
    let mut bytes = [WRAP_VERSION; WRAPPED_KEY_BYTES];
    let fields = [&nonce[..], &derived.commitment[..], &sealed, &tag];
    bytes.iter_mut().skip(1).zip(fields.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    WrappedKey(bytes)
}

/// Opens a wrapped key. The KEK is checked by the commitment first, then the context by the tag.
pub fn unwrap_data_key(kek: &Kek, context: &WrapContext<'_>, wrapped: &WrappedKey) -> Result<DataKey, UnwrapError> {
    let (nonce, commitment, sealed, tag) = wrapped.split();
    let derived = WrapKey::derive(kek, &nonce);
    if !bool::from(derived.commitment.ct_eq(&commitment)) {
        return Err(UnwrapError::WrongKek);
    }
    let mut key = DataKey([0; KEY_BYTES]);
    let buffer = InOutBuf::new(&sealed, &mut key.0).map_err(|_| UnwrapError::WrongContext)?;
    derived
        .cipher
        .decrypt_inout_detached(&nonce.into(), context.associated_data().as_bytes(), buffer, &tag.into())
        .map_err(|_| UnwrapError::WrongContext)?;
    Ok(key)
}

impl WrappedKey {
    fn split(&self) -> ([u8; XNONCE_BYTES], [u8; KEY_BYTES], [u8; KEY_BYTES], [u8; TAG_BYTES]) {
        let mut parts = ([0; XNONCE_BYTES], [0; KEY_BYTES], [0; KEY_BYTES], [0; TAG_BYTES]);
        let to = parts.0.iter_mut().chain(&mut parts.1).chain(&mut parts.2).chain(&mut parts.3);
        to.zip(self.0.iter().skip(1)).for_each(|(to, from)| *to = *from);
        parts
    }
}

/// XChaCha20-Poly1305 does not commit to its key, so wrapping key and commitment come from one derivation.
struct WrapKey {
    cipher: XChaCha20Poly1305,
    commitment: [u8; KEY_BYTES],
}

impl WrapKey {
    fn derive(kek: &Kek, nonce: &[u8; XNONCE_BYTES]) -> Self {
        let mut okm = Zeroizing::new([0; KEY_BYTES + KEY_BYTES]);
        expand(&kek.0, &[Fields::new("domicile/wrap-key/1").with(nonce).as_bytes()], okm.as_mut());
        let (key, committed) = okm.split_at(KEY_BYTES);
        let mut commitment = [0; KEY_BYTES];
        commitment.copy_from_slice(committed);
        let mut cipher_key = Zeroizing::new([0; KEY_BYTES]);
        cipher_key.copy_from_slice(key);
        Self { cipher: XChaCha20Poly1305::new((&*cipher_key).into()), commitment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Names {
        tenant: TenantId,
        bucket: BucketName,
        key: ObjectKey,
    }

    fn names() -> Names {
        Names {
            tenant: TenantId::parse("tenant-a").unwrap(),
            bucket: BucketName::parse("training").unwrap(),
            key: ObjectKey::parse("a/b").unwrap(),
        }
    }

    fn context(names: &Names) -> WrapContext<'_> {
        WrapContext {
            object: ObjectName { tenant: &names.tenant, bucket: &names.bucket, key: &names.key, version: "null" },
            kek_version: 3,
            jurisdiction: Place::parse("CN").unwrap(),
        }
    }

    #[test]
    fn a_wrapped_key_opens_only_under_its_kek_and_its_context() {
        let (names, kek) = (names(), Kek::from_bytes([1; 32]));
        let context = context(&names);
        let wrapped = wrap_data_key(&kek, &context, [9; 24], &DataKey::from_bytes([7; 32]));
        let wrapped = WrappedKey::parse(wrapped.as_bytes()).unwrap();
        assert_eq!(unwrap_data_key(&kek, &context, &wrapped).unwrap().bytes(), &[7; 32]);

        let other = Kek::from_bytes([2; 32]);
        assert_eq!(unwrap_data_key(&other, &context, &wrapped).unwrap_err(), UnwrapError::WrongKek);
        let (tenant, bucket) = (TenantId::parse("tenant-b").unwrap(), BucketName::parse("other").unwrap());
        let key = ObjectKey::parse("a/c").unwrap();
        let object = context.object;
        for object in [
            ObjectName { tenant: &tenant, ..object },
            ObjectName { bucket: &bucket, ..object },
            ObjectName { key: &key, ..object },
            ObjectName { version: "v2", ..object },
        ] {
            let swapped = WrapContext { object, ..context };
            assert_eq!(unwrap_data_key(&kek, &swapped, &wrapped).unwrap_err(), UnwrapError::WrongContext);
        }
        for swapped in [
            WrapContext { kek_version: 4, ..context },
            WrapContext { jurisdiction: Place::parse("HK").unwrap(), ..context },
        ] {
            assert_eq!(unwrap_data_key(&kek, &swapped, &wrapped).unwrap_err(), UnwrapError::WrongContext);
        }
    }

    #[test]
    fn no_altered_byte_of_a_wrapped_key_goes_unnoticed() {
        let (names, kek) = (names(), Kek::from_bytes([1; 32]));
        let wrapped = wrap_data_key(&kek, &context(&names), [9; 24], &DataKey::from_bytes([7; 32]));
        for at in 0..WRAPPED_KEY_BYTES {
            let mut bytes = *wrapped.as_bytes();
            bytes[at] ^= 0x10;
            let opened = WrappedKey::parse(&bytes).and_then(|w| unwrap_data_key(&kek, &context(&names), &w));
            match (at, opened.unwrap_err()) {
                (0, UnwrapError::Version { version: 0x11 })
                | (1..57, UnwrapError::WrongKek)
                | (57.., UnwrapError::WrongContext) => {}
                (at, error) => panic!("byte {at} gave {error:?}"),
            }
        }
        let cut = &wrapped.as_bytes()[1..];
        assert_eq!(WrappedKey::parse(cut), Err(UnwrapError::Length { bytes: 104 }));
    }

    #[test]
    fn every_tenant_jurisdiction_bucket_and_version_has_its_own_kek() {
        let root = RootKey::from_bytes([5; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for tenant in ["a", "b"] {
            for place in ["CN", "HK"] {
                for bucket in ["aaa", "bbb"] {
                    for version in [1, 2] {
                        let tenant = TenantId::parse(tenant).unwrap();
                        let key = root.tenant_key(&tenant, &Place::parse(place).unwrap());
                        seen.insert(key.bucket_key(&BucketName::parse(bucket).unwrap(), version).0);
                    }
                }
            }
        }
        assert_eq!(seen.len(), 16);
    }

    #[test]
    fn a_joined_kek_needs_both_keys_and_its_purpose() {
        let (names, kek) = (names(), Kek::from_bytes([1; 32]));
        let context = context(&names);
        let joined = |kek: u8, purpose: &str, second: u8| {
            Kek::from_bytes([kek; 32]).joined(purpose, &SecondKey::from_bytes([second; 32]))
        };
        let wrapped = wrap_data_key(&joined(1, "customer", 2), &context, [9; 24], &DataKey::from_bytes([7; 32]));
        assert_eq!(unwrap_data_key(&joined(1, "customer", 2), &context, &wrapped).unwrap().bytes(), &[7; 32]);
        for other in [kek, joined(1, "customer", 3), joined(2, "customer", 2), joined(1, "named", 2)] {
            assert_eq!(unwrap_data_key(&other, &context, &wrapped).unwrap_err(), UnwrapError::WrongKek);
        }
    }

    #[test]
    fn names_and_jurisdictions_have_keys_of_their_own() {
        let root = RootKey::from_bytes([5; 32]);
        let key = |name: &str, place: &str| root.named_key(name, &Place::parse(place).unwrap()).0;
        assert_eq!(key("a", "CN"), key("a", "CN"));
        assert_ne!(key("a", "CN"), key("b", "CN"));
        assert_ne!(key("a", "CN"), key("a", "HK"));
    }

    #[test]
    fn a_key_does_not_print_itself() {
        assert_eq!(format!("{:?}", DataKey::from_bytes([0xab; 32])), "DataKey(..)");
    }
}
