//! Characters that no font of ours has are shown by their code: a blank in a report would be a lie.

use std::fmt::Write;

use serde_json::Value;
use typst::text::Font;

/// Replaces them in every text of the report, keys excepted.
pub(crate) fn show_what_fonts_lack(value: &mut Value, fonts: &[Font]) {
    match value {
        Value::String(text) => {
            if let Some(shown) = shown(text, &|c| fonts.iter().any(|font| font.info().coverage.contains(u32::from(c))))
            {
                *text = shown;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| show_what_fonts_lack(value, fonts)),
        Value::Object(fields) => fields.values_mut().for_each(|value| show_what_fonts_lack(value, fonts)),
        _ => {}
    }
}

/// The text with codes in it; `None` where it is fine as it is.
fn shown(text: &str, has: &dyn Fn(char) -> bool) -> Option<String> {
    let is_fine = |c: char| c == '\n' || has(c) && !c.is_control() && !turns_text(c);
    if text.chars().all(is_fine) {
        return None;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_fine(c) {
            shown.push(c);
        } else {
            let _ = write!(shown, "[U+{:04X}]", u32::from(c));
        }
    }
    Some(shown)
}

/// What makes text run in another direction than it is written.
const fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::fonts;

    #[test]
    fn what_a_font_has_stays_and_the_rest_is_shown_by_its_code() {
        let mut value = serde_json::json!({ "a": ["数据 Größe", "x\u{1f600}y"], "b": "\u{202e}abc" });
        show_what_fonts_lack(&mut value, &fonts().unwrap());
        assert_eq!(value, serde_json::json!({ "a": ["数据 Größe", "x[U+1F600]y"], "b": "[U+202E]abc" }));
    }
}
