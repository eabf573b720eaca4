//! Counting exports: how many people, how many bytes, to where, on what.

use std::collections::{BTreeMap, BTreeSet};

use domicile_types::{Classification, Counts, OperationKind};

use super::build::{Builder, Head, ranges};
use super::material::{Flow, Material};
use super::model::Row;
use super::places;
use super::text::{Language, Text, number};

/// A sum over exports, with the entries that it is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) flows: u64,
    pub(crate) counts: Counts,
    pub(crate) entries: Vec<u64>,
    /// Reads that no charge was logged for: their people are taken from the data's classification, once a request.
    seen: BTreeSet<(domicile_types::RequestId, Option<domicile_types::Commitment>)>,
}

impl Tally {
    pub(crate) fn add(&mut self, flow: &Flow, material: &Material) {
        self.flows += 1;
        self.entries.extend(flow.entries());
        let people = match flow.counts {
            Some(counts) => counts,
            None if self.seen.insert((flow.request, flow.key)) => stated(material.classes.get(&flow.inputs)),
            None => Counts::default(),
        };
        self.counts = self.counts.plus(Counts { bytes: flow.sent(), ..people });
    }

    pub(crate) fn of<'a>(flows: impl Iterator<Item = &'a Flow>, material: &Material) -> Self {
        let mut tally = Self::default();
        flows.for_each(|flow| tally.add(flow, material));
        tally
    }
}

fn stated(classification: Option<&Classification>) -> Counts {
    Counts {
        subjects: classification.and_then(|classification| classification.subjects).unwrap_or(0),
        sensitive: classification.and_then(|classification| classification.sensitive_subjects).unwrap_or(0),
        bytes: 0,
    }
}

/// Exports that were allowed.
pub(crate) fn served(material: &Material) -> impl Iterator<Item = &Flow> {
    material.gathered.flows.iter().filter(|flow| flow.allowed)
}

/// Attempts that were refused.
pub(crate) fn refused(material: &Material) -> impl Iterator<Item = &Flow> {
    material.gathered.flows.iter().filter(|flow| !flow.allowed)
}

/// The sums of the period.
pub(crate) fn totals(b: &mut Builder<'_>) {
    let tally = Tally::of(served(b.material), b.material);
    let refused = Tally::of(refused(b.material), b.material);
    b.figure("exports", Text("Exports authorised", "已授权的数据出境次数"), tally.flows, tally.entries.clone());
    b.figure(
        "individuals",
        Text("Individuals (sum over exports)", "涉及个人信息主体人数（逐次累加）"),
        tally.counts.subjects,
        tally.entries.clone(),
    );
    b.figure(
        "sensitive-individuals",
        Text("of them with sensitive personal information", "其中涉及敏感个人信息的人数"),
        tally.counts.sensitive,
        tally.entries.clone(),
    );
    b.figure("bytes", Text("Bytes that left", "实际出境字节数"), tally.counts.bytes, tally.entries);
    b.figure("refused", Text("Attempts refused", "被拒绝的出境尝试"), refused.flows, refused.entries);
    b.note(Text(
        "Individuals are what each export was charged with; where nothing was charged, what the data's classification states, once a \
         request. A person in two exports counts twice here. Where a manifest allowed counting each person once, the running totals of \
         the ledgers say so.",
        "人数按每次出境计入额度的人数累加；未计入额度的，按数据分类标注的人数计，每次请求计一次。同一人涉及两次出境的计两次。\
         凭主体清单可去重的，以各台账累计数为准。",
    ));
    b.note(Text(
        "Bytes are those that left by the outcome entries. An export without an outcome counts with all that was authorised.",
        "字节数以结果条目为准；尚无结果条目的，按授权上限计。",
    ));
}

/// A table of sums by what `of` says of an export; an export may count under several.
pub(crate) fn grouped(
    b: &mut Builder<'_>,
    key: &str,
    title: Text,
    head: Text,
    of: impl Fn(&Flow, &Material, Language) -> Vec<String>,
) {
    let mut groups: BTreeMap<String, Tally> = BTreeMap::new();
    for flow in served(b.material) {
        let mut names = of(flow, b.material, b.language);
        names.sort();
        names.dedup();
        for name in names {
            groups.entry(name).or_default().add(flow, b.material);
        }
    }
    let rows = groups.into_iter().map(|(name, tally)| Row {
        cells: vec![
            name,
            number(tally.flows),
            number(tally.counts.subjects),
            number(tally.counts.sensitive),
            number(tally.counts.bytes),
        ],
        entries: ranges(tally.entries),
        footnote: None,
    });
    let rows = rows.collect();
    let heads = [
        Head("name", head, false, 6),
        Head("exports", Text("Exports", "次数"), true, 2),
        Head("individuals", Text("Individuals", "人数"), true, 3),
        Head("sensitive", Text("Sensitive", "敏感信息人数"), true, 3),
        Head("bytes", Text("Bytes", "字节数"), true, 4),
    ];
    b.table(key, title, &heads, rows);
}

/// Where an export went.
pub(crate) fn destinations(flow: &Flow, _: &Material, language: Language) -> Vec<String> {
    flow.to.iter().map(|place| places::name(place, language)).collect()
}

/// Who received.
pub(crate) fn recipients(flow: &Flow, _: &Material, language: Language) -> Vec<String> {
    let unstated = || language.say(Text("not stated", "未载明")).to_owned();
    vec![flow.recipient.as_ref().map_or_else(unstated, ToString::to_string)]
}

/// On which rules.
pub(crate) fn bases(flow: &Flow, _: &Material, _: Language) -> Vec<String> {
    flow.rules.iter().map(|rule| format!("{}: {}", rule.pack, rule.cite)).collect()
}

/// Of which classes of data.
pub(crate) fn classes(flow: &Flow, material: &Material, language: Language) -> Vec<String> {
    let unstated = || vec![language.say(Text("unclassified", "未分类")).to_owned()];
    let Some(classification) = material.classes.get(&flow.inputs) else { return unstated() };
    if classification.classes.is_empty() {
        unstated()
    } else {
        classification.classes.iter().map(|class| class_name(class.as_str(), language)).collect()
    }
}

fn class_name(class: &str, language: Language) -> String {
    let known = match class {
        "personal" => Text("personal", "个人信息"),
        "sensitive" => Text("sensitive", "敏感个人信息"),
        "health" => Text("health", "健康医疗数据"),
        "biometric" => Text("biometric", "生物识别信息"),
        "genomic" => Text("genomic", "基因组数据"),
        "financial" => Text("financial", "金融账户信息"),
        "geolocation" => Text("geolocation", "地理位置信息"),
        "public" => Text("public", "公开数据"),
        "important" => Text("important", "重要数据"),
        _ => return class.to_owned(),
    };
    match language {
        Language::En => class.to_owned(),
        Language::Zh => format!("{}（{class}）", language.say(known)),
    }
}

/// An operation's name.
pub(crate) fn operation(operation: OperationKind, language: Language) -> String {
    let name =
        serde_json::to_value(operation).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    match (language, operation) {
        (Language::Zh, OperationKind::GetObject) => "读取".to_owned(),
        (Language::Zh, OperationKind::HeadObject) => "查询元数据".to_owned(),
        (Language::Zh, OperationKind::ListObjects) => "列举".to_owned(),
        (Language::Zh, OperationKind::CopyObject) => "复制".to_owned(),
        (Language::Zh, OperationKind::PutObject | OperationKind::UploadPart) => "存储".to_owned(),
        (Language::Zh, OperationKind::Repair) => "修复".to_owned(),
        _ => name,
    }
}
