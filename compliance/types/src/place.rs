//! Places: ISO 3166-1 countries with optional ISO 3166-2 subdivisions, and `unknown`.
//!
//! HK, MO and TW are places of their own. What they count as is a pack's business (its territory map), never ours.

use std::fmt;

use crate::ParseError;
use crate::parse::string_form;

/// An ISO 3166-1 alpha-2 code, upper case. Codes are checked for form, not against the list: the list changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Parses two ASCII letters of either case.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(ParseError::new("country", text, "two letters of ISO 3166-1 alpha-2, such as CN or DE")),
        }
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

string_form!(Country);

/// Where something is. Text forms: `CN`, `CA-QC`, `unknown`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Nobody can say. Where a pack restricts, this is abroad.
    Unknown,
    /// A country, no finer.
    Country(Country),
    /// An ISO 3166-2 subdivision: country and one to three letters or digits, padded with zero bytes.
    Subdivision(Country, [u8; 3]),
}

impl Place {
    /// Parses `unknown`, a country, or a subdivision.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.eq_ignore_ascii_case("unknown") {
            return Ok(Self::Unknown);
        }
        let Some((country, subdivision)) = text.split_once('-') else {
            return Country::parse(text).map(Self::Country);
        };
        let country = Country::parse(country)?;
        let valid = (1..=3).contains(&subdivision.len()) && subdivision.bytes().all(|b| b.is_ascii_alphanumeric());
        if !valid {
            return Err(ParseError::new("place", text, "CN, CA-QC (ISO 3166-1, or 3166-2 after a hyphen) or unknown"));
        }
        let mut code = [0; 3];
        for (to, from) in code.iter_mut().zip(subdivision.bytes()) {
            *to = from.to_ascii_uppercase();
        }
        Ok(Self::Subdivision(country, code))
    }

    /// The country, or `None` when unknown.
    #[must_use]
    pub fn country(&self) -> Option<Country> {
        match self {
            Self::Unknown => None,
            Self::Country(country) | Self::Subdivision(country, _) => Some(*country),
        }
    }

    /// Whether `self` lies within `wider`: the same place, or a subdivision of that country. Unknown lies nowhere.
    #[must_use]
    pub fn is_within(&self, wider: &Self) -> bool {
        match (self, wider) {
            (Self::Unknown, _) | (_, Self::Unknown) => false,
            (_, Self::Country(country)) => self.country() == Some(*country),
            (_, Self::Subdivision(..)) => self == wider,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Country(country) => country.fmt(f),
            Self::Subdivision(country, code) => {
                write!(f, "{country}-")?;
                code.iter().filter(|b| **b != 0).try_for_each(|b| write!(f, "{}", char::from(*b)))
            }
        }
    }
}

string_form!(Place);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip() {
        for text in ["CN", "HK", "CA-QC", "FR-974", "unknown"] {
            assert_eq!(Place::parse(text).map(|p| p.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "C", "CHN", "CN-", "CN-GDXX", "C1", "CN-G D"] {
            assert!(Place::parse(text).is_err(), "{text:?} must not parse");
        }
    }

    #[test]
    fn hong_kong_is_not_within_china() -> Result<(), ParseError> {
        assert!(!Place::parse("HK")?.is_within(&Place::parse("CN")?));
        assert!(Place::parse("CN-GD")?.is_within(&Place::parse("CN")?));
        assert!(!Place::parse("CN")?.is_within(&Place::parse("CN-GD")?));
        assert!(!Place::Unknown.is_within(&Place::Unknown));
        Ok(())
    }
}
