//! Tenants, users, access keys, roles, and sessions. Every change is decided and logged like any other operation.

use domicile_types::{BucketName, Classification, OperationKind, PackId, Place, TenantId, UnixMillis};
use zeroize::Zeroizing;

use super::authorize::Matter;
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use super::limits::RoleScope;
use super::request::{Caller, Principal};
use crate::accounts::{IssuedSession, SESSION_SECONDS_MAX, SESSION_SECONDS_MIN, SessionRequest};
use crate::catalog::{AccessKey, CatalogError, Identity, IdentityChange, IdentityName, Role, Tenant, User};
use crate::policy::Policy;

/// The longest session policy, in bytes (Amazon's AssumeRole takes 2,048).
const SESSION_POLICY_BYTES_MAX: usize = 2_048;

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// What it may do, as a policy document.
    pub policy: Option<String>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose.
    pub tenant: TenantId,
    /// Of which user.
    pub user: Option<String>,
    /// From when on it works no more.
    pub expires: Option<UnixMillis>,
}

/// A key that was made. Its secret is shown this once.
pub struct MadeKey {
    /// The key.
    pub key: AccessKey,
    /// Its secret.
    pub secret: Zeroizing<String>,
}

/// A role to be made.
#[derive(Debug, Clone)]
pub struct NewRole {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The bucket.
    pub bucket: BucketName,
    /// The beginning of the keys.
    pub prefix: String,
    /// Where requesters must be.
    pub places: Vec<Place>,
}

/// AssumeRole.
#[derive(Debug, Clone)]
pub struct AssumeRole {
    /// `arn:domicile:iam::<tenant>:role/<name>`
    pub role_arn: String,
    /// `RoleSessionName`
    pub session_name: String,
    /// `DurationSeconds`; an hour where it is not stated.
    pub seconds: u32,
    /// `Policy`
    pub policy: Option<String>,
}

impl Gateway {
    /// Makes a tenant.
    pub async fn create_tenant(&self, caller: &Caller, tenant: TenantId) -> Result<Tenant, Error> {
        let row = Tenant { tenant, created: self.clock.now(), enabled: true };
        self.add(caller, Identity::Tenant(row.clone())).await?;
        Ok(row)
    }

    /// Makes a user.
    pub async fn create_user(&self, caller: &Caller, new: NewUser) -> Result<User, Error> {
        self.must_exist(&new.tenant)?;
        is_name(&new.name)?;
        is_policy(new.policy.as_deref())?;
        let NewUser { tenant, name, policy } = new;
        let row = User { tenant, name, created: self.clock.now(), enabled: true, policy };
        self.add(caller, Identity::User(row.clone())).await?;
        Ok(row)
    }

    /// Makes an access key.
    pub async fn create_key(&self, caller: &Caller, new: NewKey) -> Result<MadeKey, Error> {
        self.must_exist(&new.tenant)?;
        let id = format!("DKEY{}", data_encoding::BASE32_NOPAD.encode(&self.clock.random::<10>()));
        let seals = self.accounts.seals();
        let secret = seals.new_secret();
        let sealed = seals.seal_secret(&id, &secret);
        let sealed_secret = sealed.ok_or_else(|| internal("sealing a secret", std::fmt::Error))?.into();
        let NewKey { tenant, user, expires } = new;
        let key = AccessKey { id, tenant, user, sealed_secret, created: self.clock.now(), expires, enabled: true };
        self.add(caller, Identity::Key(key.clone())).await?;
        Ok(MadeKey { key, secret })
    }

    /// Makes a key for the holder of another, which works until `old_expires` and then no more.
    pub async fn rotate_key(&self, caller: &Caller, id: &str, old_expires: UnixMillis) -> Result<MadeKey, Error> {
        let old = self.accounts.table().keys.get(id).cloned().ok_or_else(no_such)?;
        let made = self.create_key(caller, NewKey { tenant: old.tenant, user: old.user, expires: None }).await?;
        let sooner = old.expires.filter(|expires| expires.0 < old_expires.0).unwrap_or(old_expires);
        self.change_identity(caller, IdentityName::Key(old.id), IdentityChange::Expires(Some(sooner))).await?;
        Ok(made)
    }

