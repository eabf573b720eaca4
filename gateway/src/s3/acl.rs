//! Access control lists of buckets and objects: documents and `x-amz-grant-*` headers.

use domicile_types::TenantId;
use http::HeaderMap;
use s3s::dto::{
    AccessControlPolicy, GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput, GetObjectAclOutput, Grant,
    Grantee as GranteeDto, Owner, Permission as PermissionDto, PutBucketAclInput, PutBucketAclOutput,
    PutObjectAclInput, PutObjectAclOutput, Type,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::Front;
use super::names;
use crate::catalog::{Grantee, Permission};
use crate::objects::{AclRequest, AclView, GetObject, ReadConditions, Stated};

/// Grants of one list, at the most (Amazon S3's user guide, "Access control list (ACL) overview").
const GRANTS_MAX: usize = 100;

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// Headers that grant, and what.
const GRANT_HEADERS: &[(&str, Permission)] = &[
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
    ("x-amz-grant-full-control", Permission::FullControl),
];

impl Front {
    pub(super) async fn bucket_acl(
        &self,
        request: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        let caller = names::caller(&request)?;
        let view = self.gateway.bucket_acl(&caller, &names::bucket(&request.input.bucket)?).await?;
        let (owner, grants) = (Some(owner(&view.owner)), Some(shown(view)));
        Ok(S3Response::new(GetBucketAclOutput { grants, owner }))
    }

    pub(super) async fn set_bucket_acl(
        &self,
        request: S3Request<PutBucketAclInput>,
    ) -> S3Result<S3Response<PutBucketAclOutput>> {
        let caller = names::caller(&request)?;
        let asked = asked(&caller.stated, request.input.access_control_policy)?;
        self.gateway.set_bucket_acl(&caller, &names::bucket(&request.input.bucket)?, &asked).await?;
        Ok(S3Response::new(PutBucketAclOutput::default()))
    }

    pub(super) async fn set_object_acl(
        &self,
        request: S3Request<PutObjectAclInput>,
    ) -> S3Result<S3Response<PutObjectAclOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let asked = asked(&caller.stated, input.access_control_policy)?;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        self.gateway.set_object_acl(&caller, &object, &asked).await?;
        Ok(S3Response::new(PutObjectAclOutput::default()))
    }

    pub(super) async fn object_acl(
        &self,
        request: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        let view = self.gateway.object_acl(&caller, &object).await?;
        let (owner, grants) = (Some(owner(&view.owner)), Some(shown(view)));
        Ok(S3Response::new(GetObjectAclOutput { grants, owner, request_charged: None }))
    }
}

impl Front {
    /// Whoever owns a bucket, as listings show it.
    pub(super) async fn owner_of(&self, bucket: &str) -> S3Result<Owner> {
        Ok(owner(&self.gateway.bucket_owner(&names::bucket(bucket)?).await?))
    }
}

fn object(bucket: &str, key: &str, version: Option<String>) -> S3Result<GetObject> {
    Ok(GetObject {
        bucket: names::bucket(bucket)?,
        key: names::key(key)?,
        version: names::version(version.as_deref())?,
        range: None,
        part_number: None,
        conditions: ReadConditions::default(),
    })
}

/// Whoever owns a bucket or an object: a tenant, whose name is its canonical id.
pub(super) fn owner(tenant: &TenantId) -> Owner {
    Owner { display_name: Some(tenant.to_string()), id: Some(tenant.to_string()) }
}

/// The list that PutBucketAcl and PutObjectAcl ask for: in the head or in the document, not both.
pub(super) fn asked(stated: &Stated, document: Option<AccessControlPolicy>) -> S3Result<AclRequest> {
    match (&stated.acl, document) {
        (Some(_), Some(_)) => Err(S3Error::with_message(
            S3ErrorCode::UnexpectedContent,
            "the access control list is in the headers; the request must have no document",
        )),
        (Some(asked), None) => Ok(asked.clone()),
        (None, Some(document)) => from_document(document),
        (None, None) => Err(S3Error::with_message(
            S3ErrorCode::MissingSecurityHeader,
            "the request has neither x-amz-acl, nor x-amz-grant-*, nor a document",
        )),
    }
}

