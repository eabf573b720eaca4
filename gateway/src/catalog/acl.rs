//! Access control lists as rows keep them: who owns something, and who was granted what.

use domicile_types::TenantId;
use serde::{Deserialize, Serialize};

/// Who is granted something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grantee {
    /// One tenant, which S3 calls a canonical user.
    Tenant(TenantId),
    /// Everybody, signed or not.
    AllUsers,
    /// Everybody whose request is signed.
    AuthenticatedUsers,
}

/// What is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// To read the object, or to list the bucket.
    Read,
    /// To write objects into the bucket.
    Write,
    /// To read the list itself.
    ReadAcp,
    /// To change the list.
    WriteAcp,
    /// All of these.
    FullControl,
}

/// A list of grants, in the order they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    /// Whose the bucket or object is; `None`: the bucket's owner's.
    pub owner: Option<TenantId>,
    /// Who may do what.
    pub grants: Vec<(Grantee, Permission)>,
}
