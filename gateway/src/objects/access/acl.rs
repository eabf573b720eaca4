//! Access control lists: what their names stand for, and what they grant. Pure.

use domicile_types::TenantId;

use super::stated::{AclRequest, CannedAcl};
use crate::catalog::{Acl, Grantee, Permission};
use crate::policy::Asker;

/// A list as clients are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclView {
    /// Whose the bucket or object is.
    pub owner: TenantId,
    /// Who may do what.
    pub grants: Vec<(Grantee, Permission)>,
}

impl AclView {
    /// The list of something that nobody but its owner has.
    pub(super) fn private(owner: &TenantId) -> Self {
        Self { owner: owner.clone(), grants: expand_canned(CannedAcl::Private, owner, owner) }
    }

    /// What a stored list shows.
    pub(super) fn of(stored: Option<Acl>, bucket_owner: &TenantId) -> Self {
        match stored {
            None => Self::private(bucket_owner),
            Some(acl) => Self { owner: acl.owner.unwrap_or_else(|| bucket_owner.clone()), grants: acl.grants },
        }
    }
}

/// The grants that a name stands for. Groups come first, as lists are stored and shown.
pub(super) fn expand_canned(
    canned: CannedAcl,
    owner: &TenantId,
    bucket_owner: &TenantId,
) -> Vec<(Grantee, Permission)> {
    let mut grants = match canned {
        CannedAcl::PublicRead => vec![(Grantee::AllUsers, Permission::Read)],
        CannedAcl::PublicReadWrite => {
            vec![(Grantee::AllUsers, Permission::Read), (Grantee::AllUsers, Permission::Write)]
        }
        CannedAcl::AuthenticatedRead => vec![(Grantee::AuthenticatedUsers, Permission::Read)],
        CannedAcl::Private | CannedAcl::BucketOwnerRead | CannedAcl::BucketOwnerFullControl => Vec::new(),
    };
    grants.push((Grantee::Tenant(owner.clone()), Permission::FullControl));
    let of_bucket_owner = match canned {
        CannedAcl::BucketOwnerRead => Some(Permission::Read),
        CannedAcl::BucketOwnerFullControl => Some(Permission::FullControl),
        _ => None,
    };
    if let Some(permission) = of_bucket_owner.filter(|_| owner != bucket_owner) {
        grants.push((Grantee::Tenant(bucket_owner.clone()), permission));
    }
    grants
}

/// The list that a request asks for, of something of `owner`'s.
pub(super) fn expand(asked: &AclRequest, owner: &TenantId, bucket_owner: &TenantId) -> Acl {
    let mut grants = match asked {
        AclRequest::Canned(canned) => expand_canned(*canned, owner, bucket_owner),
        AclRequest::Grants(grants) | AclRequest::Document { grants, .. } => grants.clone(),
    };
    grants.sort_by_key(|(grantee, _)| matches!(grantee, Grantee::Tenant(_)));
    Acl { owner: Some(owner.clone()), grants }
}

/// Whether it grants something to a group. Both groups hold people whom nobody here knows.
pub(super) fn is_public(acl: &Acl) -> bool {
    acl.grants.iter().any(|(grantee, _)| is_group(grantee))
}

/// Whether nobody but `owner` is granted anything.
pub(super) fn is_private(acl: &Acl, owner: &TenantId) -> bool {
    acl.grants.iter().all(|(grantee, _)| matches!(grantee, Grantee::Tenant(tenant) if tenant == owner))
}

const fn is_group(grantee: &Grantee) -> bool {
    matches!(grantee, Grantee::AllUsers | Grantee::AuthenticatedUsers)
}

/// Whether the list grants `wanted` to who asks.
pub(super) fn grants(acl: &Acl, asker: &Asker, wanted: Permission, ignore_public: bool) -> bool {
    acl.grants.iter().any(|(grantee, permission)| {
        let means = match grantee {
            Grantee::Tenant(tenant) => asker.tenant() == Some(tenant),
            Grantee::AllUsers => !ignore_public,
            Grantee::AuthenticatedUsers => !ignore_public && asker.tenant().is_some(),
        };
        means && (*permission == wanted || *permission == Permission::FullControl)
    })
}

