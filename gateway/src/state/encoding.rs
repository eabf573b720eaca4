//! How rows are written: one version byte, then postcard.
//!
//! Postcard is compact (no field names, variable-length integers), deterministic and specified. It does not describe
//! itself, so a row type never changes in place: a new shape gets a new `VERSION`, the old one stays as a type of its own,
//! and [`StoredRow::upgrade`] is the explicit step between. Rejected: JSON (three to four times the bytes for rows full of
//! hashes), CBOR with field names (twice). Cost: an upgrade step where a self-describing format would default a field.
//! Types whose serde form skips fields or prints identifiers as text are stored through `catalog::compact`.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that is stored as a row.
pub trait StoredRow: Serialize + DeserializeOwned {
    /// What it is, for error messages.
    const NAME: &'static str;
    /// The version byte that it is written with.
    const VERSION: u8;

    /// Reads the body of an earlier version. There is none unless the type says so.
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let _ = body;
        Err(DecodeError::UnknownVersion { row: Self::NAME, version })
    }
}

/// Why a row does not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not even a version byte.
    #[error("a {row} row is empty: the metadata store is damaged, restore it from a backup")]
    Empty {
        /// The kind of row.
        row: &'static str,
    },
    /// Written by a program that knows more.
    #[error("a {row} row has version {version}, which this program does not know: start a newer one")]
    UnknownVersion {
        /// The kind of row.
        row: &'static str,
        /// Its version byte.
        version: u8,
    },
    /// The bytes are not what the version says.
    #[error("a {row} row is damaged ({reason}): restore the metadata store from a backup")]
    Damaged {
        /// The kind of row.
        row: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// The bytes of a row.
pub fn encode<R: StoredRow>(row: &R) -> Result<Vec<u8>, DecodeError> {
    postcard::to_extend(row, vec![R::VERSION]).map_err(|error| damaged::<R>(&error))
}

/// Reads a row. Bytes left over are an error: a row has one valid encoding.
pub fn decode<R: StoredRow>(bytes: &[u8]) -> Result<R, DecodeError> {
    let (version, body) = bytes.split_first().ok_or(DecodeError::Empty { row: R::NAME })?;
    if *version != R::VERSION {
        return R::upgrade(*version, body);
    }
    match postcard::take_from_bytes(body) {
        Ok((row, [])) => Ok(row),
        Ok((_, rest)) => Err(DecodeError::Damaged { row: R::NAME, reason: format!("{} bytes left over", rest.len()) }),
        Err(error) => Err(damaged::<R>(&error)),
    }
}

fn damaged<R: StoredRow>(error: &postcard::Error) -> DecodeError {
    DecodeError::Damaged { row: R::NAME, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Lamp {
        lit: bool,
        hours: u64,
    }

    impl StoredRow for Lamp {
        const NAME: &'static str = "lamp";
        const VERSION: u8 = 2;

        fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
            match (version, body) {
                (1, [lit]) => Ok(Self { lit: *lit == 1, hours: 0 }),
                _ => Err(DecodeError::UnknownVersion { row: Self::NAME, version }),
            }
        }
    }

    #[test]
    fn a_row_round_trips_behind_its_version_byte() -> Result<(), DecodeError> {
        let lamp = Lamp { lit: true, hours: 300 };
        let bytes = encode(&lamp)?;
        assert_eq!(bytes, [2, 1, 0xac, 0x02]);
        assert_eq!(decode::<Lamp>(&bytes)?, lamp);
        Ok(())
    }

    #[test]
    fn an_earlier_version_is_upgraded_and_a_later_one_refused() {
        assert_eq!(decode(&[1, 1]), Ok(Lamp { lit: true, hours: 0 }));
        assert_eq!(decode::<Lamp>(&[3, 1]), Err(DecodeError::UnknownVersion { row: "lamp", version: 3 }));
    }

    #[test]
    fn truncated_and_overlong_rows_are_damage() {
        assert!(matches!(decode::<Lamp>(&[]), Err(DecodeError::Empty { .. })));
        assert!(matches!(decode::<Lamp>(&[2, 1]), Err(DecodeError::Damaged { .. })));
        assert!(matches!(decode::<Lamp>(&[2, 1, 0, 0]), Err(DecodeError::Damaged { .. })));
    }
}
