//! What the data is, by bucket defaults and object tags.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::parse::string_form;
use crate::{ParseError, Place};

/// A class of data in the vocabulary of the packs: `personal`, `sensitive`, `health`, `genomic`, `public` and so on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataClass(String);

impl DataClass {
    /// Parses 1 to 32 of `[a-z0-9-]`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let fits =
            (1..=32).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new("data class", text, "1 to 32 of a-z 0-9 -, such as personal or genomic"))
        }
    }

    /// The class as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DataClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_form!(DataClass);

/// What is known of an object's contents. Every field may be unstated; packs say what unstated means (mostly: deny).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// `domicile:class`, several joined by `+` or spaces. Empty: unclassified.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub classes: BTreeSet<DataClass>,
    /// `domicile:origin`: where the data was collected or generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Place>,
    /// `domicile:subjects`: distinct individuals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
    /// `domicile:sensitive`: distinct individuals with sensitive personal information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive_subjects: Option<u64>,
    /// `domicile:important`: notified or published as important data (PRC Data Security Law Art. 21).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub important: Option<bool>,
}

impl Classification {
    /// Prefix of the tags that carry a classification.
    pub const TAG_PREFIX: &str = "domicile:";

    /// Reads the `domicile:` tags; others are ignored, an unknown `domicile:` tag is an error (a typing slip must not
    /// silently declassify).
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParseError> {
        let mut classification = Self::default();
        for (tag, value) in tags {
            let Some(field) = tag.strip_prefix(Self::TAG_PREFIX) else { continue };
            match field {
                "class" => {
                    let classes = value.split(['+', ' ']).filter(|class| !class.is_empty());
                    classification.classes = classes.map(DataClass::parse).collect::<Result<_, _>>()?;
                }
                "origin" => classification.origin = Some(Place::parse(value)?),
                "subjects" => classification.subjects = Some(count(value)?),
                "sensitive" => classification.sensitive_subjects = Some(count(value)?),
                "important" => classification.important = Some(flag(value)?),
                _ => {
                    return Err(ParseError::new(
                        "classification tag",
                        tag,
                        "domicile:class, :origin, :subjects, :sensitive or :important",
                    ));
                }
            }
        }
        Ok(classification)
    }

    /// What `self` does not state is taken from `inherited` (the bucket's default, or the source of a copy).
    #[must_use]
    pub fn inheriting(mut self, inherited: &Self) -> Self {
        if self.classes.is_empty() {
            self.classes.clone_from(&inherited.classes);
        }
        self.origin = self.origin.or(inherited.origin);
        self.subjects = self.subjects.or(inherited.subjects);
        self.sensitive_subjects = self.sensitive_subjects.or(inherited.sensitive_subjects);
        self.important = self.important.or(inherited.important);
        self
    }
}

fn count(text: &str) -> Result<u64, ParseError> {
    text.parse().map_err(|_| ParseError::new("subject count", text, "a whole number"))
}

fn flag(text: &str) -> Result<bool, ParseError> {
    match text {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err(ParseError::new("important-data flag", text, "true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_inherits_only_what_it_does_not_state() -> Result<(), ParseError> {
        let bucket = Classification::from_tags([("domicile:class", "personal"), ("domicile:origin", "CN")])?;
        let object = Classification::from_tags([("domicile:class", "public"), ("team", "vision")])?.inheriting(&bucket);
        assert_eq!(object.classes, BTreeSet::from([DataClass::parse("public")?]));
        assert_eq!(object.origin, Some(Place::parse("CN")?));
        Ok(())
    }

    #[test]
    fn a_misspelt_classification_tag_is_an_error() {
        assert!(Classification::from_tags([("domicile:clas", "personal")]).is_err());
        assert!(Classification::from_tags([("domicile:subjects", "many")]).is_err());
    }
}
