//! One error for every noun that does not parse: it names the noun, shows the input and states the rule.

/// A string that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{noun} {input:?} is not valid: {rule}")]
pub struct ParseError {
    noun: &'static str,
    input: String,
    rule: &'static str,
}

/// How much of a bad input an error message repeats, in characters.
const INPUT_SHOWN_CHARS_MAX: usize = 80;

impl ParseError {
    /// `noun` is what was expected, `input` what came, `rule` what a valid one looks like.
    #[must_use]
    pub fn new(noun: &'static str, input: &str, rule: &'static str) -> Self {
        let input = input.chars().take(INPUT_SHOWN_CHARS_MAX).collect();
        Self { noun, input, rule }
    }
}

/// Implements `Serialize`, `Deserialize`, `FromStr` and `Debug` through `parse` and `Display`, so that a value from
/// outside passes the same gate whatever it came in.
macro_rules! string_form {
    ($type:ty) => {
        impl std::str::FromStr for $type {
            type Err = crate::ParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($type))
            }
        }
    };
}

pub(crate) use string_form;
