//! What each report says.

mod china;
mod deletion;
mod europe;
mod incidents;
mod parts;
mod register;
mod united_states;

use super::build::Builder;
use super::kind::ReportKind;
use super::material::Material;
use super::model::Report;
use super::text::Language;

/// Makes a report. Pure: the same material gives the same report.
#[must_use]
pub fn report(kind: ReportKind, language: Language, material: &Material) -> Report {
    let mut builder = Builder::new(kind, language, material);
    let fill = match kind {
        ReportKind::ExportRegister => register::fill,
        ReportKind::CacSelfAssessment => china::self_assessment,
        ReportKind::CacExtension => china::extension,
        ReportKind::PiplImpactAssessment => china::impact,
        ReportKind::GdprRecord => europe::record,
        ReportKind::TransferImpact => europe::transfer_impact,
        ReportKind::DojAnnual => united_states::annual,
        ReportKind::IncidentTimeline => incidents::fill,
        ReportKind::DeletionCertificate => deletion::fill,
    };
    fill(&mut builder);
    builder.finish()
}
