//! The records that 28 CFR Part 202 asks of a data compliance program.

use super::{parts, register};
use crate::report::build::Builder;
use crate::report::tally::{self, bases, classes, destinations, grouped, recipients};
use crate::report::text::Text;

const DESCRIBE: Text = Text("Describe; the log does not know it.", "请填写；日志不含此信息。");
const CONCLUDE: Text = Text("A conclusion of law: for a responsible person.", "法律结论，由责任人员作出。");

/// 28 CFR 202.1101(a) and (b), with what 202.1001 (program) and 202.1002 (audit) leave behind.
pub(super) fn annual(b: &mut Builder<'_>) {
    b.section("flows", Text("1. Data flows: types, volumes, destinations", "一、数据流：类型、数量与去向"));
    tally::totals(b);
    grouped(b, "by-class", Text("By class of data", "按数据类别"), Text("Class", "类别"), classes);
    grouped(
        b,
        "by-destination",
        Text("By destination", "按目的地"),
        Text("Country or region", "国家或地区"),
        destinations,
    );
    parts::ledgers(b);
    b.section("vendors", Text("2. Vendors and counterparties", "二、供应商与交易对方"));
    grouped(b, "by-recipient", Text("Recipients", "接收方"), Text("Recipient", "接收方"), recipients);
    parts::systems(b);
    b.field(
        "diligence",
        Text(
            "Due diligence: identity, ownership, citizenship or primary residence of counterparties and vendors",
            "尽职调查：交易对方及供应商的身份、所有权、国籍或主要居住地",
        ),
        DESCRIBE,
        4,
    );
    b.section("policy", Text("3. Written policies, certified annually", "三、书面政策及年度认证"));
    parts::packs(b);
    parts::safeguards(b);
    b.field("program-certification", Text("Annual certification of the data compliance program by an officer, executive or other responsible employee", "由高级管理人员或其他负责人对数据合规计划作出的年度认证"), CONCLUDE, 4);
    b.field(
        "security-certification",
        Text("Annual certification of the implementation of security requirements", "安全要求实施情况的年度认证"),
        CONCLUDE,
        4,
    );
    b.section("audit", Text("4. Audit", "四、审计"));
    parts::incidents(b);
    b.field(
        "audit",
        Text("Independent audit: scope, method, findings, actions", "独立审计：范围、方法、发现及整改"),
        DESCRIBE,
        4,
    );
    b.section("transactions", Text("5. Transactions: dates, basis, licences", "五、交易：日期、依据与许可"));
    grouped(b, "by-basis", Text("By rule", "按规则"), Text("Pack and provision", "规则包及条款"), bases);
    parts::approvals(b);
    register::each(b);
    parts::corrections(b);
    b.field(
        "agreements",
        Text("Agreements, licences, exemptions and advisory opinions relied on", "所依据的协议、许可、豁免及咨询意见"),
        DESCRIBE,
        4,
    );
    b.field(
        "completeness",
        Text(
            "Certification that records are complete and accurate, supported by documentation (202.1101(b))",
            "记录完整、准确且有文件支持的认证（第202.1101(b)节）",
        ),
        CONCLUDE,
        3,
    );
    b.note(Text(
        "Records are to be kept for at least ten years (202.1101(a)).",
        "记录应当至少保存十年（第202.1101(a)节）。",
    ));
}
