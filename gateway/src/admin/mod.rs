//! The admin API: its own port, bearer tokens by role, JSON in and out. The CLI speaks to it, and so may anything else.
//!
//! Every request to it is an operation like any other: decided where it concerns a bucket, and logged.
//!
//! # The table
//!
//! Every file with handlers has a `pub(super) fn routes() -> Vec<Route>`; [`table`] gathers them. A row says all there is to a route:
//!
//! ```text
//! Route::post("/v1/things/{id}/close", close)          // method, path, handler
//!     .roles(Duty::Asks, &[Role::Officer])             // the kind of act, who may (and an admin, unless `Duty::Decides`)
//!     .summary("Closes a thing.")
//!     .query::<CloseQuery>()                           // what stands behind `?`, if anything
//!     .takes::<CloseBody>()                            // the JSON that it takes, if any
//!     .answers::<ThingView>()                          // 200 with JSON; `makes` 201, `accepts` 202, `file` a file, none: 204
//! ```
//!
//! The types derive `schemars::JsonSchema`; a field whose type is of a crate below has `#[schemars(with = "String")]` (or what else it
//! looks like in JSON). A handler that needs to know who asks takes `bearer: Bearer`; its role was held against the row before. A
//! handler of rows that belong to tenants asks `bearer.may_see(&tenant)?`, which binds uploaders and tenant admins to their own.

mod approvals;
mod audit;
mod auth;
pub(crate) mod deletion;
mod fleet;
mod identity;
mod nodes;
mod openapi;
mod placement;
mod policy;
pub(crate) mod proof;
pub(crate) mod proposals;
pub(crate) mod registers;
pub(crate) mod repair;
pub(crate) mod reports;
mod route;
mod seen;
mod standing;
mod table;
pub mod views;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, ResponseError, web};

pub use approvals::{ApprovalView, EmergencyRequest, LedgerView, OrderReason};
pub(crate) use openapi::document as openapi;
#[cfg(test)]
pub(crate) use policy::explained;
pub(crate) use policy::tests as tests_of;
pub use standing::StandingView;

use crate::objects::Gateway;

/// Threads of the admin API.
const WORKERS: usize = 1;

/// Starts the admin API on the configured address.
pub fn serve(gateway: Gateway) -> std::io::Result<Server> {
    let address = gateway.config.listen.admin;
    let server =
        HttpServer::new(move || App::new().app_data(web::Data::new(gateway.clone())).configure(table::register));
    Ok(server.workers(WORKERS).disable_signals().bind(address)?.run())
}

/// What the admin API answers when it does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("no token, or not one of this gateway's: send Authorization: Bearer <token>")]
    Unauthenticated,
    #[error("this token does not allow that; it takes: {needed}")]
    Forbidden { needed: &'static str },
    #[error("{0}")]
    NotYours(String),
    #[error("this token is of role {role}, and that takes one of: {needed} (the attempt is log index {log_index})")]
    WrongRole { role: crate::config::Role, needed: String, log_index: u64 },
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("refused by law: {explanation} (log index {log_index})")]
    Denied { explanation: String, log_index: u64 },
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

impl AdminError {
    /// For faults of disk or database: with their causes, which a person needs.
    pub(crate) fn internal(error: impl std::error::Error) -> Self {
        Self::Internal(with_causes(&error))
    }
}

/// An error with the chain of its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<crate::objects::Error> for AdminError {
    fn from(error: crate::objects::Error) -> Self {
        use crate::objects::Error;
        match error {
            Error::Denied(denial) => {
                Self::Denied { explanation: denial.explanation.clone(), log_index: denial.log_index }
            }
            Error::NoSuchBucket | Error::NoSuchKey | Error::NoSuchVersion => Self::NotFound(error.to_string()),
            Error::AccessDenied => Self::Forbidden { needed: "the bucket's own tenant, officer, admin" },
            Error::InvalidArgument(message) => Self::BadRequest(message),
            Error::LogUnavailable(_) | Error::Unavailable(_) => Self::Unavailable(with_causes(&error)),
            error => Self::Internal(with_causes(&error)),
        }
    }
}

impl ResponseError for AdminError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } | Self::NotYours(_) | Self::WrongRole { .. } => StatusCode::FORBIDDEN,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Denied { .. } => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(views::Failure { error: self.to_string() })
    }
}
