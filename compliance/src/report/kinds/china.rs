//! Reports for the Cyberspace Administration of China (CAC), and the impact assessment of the Personal Information Protection Law.

use domicile_types::UnixMillis;

use super::parts;
use crate::report::build::{Builder, Head, ranges};
use crate::report::model::Row;
use crate::report::tally::{self, Tally, bases, classes, destinations, grouped, recipients, served};
use crate::report::text::{Text, growth, number, time};

const DAY_MILLIS: u64 = 86_400_000;
const DESCRIBE: Text = Text("Describe; the log does not know it.", "请填写；日志不含此信息。");
const CONCLUDE: Text = Text("A conclusion of law: for a responsible person.", "法律结论，由责任人员作出。");

/// Sections follow the template of the self-assessment report: overview, the export as a whole, risks, conclusion.
pub(super) fn self_assessment(b: &mut Builder<'_>) {
    b.section("overview", Text("I. How the self-assessment was done", "一、自评估工作简述"));
    b.field(
        "organisation",
        Text("Start and end, organisation, process and method", "自评估起止时间、组织情况、实施过程及实施方式"),
        DESCRIBE,
        4,
    );
    b.section("handler", Text("II.1 The data handler", "二（一）数据处理者基本情况"));
    b.field(
        "handler",
        Text(
            "Name, shareholders, actual controller, organisation, overall business and data",
            "名称、股权结构、实际控制人、组织架构、整体业务与数据情况",
        ),
        DESCRIBE,
        4,
    );
    b.section("systems", Text("II.2 Business and information systems", "二（二）数据出境涉及的业务和信息系统情况"));
    b.field(
        "business",
        Text("The business, its data assets, the links of the export", "业务基本情况、数据资产情况、数据出境链路"),
        DESCRIBE,
        3,
    );
    parts::systems(b);
    b.section("data", Text("II.3 The data to be exported", "二（三）拟出境数据情况"));
    b.field(
        "necessity",
        Text(
            "Purpose, scope, manner; lawfulness, legitimacy and necessity",
            "出境目的、范围、方式及其合法性、正当性、必要性",
        ),
        CONCLUDE,
        5,
    );
    tally::totals(b);
    grouped(b, "by-class", Text("Data items by class", "按数据类别"), Text("Class", "类别"), classes);
    grouped(
        b,
        "by-destination",
        Text("By destination", "按出境目的地"),
        Text("Country or region", "国家或地区"),
        destinations,
    );
    parts::ledgers(b);
    b.section("capability", Text("II.4 Ability to keep data safe", "二（四）数据处理者数据安全保障能力情况"));
    parts::safeguards(b);
    parts::incidents(b);
    b.field(
        "governance",
        Text("Management, people, audits, certificates", "管理制度、人员、审计及认证情况"),
        DESCRIBE,
        3,
    );
    b.section("recipient", Text("II.5 Recipients abroad", "二（五）境外接收方情况"));
    grouped(b, "by-recipient", Text("Recipients", "境外接收方"), Text("Recipient", "境外接收方"), recipients);
    b.field(
        "recipient-duties",
        Text(
            "What recipients do with it, their ability to keep it safe, the law and policy where they are",
            "境外接收方处理目的、方式、安全保障能力及所在国家或地区的数据安全保护政策法规和网络安全环境",
        ),
        DESCRIBE,
        4,
    );
    b.section("contract", Text("II.6 Legal documents", "二（六）法律文件约定数据安全保护责任义务的情况"));
    parts::approvals(b);
    b.field(
        "contract",
        Text("Terms that bind the recipient (Measures, Art. 9)", "与境外接收方订立的法律文件条款（《办法》第九条）"),
        DESCRIBE,
        4,
    );
    b.section("risk", Text("III. Risks of the export", "三、拟出境活动的风险评估情况"));
    for (key, label) in [
        (
            "risk-necessity",
            Text(
                "Lawfulness, legitimacy and necessity of purpose, scope and manner",
                "出境及境外接收方处理数据的目的、范围、方式等的合法性、正当性、必要性",
            ),
        ),
        (
            "risk-scale",
            Text(
                "Scale, scope, kinds and sensitivity; risks to national security, public interest, rights of individuals and organisations",
                "出境数据的规模、范围、种类、敏感程度，对国家安全、公共利益、个人或者组织合法权益带来的风险",
            ),
        ),
        (
            "risk-recipient",
            Text(
                "Whether the recipient's duties and abilities can keep the data safe",
                "境外接收方承诺承担的责任义务及履行能力能否保障出境数据安全",
            ),
        ),
        (
            "risk-leak",
            Text(
                "Risks of alteration, destruction, leak, loss, onward transfer; remedies of individuals",
                "数据出境中和出境后遭篡改、破坏、泄露、丢失、转移等的风险，个人信息权益维护渠道是否通畅",
            ),
        ),
        (
            "risk-contract",
            Text(
                "Whether documents with the recipient bind it fully",
                "与境外接收方订立的法律文件是否充分约定数据安全保护责任义务",
            ),
        ),
    ] {
        b.field(key, label, CONCLUDE, 3);
    }
    b.section("conclusion", Text("IV. Conclusion of the self-assessment", "四、出境活动风险自评估结论"));
    b.field("conclusion", Text("Conclusion", "结论"), CONCLUDE, 5);
    parts::packs(b);
}

