//! Packs: listed, tested against their scenarios, and asked what-if.

use actix_web::{HttpResponse, web};
use domicile_compliance::{Circumstances, Grounds, run_cases};
use domicile_types::{Classification, EvidenceGrade, PackId, Subject, SubjectFacts};

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use super::views::{ExplainRequest, Explained, PackTest, PackView};
use crate::config::Role;
use crate::judging::{
    Impact, ImpactError, PackUpload, PastImpact, PastSupposed, PublishError, Published, SuppositionSent,
};
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
/// The longest pack that is taken, in JSON: its four files have 1 MiB at most each.
pub(super) const PACK_BYTES_MAX: usize = 8 << 20;

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
        Route::post("/v1/policies/past", past)
            .roles(Duty::Reads, SIMULATORS)
            .summary("What would have been decided in a time gone by, if packs had been others: every decision, decided again.")
            .takes::<PastSupposed>()
            .up_to(PACK_BYTES_MAX)
            .answers::<PastImpact>(),
        Route::post("/v1/policies/reload", reload)
            .roles(Duty::SetsUp, &[])
            .summary("Puts the gateway's folder of packs in force, where the installation has no approvers.")
            .answers::<Published>(),
        Route::put("/v1/policies/{pack}", publish)
            .roles(Duty::SetsUp, &[])
            .summary("Puts a version of a pack in force at once, where the installation has no approvers.")
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
    gateway.one_person_may_change_packs()?;
    let files = upload.into_inner().into_files(&id);
    Ok(HttpResponse::Ok().json(gateway.publish_pack(bearer.caller(), id, files).await?))
}

/// `POST /v1/policies/reload`: puts the gateway's folder of packs in force.
pub(super) async fn reload(bearer: Bearer, gateway: web::Data<Gateway>) -> Result<HttpResponse, AdminError> {
    gateway.one_person_may_change_packs()?;
    Ok(HttpResponse::Ok().json(gateway.reload_packs(bearer.caller()).await?))
}

/// `POST /v1/policies/simulate`: what would have to move, and what could not, if packs were others or nodes elsewhere.
pub(super) async fn simulate(
    gateway: web::Data<Gateway>,
    supposed: web::Json<SuppositionSent>,
) -> Result<HttpResponse, AdminError> {
    Ok(HttpResponse::Ok().json(gateway.impact(supposed.into_inner().into()).await?))
}

/// `POST /v1/policies/past`
pub(super) async fn past(
    gateway: web::Data<Gateway>,
    supposed: web::Json<PastSupposed>,
) -> Result<HttpResponse, AdminError> {
    let supposed = supposed.into_inner();
    if supposed.packs.is_empty() {
        return Err(AdminError::BadRequest("name at least one pack that would have judged".to_owned()));
    }
    if supposed.from >= supposed.to {
        return Err(AdminError::BadRequest("the time ends before it begins: from is inclusive, to is not".to_owned()));
    }
    Ok(HttpResponse::Ok().json(gateway.past_impact(supposed).await?))
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
            PublishError::NotKept { .. } => Self::NotFound(told),
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
    Ok(HttpResponse::Ok().json(explained(&gateway, &asked).await?))
}

/// What the law says, as it was known at one time, of another.
pub(crate) async fn explained(gateway: &Gateway, asked: &ExplainRequest) -> Result<Explained, AdminError> {
    let region = gateway.config.region(&asked.region).ok_or_else(|| {
        AdminError::NotFound(format!("no region {}; this gateway has: {}", asked.region, gateway.config.region_names()))
    })?;
    let lawbook = match asked.as_known {
        None => gateway.judging.lawbook(),
        Some(known) => gateway.lawbook_as_known(known).await?.ok_or_else(|| {
            AdminError::NotFound("no packs were in force then: this gateway ran for the first time later".to_owned())
        })?,
    };
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
        now: asked.on.unwrap_or_else(|| gateway.clock.now()),
        located_warnings: &[],
        grounds: Grounds::NONE,
    }
    .question(asked.operation);
    let explanation = lawbook.explain(&question);
    Ok(Explained { decision: explanation.decision, findings: explanation.findings })
}
