//! Packs: listed, tested against their scenarios, and asked what-if.

use actix_web::{HttpRequest, HttpResponse, web};
use domicile_compliance::{Circumstances, Grounds, run_cases};
use domicile_types::{Classification, EvidenceGrade, PackId, Subject, SubjectFacts};

use super::AdminError;
use super::auth::Bearer;
use super::views::{ExplainRequest, Explained, PackTest, PackView};
use crate::config::Role;
use crate::judging::{ImpactError, PackUpload, PublishError, SuppositionSent};
use crate::objects::Gateway;

const ROLES: (&[Role], &str) = (&[Role::Officer, Role::Operator, Role::Uploader], "any role");
/// Who may be told what lies where.
const SIMULATORS: (&[Role], &str) = (&[Role::Officer, Role::Operator], "officer, operator, admin");
/// Who may put law in force.
const CHANGERS: (&[Role], &str) = (&[Role::Officer], "officer, admin");

/// `GET /v1/policies`
pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    Bearer::of(&request, &gateway)?.require(ROLES.0, ROLES.1)?;
    let lawbook = gateway.judging.lawbook();
    let views: Vec<PackView> = lawbook
        .packs()
        .map(|pack| {
            let version = pack.version();
            let governs = |region: &&crate::config::Region| region.packs.contains(&version.pack);
            PackView {
                pack: version.pack.clone(),
                title: pack.facts().title.clone(),
                as_of: version.as_of.clone(),
                hash: version.hash.clone(),
                regions: gateway.config.regions.iter().filter(governs).map(|region| region.name.clone()).collect(),
            }
        })
        .collect();
    Ok(HttpResponse::Ok().json(views))
}

/// `PUT /v1/policies/{pack}`: puts a version of a pack in force, or says why it stays as it was.
pub(super) async fn publish(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    pack: web::Path<String>,
    upload: web::Json<PackUpload>,
) -> Result<HttpResponse, AdminError> {
    let bearer = Bearer::of(&request, &gateway)?.require(CHANGERS.0, CHANGERS.1)?;
    let id = PackId::parse(&pack).map_err(|error| AdminError::BadRequest(error.to_string()))?;
    let files = upload.into_inner().into_files(&id);
    Ok(HttpResponse::Ok().json(gateway.publish_pack(bearer.caller(), id, files).await?))
}

/// `POST /v1/policies/reload`: puts the gateway's folder of packs in force.
pub(super) async fn reload(request: HttpRequest, gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    let bearer = Bearer::of(&request, &gateway)?.require(CHANGERS.0, CHANGERS.1)?;
    Ok(HttpResponse::Ok().json(gateway.reload_packs(bearer.caller()).await?))
}

/// `POST /v1/policies/simulate`: what would have to move, and what could not, if packs were others or nodes elsewhere.
pub(super) async fn simulate(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    supposed: web::Json<SuppositionSent>,
) -> Result<HttpResponse, AdminError> {
    Bearer::of(&request, &gateway)?.require(SIMULATORS.0, SIMULATORS.1)?;
    Ok(HttpResponse::Ok().json(gateway.impact(supposed.into_inner().into()).await?))
}

impl From<ImpactError> for AdminError {
    fn from(error: ImpactError) -> Self {
        match error {
            ImpactError::Refused(refused) => refused.into(),
            error => Self::internal(error),
        }
    }
}

impl From<PublishError> for AdminError {
    fn from(error: PublishError) -> Self {
        let told = super::with_causes(&error);
        match error {
            error if error.is_refusal() => Self::BadRequest(told),
            PublishError::Log(_) | PublishError::ShuttingDown => Self::Unavailable(told),
            _ => Self::Internal(told),
        }
    }
}

/// `POST /v1/policies/test`
pub(super) async fn test(request: HttpRequest, gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    Bearer::of(&request, &gateway)?.require(ROLES.0, ROLES.1)?;
    let report = web::block(move || run_cases(&gateway.judging.lawbook())).await.map_err(AdminError::internal)?;
    Ok(HttpResponse::Ok().json(tests(report)))
}

/// A report of scenarios as it is shown.
pub(crate) fn tests(report: domicile_compliance::CaseReport) -> Vec<PackTest> {
    let shown = report.packs.into_iter().map(|pack| {
        let failed = pack.results.iter().filter(|result| !result.faults.is_empty());
        let failed = failed.map(|result| format!("{}: {}", result.name, result.faults.join("; ")));
        PackTest {
            pack: pack.pack.pack.clone(),
            passed: pack.results.iter().filter(|result| result.faults.is_empty()).count(),
            failed: pack.unreadable.iter().cloned().chain(failed).collect(),
            rules_in_no_case: pack.rules_in_no_case,
        }
    });
    shown.collect()
}

/// `POST /v1/policies/explain`: decides without doing, and logs nothing, as nothing is asked for.
pub(super) async fn explain(
    request: HttpRequest,
    gateway: web::Data<Gateway>,
    asked: web::Json<ExplainRequest>,
) -> Result<HttpResponse, AdminError> {
    Bearer::of(&request, &gateway)?.require(ROLES.0, ROLES.1)?;
    let region = gateway.config.region(&asked.region).ok_or_else(|| {
        AdminError::NotFound(format!("no region {}; this gateway has: {}", asked.region, gateway.config.region_names()))
    })?;
    let requester = SubjectFacts {
        subject: Subject::Requester,
        places: vec![asked.from],
        evidence: EvidenceGrade::Observed,
        party: None,
    };
    let roster = gateway.directory.roster();
    let nodes: Vec<SubjectFacts> = roster.iter().map(domicile_placement::NodeRecord::facts).collect();
    let classification = Classification { classes: asked.classes.iter().cloned().collect(), ..Default::default() };
    let question = Circumstances {
        packs: &region.packs,
        classification: &classification,
        gateway: &gateway.facts(),
        requester: Some(&requester),
        nodes: &nodes,
        now: gateway.clock.now(),
        located_warnings: &[],
        grounds: Grounds::NONE,
    }
    .question(asked.operation);
    let explanation = gateway.judging.lawbook().explain(&question);
    Ok(HttpResponse::Ok().json(Explained { decision: explanation.decision, findings: explanation.findings }))
}