/// Whether who asks owns the object and so may always read and write its list.
pub(super) fn owns(acl: &Acl, asker: &Asker, wanted: Permission) -> bool {
    matches!(wanted, Permission::ReadAcp | Permission::WriteAcp)
        && acl.owner.is_some()
        && acl.owner.as_ref() == asker.tenant()
}

/// What a bucket's list must grant for an action (Amazon S3's user guide, "Mapping of ACL permissions and access policy
/// permissions"). Deletion goes with writing, as the group of everybody who writes is described there.
pub(super) fn bucket_permission(action: &str) -> Option<Permission> {
    Some(match action {
        "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => Permission::Read,
        "s3:PutObject" | "s3:DeleteObject" | "s3:AbortMultipartUpload" | "s3:ListMultipartUploadParts" => {
            Permission::Write
        }
        "s3:GetBucketAcl" => Permission::ReadAcp,
        "s3:PutBucketAcl" => Permission::WriteAcp,
        _ => return None,
    })
}

/// What an object's list must grant for an action.
pub(super) fn object_permission(action: &str) -> Option<Permission> {
    Some(match action {
        "s3:GetObject" | "s3:GetObjectVersion" | "s3:GetObjectAttributes" | "s3:GetObjectVersionAttributes" => {
            Permission::Read
        }
        "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => Permission::ReadAcp,
        "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => Permission::WriteAcp,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn canned(canned: CannedAcl) -> Acl {
        expand(&AclRequest::Canned(canned), &tenant("writer"), &tenant("owner"))
    }

    #[test]
    fn named_lists_grant_what_their_names_say() {
        let everybody = [Asker::Anonymous, Asker::Account(tenant("stranger")), Asker::Account(tenant("owner"))];
        let may = |acl: &Acl, permission| everybody.each_ref().map(|asker| grants(acl, asker, permission, false));
        for (name, read, write) in [
            ("private", [false, false, false], [false; 3]),
            ("public-read", [true, true, true], [false; 3]),
            ("public-read-write", [true, true, true], [true; 3]),
            ("authenticated-read", [false, true, true], [false; 3]),
            ("bucket-owner-read", [false, false, true], [false; 3]),
            ("bucket-owner-full-control", [false, false, true], [false, false, true]),
        ] {
            let acl = canned(CannedAcl::parse(name).unwrap());
            assert_eq!((may(&acl, Permission::Read), may(&acl, Permission::Write)), (read, write), "{name}");
            assert!(grants(&acl, &Asker::Account(tenant("writer")), Permission::WriteAcp, false), "{name}");
        }
        assert_eq!(CannedAcl::parse("aws-exec-read"), None);
    }

    #[test]
    fn lists_of_groups_are_public_and_can_be_ignored() {
        for (name, public) in
            [(CannedAcl::PublicRead, true), (CannedAcl::AuthenticatedRead, true), (CannedAcl::Private, false)]
        {
            assert_eq!(is_public(&canned(name)), public);
            assert!(!grants(&canned(name), &Asker::Account(tenant("stranger")), Permission::Read, true));
        }
        assert!(is_private(&canned(CannedAcl::Private), &tenant("writer")));
        assert!(!is_private(&canned(CannedAcl::BucketOwnerRead), &tenant("writer")));
    }

    #[test]
    fn an_objects_owner_reads_and_writes_its_list_whatever_that_says() {
        let acl = expand(&AclRequest::Grants(Vec::new()), &tenant("writer"), &tenant("owner"));
        let writer = Asker::Account(tenant("writer"));
        assert!(owns(&acl, &writer, Permission::WriteAcp) && !owns(&acl, &writer, Permission::Read));
        assert!(!owns(&acl, &Asker::Anonymous, Permission::ReadAcp));
        assert!(
            !owns(&Acl::default(), &Asker::Anonymous, Permission::ReadAcp),
            "an owner that is not stated is not nobody"
        );
    }

    #[test]
    fn groups_come_first_in_the_order_that_they_were_given() {
        let asked = AclRequest::Grants(vec![
            (Grantee::Tenant(tenant("a")), Permission::Write),
            (Grantee::AllUsers, Permission::Read),
            (Grantee::Tenant(tenant("a")), Permission::Read),
        ]);
        let grants = expand(&asked, &tenant("writer"), &tenant("owner")).grants;
        assert_eq!(
            grants.iter().map(|(_, permission)| *permission).collect::<Vec<_>>(),
            [Permission::Read, Permission::Write, Permission::Read]
        );
    }
}
