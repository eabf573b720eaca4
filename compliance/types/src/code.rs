//! Erasure-code profiles and cipher suites, as manifests and configurations name them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ParseError;
use crate::parse::string_form;

/// A Reed-Solomon profile: `k` data shards and `m` parity shards. `k = 1` means `m + 1` whole copies. Text form: `4+2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeProfile {
    k: u8,
    m: u8,
}

impl CodeProfile {
    /// 4 data, 2 parity: 6 controllers.
    pub const RS_4_2: Self = Self { k: 4, m: 2 };
    /// 8 data, 4 parity: 12 controllers.
    pub const RS_8_4: Self = Self { k: 8, m: 4 };
    /// 16 data, 8 parity: 24 controllers.
    pub const RS_16_8: Self = Self { k: 16, m: 8 };
    /// 29 data, 51 parity: 80 controllers.
    pub const RS_29_51: Self = Self { k: 29, m: 51 };
    /// The coded profiles on offer, widest first.
    pub const CODED: [Self; 4] = [Self::RS_29_51, Self::RS_16_8, Self::RS_8_4, Self::RS_4_2];

    /// A profile with `k` data and `m` parity shards: `k` at least 1, `k + m` at most 128 (one shard per controller).
    pub fn new(k: u8, m: u8) -> Result<Self, ParseError> {
        if k >= 1 && k.checked_add(m).is_some_and(|n| n <= 128) {
            Ok(Self { k, m })
        } else {
            Err(ParseError::new("code profile", &format!("{k}+{m}"), "k+m with k at least 1 and k + m at most 128"))
        }
    }

    /// `m + 1` whole copies: what objects of up to 32 KiB are kept as, so that they survive the same `m` losses.
    #[must_use]
    pub const fn whole_copies(self) -> Self {
        Self { k: 1, m: self.m }
    }

    /// Data shards.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "widens, and From is not const")]
    pub const fn k(self) -> usize {
        self.k as usize
    }

    /// Parity shards: how many may be lost.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "widens, and From is not const")]
    pub const fn m(self) -> usize {
        self.m as usize
    }

    /// All shards.
    #[must_use]
    pub const fn n(self) -> usize {
        self.k() + self.m()
    }

    /// Parses `4+2`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("code profile", text, "k+m, such as 4+2");
        let (k, m) = text.split_once('+').ok_or_else(error)?;
        Self::new(k.parse().map_err(|_| error())?, m.parse().map_err(|_| error())?)
    }
}

impl fmt::Display for CodeProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.k, self.m)
    }
}

string_form!(CodeProfile);

/// The AEAD of a segment; the number is the `alg` byte of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum SuiteId {
    /// RFC 8439, IANA name `AEAD_CHACHA20_POLY1305`: the default.
    #[default]
    ChaCha20Poly1305 = 1,
    /// NIST SP 800-38D, IANA name `AEAD_AES_256_GCM`: for packs that demand FIPS-approved algorithms.
    Aes256Gcm = 2,
}

impl SuiteId {
    /// The name in IANA's AEAD Algorithms registry.
    #[must_use]
    pub const fn iana_name(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "AEAD_CHACHA20_POLY1305",
            Self::Aes256Gcm => "AEAD_AES_256_GCM",
        }
    }
}

impl From<SuiteId> for u8 {
    fn from(suite: SuiteId) -> Self {
        match suite {
            SuiteId::ChaCha20Poly1305 => 1,
            SuiteId::Aes256Gcm => 2,
        }
    }
}

impl TryFrom<u8> for SuiteId {
    type Error = ParseError;

    fn try_from(byte: u8) -> Result<Self, ParseError> {
        match byte {
            1 => Ok(Self::ChaCha20Poly1305),
            2 => Ok(Self::Aes256Gcm),
            _ => Err(ParseError::new("cipher suite", &byte.to_string(), "1 (ChaCha20-Poly1305) or 2 (AES-256-GCM)")),
        }
    }
}
