//! Packs: listed, tested against their scenarios, and asked what-if.

use actix_web::{HttpResponse, web};
use domicile_compliance::{Circumstances, Grounds, run_cases};
use domicile_types::{Classification, EvidenceGrade, PackId, Subject, SubjectFacts};

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use super::views::{ExplainRequest, Explained, PackTest, PackView};
use crate::config::Role;
use crate::judging::{Impact, ImpactError, PackUpload, PublishError, Published, SuppositionSent};
use crate::objects::Gateway;

/// Everybody may know the law.
const ROLES: &[Role] = &[
    Role::Auditor,
    Role::Officer,
    Role::Approver,
    Role::Operator,
    Role::SecurityAdmin,
    Role::TenantAdmin,
    Role::Uploader,
];
/// Who may be told what lies where.
const SIMULATORS: &[Role] = &[Role::Officer, Role::Approver, Role::Operator, Role::Auditor];
/// Who may put law in force.
const CHANGERS: &[Role] = &[Role::Officer];
/// The longest pack that is taken, in JSON: its four files have 1 MiB at most each.
const PACK_BYTES_MAX: usize = 8 << 20;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/policies", list)
            .roles(Duty::Reads, ROLES)
            .summary("The packs in force, and the regions that they govern.")
            .answers::<Vec<PackView>>(),
        Route::post("/v1/policies/test", test)
            .roles(Duty::Reads, ROLES)
            .summary("Runs every pack's scenarios.")
            .answers::<Vec<PackTest>>(),
        Route::post("/v1/policies/explain", explain)
            .roles(Duty::Reads, ROLES)
            .summary("What the law would say to a request. Does nothing.")
            .takes::<ExplainRequest>()
            .answers::<Explained>(),
        Route::post("/v1/policies/simulate", simulate)
            .roles(Duty::Reads, SIMULATORS)
            .summary("What would have to move, and what could not, if packs were others or nodes elsewhere.")
            .takes::<SuppositionSent>()
            .up_to(PACK_BYTES_MAX)
            .answers::<Impact>(),
        Route::post("/v1/policies/reload", reload)
            .roles(Duty::SetsUp, CHANGERS)
            .summary("Puts the gateway's folder of packs in force.")
            .answers::<Published>(),
        Route::put("/v1/policies/{pack}", publish)
            .roles(Duty::SetsUp, CHANGERS)
            .summary("Puts a version of a pack in force, or says why it stays as it was.")
            .takes::<PackUpload>()
            .up_to(PACK_BYTES_MAX)
            .answers::<Published>(),
    ]
}

/// `GET /v1/policies`
pub(super) async fn list(gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
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
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    pack: web::Path<String>,
    upload: web::Json<PackUpload>,
) -> Result<HttpResponse, AdminError> {
    let id = PackId::parse(&pack).map_err(|error| AdminError::BadRequest(error.to_string()))?;
    let files = upload.into_inner().into_files(&id);
    Ok(HttpResponse::Ok().json(gateway.publish_pack(bearer.caller(), id, files).await?))
}

/// `POST /v1/policies/reload`: puts the gateway's folder of packs in force.
pub(super) async fn reload(bearer: Bearer, gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    Ok(HttpResponse::Ok().json(gateway.reload_packs(bearer.caller()).await?))
}

/// `POST /v1/policies/simulate`: what would have to move, and what could not, if packs were others or nodes elsewhere.
pub(super) async fn simulate(
    gateway: web::Data<Gateway>,
    supposed: web::Json<SuppositionSent>,
) -> Result<HttpResponse, AdminError> {
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
pub(super) async fn test(gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
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
    gateway: web::Data<Gateway>,
    asked: web::Json<ExplainRequest>,
) -> Result<HttpResponse, AdminError> {
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
