//! What a request's head states that the rules of access ask about.

use crate::catalog::{Grantee, Permission};
use crate::config::ObjectOwnership;
use crate::policy::Facts;

/// What a request's head states beside what it asks for. Made by the protocol in front, in form.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    /// Values of condition keys of policies: prefixes, tags, headers.
    pub facts: Facts,
    /// `x-amz-expected-bucket-owner`: all of them must be the bucket's owner.
    pub expected_owners: Vec<String>,
    /// `x-amz-source-expected-bucket-owner`.
    pub expected_source_owners: Vec<String>,
    /// `x-amz-acl` or `x-amz-grant-*`: the access control list of what is made or changed.
    pub acl: Option<AclRequest>,
    /// `x-amz-object-ownership`, of CreateBucket.
    pub ownership: Option<ObjectOwnership>,
}

/// An access control list as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AclRequest {
    /// By a name that stands for a list.
    Canned(CannedAcl),
    /// As headers: the owner has what they grant, no more.
    Grants(Vec<(Grantee, Permission)>),
    /// As a document, which also states the owner.
    Document {
        /// Whose the bucket or object is, which must be true.
        owner: String,
        /// Who may do what.
        grants: Vec<(Grantee, Permission)>,
    },
}

/// The access control lists that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannedAcl {
    /// The owner alone.
    Private,
    /// Everybody reads.
    PublicRead,
    /// Everybody reads and writes.
    PublicReadWrite,
    /// Everybody whose request is signed reads.
    AuthenticatedRead,
    /// The bucket's owner reads an object of somebody else.
    BucketOwnerRead,
    /// The bucket's owner has full control of an object of somebody else.
    BucketOwnerFullControl,
}

impl CannedAcl {
    /// The list of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "private" => Self::Private,
            "public-read" => Self::PublicRead,
            "public-read-write" => Self::PublicReadWrite,
            "authenticated-read" => Self::AuthenticatedRead,
            "bucket-owner-read" => Self::BucketOwnerRead,
            "bucket-owner-full-control" => Self::BucketOwnerFullControl,
            _ => return None,
        })
    }
}