fn from_document(document: AccessControlPolicy) -> S3Result<AclRequest> {
    let malformed = |message: &'static str| S3Error::with_message(S3ErrorCode::MalformedACLError, message);
    let owner = document.owner.and_then(|owner| owner.id).ok_or_else(|| malformed("the document names no owner"))?;
    let stated = document.grants.unwrap_or_default();
    if stated.len() > GRANTS_MAX {
        return Err(malformed("the document has more than 100 grants"));
    }
    let read = |grant: Grant| {
        let permission = grant.permission.ok_or_else(|| malformed("a grant has no permission"))?;
        let permission =
            permission_of(permission.as_str()).ok_or_else(|| malformed("a grant's permission is not known"))?;
        let grantee = grant.grantee.ok_or_else(|| malformed("a grant has no grantee"))?;
        let grantee = match (grantee.type_.as_str(), grantee.id, grantee.uri) {
            (Type::CANONICAL_USER, Some(id), None) => tenant(&id)?,
            (Type::GROUP, None, Some(uri)) => group(&uri)?,
            (Type::AMAZON_CUSTOMER_BY_EMAIL, ..) => return Err(by_email()),
            _ => return Err(malformed("a grantee has neither the id of a user nor the URI of a group")),
        };
        Ok((grantee, permission))
    };
    Ok(AclRequest::Document { owner, grants: stated.into_iter().map(read).collect::<S3Result<_>>()? })
}

/// The grants of `x-amz-grant-*`: `id="..", uri=".."`, joined by commas.
pub(super) fn from_headers(headers: &HeaderMap) -> S3Result<Vec<(Grantee, Permission)>> {
    let invalid = |name: &str| {
        let message = format!("{name} is not a list of id=.. and uri=..");
        S3Error::with_message(S3ErrorCode::InvalidArgument, message)
    };
    let mut grants = Vec::new();
    for (name, permission) in GRANT_HEADERS {
        for value in headers.get_all(*name) {
            let value = value.to_str().map_err(|_| invalid(name))?;
            for grantee in value.split(',').map(str::trim).filter(|grantee| !grantee.is_empty()) {
                let (kind, id) = grantee.split_once('=').ok_or_else(|| invalid(name))?;
                let id = id.trim().trim_matches('"');
                grants.push(match kind.trim() {
                    "id" => (tenant(id)?, *permission),
                    "uri" => (group(id)?, *permission),
                    "emailAddress" => return Err(by_email()),
                    _ => return Err(invalid(name)),
                });
            }
        }
    }
    if grants.len() > GRANTS_MAX {
        return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, "there are more than 100 grants"));
    }
    Ok(grants)
}

fn tenant(id: &str) -> S3Result<Grantee> {
    let invalid = |_| S3Error::with_message(S3ErrorCode::InvalidArgument, "a grantee's id is no canonical user id");
    TenantId::parse(id).map(Grantee::Tenant).map_err(invalid)
}

fn group(uri: &str) -> S3Result<Grantee> {
    match uri {
        ALL_USERS => Ok(Grantee::AllUsers),
        AUTHENTICATED_USERS => Ok(Grantee::AuthenticatedUsers),
        _ => Err(S3Error::with_message(
            S3ErrorCode::InvalidArgument,
            "a grantee's URI names no group that is known here",
        )),
    }
}

fn by_email() -> S3Error {
    S3Error::with_message(S3ErrorCode::UnresolvableGrantByEmailAddress, "tenants are known by their ids, not by e-mail")
}

fn permission_of(name: &str) -> Option<Permission> {
    Some(match name {
        PermissionDto::READ => Permission::Read,
        PermissionDto::WRITE => Permission::Write,
        PermissionDto::READ_ACP => Permission::ReadAcp,
        PermissionDto::WRITE_ACP => Permission::WriteAcp,
        PermissionDto::FULL_CONTROL => Permission::FullControl,
        _ => return None,
    })
}

