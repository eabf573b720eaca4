//! Approvals and ledgers: asked for, decided on, looked at.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use domicile_types::{ApprovalId, Counts, UnixMillis};
use serde::{Deserialize, Serialize};

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use crate::approvals::days::{Renewal, deadline, renewal};
use crate::approvals::ledger::{Account, AccountName};
use crate::approvals::{Approval, Order, State, Terms};
use crate::config::Role;
use crate::objects::{ApprovalError, Gateway, RenewalTerms};

type Answer = Result<HttpResponse, AdminError>;

/// An approval as it stands.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ApprovalView {
    /// The record, of which the log has the hash.
    #[serde(flatten)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub approval: Approval,
    /// BLAKE3 of its canonical JSON, in hexadecimal.
    pub record: String,
    /// Whether a read can stand on it now, as far as its quota goes.
    pub in_force: bool,
    /// What is used of it.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub used: Counts,
    /// The day by which a renewal must be applied for, where its mechanism has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub renew_by: Option<UnixMillis>,
    /// How that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// Whether it was an emergency that nobody has looked at yet.
    pub to_review: bool,
}

/// An emergency to be asked for.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmergencyRequest {
    /// What the emergency is.
    pub reason: String,
    /// What is asked for.
    pub terms: Terms,
}

/// An order, and why.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderReason {
    /// Why; of a review, what was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An account of a ledger, over its current window.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LedgerView {
    /// What it counts.
    #[serde(flatten)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub account: AccountName,
    /// When its window began.
    #[schemars(with = "u64")]
    pub since: UnixMillis,
    /// When it was last charged.
    #[schemars(with = "u64")]
    pub last: UnixMillis,
    /// What the window holds.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub counts: Counts,
    /// What warnings are held against: unit and limit.
    pub limits: Vec<(String, u64)>,
}

impl From<ApprovalError> for AdminError {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::Other(error) => error.into(),
            ApprovalError::NoSuch(_) => Self::NotFound(error.to_string()),
            ApprovalError::Terms(_) | ApprovalError::Dataset(_) => Self::BadRequest(error.to_string()),
            ApprovalError::Refused(_) | ApprovalError::Changed => Self::Conflict(error.to_string()),
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    let readers = &[Role::Auditor, Role::Officer, Role::Approver];
    let (makers, checkers) = (&[Role::Officer], &[Role::Approver]);
    let order = |route: Route, duty, roles: &[Role], summary| {
        route.roles(duty, roles).summary(summary).takes::<OrderReason>().answers::<ApprovalView>()
    };
    let decision = |route, summary| order(route, Duty::Decides, checkers, summary);
    vec![
        Route::get("/v1/approvals", list)
            .roles(Duty::Reads, readers)
            .summary("All approvals, what is used of them, which renewals and reviews are due.")
            .answers::<Vec<ApprovalView>>(),
        Route::get("/v1/approvals/{id}", show)
            .roles(Duty::Reads, readers)
            .summary("One approval.")
            .answers::<ApprovalView>(),
        Route::get("/v1/ledgers", ledgers)
            .roles(Duty::Reads, readers)
            .summary("What exports add up to in the packs' ledgers.")
            .answers::<Vec<LedgerView>>(),
        Route::post("/v1/approvals", request)
            .roles(Duty::Asks, makers)
            .summary("Asks for an approval.")
            .takes::<Terms>()
            .answers::<ApprovalView>(),
        Route::post("/v1/approvals/break-glass", break_glass)
            .roles(Duty::Asks, makers)
            .summary("Asks for an approval in an emergency: 24 hours at the most, reviewed afterwards.")
            .takes::<EmergencyRequest>()
            .answers::<ApprovalView>(),
        Route::post("/v1/approvals/{id}/renew", renew)
            .roles(Duty::Asks, makers)
            .summary("Asks for an approval that follows this one.")
            .takes::<RenewalTerms>()
            .answers::<ApprovalView>(),
        order(
            Route::post("/v1/approvals/{id}/withdraw", withdraw),
            Duty::Asks,
            makers,
            "Takes one's own request back.",
        ),
        order(
            Route::post("/v1/approvals/{id}/suspend", suspend),
            Duty::Asks,
            makers,
            "Puts an approval out of force; an approver resumes it, or revokes it.",
        ),
        decision(Route::post("/v1/approvals/{id}/approve", approve), "Puts a request in force."),
        decision(Route::post("/v1/approvals/{id}/reject", reject), "Turns a request down."),
        decision(Route::post("/v1/approvals/{id}/resume", resume), "Puts a suspended approval in force again."),
        decision(Route::post("/v1/approvals/{id}/revoke", revoke), "Ends an approval for good."),
        decision(Route::post("/v1/approvals/{id}/review", review), "Says what an emergency was."),
    ]
}