    /// Makes a role.
    pub async fn create_role(&self, caller: &Caller, new: NewRole) -> Result<Role, Error> {
        self.must_exist(&new.tenant)?;
        is_name(&new.name)?;
        let NewRole { tenant, name, bucket, prefix, places } = new;
        let places = places.iter().map(ToString::to_string).collect();
        let role = Role { tenant, name, bucket: bucket.to_string(), prefix, places, created: self.clock.now() };
        self.add(caller, Identity::Role(role.clone())).await?;
        Ok(role)
    }

    /// Changes a tenant, user, or key.
    pub async fn change_identity(
        &self,
        caller: &Caller,
        name: IdentityName,
        change: IdentityChange,
    ) -> Result<(), Error> {
        if let IdentityChange::Policy(policy) = &change {
            is_policy(policy.as_deref())?;
        }
        let subject = shown(&name);
        self.administer(caller, &subject, self.catalog.change_identity(name, change)).await
    }

    /// Removes a tenant, user, key, or role.
    pub async fn remove_identity(&self, caller: &Caller, name: IdentityName) -> Result<(), Error> {
        let subject = shown(&name);
        self.administer(caller, &subject, self.catalog.remove_identity(name)).await
    }

    /// Short credentials for a role, to a key of the role's own tenant. They may do what the key may and the role allows, for
    /// requesters where the role says; who asks for them from elsewhere is refused already.
    pub async fn assume_role(&self, caller: &Caller, request: &AssumeRole) -> Result<(Role, IssuedSession), Error> {
        let Principal::Key(holder) = &caller.principal else { return Err(Error::AccessDenied) };
        if holder.session.is_some() {
            return Err(Error::BeyondLimits("a session cannot assume another role".to_owned()));
        }
        if !(SESSION_SECONDS_MIN..=SESSION_SECONDS_MAX).contains(&request.seconds) {
            return Err(Error::InvalidArgument(format!(
                "DurationSeconds must be from {SESSION_SECONDS_MIN} to {SESSION_SECONDS_MAX}"
            )));
        }
        is_name(&request.session_name)?;
        if request.policy.as_ref().is_some_and(|policy| policy.len() > SESSION_POLICY_BYTES_MAX) {
            let message = format!("a session's policy has at most {SESSION_POLICY_BYTES_MAX} bytes");
            return Err(Error::InvalidArgument(message));
        }
        is_policy(request.policy.as_deref())?;
        // A role that does not exist and one of another tenant are the same to who asks.
        let named = role_of(&request.role_arn).filter(|(tenant, _)| *tenant == holder.tenant);
        let role = named.and_then(|name| self.accounts.table().roles.get(&name).cloned());
        let role = role.ok_or_else(|| Error::BeyondLimits("there is no such role for this access key".to_owned()))?;
        let bucket = BucketName::parse(&role.bucket).map_err(|error| internal("reading a role", error))?;
        let bucket = self.catalog.bucket(&bucket).await?;
        let matter = Matter::of_bucket(OperationKind::Administer, &bucket).key(&role.prefix);
        let scope = scope_of(&role)?;
        let permit = self.permit(caller, &matter).await?;
        let located = self.locate(caller);
        if !scope.reaches(&located.candidates) {
            return Err(self.outside(caller, &matter, &scope, permit.decision().clone(), &located).await?);
        }
        let intent = self.intend(caller, &matter, &permit, super::authorize::Scope::default()).await?;
        let issued = self.accounts.issue(
            &SessionRequest {
                assumed_by: &holder.access_key,
                role: &role,
                name: &request.session_name,
                policy: request.policy.as_deref(),
                expires: self.clock.now().plus_millis(u64::from(request.seconds).saturating_mul(1000)),
            },
            self.clock,
        );
        settle(intent, issued.is_some());
        let issued = issued.ok_or_else(|| internal("sealing a session", std::fmt::Error))?;
        Ok((role, issued))
    }

    async fn add(&self, caller: &Caller, identity: Identity) -> Result<(), Error> {
        let subject = shown(&identity.name());
        self.administer(caller, &subject, self.catalog.add_identity(identity)).await
    }

