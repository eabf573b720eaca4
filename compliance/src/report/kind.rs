//! The reports there are.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::{Language, Text};

/// A kind of report, as `domicile report` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportKind {
    /// Every export and every attempt at one.
    ExportRegister,
    /// The facts of a self-assessment before a CAC security assessment.
    CacSelfAssessment,
    /// The facts of an application to extend an assessment's three years.
    CacExtension,
    /// The facts of a PIPL impact assessment.
    PiplImpactAssessment,
    /// The record of processing activities of GDPR Art. 30.
    GdprRecord,
    /// The facts of a transfer impact assessment.
    TransferImpact,
    /// The annual records of 28 CFR 202.
    DojAnnual,
    /// What happened, in order.
    IncidentTimeline,
    /// What was deleted, and what is left of it.
    DeletionCertificate,
}

impl ReportKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ExportRegister,
        Self::CacSelfAssessment,
        Self::CacExtension,
        Self::PiplImpactAssessment,
        Self::GdprRecord,
        Self::TransferImpact,
        Self::DojAnnual,
        Self::IncidentTimeline,
        Self::DeletionCertificate,
    ];

    /// The name on the command line and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExportRegister => "export-register",
            Self::CacSelfAssessment => "cac-self-assessment",
            Self::CacExtension => "cac-extension",
            Self::PiplImpactAssessment => "pipl-impact-assessment",
            Self::GdprRecord => "gdpr-record",
            Self::TransferImpact => "transfer-impact",
            Self::DojAnnual => "doj-annual",
            Self::IncidentTimeline => "incident-timeline",
            Self::DeletionCertificate => "deletion-certificate",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The title.
    pub(crate) const fn title(self, language: Language) -> &'static str {
        language.say(match self {
            Self::ExportRegister => Text("Register of data exports", "数据出境登记册"),
            Self::CacSelfAssessment => {
                Text("Self-assessment of data export risks: annex of facts", "数据出境风险自评估报告：事实附件")
            }
            Self::CacExtension => Text(
                "Extension of a data export security assessment: annex of facts",
                "延长数据出境安全评估结果有效期申请：事实附件",
            ),
            Self::PiplImpactAssessment => {
                Text("Personal information protection impact assessment: facts", "个人信息保护影响评估：事实部分")
            }
            Self::GdprRecord => Text("Record of processing activities", "处理活动记录"),
            Self::TransferImpact => Text("Transfer impact assessment: facts", "数据传输影响评估：事实部分"),
            Self::DojAnnual => Text("Annual record of a data compliance program", "数据合规计划年度记录"),
            Self::IncidentTimeline => Text("Incident timeline", "安全事件时间线"),
            Self::DeletionCertificate => Text("Certificate of deletion", "数据删除证明"),
        })
    }

    /// The provisions that it is made for.
    pub(crate) const fn purpose(self, language: Language) -> &'static str {
        language.say(match self {
            Self::ExportRegister => Text(
                "Every provision of data across a border and every refused attempt, as the audit log recorded them.",
                "依据审计日志，记录全部数据出境活动及被拒绝的出境尝试。",
            ),
            Self::CacSelfAssessment => Text(
                "Measures for the Security Assessment of Data Exports (PRC), Art. 5; guideline on applications, third edition (2025).",
                "《数据出境安全评估办法》第五条；《数据出境安全评估申报指南（第三版）》。",
            ),
            Self::CacExtension => Text(
                "Provisions on Promoting and Regulating Cross-Border Data Flows (PRC, 2024): extension by three years, to be applied for \
                 60 working days before the end.",
                "《促进和规范数据跨境流动规定》：有效期届满前六十个工作日内可申请延长评估结果有效期三年。",
            ),
            Self::PiplImpactAssessment => {
                Text("Personal Information Protection Law (PRC), Arts. 55 and 56.", "《中华人民共和国个人信息保护法》第五十五条、第五十六条。")
            }
            Self::GdprRecord => Text(
                "Regulation (EU) 2016/679 (GDPR), Art. 30.",
                "欧盟《通用数据保护条例》（GDPR）第三十条。",
            ),
            Self::TransferImpact => Text(
                "GDPR Chapter V; EDPB Recommendations 01/2020 on supplementary measures.",
                "欧盟《通用数据保护条例》第五章；欧洲数据保护委员会第01/2020号建议。",
            ),
            Self::DojAnnual => Text(
                "28 CFR Part 202 (United States), §§ 202.1001, 202.1002 and 202.1101.",
                "美国联邦法规第28编第202部分，第202.1001、202.1002、202.1101节。",
            ),
            Self::IncidentTimeline => Text(
                "What the audit log recorded, in the order in which it happened.",
                "依据审计日志，按发生顺序列示。",
            ),
            Self::DeletionCertificate => Text(
                "Keys shredded, shards that nodes signed to have deleted, and what may be left.",
                "列示已销毁的密钥、存储节点签名确认删除的分片及可能的残留。",
            ),
        })
    }
}

impl fmt::Display for ReportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json_form() {
        for kind in ReportKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(ReportKind::parse(kind.name()), Some(kind));
        }
        assert_eq!(ReportKind::parse("exports"), None);
    }
}
