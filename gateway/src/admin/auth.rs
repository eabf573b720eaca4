//! Who may ask the admin API what.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use domicile_types::{RequestId, TenantId};
use subtle::ConstantTimeEq;

use super::AdminError;
use crate::config::{Role, Token};
use crate::objects::{Caller, Gateway, KeyHolder, Principal};

/// An authenticated request, whose role was held against the route's.
#[derive(Clone)]
pub(super) struct Bearer {
    /// What it may do.
    pub(super) role: Role,
    /// Whose objects an uploader sees.
    pub(super) tenant: Option<TenantId>,
    /// Who holds the token, where the configuration says.
    person: Option<String>,
    caller: Caller,
}

impl Bearer {
    /// Checks the token against all of the configuration's, in time that does not depend on which one matches.
    pub(super) fn of(request: &HttpRequest, gateway: &Gateway) -> Result<Self, AdminError> {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let mut found: Option<&Token> = None;
        for token in &gateway.config.tokens {
            if bool::from(token.token.as_bytes().ct_eq(given.as_bytes())) {
                found = Some(token);
            }
        }
        let token = found.ok_or(AdminError::Unauthenticated)?;
        let fallback = || TenantId::parse("domicile").map_err(AdminError::internal);
        let caller = Caller {
            principal: Principal::Key(KeyHolder::of_tenant(
                token.tenant.clone().map_or_else(fallback, Ok)?,
                &match &token.person {
                    Some(person) => format!("token/{}/{person}", token.role),
                    None => format!("token/{}", token.role),
                },
            )),
            is_gateway: false,
            secure: false,
            encryption: Default::default(),
            address: request.peer_addr().map(|peer| peer.ip()),
            request: RequestId::from_bytes(gateway.clock.random()),
            stated: Arc::default(),
        };
        Ok(Self { role: token.role, tenant: token.tenant.clone(), person: token.person.clone(), caller })
    }

    /// The one tenant whose rows this token shows; none: those of all.
    pub(super) fn bound_to(&self) -> Result<Option<&TenantId>, AdminError> {
        match (self.role, &self.tenant) {
            (Role::Uploader | Role::TenantAdmin, Some(tenant)) => Ok(Some(tenant)),
            (Role::Uploader | Role::TenantAdmin, None) => Err(AdminError::Forbidden { needed: "a token of a tenant" }),
            _ => Ok(None),
        }
    }

    /// The person who holds the token: makers and checkers are compared by it.
    pub(super) fn person(&self) -> Result<&str, AdminError> {
        let nobody = "a token whose holder the configuration names (person)";
        self.person.as_deref().ok_or(AdminError::Forbidden { needed: nobody })
    }

    /// Refuses a tenant's own token for what is another tenant's.
    pub(super) fn may_see(&self, tenant: &TenantId) -> Result<(), AdminError> {
        match self.bound_to()? {
            Some(own) if own != tenant => Err(AdminError::Forbidden { needed: "a token of the tenant whose it is" }),
            _ => Ok(()),
        }
    }

    /// The request as use cases see it.
    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The request as use cases see it, on behalf of `tenant`.
    pub(super) fn caller_for(&self, tenant: &TenantId) -> Caller {
        let access_key = match &self.caller.principal {
            Principal::Key(holder) => holder.access_key.clone(),
            Principal::Anonymous => String::new(),
        };
        let principal = Principal::Key(KeyHolder::of_tenant(tenant.clone(), &access_key));
        Caller { principal, ..self.caller.clone() }
    }
}

impl FromRequest for Bearer {
    type Error = AdminError;
    type Future = Ready<Result<Self, AdminError>>;

    /// What the route's gate found. A handler without a gate has no bearer.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or(AdminError::Unauthenticated))
    }
}