/// Three years side by side: growth in individuals and growth in bytes, each with its entries.
pub(super) fn extension(b: &mut Builder<'_>) {
    b.section("approval", Text("The assessment to be extended", "拟延长的评估结果"));
    b.field(
        "notice",
        Text("Number and date of the notice of result; its last day", "评估结果通知书编号、日期及有效期截止日"),
        DESCRIBE,
        2,
    );
    b.field(
        "deadline",
        Text("Last day to apply: 60 working days before", "申请期限：有效期届满前六十个工作日"),
        Text("To be computed by the calendar of working days of the authority.", "按主管部门工作日历计算。"),
        1,
    );
    b.section("growth", Text("Growth, year by year", "逐年增长情况"));
    years(b);
    b.note(Text(
        "Growth compares a year with the year before, in tenths of a percent, cut and not rounded. Both counters stand side by side: \
         individuals and bytes.",
        "增幅以上一年度为基数，精确到千分之一并舍去尾数；人数与字节数两项并列。",
    ));
    b.section("period", Text("The whole period", "全部期间"));
    tally::totals(b);
    grouped(
        b,
        "by-destination",
        Text("By destination", "按出境目的地"),
        Text("Country or region", "国家或地区"),
        destinations,
    );
    grouped(b, "by-recipient", Text("Recipients", "境外接收方"), Text("Recipient", "境外接收方"), recipients);
    grouped(b, "by-class", Text("By class of data", "按数据类别"), Text("Class", "类别"), classes);
    parts::ledgers(b);
    parts::approvals(b);
    parts::incidents(b);
    b.section("unchanged", Text("What has not changed", "未发生变化的情况"));
    for (key, label) in [
        (
            "unchanged-purpose",
            Text("Purpose, scope and manner of the export, and use abroad", "出境目的、范围、方式及境外用途"),
        ),
        (
            "unchanged-recipient",
            Text(
                "Recipient, its control, its law and policy environment",
                "境外接收方及其实际控制权、所在地政策法规环境",
            ),
        ),
        ("unchanged-contract", Text("Legal documents with the recipient", "与境外接收方的法律文件")),
    ] {
        b.field(key, label, CONCLUDE, 3);
    }
}

