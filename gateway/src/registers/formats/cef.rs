//! Common Event Format, version 0 (Micro Focus ArcSight): `CEF:0|vendor|product|version|class|name|severity|extension`.
//!
//! In the header `\` and `|` are escaped, in the extension `\` and `=`; line breaks become `\n` there and spaces in the header.
//! No syslog header is written: the collector that takes the lines puts its own before them.

use domicile_types::Verdict;

use crate::registers::record::{EventRecord, State};

/// One event, without a line break.
pub(super) fn line(row: &EventRecord) -> String {
    let mut text = String::from("CEF:0|Domicile|gateway");
    let name = if row.operation.is_empty() { &row.kind } else { &row.operation };
    for field in [env!("CARGO_PKG_VERSION"), &row.kind, name, severity(row)] {
        text.push('|');
        text.push_str(&header(field));
    }
    text.push('|');
    let outcome = match row.verdict {
        Some(Verdict::Allow) => Some("allow".to_owned()),
        Some(Verdict::Deny) => Some("deny".to_owned()),
        None => None,
    };
    let list = |items: &[String]| (!items.is_empty()).then(|| items.join(","));
    let fields: [(&str, Option<String>); 23] = [
        ("externalId", Some(format!("{}#{}", row.log, row.index))),
        ("rt", Some(row.time.0.to_string())),
        ("start", row.started.map(|time| time.0.to_string())),
        ("end", row.ended.map(|time| time.0.to_string())),
        ("act", Some(row.operation.clone()).filter(|operation| !operation.is_empty())),
        ("outcome", outcome),
        ("reason", list(&row.rules)),
        ("suser", row.actor.clone()),
        // `src` must be an address; a pseudonym is none.
        ("src", row.address.clone().filter(|_| row.opened)),
        ("out", row.bytes_sent.map(|bytes| bytes.to_string())),
        ("fname", row.key.clone()),
        ("filePath", row.bucket.clone()),
        ("requestContext", Some(row.request.clone())),
        ("cs1Label", Some("destinationPlaces".to_owned())),
        ("cs1", Some(row.to_places.join(","))),
        ("cs2Label", Some("originPlaces".to_owned())),
        ("cs2", Some(row.from_places.join(","))),
        ("cs3Label", Some("basis".to_owned())),
        ("cs3", Some([row.mechanisms.as_slice(), &row.approvals].concat().join(","))),
        ("cs4Label", Some("state".to_owned())),
        ("cs4", Some(row.state.name().to_owned())),
        ("cn1Label", Some("export".to_owned())),
        ("cn1", Some(u8::from(row.export).to_string())),
    ];
    let pairs = fields.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", extension(&value?))));
    text.push_str(&pairs.collect::<Vec<_>>().join(" "));
    text
}

/// 0 to 10: what was denied, and what must be looked at, stands out.
const fn severity(row: &EventRecord) -> &'static str {
    match (row.verdict, row.export, row.state) {
        (Some(Verdict::Deny), true, _) => "8",
        (Some(Verdict::Deny), false, _) => "6",
        (Some(Verdict::Allow), _, State::AssumedWhole) => "7",
        (Some(Verdict::Allow), true, _) => "5",
        (Some(Verdict::Allow), false, _) => "1",
        (None, ..) => "4",
    }
}

fn header(text: &str) -> String {
    text.replace('\\', r"\\").replace('|', r"\|").replace(['\r', '\n'], " ")
}

fn extension(text: &str) -> String {
    let text = text.replace('\\', r"\\").replace('=', r"\=");
    text.replace("\r\n", r"\n").replace('\n', r"\n").replace('\r', r"\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_field_is_escaped_where_it_would() {
        assert_eq!(header("a|b\\c\nd=e"), r"a\|b\\c d=e");
        assert_eq!(extension("a|b\\c\r\nd=e"), r"a|b\\c\nd\=e");
    }
}
