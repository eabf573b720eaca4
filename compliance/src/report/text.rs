//! Two languages, side by side: a text that lacks one does not compile.

use domicile_types::UnixMillis;
use serde::{Deserialize, Serialize};

/// The language of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(PartialOrd, Ord))]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// English.
    En,
    /// Chinese, simplified.
    Zh,
}

/// One text in English and in Chinese.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(pub(crate) &'static str, pub(crate) &'static str);

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// As `--lang` and BCP 47 name it.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The text in this language.
    pub(crate) const fn say(self, text: Text) -> &'static str {
        match self {
            Self::En => text.0,
            Self::Zh => text.1,
        }
    }

    /// Joins items of an enumeration.
    pub(crate) fn list(self, items: impl IntoIterator<Item = String>) -> String {
        let mut items: Vec<String> = items.into_iter().collect();
        items.dedup();
        items.join(self.say(Text(", ", "、")))
    }
}

/// `12,345,678`: both languages group by three in tables of figures.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `2026-11-23 00:41:07 UTC`, to the second.
pub(crate) fn time(at: UnixMillis) -> String {
    let text = at.to_string();
    let to_second = text.get(..19).unwrap_or(&text).replace('T', " ");
    format!("{to_second} UTC")
}

/// A part of a hundred as people read it: `+12.5%`. `None` where there is nothing to compare with.
pub(crate) fn growth(before: u64, after: u64) -> Option<String> {
    if before == 0 {
        return None;
    }
    let (sign, change) = if after >= before { ('+', after - before) } else { ('-', before - after) };
    let tenths = u128::from(change) * 1_000 / u128::from(before);
    Some(format!("{sign}{}.{}%", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_and_growth_is_to_a_tenth() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1,000");
        assert_eq!(number(12_345_678), "12,345,678");
        assert_eq!(growth(200, 225).as_deref(), Some("+12.5%"));
        assert_eq!(growth(3, 2).as_deref(), Some("-33.3%"));
        assert_eq!(growth(0, 5), None);
        assert_eq!(time(UnixMillis(1_764_000_000_123)), "2025-11-24 16:00:00 UTC");
    }
}
