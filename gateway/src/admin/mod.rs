//! The admin API: its own port, bearer tokens by role, JSON in and out. The CLI speaks to it, and so may anything else.
//!
//! Every request to it is an operation like any other: decided where it concerns a bucket, and logged.

mod audit;
mod auth;
pub(crate) mod deletion;
mod fleet;
mod identity;
mod nodes;
mod placement;
mod policy;
pub(crate) mod repair;
mod seen;
mod standing;
pub mod views;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, ResponseError, web};

pub(crate) use policy::tests as tests_of;
pub use standing::StandingView;

use crate::objects::Gateway;

/// Threads of the admin API.
const WORKERS: usize = 1;
/// The longest pack that is taken, in JSON: its four files have 1 MiB at most each.
const PACK_BYTES_MAX: usize = 8 << 20;

/// Starts the admin API on the configured address.
pub fn serve(gateway: Gateway) -> std::io::Result<Server> {
    let address = gateway.config.listen.admin;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(gateway.clone()))
            .route("/v1/health", web::get().to(nodes::health))
            .route("/v1/nodes", web::get().to(nodes::list))
            .route("/v1/fleet", web::get().to(fleet::records))
            .route("/v1/fleet/statements/{month}", web::get().to(fleet::statements))
            .route("/v1/fleet/join", web::post().to(fleet::join))
            .route("/v1/fleet/invitations", web::post().to(fleet::invite))
            .route("/v1/fleet/invitations/{id}", web::delete().to(fleet::withdraw))
            .route("/v1/fleet/requests/{node}/approve", web::post().to(fleet::approve))
            .route("/v1/fleet/requests/{node}/reject", web::post().to(fleet::reject))
            .route("/v1/fleet/entities", web::post().to(fleet::record_entity))
            .route("/v1/fleet/nodes/{node}", web::post().to(fleet::change_node))
            .route("/v1/fleet/nodes/{node}", web::delete().to(fleet::remove_node))
            .route("/v1/fleet/nodes/{node}/standing", web::get().to(standing::show))
            .route("/v1/fleet/nodes/{node}/documents", web::post().to(standing::file))
            .route("/v1/fleet/nodes/{node}/documents/{id}", web::delete().to(standing::withdraw))
            .route("/v1/fleet/nodes/{node}/disputes", web::post().to(standing::dispute))
            .route("/v1/fleet/nodes/{node}/disputes/{id}/settle", web::post().to(standing::settle))
            .route("/v1/fleet/nodes/{node}/fence", web::post().to(standing::fence))
            .route("/v1/fleet/nodes/{node}/release", web::post().to(standing::release))
            .route("/v1/where", web::get().to(placement::find))
            .route("/v1/deletions", web::get().to(deletion::find))
            .route("/v1/repairs", web::get().to(repair::repairs))
            .route("/v1/repairs/scan", web::post().to(repair::scan))
            .route("/v1/repairs/orphans", web::post().to(repair::orphans))
            .route("/v1/fleet/nodes/{node}/drain", web::post().to(repair::drain))
            .route("/v1/fleet/nodes/{node}/drain", web::get().to(repair::drained))
            .route("/v1/fleet/nodes/{node}/undrain", web::post().to(repair::undrain))
            .route("/v1/fleet/nodes/{node}/attest", web::post().to(repair::attest))
            .route("/v1/tenants", web::get().to(identity::tenants))
            .route("/v1/tenants", web::post().to(identity::create_tenant))
            .route("/v1/tenants/{tenant}", web::post().to(identity::edit_tenant))
            .route("/v1/tenants/{tenant}", web::delete().to(identity::remove_tenant))
            .route("/v1/users", web::get().to(identity::users))
            .route("/v1/users", web::post().to(identity::create_user))
            .route("/v1/users/{tenant}/{name}", web::post().to(identity::edit_user))
            .route("/v1/users/{tenant}/{name}", web::delete().to(identity::remove_user))
            .route("/v1/keys", web::get().to(identity::keys))
            .route("/v1/keys", web::post().to(identity::create_key))
            .route("/v1/keys/{id}/rotate", web::post().to(identity::rotate_key))
            .route("/v1/keys/{id}", web::post().to(identity::edit_key))
            .route("/v1/keys/{id}", web::delete().to(identity::remove_key))
            .route("/v1/roles", web::get().to(identity::roles))
            .route("/v1/roles", web::post().to(identity::create_role))
            .route("/v1/roles/{tenant}/{name}", web::delete().to(identity::remove_role))
            .route("/v1/audit/entries", web::get().to(audit::list))
            .route("/v1/audit/entries/{index}", web::get().to(audit::show))
            .route("/v1/audit/verify", web::post().to(audit::verify))
            .route("/v1/audit/reconcile", web::post().to(audit::reconcile))
            .route("/v1/audit/export", web::post().to(audit::export))
            .route("/v1/policies", web::get().to(policy::list))
            .route("/v1/policies/test", web::post().to(policy::test))
            .route("/v1/policies/explain", web::post().to(policy::explain))
            .route("/v1/policies/reload", web::post().to(policy::reload))
            .service(
                web::resource("/v1/policies/simulate")
                    .app_data(web::JsonConfig::default().limit(PACK_BYTES_MAX))
                    .route(web::post().to(policy::simulate)),
            )
            .service(
                web::resource("/v1/policies/{pack}")
                    .app_data(web::JsonConfig::default().limit(PACK_BYTES_MAX))
                    .route(web::put().to(policy::publish)),
            )
    });
    Ok(server.workers(WORKERS).disable_signals().bind(address)?.run())
}

/// What the admin API answers when it does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("no token, or not one of this gateway's: send Authorization: Bearer <token>")]
    Unauthenticated,
    #[error("this token's role does not allow that; it takes one of: {needed}")]
    Forbidden { needed: &'static str },
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
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
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
