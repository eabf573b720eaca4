//! Tenants, users, access keys and roles. An admin manages all; an uploader's token those of its own tenant.

use actix_web::{HttpResponse, web};
use domicile_types::{BucketName, Place, TenantId};

use super::AdminError;
use super::auth::Bearer;
use super::route::{Duty, Route};
use super::views::{
    IdentityEdit, KeyRotation, KeyView, NewKeyBody, NewRoleBody, NewTenantBody, NewUserBody, RoleView, TenantView,
    UserView,
};
use crate::catalog::{AccessKey, IdentityChange, IdentityName, Role, Tenant, User};
use crate::config;
use crate::objects::{Gateway, MadeKey, NewKey, NewRole, NewUser};

/// How long a rotated key goes on working where the request does not say: a day.
const ROTATION_SECONDS: u64 = 24 * 60 * 60;

type Answer = Result<HttpResponse, AdminError>;

/// Who manages identities: a tenant's own people theirs, a security admin all.
const MANAGERS: &[config::Role] = &[config::Role::Uploader, config::Role::TenantAdmin, config::Role::SecurityAdmin];

pub(super) fn routes() -> Vec<Route> {
    let security = &[config::Role::SecurityAdmin];
    let manage = |route: Route, summary| route.roles(Duty::HoldsKeys, MANAGERS).summary(summary);
    vec![
        Route::get("/v1/tenants", tenants)
            .roles(Duty::Reads, MANAGERS)
            .summary("Tenants: whose buckets there are.")
            .answers::<Vec<TenantView>>(),
        Route::post("/v1/tenants", create_tenant)
            .roles(Duty::HoldsKeys, security)
            .summary("Makes a tenant.")
            .takes::<NewTenantBody>()
            .makes::<TenantView>(),
        Route::post("/v1/tenants/{tenant}", edit_tenant)
            .roles(Duty::HoldsKeys, security)
            .summary("Changes a tenant: whether its keys work.")
            .takes::<IdentityEdit>(),
        Route::delete("/v1/tenants/{tenant}", remove_tenant)
            .roles(Duty::HoldsKeys, security)
            .summary("Removes a tenant with its users, keys and roles."),
        Route::get("/v1/users", users)
            .roles(Duty::Reads, MANAGERS)
            .summary("Users and their policies.")
            .answers::<Vec<UserView>>(),
        manage(Route::post("/v1/users", create_user), "Makes a user.").takes::<NewUserBody>().makes::<UserView>(),
        manage(
            Route::post("/v1/users/{tenant}/{name}", edit_user),
            "Changes a user: whether its keys work, its policy.",
        )
        .takes::<IdentityEdit>(),
        manage(Route::delete("/v1/users/{tenant}/{name}", remove_user), "Removes a user with its keys."),
        Route::get("/v1/keys", keys)
            .roles(Duty::Reads, MANAGERS)
            .summary("Access keys, never their secrets.")
            .answers::<Vec<KeyView>>(),
        manage(Route::post("/v1/keys", create_key), "Makes a key; its secret is in the answer, and never again.")
            .takes::<NewKeyBody>()
            .makes::<KeyView>(),
        manage(
            Route::post("/v1/keys/{id}/rotate", rotate_key),
            "Makes a key for the holder of another, which soon ends.",
        )
        .takes::<KeyRotation>()
        .makes::<KeyView>(),
        manage(Route::post("/v1/keys/{id}", edit_key), "Changes a key: whether it works, when it ends.")
            .takes::<IdentityEdit>(),
        manage(Route::delete("/v1/keys/{id}", remove_key), "Removes a key."),
        Route::get("/v1/roles", roles)
            .roles(Duty::Reads, MANAGERS)
            .summary("Roles: what AssumeRole gives short credentials for.")
            .answers::<Vec<RoleView>>(),
        manage(Route::post("/v1/roles", create_role), "Makes a role.").takes::<NewRoleBody>().makes::<RoleView>(),
        manage(Route::delete("/v1/roles/{tenant}/{name}", remove_role), "Removes a role; its sessions end with it."),
    ]
}

/// `GET /v1/tenants`
pub(super) async fn tenants(bearer: Bearer, gateway: web::Data<Gateway>) -> Answer {
    let of = bearer.bound_to()?;
    let table = gateway.accounts.table();
    let shown = table.tenants.values().filter(|tenant| of.is_none_or(|of| tenant.tenant == *of));
    let mut views: Vec<TenantView> = shown.map(tenant_view).collect();
    views.sort_by(|a, b| a.tenant.cmp(&b.tenant));
    Ok(HttpResponse::Ok().json(views))
}

/// `POST /v1/tenants`
pub(super) async fn create_tenant(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    body: web::Json<NewTenantBody>,
) -> Answer {
    let made = gateway.create_tenant(bearer.caller(), body.into_inner().tenant).await?;
    Ok(HttpResponse::Created().json(tenant_view(&made)))
}

/// `POST /v1/tenants/{tenant}`
pub(super) async fn edit_tenant(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    tenant: web::Path<TenantId>,
    body: web::Json<IdentityEdit>,
) -> Answer {
    edit(&gateway, &bearer, IdentityName::Tenant(tenant.into_inner()), body.into_inner()).await
}

