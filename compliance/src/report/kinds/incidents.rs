//! The timeline of incidents.

use domicile_types::Entry;

use super::parts::{self, word};
use super::register::{named, short};
use crate::report::build::{Builder, Head};
use crate::report::material::{Happening, Material};
use crate::report::model::Row;
use crate::report::tally::{self, destinations, grouped};
use crate::report::text::{Language, Text, number, time};

const DESCRIBE: Text = Text("Describe; the log does not know it.", "请填写；日志不含此信息。");

pub(super) fn fill(b: &mut Builder<'_>) {
    b.section("summary", Text("Summary", "概要"));
    let of = |wanted: fn(&Entry) -> bool| -> Vec<u64> {
        let happenings = b.material.gathered.happenings.iter();
        happenings.filter(|happening| wanted(&happening.entry)).map(|happening| happening.index).collect()
    };
    let incidents = of(|entry| matches!(entry, Entry::Incident { .. }));
    let fleet = of(|entry| matches!(entry, Entry::Fleet { .. }));
    let count = |entries: &Vec<u64>| u64::try_from(entries.len()).unwrap_or(u64::MAX);
    b.figure("incidents", Text("Incidents", "安全事件"), count(&incidents), incidents);
    b.figure("fleet-changes", Text("Changes of nodes and operators", "节点及运营方变更"), count(&fleet), fleet);
    let refused: Vec<u64> = tally::refused(b.material).map(|flow| flow.index).collect();
    b.figure("refused-exports", Text("Attempts at export refused", "被拒绝的出境尝试"), count(&refused), refused);
    b.section("timeline", Text("Timeline", "时间线"));
    let rows = b.material.gathered.happenings.iter().filter_map(|happening| row(happening, b.material, b.language));
    let rows = rows.collect();
    let heads = [
        Head("entry", Text("Entry", "条目"), true, 2),
        Head("time", Text("Time", "时间"), false, 5),
        Head("kind", Text("Kind", "类别"), false, 3),
        Head("what", Text("What happened", "事项"), false, 6),
        Head("whom", Text("Concerning", "涉及对象"), false, 7),
    ];
    b.table("timeline", Text("In the order of the log", "按日志顺序"), &heads, rows);
    b.section("reach", Text("What data, which places", "涉及数据与地区"));
    grouped(
        b,
        "by-destination",
        Text("Exports in the period, by destination", "期间内数据出境（按目的地）"),
        Text("Country or region", "国家或地区"),
        destinations,
    );
    parts::shards(b);
    parts::corrections(b);
    b.section("assessment", Text("Cause, containment, notices", "原因、处置与通知"));
    for (key, label, lines) in [
        ("cause", Text("Cause", "原因"), 3),
        ("containment", Text("Containment and remedy", "处置与补救"), 3),
        ("harm", Text("Likely consequences for individuals", "对个人可能造成的影响"), 3),
        (
            "notices",
            Text(
                "Notices to authorities and individuals: to whom, when, under which clock",
                "向主管部门及个人的通知：对象、时间、适用时限",
            ),
            3,
        ),
    ] {
        b.field(key, label, DESCRIBE, lines);
    }
}

fn row(happening: &Happening, material: &Material, language: Language) -> Option<Row> {
    let (kind, what, whom) = match &happening.entry {
        Entry::Incident { what, node, shard } => {
            let node = node.map(|node| short(&node.to_string()));
            let shard = shard.map(|shard| short(&shard.to_string()));
            (Text("incident", "安全事件"), word(what, language), language.list(node.into_iter().chain(shard)))
        }
        Entry::Fleet { what, operator, node, reasons, .. } => {
            let whom = operator.as_ref().map(ToString::to_string).into_iter();
            let whom = whom.chain(node.map(|node| short(&node.to_string()))).chain(reasons.iter().cloned());
            (Text("fleet", "节点"), word(what, language), language.list(whom))
        }
        Entry::Started { closed_intents, .. } => {
            let whom = match language {
                Language::En => format!("{} open reads closed as wholly sent", number(*closed_intents)),
                Language::Zh => format!("{}个未结读取按已全部发送处理", number(*closed_intents)),
            };
            (Text("gateway", "网关"), language.say(Text("started", "启动")).to_owned(), whom)
        }
        Entry::Judging { packs, databases, .. } => {
            let whom = match language {
                Language::En => format!("{} packs, {} location databases", packs.len(), databases.len()),
                Language::Zh => format!("{}个规则包，{}个位置数据库", packs.len(), databases.len()),
            };
            (Text("law", "规则"), language.say(Text("law in force changed", "适用规则变更")).to_owned(), whom)
        }
        Entry::Approval { what, approval, .. } => {
            (Text("approval", "审批"), word(what, language), short(&approval.to_string()))
        }
        Entry::Proposal { what, pack, .. } => {
            (Text("law", "规则"), word(what, language), format!("{} {}", pack.pack, pack.as_of))
        }
        Entry::Key { what, key, place, .. } => (Text("key", "密钥"), word(what, language), format!("{key}, {place}")),
        Entry::Deleted { bucket, residue, .. } => {
            let whom = match language {
                Language::En => format!("{}, {residue} shards left behind", named(bucket, material)),
                Language::Zh => format!("{}，残留{residue}个分片", named(bucket, material)),
            };
            (Text("deletion", "删除"), language.say(Text("deleted", "已删除")).to_owned(), whom)
        }
        Entry::Erased { reason, .. } => {
            (Text("erasure", "擦除"), language.say(Text("value erased", "值已擦除")).to_owned(), reason.clone())
        }
        Entry::Correction { of, reason, .. } => (Text("correction", "更正"), of.to_string(), reason.clone()),
        _ => return None,
    };
    Some(Row {
        cells: vec![happening.index.to_string(), time(happening.time), language.say(kind).to_owned(), what, whom],
        entries: vec![(happening.index, happening.index)],
        footnote: None,
    })
}
