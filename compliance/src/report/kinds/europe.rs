//! Reports under the GDPR.

use super::parts;
use crate::report::build::Builder;
use crate::report::tally::{self, bases, classes, destinations, grouped, recipients};
use crate::report::text::Text;

const DESCRIBE: Text = Text("Describe; the log does not know it.", "请填写；日志不含此信息。");
const CONCLUDE: Text = Text("A conclusion of law: for a responsible person.", "法律结论，由责任人员作出。");

/// GDPR Art. 30(1): letters a to g.
pub(super) fn record(b: &mut Builder<'_>) {
    b.section("controller", Text("(a) Controller", "（一）控制者"));
    b.field(
        "controller",
        Text(
            "Name and contact of the controller, joint controllers, representative, data protection officer",
            "控制者、共同控制者、代表及数据保护官的名称与联系方式",
        ),
        DESCRIBE,
        3,
    );
    b.section("purposes", Text("(b) Purposes of the processing", "（二）处理目的"));
    b.field("purposes", Text("Purposes", "目的"), DESCRIBE, 3);
    b.section("categories", Text("(c) Data subjects and personal data", "（三）数据主体及个人数据类别"));
    grouped(
        b,
        "by-class",
        Text("Classes of data that were made available", "已提供的数据类别"),
        Text("Class", "类别"),
        classes,
    );
    b.field("subjects", Text("Categories of data subjects", "数据主体类别"), DESCRIBE, 2);
    b.section("recipients", Text("(d) Recipients", "（四）接收方"));
    grouped(b, "by-recipient", Text("Recipients", "接收方"), Text("Recipient", "接收方"), recipients);
    parts::systems(b);
    b.section("transfers", Text("(e) Transfers to third countries", "（五）向第三国的传输"));
    tally::totals(b);
    grouped(
        b,
        "by-destination",
        Text("By destination", "按目的地"),
        Text("Country or region", "国家或地区"),
        destinations,
    );
    grouped(b, "by-basis", Text("By rule", "按规则"), Text("Pack and provision", "规则包及条款"), bases);
    parts::approvals(b);
    b.field(
        "safeguards",
        Text(
            "Suitable safeguards, for transfers under Art. 49(1) second subparagraph",
            "适用第49条第1款第2项时的适当保障",
        ),
        CONCLUDE,
        3,
    );
    b.section("erasure", Text("(f) Time limits for erasure", "（六）删除时限"));
    super::deletion::statements(b);
    b.field("limits", Text("Time limits by category of data", "各类数据的删除时限"), DESCRIBE, 2);
    b.section(
        "security",
        Text("(g) Technical and organisational measures (Art. 32(1))", "（七）技术和组织措施（第32条第1款）"),
    );
    parts::safeguards(b);
    b.field("measures", Text("Organisational measures", "组织措施"), DESCRIBE, 3);
    parts::packs(b);
}

/// The six steps of EDPB Recommendations 01/2020.
pub(super) fn transfer_impact(b: &mut Builder<'_>) {
    b.section("know", Text("1. Know the transfers", "一、了解传输情况"));
    tally::totals(b);
    grouped(
        b,
        "by-destination",
        Text("By destination", "按目的地"),
        Text("Country or region", "国家或地区"),
        destinations,
    );
    grouped(b, "by-recipient", Text("Recipients", "接收方"), Text("Recipient", "接收方"), recipients);
    grouped(b, "by-class", Text("By class of data", "按数据类别"), Text("Class", "类别"), classes);
    parts::systems(b);
    b.section("tool", Text("2. The transfer tool", "二、传输工具"));
    grouped(b, "by-basis", Text("By rule", "按规则"), Text("Pack and provision", "规则包及条款"), bases);
    parts::approvals(b);
    b.field(
        "tool",
        Text(
            "The tool relied on (Arts. 45, 46 or 49), with its instrument",
            "所依据的传输工具（第45、46或49条）及其文件",
        ),
        CONCLUDE,
        3,
    );
    b.section("law", Text("3. Law and practice of the third country", "三、第三国的法律与实践"));
    b.field(
        "law",
        Text(
            "Whether law or practice impinges on the tool: access by authorities, redress",
            "法律或实践是否影响传输工具的有效性：公权力访问、救济途径",
        ),
        CONCLUDE,
        6,
    );
    b.section("measures", Text("4. Supplementary measures", "四、补充措施"));
    parts::safeguards(b);
    b.field(
        "measures",
        Text("Whether they are effective against the findings of step 3", "针对第三步发现的问题，上述措施是否有效"),
        CONCLUDE,
        5,
    );
    b.section("formalities", Text("5. Formal steps", "五、程序性要求"));
    b.field("formalities", Text("Clauses signed, authority consulted", "已签署的条款及与监管机构的沟通"), DESCRIBE, 3);
    b.section("again", Text("6. When to look again", "六、重新评估"));
    parts::incidents(b);
    b.field(
        "again",
        Text("Next evaluation, and what would bring it forward", "下次评估时间及提前触发条件"),
        DESCRIBE,
        2,
    );
    parts::packs(b);
}