/// `DELETE /v1/tenants/{tenant}`
pub(super) async fn remove_tenant(bearer: Bearer, gateway: web::Data<Gateway>, tenant: web::Path<TenantId>) -> Answer {
    remove(&gateway, &bearer, IdentityName::Tenant(tenant.into_inner())).await
}

/// `GET /v1/users`
pub(super) async fn users(bearer: Bearer, gateway: web::Data<Gateway>) -> Answer {
    let of = bearer.bound_to()?;
    let table = gateway.accounts.table();
    let shown = table.users.values().map(|known| &known.user);
    let mut views: Vec<UserView> = shown.filter(|user| of.is_none_or(|of| user.tenant == *of)).map(user_view).collect();
    views.sort_by(|a, b| (&a.tenant, &a.name).cmp(&(&b.tenant, &b.name)));
    gateway.note_view(bearer.caller(), "users", views.len()).await?;
    Ok(HttpResponse::Ok().json(views))
}

/// `POST /v1/users`
pub(super) async fn create_user(bearer: Bearer, gateway: web::Data<Gateway>, body: web::Json<NewUserBody>) -> Answer {
    let NewUserBody { tenant, name, policy } = body.into_inner();
    bearer.may_see(&tenant)?;
    let made = gateway.create_user(bearer.caller(), NewUser { tenant, name, policy: document(policy)? }).await?;
    Ok(HttpResponse::Created().json(user_view(&made)))
}

/// `POST /v1/users/{tenant}/{name}`
pub(super) async fn edit_user(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    path: web::Path<(TenantId, String)>,
    body: web::Json<IdentityEdit>,
) -> Answer {
    let (tenant, name) = path.into_inner();
    bearer.may_see(&tenant)?;
    edit(&gateway, &bearer, IdentityName::User(tenant, name), body.into_inner()).await
}

/// `DELETE /v1/users/{tenant}/{name}`
pub(super) async fn remove_user(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    path: web::Path<(TenantId, String)>,
) -> Answer {
    let (tenant, name) = path.into_inner();
    bearer.may_see(&tenant)?;
    remove(&gateway, &bearer, IdentityName::User(tenant, name)).await
}

/// `GET /v1/keys`: never their secrets.
pub(super) async fn keys(bearer: Bearer, gateway: web::Data<Gateway>) -> Answer {
    let of = bearer.bound_to()?;
    let table = gateway.accounts.table();
    let shown = table.keys.values().filter(|key| of.is_none_or(|of| key.tenant == *of));
    let mut views: Vec<KeyView> = shown.map(|key| key_view(key, None)).collect();
    views.sort_by(|a, b| (&a.tenant, &a.user, &a.access_key).cmp(&(&b.tenant, &b.user, &b.access_key)));
    gateway.note_view(bearer.caller(), "keys", views.len()).await?;
    Ok(HttpResponse::Ok().json(views))
}

/// `POST /v1/keys`: the secret is in the answer, and never again.
pub(super) async fn create_key(bearer: Bearer, gateway: web::Data<Gateway>, body: web::Json<NewKeyBody>) -> Answer {
    let NewKeyBody { tenant, user, expires } = body.into_inner();
    bearer.may_see(&tenant)?;
    let made = gateway.create_key(bearer.caller(), NewKey { tenant, user, expires }).await?;
    Ok(HttpResponse::Created().json(made_view(&made)))
}

/// `POST /v1/keys/{id}/rotate`
pub(super) async fn rotate_key(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
    body: web::Json<KeyRotation>,
) -> Answer {
    bearer.may_see(&owner_of(&gateway, &id)?)?;
    let millis = body.old_seconds.unwrap_or(ROTATION_SECONDS).saturating_mul(1000);
    let made = gateway.rotate_key(bearer.caller(), &id, gateway.clock.now().plus_millis(millis)).await?;
    Ok(HttpResponse::Created().json(made_view(&made)))
}

/// `POST /v1/keys/{id}`
pub(super) async fn edit_key(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    id: web::Path<String>,
    body: web::Json<IdentityEdit>,
) -> Answer {
    bearer.may_see(&owner_of(&gateway, &id)?)?;
    edit(&gateway, &bearer, IdentityName::Key(id.into_inner()), body.into_inner()).await
}

/// `DELETE /v1/keys/{id}`
pub(super) async fn remove_key(bearer: Bearer, gateway: web::Data<Gateway>, id: web::Path<String>) -> Answer {
    bearer.may_see(&owner_of(&gateway, &id)?)?;
    remove(&gateway, &bearer, IdentityName::Key(id.into_inner())).await
}

/// `GET /v1/roles`
pub(super) async fn roles(bearer: Bearer, gateway: web::Data<Gateway>) -> Answer {
    let of = bearer.bound_to()?;
    let table = gateway.accounts.table();
    let shown = table.roles.values().filter(|role| of.is_none_or(|of| role.tenant == *of));
    let mut views: Vec<RoleView> = shown.map(role_view).collect();
    views.sort_by(|a, b| (&a.tenant, &a.name).cmp(&(&b.tenant, &b.name)));
    Ok(HttpResponse::Ok().json(views))
}

