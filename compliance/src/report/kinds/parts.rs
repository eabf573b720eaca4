//! Parts that several reports share.

use std::collections::BTreeMap;

use domicile_types::{CountMethod, Entry, EvidenceGrade, Place};

use super::register::short;
use crate::report::build::{Builder, Head, ranges};
use crate::report::model::Row;
use crate::report::places;
use crate::report::tally::served;
use crate::report::text::{Language, Text, number, time};

/// The ledgers as they stood after the last export of the period.
pub(super) fn ledgers(b: &mut Builder<'_>) {
    let mut last = BTreeMap::new();
    for flow in served(b.material) {
        for total in &flow.totals {
            last.insert((total.pack.to_string(), total.ledger.clone()), (flow.index, total));
        }
    }
    let method = |method: CountMethod| {
        b.say(match method {
            CountMethod::Exact => Text("each person once", "去重"),
            CountMethod::Sum => Text("sum", "累加"),
        })
    };
    let rows = last.into_iter().map(|((pack, ledger), (index, total))| Row {
        cells: vec![
            format!("{pack}/{ledger}"),
            time(total.since),
            number(total.after.subjects),
            number(total.after.sensitive),
            number(total.after.bytes),
            method(total.method).to_owned(),
        ],
        entries: ranges(vec![index]),
        footnote: None,
    });
    let rows = rows.collect();
    let heads = [
        Head("ledger", Text("Ledger", "台账"), false, 5),
        Head("since", Text("Counted since", "起算时间"), false, 5),
        Head("individuals", Text("Individuals", "人数"), true, 3),
        Head("sensitive", Text("Sensitive", "敏感信息人数"), true, 3),
        Head("bytes", Text("Bytes", "字节数"), true, 4),
        Head("method", Text("Counted by", "计数方法"), false, 3),
    ];
    let title = Text("Running totals after the last export of the period", "期间内最后一次出境后的累计数");
    b.table("ledgers", title, &heads, rows);
}

