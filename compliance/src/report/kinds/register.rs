//! The register of exports.

use domicile_types::{Commitment, OutcomeStatus};

use super::parts;
use crate::report::build::{Builder, Head};
use crate::report::material::{Flow, Material};
use crate::report::model::Row;
use crate::report::tally::{self, bases, destinations, grouped, recipients};
use crate::report::text::{Language, Text, number, time};

pub(super) fn fill(b: &mut Builder<'_>) {
    b.section("summary", Text("Summary", "概要"));
    tally::totals(b);
    b.section("where", Text("Where to", "去向"));
    grouped(
        b,
        "by-destination",
        Text("By destination", "按目的地"),
        Text("Country or region", "国家或地区"),
        destinations,
    );
    grouped(b, "by-recipient", Text("By recipient", "按境外接收方"), Text("Recipient", "境外接收方"), recipients);
    b.section("basis", Text("On what", "依据"));
    grouped(b, "by-basis", Text("By rule", "按规则"), Text("Pack and provision", "规则包及条款"), bases);
    parts::ledgers(b);
    parts::approvals(b);
    b.section("register", Text("Exports and attempts, one by one", "出境及尝试明细"));
    each(b);
    parts::corrections(b);
    b.section("review", Text("Review", "复核"));
    b.field(
        "reviewer-findings",
        Text("Findings of the reviewer", "复核意见"),
        Text("What was looked at, what is disputed, what follows.", "复核范围、存疑事项及后续措施。"),
        5,
    );
}

/// The register itself.
pub(super) fn each(b: &mut Builder<'_>) {
    let (language, material) = (b.language, b.material);
    let rows = material.gathered.flows.iter().map(|flow| row(flow, material, language)).collect();
    let heads = [
        Head("entry", Text("Entry", "条目"), true, 4),
        Head("time", Text("Time (UTC)", "时间（UTC）"), false, 6),
        Head("operation", Text("Operation", "操作"), false, 5),
        Head("data", Text("Data", "数据"), false, 9),
        Head("to", Text("To", "去向"), false, 7),
        Head("basis", Text("Basis", "依据"), false, 12),
        Head("individuals", Text("Individuals", "人数"), true, 5),
        Head("bytes", Text("Bytes", "字节数"), true, 6),
        Head("result", Text("Result", "结果"), false, 7),
    ];
    b.table("exports", Text("Exports and attempts", "出境及尝试"), &heads, rows);
}

fn row(flow: &Flow, material: &Material, language: Language) -> Row {
    let bucket = flow.bucket.map(|bucket| named(&bucket, material)).unwrap_or_default();
    let classes = language.list(tally::classes(flow, material, language));
    let mut to = destinations(flow, material, language);
    if let Some(recipient) = &flow.recipient {
        to.push(recipient.to_string());
    }
    let mut basis: Vec<String> = flow.rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect();
    basis.extend(flow.approvals.iter().map(|approval| match language {
        Language::En => format!("approval {}", short(&approval.to_string())),
        Language::Zh => format!("审批{}", short(&approval.to_string())),
    }));
    let counts = tally::Tally::of(std::iter::once(flow), material).counts;
    let individuals = if flow.allowed { number(counts.subjects) } else { "\u{2013}".to_owned() };
    let moment = time(flow.time);
    Row {
        cells: vec![
            flow.index.to_string(),
            moment.strip_suffix(" UTC").unwrap_or(&moment).to_owned(),
            tally::operation(flow.operation, language),
            format!("{bucket}; {classes}"),
            language.list(to),
            language.list(basis),
            individuals,
            number(flow.sent()),
            result(flow, language),
        ],
        entries: crate::report::build::ranges(flow.entries().collect()),
        footnote: None,
    }
}

fn result(flow: &Flow, language: Language) -> String {
    let text = match (flow.allowed, flow.outcome) {
        (false, _) => Text("refused", "已拒绝"),
        (true, None) => Text("authorised, no outcome yet", "已授权，尚无结果"),
        (true, Some((_, OutcomeStatus::Completed, _))) => Text("completed", "已完成"),
        (true, Some((_, OutcomeStatus::Aborted, _))) => Text("broken off", "中断"),
        (true, Some((_, OutcomeStatus::Failed, _))) => Text("failed, nothing sent", "失败，未发送"),
        (true, Some((_, OutcomeStatus::AssumedWhole, _))) => Text("unknown, counted as whole", "不明，按全部计"),
    };
    language.say(text).to_owned()
}

/// What a commitment hides, where it was opened; else its beginning.
pub(super) fn named(commitment: &Commitment, material: &Material) -> String {
    material.names.get(commitment).cloned().unwrap_or_else(|| short(&commitment.to_string()))
}

/// The beginning of a long identifier.
pub(super) fn short(text: &str) -> String {
    let start: String = text.chars().take(12).collect();
    if start.len() < text.len() { format!("{start}\u{2026}") } else { start }
}
