//! The certificate of deletion.

use domicile_types::Entry;

use super::register::{named, short};
use crate::report::build::{Builder, Head, ranges};
use crate::report::material::Deletion;
use crate::report::model::Row;
use crate::report::text::{Text, number, time};

const UNFINISHED: Text = Text(
    "not known yet: nodes are still being asked; make this certificate again when they were",
    "尚不确定：仍在向节点请求删除，请待完成后重新生成本证明",
);

pub(super) fn fill(b: &mut Builder<'_>) {
    if let Some((object, deletions)) = &b.material.deletions {
        b.section("object", Text("The object", "被删除对象"));
        b.plain("object", Text("Object", "对象"), object.clone().into(), object.clone());
        for deletion in deletions {
            certified(b, deletion);
        }
    }
    b.section("statements", Text("Deletions that the log states", "日志所载删除记录"));
    statements(b);
    b.note(Text(
        "Shredding the wrapped data key makes every shard unreadable at once, wherever it lies. A receipt is what a node signed when it \
         had deleted a shard. Residue is what may still lie, unreadable, on nodes that could not be reached.",
        "销毁经加密保护的数据密钥后，所有分片无论位于何处均立即不可读。回执为节点删除分片时所签。残留指仍可能存于无法联系的节点上的不可读分片。",
    ));
    b.section("erasures", Text("Values erased from the log's store", "日志附属存储中已擦除的值"));
    let rows = b.material.gathered.happenings.iter().filter_map(|happening| match &happening.entry {
        Entry::Erased { commitment, reason } => Some(Row {
            cells: vec![
                happening.index.to_string(),
                time(happening.time),
                short(&commitment.to_string()),
                reason.clone(),
            ],
            entries: vec![(happening.index, happening.index)],
            footnote: None,
        }),
        _ => None,
    });
    let rows = rows.collect();
    let heads = [
        Head("entry", Text("Entry", "条目"), true, 2),
        Head("time", Text("Time", "时间"), false, 5),
        Head("commitment", Text("Commitment", "承诺值"), false, 5),
        Head("reason", Text("Why", "原因"), false, 8),
    ];
    b.table("erased", Text("Erasures", "擦除记录"), &heads, rows);
    b.section("statement", Text("Statement", "声明"));
    b.field(
        "statement",
        Text("Statement of whoever is responsible for the data", "数据责任人的声明"),
        Text("A conclusion of law: for a responsible person.", "法律结论，由责任人员作出。"),
        4,
    );
}

fn certified(b: &mut Builder<'_>, deletion: &Deletion) {
    let data = deletion.data.to_string();
    b.fact("body", Text("Body (data id)", "数据标识"), data.clone().into(), data, deletion.stated.clone());
    let shredded = time(deletion.shredded);
    b.fact(
        "shredded",
        Text("Data key shredded", "数据密钥销毁时间"),
        deletion.shredded.0.into(),
        shredded,
        deletion.stated.clone(),
    );
    let residue = deletion.residue.map_or_else(|| b.say(UNFINISHED).to_owned(), number);
    let label = Text("Shards that may be left", "可能残留的分片");
    b.fact("residue", label, deletion.residue.into(), residue, deletion.stated.clone());
    let hash = deletion.receipts_hash.clone();
    b.fact(
        "receipts-hash",
        Text("BLAKE3 over the receipts", "回执的BLAKE3"),
        hash.clone().into(),
        hash,
        deletion.stated.clone(),
    );
    let rows = deletion.receipts.iter().map(|(node, shard, at)| Row {
        cells: vec![node.clone(), shard.clone(), time(*at)],
        entries: Vec::new(),
        footnote: None,
    });
    let rows = rows.collect();
    let heads = [
        Head("node", Text("Node", "节点"), false, 7),
        Head("shard", Text("Shard", "分片"), false, 8),
        Head("time", Text("Signed", "签署时间"), false, 4),
    ];
    b.table("receipts", Text("What nodes signed to have deleted", "节点签名确认的删除"), &heads, rows);
}

/// Deletions of the period.
pub(super) fn statements(b: &mut Builder<'_>) {
    let rows = b.material.gathered.happenings.iter().filter_map(|happening| match &happening.entry {
        Entry::Deleted { data, bucket, shredded, receipts, residue, .. } => Some(Row {
            cells: vec![
                happening.index.to_string(),
                short(&data.to_string()),
                named(bucket, b.material),
                time(*shredded),
                number(*receipts),
                number(*residue),
            ],
            entries: ranges(vec![happening.index]),
            footnote: None,
        }),
        _ => None,
    });
    let rows = rows.collect();
    let heads = [
        Head("entry", Text("Entry", "条目"), true, 2),
        Head("data", Text("Body", "数据"), false, 4),
        Head("bucket", Text("Bucket", "存储桶"), false, 5),
        Head("shredded", Text("Key shredded", "密钥销毁时间"), false, 5),
        Head("receipts", Text("Shards deleted", "已删除分片"), true, 3),
        Head("residue", Text("May be left", "可能残留"), true, 3),
    ];
    b.table("deleted", Text("Deletions", "删除记录"), &heads, rows);
}