    /// Decides, logs, changes, and lets this gateway know. The packs are those of the default region: a tenant's identities are
    /// of no bucket, and this gateway keeps them where it keeps that region's data.
    async fn administer(
        &self,
        caller: &Caller,
        subject: &str,
        change: impl Future<Output = Result<(), CatalogError>>,
    ) -> Result<(), Error> {
        let region = self.config.region(&self.config.default_region);
        let packs: &[PackId] = region.map(|region| region.packs.as_slice()).unwrap_or_default();
        let classification = Classification::default();
        let matter = Matter {
            operation: OperationKind::Administer,
            packs,
            classification: &classification,
            bucket: None,
            key: Some(subject),
            nodes: Vec::new(),
        };
        let intent = self.authorize(caller, &matter).await?;
        let changed = change.await;
        settle(intent, changed.is_ok());
        changed?;
        Ok(self.accounts.refresh(&self.catalog).await?)
    }

    fn must_exist(&self, tenant: &TenantId) -> Result<(), Error> {
        if self.accounts.is_configured(tenant) || self.accounts.table().tenants.contains_key(tenant) {
            return Ok(());
        }
        Err(no_such())
    }
}

/// Reads the catalog's identities again every few seconds, for changes that other gateways made.
pub(crate) async fn follow(gateway: Gateway) {
    const EVERY: std::time::Duration = std::time::Duration::from_secs(5);
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = gateway.accounts.refresh(&gateway.catalog).await {
            tracing::warn!(%error, "access keys could not be read again");
        }
    }
}

/// A role as limits know it.
fn scope_of(role: &Role) -> Result<RoleScope, Error> {
    let places = role.places.iter().map(|place| Place::parse(place)).collect::<Result<Vec<_>, _>>();
    Ok(RoleScope {
        role: role.name.clone(),
        bucket: BucketName::parse(&role.bucket).map_err(|error| internal("reading a role", error))?,
        prefix: role.prefix.clone(),
        places: places.map_err(|error| internal("reading a role", error))?,
    })
}

/// `arn:domicile:iam::<tenant>:role/<name>`; SDKs that insist may say `aws`.
fn role_of(arn: &str) -> Option<(TenantId, String)> {
    let rest = arn.strip_prefix("arn:domicile:iam::").or_else(|| arn.strip_prefix("arn:aws:iam::"))?;
    let (tenant, name) = rest.split_once(":role/")?;
    Some((TenantId::parse(tenant).ok()?, name.to_owned()))
}

fn no_such() -> Error {
    CatalogError::NoSuchIdentity.into()
}

/// What the log calls it.
fn shown(name: &IdentityName) -> String {
    match name {
        IdentityName::Tenant(tenant) => format!("tenant {tenant}"),
        IdentityName::User(tenant, name) => format!("user {tenant}/{name}"),
        IdentityName::Key(id) => format!("key {id}"),
        IdentityName::Role(tenant, name) => format!("role {tenant}/{name}"),
    }
}

/// Names of users, roles and sessions: what Amazon's may have.
fn is_name(name: &str) -> Result<(), Error> {
    let fits = (2..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-'));
    if fits {
        Ok(())
    } else {
        Err(Error::InvalidArgument("a name has 2 to 64 of A-Z a-z 0-9 _ + = , . @ -".to_owned()))
    }
}

fn is_policy(document: Option<&str>) -> Result<(), Error> {
    match document.map(Policy::of_identity).transpose() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::InvalidArgument(format!("the policy is not one that this gateway honours: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_by_tenant_and_name() {
        let named = |arn: &str| role_of(arn).map(|(tenant, name)| format!("{tenant} {name}"));
        assert_eq!(named("arn:domicile:iam::acme:role/train").as_deref(), Some("acme train"));
        assert_eq!(named("arn:aws:iam::acme:role/train").as_deref(), Some("acme train"));
        for bad in
            ["", "arn:aws:iam::acme:user/train", "arn:aws:s3::acme:role/x", "arn:aws:iam::A:role/x", "acme/train"]
        {
            assert_eq!(named(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("training-job.7@x").is_ok());
        for bad in ["", "a", "a b", "a/b", "ä1", &"n".repeat(65)] {
            assert!(is_name(bad).is_err(), "{bad}");
        }
    }
}