fn years(b: &mut Builder<'_>) {
    let (from, to) = b.material.period;
    let year = DAY_MILLIS.saturating_mul(365);
    let count = to.millis_since(from).div_ceil(year).clamp(1, 10);
    let mut rows = Vec::new();
    let mut before: Option<Tally> = None;
    for nth in 0..count {
        let begins = from.plus_millis(nth.saturating_mul(year));
        let ends = if nth + 1 == count { to } else { begins.plus_millis(year) };
        let tally = Tally::of(served(b.material).filter(|flow| (begins..ends).contains(&flow.time)), b.material);
        let grown = |of: fn(&Tally) -> u64| match &before {
            None => "\u{2013}".to_owned(),
            Some(before) => {
                growth(of(before), of(&tally)).unwrap_or_else(|| b.say(Text("from zero", "由零增长")).to_owned())
            }
        };
        rows.push(Row {
            cells: vec![
                period(begins, ends),
                number(tally.flows),
                number(tally.counts.subjects),
                grown(|tally| tally.counts.subjects),
                number(tally.counts.sensitive),
                number(tally.counts.bytes),
                grown(|tally| tally.counts.bytes),
            ],
            entries: ranges(tally.entries.clone()),
            footnote: None,
        });
        before = Some(tally);
    }
    let heads = [
        Head(
            "year",
            Text("Year of the period (365 days; the last to its end)", "年度（每365日；末年至期末）"),
            false,
            7,
        ),
        Head("exports", Text("Exports", "次数"), true, 2),
        Head("individuals", Text("Individuals", "人数"), true, 3),
        Head("individuals-growth", Text("Growth", "人数增幅"), true, 3),
        Head("sensitive", Text("Sensitive", "敏感信息人数"), true, 3),
        Head("bytes", Text("Bytes", "字节数"), true, 4),
        Head("bytes-growth", Text("Growth", "字节数增幅"), true, 3),
    ];
    b.table("years", Text("Individuals and bytes by year", "各年度人数及字节数"), &heads, rows);
}

fn period(from: UnixMillis, to: UnixMillis) -> String {
    let day = |at: UnixMillis| time(at).get(..10).unwrap_or_default().to_owned();
    format!("{} \u{2013} {}", day(from), day(to))
}

/// PIPL Arts. 55 and 56.
pub(super) fn impact(b: &mut Builder<'_>) {
    b.section("occasion", Text("1. What is assessed", "一、评估事项"));
    b.field("occasion", Text("Why an assessment is due (Art. 55)", "应当进行评估的情形（第五十五条）"), CONCLUDE, 2);
    tally::totals(b);
    grouped(b, "by-class", Text("Personal information by class", "按个人信息类别"), Text("Class", "类别"), classes);
    grouped(
        b,
        "by-destination",
        Text("By destination", "按去向"),
        Text("Country or region", "国家或地区"),
        destinations,
    );
    grouped(b, "by-recipient", Text("Recipients", "接收方"), Text("Recipient", "接收方"), recipients);
    b.section(
        "lawfulness",
        Text("2. Purpose and manner (Art. 56 no. 1)", "二、处理目的、处理方式（第五十六条第一项）"),
    );
    b.field(
        "lawful",
        Text(
            "Whether purpose and manner are lawful, legitimate and necessary",
            "个人信息的处理目的、处理方式等是否合法、正当、必要",
        ),
        CONCLUDE,
        5,
    );
    b.field("consent", Text("Notice and separate consent (Art. 39)", "告知及单独同意（第三十九条）"), DESCRIBE, 3);
    b.section(
        "rights",
        Text("3. Effects on rights, and risks (Art. 56 no. 2)", "三、对个人权益的影响及安全风险（第五十六条第二项）"),
    );
    parts::incidents(b);
    grouped(b, "by-basis", Text("Decisions by rule", "按决策规则"), Text("Pack and provision", "规则包及条款"), bases);
    b.field(
        "rights",
        Text("Effects on rights and interests of individuals; risks", "对个人权益的影响及安全风险"),
        CONCLUDE,
        5,
    );
    b.section("safeguards", Text("4. Safeguards (Art. 56 no. 3)", "四、保护措施（第五十六条第三项）"));
    parts::safeguards(b);
    parts::systems(b);
    b.field(
        "adequate",
        Text(
            "Whether safeguards are lawful, effective and fit the risk",
            "所采取的保护措施是否合法、有效并与风险程度相适应",
        ),
        CONCLUDE,
        4,
    );
    b.note(Text(
        "The report and the record of processing are to be kept for at least three years (Art. 56).",
        "评估报告和处理情况记录应当至少保存三年（第五十六条）。",
    ));
    parts::packs(b);
}