async fn list(gateway: web::Data<Gateway>) -> Answer {
    let table = gateway.approvals.table();
    let all: Vec<Approval> = table.all().map(|approval| Approval::clone(approval)).collect();
    Ok(HttpResponse::Ok().json(views(&gateway, all).await?))
}

async fn show(gateway: web::Data<Gateway>, id: web::Path<ApprovalId>) -> Answer {
    let found = gateway.approvals.table().get(&id).map(|approval| Approval::clone(approval));
    answer(&gateway, found.ok_or(ApprovalError::NoSuch(*id))?).await
}

async fn request(bearer: Bearer, gateway: web::Data<Gateway>, body: web::Json<Terms>) -> Answer {
    let filed = gateway.request_approval(bearer.caller(), bearer.person()?, body.into_inner(), None).await?;
    answer(&gateway, filed).await
}

async fn break_glass(bearer: Bearer, gateway: web::Data<Gateway>, body: web::Json<EmergencyRequest>) -> Answer {
    let EmergencyRequest { reason, terms } = body.into_inner();
    let filed = gateway.request_approval(bearer.caller(), bearer.person()?, terms, Some(reason)).await?;
    answer(&gateway, filed).await
}

async fn renew(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    id: web::Path<ApprovalId>,
    body: web::Json<RenewalTerms>,
) -> Answer {
    let filed = gateway.renew_approval(bearer.caller(), bearer.person()?, &id, body.into_inner()).await?;
    answer(&gateway, filed).await
}

/// A handler of one order.
macro_rules! orders {
    ($($name:ident => $order:ident),*) => {
        $(async fn $name(
            bearer: Bearer,
            gateway: web::Data<Gateway>,
            id: web::Path<ApprovalId>,
            body: web::Json<OrderReason>,
        ) -> Answer {
            let (person, reason) = (bearer.person()?, body.reason.as_deref());
            let done = gateway.order_approval(bearer.caller(), person, &id, Order::$order, reason).await?;
            answer(&gateway, done).await
        })*
    };
}

orders!(
    approve => Approve, reject => Reject, withdraw => Withdraw, suspend => Suspend, resume => Resume, revoke => Revoke,
    review => Review
);

async fn ledgers(gateway: web::Data<Gateway>) -> Answer {
    let (lawbook, now) = (gateway.judging.lawbook(), gateway.clock.now());
    let mut found = Vec::new();
    for state in gateway.ledger_accounts().await? {
        // A ledger that its pack has no more is counted nowhere.
        let Some(account) = lawbook.pack(&state.name.pack).and_then(|pack| Account::known(pack, &state.name)) else {
            continue;
        };
        let at = now.max(state.last);
        let first = account.first_day(at);
        let within = state.days.iter().filter(|(day, _)| *day >= first);
        found.push(LedgerView {
            since: account.ledger.since(at),
            last: state.last,
            counts: within.fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts)),
            limits: account.limits.iter().map(|(unit, limit)| (format!("{unit:?}").to_lowercase(), *limit)).collect(),
            account: state.name,
        });
    }
    Ok(HttpResponse::Ok().json(found))
}

async fn answer(gateway: &Gateway, approval: Approval) -> Answer {
    Ok(HttpResponse::Ok().json(views(gateway, vec![approval]).await?.into_iter().next()))
}

async fn views(gateway: &Gateway, all: Vec<Approval>) -> Result<Vec<ApprovalView>, AdminError> {
    let ids = all.iter().map(|approval| approval.id).collect();
    let used = gateway.catalog.approvals_used(ids).await.map_err(AdminError::internal)?;
    let (lawbook, now) = (gateway.judging.lawbook(), gateway.clock.now());
    let view = |(approval, used): (Approval, crate::approvals::Used)| {
        let pack = lawbook.pack(&approval.terms.pack);
        let mechanism = pack.and_then(|pack| pack.facts().mechanisms.get(&approval.terms.mechanism));
        let lives = matches!(approval.state, State::Active | State::Suspended | State::Consumed);
        let days = mechanism.and_then(|mechanism| mechanism.renewal_working_days).filter(|_| lives);
        let renew_by = days.map(|days| deadline(approval.terms.expires, days));
        ApprovalView {
            record: approval.hash(),
            in_force: approval.is_in_force(now),
            used: used.counts,
            renew_by,
            renewal: renew_by.map(|by| renewal(by, approval.renewed_by.is_some(), now)),
            to_review: approval.emergency.as_ref().is_some_and(|it| it.review_by.is_some() && it.review.is_none()),
            approval,
        }
    };
    Ok(all.into_iter().zip(used).map(view).collect())
}