/// `POST /v1/roles`
pub(super) async fn create_role(bearer: Bearer, gateway: web::Data<Gateway>, body: web::Json<NewRoleBody>) -> Answer {
    let NewRoleBody { tenant, name, bucket, prefix, places } = body.into_inner();
    bearer.may_see(&tenant)?;
    let bucket = BucketName::parse(&bucket).map_err(|error| AdminError::BadRequest(error.to_string()))?;
    let places = places.iter().map(|place| Place::parse(place)).collect::<Result<Vec<_>, _>>();
    let places = places.map_err(|error| AdminError::BadRequest(error.to_string()))?;
    let made = gateway.create_role(bearer.caller(), NewRole { tenant, name, bucket, prefix, places }).await?;
    Ok(HttpResponse::Created().json(role_view(&made)))
}

/// `DELETE /v1/roles/{tenant}/{name}`: its sessions end with it.
pub(super) async fn remove_role(
    bearer: Bearer,
    gateway: web::Data<Gateway>,
    path: web::Path<(TenantId, String)>,
) -> Answer {
    let (tenant, name) = path.into_inner();
    bearer.may_see(&tenant)?;
    remove(&gateway, &bearer, IdentityName::Role(tenant, name)).await
}

async fn edit(gateway: &Gateway, bearer: &Bearer, name: IdentityName, edit: IdentityEdit) -> Answer {
    let change = match edit {
        IdentityEdit { enabled: Some(enabled), expires: None, policy: None } => IdentityChange::Enabled(enabled),
        IdentityEdit { enabled: None, expires: Some(at), policy: None } => {
            IdentityChange::Expires((at.0 > 0).then_some(at))
        }
        IdentityEdit { enabled: None, expires: None, policy: Some(policy) } => {
            IdentityChange::Policy(document(Some(policy))?)
        }
        _ => return Err(AdminError::BadRequest("change one of: enabled, expires, policy".to_owned())),
    };
    let fits = matches!(
        (&name, &change),
        (IdentityName::Tenant(_) | IdentityName::User(..) | IdentityName::Key(_), IdentityChange::Enabled(_))
            | (IdentityName::Key(_), IdentityChange::Expires(_))
            | (IdentityName::User(..), IdentityChange::Policy(_))
    );
    if !fits {
        return Err(AdminError::BadRequest("keys expire, users have policies, and roles are made anew".to_owned()));
    }
    gateway.change_identity(bearer.caller(), name, change).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn remove(gateway: &Gateway, bearer: &Bearer, name: IdentityName) -> Answer {
    gateway.remove_identity(bearer.caller(), name).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn owner_of(gateway: &Gateway, id: &str) -> Result<TenantId, AdminError> {
    let table = gateway.accounts.table();
    let key = table.keys.get(id).ok_or_else(|| AdminError::NotFound("there is no such access key".to_owned()))?;
    Ok(key.tenant.clone())
}

/// A policy as its text; an empty string is none.
fn document(policy: Option<serde_json::Value>) -> Result<Option<String>, AdminError> {
    let policy = policy.filter(|policy| policy.as_str() != Some(""));
    policy.map(|policy| serde_json::to_string(&policy)).transpose().map_err(AdminError::internal)
}

fn tenant_view(tenant: &Tenant) -> TenantView {
    TenantView { tenant: tenant.tenant.clone(), created: tenant.created, enabled: tenant.enabled }
}

fn user_view(user: &User) -> UserView {
    UserView {
        tenant: user.tenant.clone(),
        name: user.name.clone(),
        created: user.created,
        enabled: user.enabled,
        policy: user.policy.as_deref().and_then(|policy| serde_json::from_str(policy).ok()),
    }
}

fn key_view(key: &AccessKey, secret_key: Option<String>) -> KeyView {
    KeyView {
        access_key: key.id.clone(),
        secret_key,
        tenant: key.tenant.clone(),
        user: key.user.clone(),
        created: key.created,
        expires: key.expires,
        enabled: key.enabled,
    }
}

fn made_view(made: &MadeKey) -> KeyView {
    key_view(&made.key, Some(made.secret.to_string()))
}

fn role_view(role: &Role) -> RoleView {
    RoleView {
        tenant: role.tenant.clone(),
        name: role.name.clone(),
        arn: format!("arn:domicile:iam::{}:role/{}", role.tenant, role.name),
        bucket: role.bucket.clone(),
        prefix: role.prefix.clone(),
        places: role.places.clone(),
        created: role.created,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_key_shows_no_secret() {
        let key = AccessKey {
            id: "DKEYX".to_owned(),
            tenant: TenantId::parse("a").unwrap(),
            user: None,
            sealed_secret: bytes::Bytes::from_static(b"sealed"),
            created: domicile_types::UnixMillis(1),
            expires: None,
            enabled: true,
        };
        let shown = serde_json::to_string(&key_view(&key, None)).unwrap();
        assert!(!shown.contains("secret") && !shown.contains("sealed"), "{shown}");
    }
}
