//! New versions of packs with four eyes: proposed by an officer, agreed to by another person, in force on their day.

use actix_web::{HttpResponse, web};
use domicile_types::{PackId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::AdminError;
use super::auth::Bearer;
use super::policy::PACK_BYTES_MAX;
use super::route::{Duty, Route};
use crate::catalog::{CatalogError, Proposal, ProposalFault, ProposalState, ProposalVerdict};
use crate::config::Role;
use crate::judging::{NewProposal, PackUpload, ProposalError, ProposalShown};
use crate::objects::Gateway;

type Answer = Result<HttpResponse, AdminError>;

/// A version to be proposed.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProposalBody {
    /// Which pack.
    #[schemars(with = "String")]
    pub(crate) pack: PackId,
    /// Its files.
    pub(crate) files: PackUpload,
    /// From when on it is to judge; absent: as soon as it is agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub(crate) effective: Option<UnixMillis>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// What is said to a proposal.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerBody {
    /// In words; a rejection needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<String>,
}

pub(super) fn routes() -> Vec<Route> {
    let readers = &[Role::Officer, Role::Approver, Role::Auditor];
    vec![
        Route::get("/v1/policies/proposals", list)
            .roles(Duty::Reads, readers)
            .summary("Proposed versions of packs, newest first.")
            .answers::<Vec<Proposal>>(),
        Route::post("/v1/policies/proposals", propose)
            .roles(Duty::Asks, &[Role::Officer])
            .summary("Proposes a version of a pack: it loads, its scenarios hold, and what it would change is told.")
            .takes::<ProposalBody>()
            .up_to(PACK_BYTES_MAX)
            .makes::<ProposalShown>(),
        Route::get("/v1/policies/proposals/{id}", show)
            .roles(Duty::Reads, readers)
            .summary("One proposal, with what it would change of the law and of what is stored.")
            .answers::<ProposalShown>(),
        Route::post("/v1/policies/proposals/{id}/agree", agree)
            .roles(Duty::Decides, &[Role::Approver])
            .summary("Agrees to a version that another person proposed: it takes force on its day.")
            .takes::<AnswerBody>()
            .answers::<Proposal>(),
        Route::post("/v1/policies/proposals/{id}/reject", reject)
            .roles(Duty::Decides, &[Role::Approver])
            .summary("Turns a proposed version down.")
            .takes::<AnswerBody>()
            .answers::<Proposal>(),
        Route::post("/v1/policies/proposals/{id}/withdraw", withdraw)
            .roles(Duty::Asks, &[Role::Officer])
            .summary("Takes one's own proposal back before it is decided on.")
            .takes::<AnswerBody>()
            .answers::<Proposal>(),
    ]
}

async fn list(gateway: web::Data<Gateway>) -> Answer {
    Ok(HttpResponse::Ok().json(gateway.proposals().await?))
}

async fn show(gateway: web::Data<Gateway>, id: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(gateway.proposal(&id).await?))
}

async fn propose(bearer: Bearer, gateway: web::Data<Gateway>, body: web::Json<ProposalBody>) -> Answer {
    let person = bearer.person()?;
    let ProposalBody { pack, files, effective, reason } = body.into_inner();
    let files = files.into_files(&pack);
    let new = NewProposal { pack, files, effective, reason };
    Ok(HttpResponse::Created().json(gateway.propose_pack(bearer.caller(), person, new).await?))
}

async fn agree(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
    body: web::Json<AnswerBody>,
) -> Answer {
    decide(&bearer, &gateway, &id, ProposalState::Agreed, body.into_inner()).await
}

async fn reject(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
    body: web::Json<AnswerBody>,
) -> Answer {
    let body = body.into_inner();
    if body.answer.is_none() {
        return Err(AdminError::BadRequest("say why it is rejected: its maker has to know what to change".to_owned()));
    }
    decide(&bearer, &gateway, &id, ProposalState::Rejected, body).await
}

async fn withdraw(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
    body: web::Json<AnswerBody>,
) -> Answer {
    decide(&bearer, &gateway, &id, ProposalState::Withdrawn, body.into_inner()).await
}

async fn decide(
    bearer: &Bearer,
    gateway: &Gateway,
    id: &str,
    becomes: ProposalState,
    AnswerBody { answer }: AnswerBody,
) -> Answer {
    let verdict = ProposalVerdict { person: bearer.person()?.to_owned(), becomes, answer };
    Ok(HttpResponse::Ok().json(gateway.decide_proposal(bearer.caller(), id, verdict).await?))
}

impl From<ProposalError> for AdminError {
    fn from(error: ProposalError) -> Self {
        match error {
            ProposalError::Publish(error) => error.into(),
            ProposalError::Impact(error) => error.into(),
            ProposalError::Gateway(error) => error.into(),
            ProposalError::Asked(told) => Self::BadRequest(told),
            ProposalError::FourEyes => Self::Conflict(error.to_string()),
            ProposalError::Catalog(CatalogError::Proposal(fault)) => match fault {
                ProposalFault::NoSuch => Self::NotFound(fault.to_string()),
                ProposalFault::SamePerson | ProposalFault::NotTheMaker => Self::NotYours(fault.to_string()),
                ProposalFault::Decided(_) | ProposalFault::Twice { .. } | ProposalFault::TooMany => {
                    Self::Conflict(fault.to_string())
                }
            },
            ProposalError::Catalog(error) => crate::objects::Error::from(error).into(),
        }
    }
}