/// The inverse of [`permission_of`].
const fn name_of(permission: Permission) -> &'static str {
    match permission {
        Permission::Read => PermissionDto::READ,
        Permission::Write => PermissionDto::WRITE,
        Permission::ReadAcp => PermissionDto::READ_ACP,
        Permission::WriteAcp => PermissionDto::WRITE_ACP,
        Permission::FullControl => PermissionDto::FULL_CONTROL,
    }
}

fn shown(view: AclView) -> Vec<Grant> {
    let grant = |(grantee, permission): (Grantee, Permission)| {
        let (kind, id, uri) = match grantee {
            Grantee::Tenant(tenant) => (Type::CANONICAL_USER, Some(tenant.to_string()), None),
            Grantee::AllUsers => (Type::GROUP, None, Some(ALL_USERS.to_owned())),
            Grantee::AuthenticatedUsers => (Type::GROUP, None, Some(AUTHENTICATED_USERS.to_owned())),
        };
        let (display_name, type_) = (id.clone(), Type::from_static(kind));
        let grantee = Some(GranteeDto { display_name, email_address: None, id, type_, uri });
        Grant { grantee, permission: Some(PermissionDto::from_static(name_of(permission))) }
    };
    view.grants.into_iter().map(grant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(kind: &'static str, id: Option<&str>, uri: Option<&str>, permission: &'static str) -> Grant {
        let grantee = GranteeDto {
            display_name: None,
            email_address: None,
            id: id.map(str::to_owned),
            type_: Type::from_static(kind),
            uri: uri.map(str::to_owned),
        };
        Grant { grantee: Some(grantee), permission: Some(PermissionDto::from_static(permission)) }
    }

    fn document(grants: Vec<Grant>) -> AccessControlPolicy {
        AccessControlPolicy { grants: Some(grants), owner: Some(owner(&TenantId::parse("team-a").unwrap())) }
    }

    #[test]
    fn a_document_is_shown_again_as_it_was_put() {
        let grants = vec![
            grant(Type::GROUP, None, Some(AUTHENTICATED_USERS), PermissionDto::READ),
            grant(Type::CANONICAL_USER, Some("team-b"), None, PermissionDto::WRITE_ACP),
        ];
        let AclRequest::Document { owner, grants: read } = from_document(document(grants.clone())).unwrap() else {
            panic!("not a document")
        };
        assert_eq!(owner, "team-a");
        let again = shown(AclView { owner: TenantId::parse("team-a").unwrap(), grants: read });
        for (shown, put) in again.iter().zip(&grants) {
            let (shown_to, put_to) = (shown.grantee.as_ref().unwrap(), put.grantee.as_ref().unwrap());
            assert_eq!((&shown_to.id, &shown_to.uri, &shown.permission), (&put_to.id, &put_to.uri, &put.permission));
        }
    }

    #[test]
    fn grantees_that_nobody_can_tell_are_refused() {
        for (bad, code) in [
            (grant(Type::CANONICAL_USER, Some("_foo"), None, PermissionDto::READ), S3ErrorCode::InvalidArgument),
            (grant(Type::GROUP, None, Some("http://example.com"), PermissionDto::READ), S3ErrorCode::InvalidArgument),
            (grant(Type::CANONICAL_USER, None, Some(ALL_USERS), PermissionDto::READ), S3ErrorCode::MalformedACLError),
            (grant(Type::CANONICAL_USER, Some("team-b"), None, "LIST"), S3ErrorCode::MalformedACLError),
            (
                grant(Type::AMAZON_CUSTOMER_BY_EMAIL, None, None, PermissionDto::READ),
                S3ErrorCode::UnresolvableGrantByEmailAddress,
            ),
        ] {
            assert_eq!(from_document(document(vec![bad])).unwrap_err().code(), &code);
        }
        let many = vec![grant(Type::CANONICAL_USER, Some("team-b"), None, PermissionDto::READ); GRANTS_MAX + 1];
        assert_eq!(from_document(document(many)).unwrap_err().code(), &S3ErrorCode::MalformedACLError);
        let nobodys = AccessControlPolicy { owner: None, ..document(Vec::new()) };
        assert_eq!(from_document(nobodys).unwrap_err().code(), &S3ErrorCode::MalformedACLError);
    }
}