/// What became of approvals.
pub(super) fn approvals(b: &mut Builder<'_>) {
    let rows = b.material.gathered.happenings.iter().filter_map(|happening| match &happening.entry {
        Entry::Approval { what, approval, reasons, by, .. } => Some(Row {
            cells: vec![
                happening.index.to_string(),
                time(happening.time),
                short(&approval.to_string()),
                word(what, b.language),
                b.language.list(reasons.iter().cloned()),
                by.map(|by| super::register::named(&by, b.material)).unwrap_or_default(),
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
        Head("approval", Text("Approval", "审批"), false, 4),
        Head("change", Text("What happened", "变更"), false, 3),
        Head("reasons", Text("Reasons", "原因"), false, 4),
        Head("by", Text("By", "操作人"), false, 4),
    ];
    b.table("approvals", Text("Approvals", "审批记录"), &heads, rows);
}

/// Entries that set earlier ones right.
pub(super) fn corrections(b: &mut Builder<'_>) {
    let rows: Vec<Row> = b
        .material
        .gathered
        .happenings
        .iter()
        .filter_map(|happening| match &happening.entry {
            Entry::Correction { of, reason, .. } => Some(Row {
                cells: vec![happening.index.to_string(), time(happening.time), of.to_string(), reason.clone()],
                entries: ranges(vec![happening.index, *of]),
                footnote: None,
            }),
            _ => None,
        })
        .collect();
    let heads = [
        Head("entry", Text("Entry", "条目"), true, 2),
        Head("time", Text("Time", "时间"), false, 5),
        Head("of", Text("Corrects entry", "被更正条目"), true, 3),
        Head("reason", Text("What is so", "更正内容"), false, 10),
    ];
    b.table("corrections", Text("Corrections", "更正"), &heads, rows);
}

/// The packs that judged.
pub(super) fn packs(b: &mut Builder<'_>) {
    let titles: BTreeMap<String, &String> =
        b.material.packs.iter().map(|(version, title)| (version.pack.to_string(), title)).collect();
    let rows = b.material.gathered.judged_by.iter().map(|(pack, as_of, hash)| Row {
        cells: vec![
            pack.clone(),
            titles.get(pack).map(ToString::to_string).unwrap_or_default(),
            as_of.clone(),
            short(hash),
        ],
        entries: Vec::new(),
        footnote: None,
    });
    let rows = rows.collect();
    let heads = [
        Head("pack", Text("Pack", "规则包"), false, 4),
        Head("title", Text("Title", "名称"), false, 9),
        Head("as-of", Text("Law read on", "法律截止日"), false, 3),
        Head("hash", Text("BLAKE3", "BLAKE3"), false, 4),
    ];
    b.table("packs", Text("Rules that decisions were made by", "决策所依据的规则包"), &heads, rows);
}

/// Gateway and nodes: where storage is, and how well that is evidenced.
pub(super) fn systems(b: &mut Builder<'_>) {
    let gateway = b.material.log.place;
    let name = places::name(&gateway, b.language);
    b.plain(
        "plaintext-at",
        Text("Plaintext is handled, keys are held and names are indexed at", "明文处理、密钥保管及索引所在地"),
        gateway.to_string().into(),
        name,
    );
    b.plain(
        "nodes",
        Text("Storage nodes on record", "在册存储节点数"),
        b.material.nodes.len().into(),
        number(u64::try_from(b.material.nodes.len()).unwrap_or(u64::MAX)),
    );
    let mut by_place: BTreeMap<(Place, &String), (u64, EvidenceGrade, u64)> = BTreeMap::new();
    for node in &b.material.nodes {
        let row = by_place.entry((node.place, &node.controller)).or_insert((0, node.evidence, 0));
        row.0 += 1;
        row.1 = row.1.min(node.evidence);
        row.2 += u64::from(node.fenced);
    }
    let rows = by_place.into_iter().map(|((place, controller), (nodes, evidence, fenced))| Row {
        cells: vec![
            places::name(&place, b.language),
            controller.clone(),
            number(nodes),
            grade(evidence, b.language),
            number(fenced),
        ],
        entries: Vec::new(),
        footnote: None,
    });
    let rows = rows.collect();
    let heads = [
        Head("place", Text("Country or region", "国家或地区"), false, 5),
        Head("controller", Text("Controlled by", "控制方"), false, 5),
        Head("nodes", Text("Nodes", "节点数"), true, 2),
        Head("evidence", Text("Least evidence of place", "所在地证据最低等级"), false, 8),
        Head("fenced", Text("Fenced: contradicted", "存在相反证据而隔离"), true, 3),
    ];
    b.table("systems", Text("Storage, by place and controller", "存储系统（按所在地及控制方）"), &heads, rows);
    shards(b);
}

/// Where shards lie, or where nodes are.
pub(super) fn shards(b: &mut Builder<'_>) {
    let material = b.material;
    match &material.shards {
        Some(shards) => {
            let weights = shards.iter().map(|(place, count)| (*place, *count, Vec::new())).collect();
            b.places("shards", Text("Where the dataset lies", "数据集所在地"), Text("Shards", "分片数"), weights);
        }
        None => {
            let mut nodes: BTreeMap<Place, u64> = BTreeMap::new();
            material.nodes.iter().for_each(|node| *nodes.entry(node.place).or_default() += 1);
            let weights = nodes.into_iter().map(|(place, count)| (place, count, Vec::new())).collect();
            b.places(
                "nodes-by-place",
                Text("Where storage nodes are", "存储节点所在地"),
                Text("Nodes", "节点数"),
                weights,
            );
        }
    }
    b.note(Text(
        "Nodes hold ciphertext under keys that never reach them. No contradicting evidence of place is on file for nodes that are not \
         fenced; that is not proof of place.",
        "存储节点仅保存密文，密钥不离开网关。未被隔离的节点，其所在地未发现相反证据；但这不构成对所在地的证明。",
    ));
}

/// How data is protected: facts of construction.
pub(super) fn safeguards(b: &mut Builder<'_>) {
    let facts = [
        (
            "encryption",
            Text("Encryption at rest and towards nodes", "存储与传输加密"),
            Text(
                "Authenticated encryption before coding (ChaCha20-Poly1305 or AES-256-GCM); nodes see ciphertext only; TLS 1.3 to nodes",
                "编码前认证加密（ChaCha20-Poly1305或AES-256-GCM）；节点仅见密文；与节点之间使用TLS 1.3",
            ),
        ),
        (
            "keys",
            Text("Keys", "密钥"),
            Text(
                "A data key a body, wrapped under the bucket's, held at the gateway; deletion shreds the wrapped key",
                "每份数据一个数据密钥，由存储桶密钥加密保护，保管于网关；删除即销毁",
            ),
        ),
        (
            "log",
            Text("Audit log", "审计日志"),
            Text(
                "Append-only Merkle log with signed checkpoints; no byte leaves without an earlier durable entry",
                "只增的默克尔日志，检查点经签名；先有持久化条目，后有数据发送",
            ),
        ),
    ];
    for (key, label, text) in facts {
        let shown = b.say(text).to_owned();
        b.plain(key, label, shown.clone().into(), shown);
    }
}

/// What went wrong.
pub(super) fn incidents(b: &mut Builder<'_>) {
    let rows = b.material.gathered.happenings.iter().filter_map(|happening| match &happening.entry {
        Entry::Incident { what, node, shard } => Some(Row {
            cells: vec![
                happening.index.to_string(),
                time(happening.time),
                word(what, b.language),
                node.map(|node| short(&node.to_string())).unwrap_or_default(),
                shard.map(|shard| short(&shard.to_string())).unwrap_or_default(),
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
        Head("what", Text("Incident", "事件"), false, 6),
        Head("node", Text("Node", "节点"), false, 4),
        Head("shard", Text("Shard", "分片"), false, 4),
    ];
    b.table("incidents", Text("Incidents", "安全事件"), &heads, rows);
}

pub(super) fn grade(grade: EvidenceGrade, language: Language) -> String {
    let text = match grade {
        EvidenceGrade::Declared => Text("0, declared by the operator", "0级：运营方自行声明"),
        EvidenceGrade::Observed => Text("1, address databases do not contradict", "1级：地址数据库未见相反"),
        EvidenceGrade::Measured => Text("2, delays and challenges do not contradict", "2级：时延与质询未见相反"),
        EvidenceGrade::Attested => Text("3, host attested", "3级：主机已证明"),
        EvidenceGrade::Audited => Text("4, contract and site audit on file", "4级：合同及现场审计在案"),
    };
    language.say(text).to_owned()
}

/// A value's name as the log has it, and what it means.
pub(super) fn word(value: &impl serde::Serialize, language: Language) -> String {
    let name = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let meaning = CHANGES.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning);
    match (language, meaning) {
        (Language::Zh, Some(meaning)) => format!("{meaning}（{name}）"),
        _ => name,
    }
}

/// What became of approvals, packs, nodes and keys, in Chinese.
const CHANGES: [(&str, &str); 41] = [
    ("requested", "已申请"),
    ("approved", "已批准"),
    ("rejected", "已驳回"),
    ("withdrawn", "已撤回"),
    ("suspended", "已暂停"),
    ("resumed", "已恢复"),
    ("revoked", "已撤销"),
    ("renewed", "已申请续期"),
    ("consumed", "额度用尽"),
    ("expired", "已到期"),
    ("warned", "接近额度"),
    ("broke-glass", "紧急放行"),
    ("reviewed", "已复核"),
    ("proposed", "已提议"),
    ("agreed", "已同意"),
    ("in-force", "已生效"),
    ("made", "已生成"),
    ("rotated", "已轮换"),
    ("shredded", "已销毁"),
    ("invited", "已邀请"),
    ("uninvited", "邀请已撤回"),
    ("joined", "申请加入"),
    ("operator-changed", "运营方信息变更"),
    ("node-changed", "节点信息变更"),
    ("evidence-filed", "证据已存档"),
    ("evidence-ended", "证据已失效"),
    ("online", "在线"),
    ("suspect", "疑似故障"),
    ("offline", "离线"),
    ("lost", "视为丢失"),
    ("corrupt", "数据损坏"),
    ("quarantined", "已隔离"),
    ("released", "解除隔离"),
    ("disputed", "有异议"),
    ("dispute-settled", "异议已处理"),
    ("draining", "正在退出"),
    ("left", "已退出"),
    ("stated", "已出具对账单"),
    ("corrupt-shard", "分片损坏"),
    ("missing-shard", "分片缺失"),
    ("place-contradicted", "所在地存在相反证据"),
];
