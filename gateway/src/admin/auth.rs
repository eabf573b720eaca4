//! Who may ask the admin API what.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;
use domicile_types::{RequestId, TenantId};
use subtle::ConstantTimeEq;

use super::AdminError;
use crate::config::{Role, Token};
use crate::objects::{Caller, Gateway, KeyHolder, Principal};

/// An authenticated request.
pub(super) struct Bearer {
    /// What it may do.
    pub(super) role: Role,
    /// Whose objects an uploader sees.
    pub(super) tenant: Option<TenantId>,
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
                &format!("token/{}", serde_json::to_value(token.role).map_err(AdminError::internal)?),
            )),
            is_gateway: false,
            secure: false,
            encryption: Default::default(),
            address: request.peer_addr().map(|peer| peer.ip()),
            request: RequestId::from_bytes(gateway.clock.random()),
            stated: Arc::default(),
        };
        Ok(Self { role: token.role, tenant: token.tenant.clone(), caller })
    }

    /// Demands one of `roles`; an admin may do everything.
    pub(super) fn require(self, roles: &[Role], needed: &'static str) -> Result<Self, AdminError> {
        if self.role == Role::Admin || roles.contains(&self.role) {
            Ok(self)
        } else {
            Err(AdminError::Forbidden { needed })
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
