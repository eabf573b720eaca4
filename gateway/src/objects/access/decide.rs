//! The decision: policy first, then access control lists. Pure.

use domicile_types::TenantId;

use super::Wants;
use super::acl::{self, bucket_permission, object_permission};
use super::rules::Rules;
use crate::catalog::Acl;
use crate::policy::{Asker, Facts, Request, Verdict, evaluate};

/// A question about a bucket.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// By whom.
    pub(super) asker: &'a Asker,
    /// Whose the bucket is.
    pub(super) owner: &'a TenantId,
    /// Its name.
    pub(super) bucket: &'a str,
    /// What is to be done.
    pub(super) wants: &'a Wants<'a>,
    /// What else the request says.
    pub(super) facts: &'a Facts,
}

/// What is known of the object that a request names.
#[derive(Default)]
pub(super) struct Present {
    pub(super) exists: bool,
    pub(super) tags: Vec<(String, String)>,
    pub(super) acl: Option<Acl>,
}

impl Rules {
    /// Whether they let it be done.
    pub(super) fn allow(&self, asked: Asked<'_>, present: &Present) -> bool {
        let is_owner = asked.asker.tenant() == Some(asked.owner);
        let action = asked.wants.action;
        match (self.policy_says(asked), is_owner) {
            // The tenant's own keys are never locked out; its users' may be.
            (Verdict::Deny, _) => {
                return is_owner && matches!(asked.asker, Asker::Account(_)) && is_about_policy(action);
            }
            (_, true) => return true,
            (_, false) if self.keeps_strangers_out() => return false,
            (Verdict::Allow, false) => return true,
            (Verdict::NoMatch, false) => {}
        }
        if self.lists_allow(asked, present) {
            return true;
        }
        // Who may list the keys may be told that there is none of that name. The use case will find that out.
        match asked.wants.key {
            Some(key) if !present.exists && is_read(action) => {
                let mut facts = asked.facts.clone();
                facts.set("s3:prefix", key);
                let wants = Wants::new("s3:ListBucket");
                let list = Asked { wants: &wants, facts: &facts, ..asked };
                match self.policy_says(list) {
                    Verdict::Deny => false,
                    Verdict::Allow => true,
                    Verdict::NoMatch => self.lists_allow(list, &Present::default()),
                }
            }
            _ => false,
        }
    }

    /// What the bucket's policy says.
    pub(super) fn policy_says(&self, asked: Asked<'_>) -> Verdict {
        let Asked { asker, bucket, wants, facts, .. } = asked;
        evaluate(&self.policy, &Request { asker, action: wants.action, bucket, key: wants.key, facts })
    }

    /// Whether an access control list that counts allows it.
    fn lists_allow(&self, asked: Asked<'_>, present: &Present) -> bool {
        if !self.acls_count() {
            return false;
        }
        let grants = |acl: &Acl, permission| acl::grants(acl, asked.asker, permission, self.block.ignore_public_acls);
        let action = asked.wants.action;
        let of_bucket = bucket_permission(action)
            .is_some_and(|permission| self.acl.as_ref().is_some_and(|acl| grants(acl, permission)));
        let of_object = object_permission(action).is_some_and(|permission| {
            let acl = present.acl.as_ref();
            acl.is_some_and(|acl| acl::owns(acl, asked.asker, permission) || grants(acl, permission))
        });
        of_bucket || of_object
    }
}

/// What a bucket's owner can always do (Amazon S3's user guide, "Policies and permissions in Amazon S3").
fn is_about_policy(action: &str) -> bool {
    matches!(action, "s3:GetBucketPolicy" | "s3:PutBucketPolicy" | "s3:DeleteBucketPolicy")
}

/// Actions that tell whether an object is there.
pub(super) fn is_read(action: &str) -> bool {
    action.starts_with("s3:GetObject")
}

#[cfg(test)]
mod tests {
    use domicile_types::{BucketName, ObjectKey};
    use serde_json::{Value, json};

    use super::super::acl::expand;
    use super::super::{AclRequest, CannedAcl, PublicAccessBlock};
    use super::*;
    use crate::config::ObjectOwnership;
    use crate::policy::Policy;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn canned(canned: CannedAcl) -> Acl {
        expand(&AclRequest::Canned(canned), &tenant("owner"), &tenant("owner"))
    }

    fn rules(policy: Option<Value>, bucket_acl: CannedAcl, block: PublicAccessBlock) -> Rules {
        let bucket = BucketName::parse("data").unwrap();
        let policy = policy.map(|statement| Policy::of_bucket(&json!({"Statement": statement}).to_string(), &bucket));
        Rules {
            policy: policy.map(Result::unwrap),
            block,
            ownership: ObjectOwnership::ObjectWriter,
            ownership_is_own: false,
            acl: Some(canned(bucket_acl)),
        }
    }

    fn private(policy: Value) -> Rules {
        rules(Some(policy), CannedAcl::Private, PublicAccessBlock::default())
    }

    fn statement(effect: &str, who: &str, action: &str) -> Value {
        json!({"Effect": effect, "Principal": {"AWS": who}, "Action": action,
            "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]})
    }

    /// Whether owner, stranger and nobody may do it.
    fn who_may(rules: &Rules, action: &'static str, key: Option<&str>, present: &Present) -> [bool; 3] {
        let key = key.map(|key| ObjectKey::parse(key).unwrap());
        let wants = match &key {
            Some(key) => Wants::new(action).key(key),
            None => Wants::new(action),
        };
        let (owner, facts) = (tenant("owner"), Facts::default());
        let askers = [Asker::Account(owner.clone()), Asker::Account(tenant("stranger")), Asker::Anonymous];
        askers.each_ref().map(|asker| {
            rules.allow(Asked { asker, owner: &owner, bucket: "data", wants: &wants, facts: &facts }, present)
        })
    }

    fn there(acl: Option<CannedAcl>) -> Present {
        Present { exists: true, tags: Vec::new(), acl: acl.map(canned) }
    }

    #[test]
    fn without_rules_a_bucket_is_its_owners() {
        let nothing = rules(None, CannedAcl::Private, PublicAccessBlock::default());
        for action in ["s3:GetObject", "s3:PutObject", "s3:GetObjectAcl", "s3:DeleteObject"] {
            assert_eq!(who_may(&nothing, action, Some("k"), &there(None)), [true, false, false], "{action}");
        }
        for action in ["s3:ListBucket", "s3:DeleteBucket", "s3:PutBucketPolicy", "s3:PutBucketAcl"] {
            assert_eq!(who_may(&nothing, action, None, &Present::default()), [true, false, false], "{action}");
        }
    }

    #[test]
    fn a_policy_lets_in_whom_it_names() {
        let get = |who| who_may(&private(statement("Allow", who, "s3:Get*")), "s3:GetObject", Some("k"), &there(None));
        assert_eq!(get("stranger"), [true, true, false]);
        assert_eq!(get("*"), [true, true, true]);
        let other = who_may(&private(statement("Allow", "*", "s3:Get*")), "s3:PutObject", Some("k"), &there(None));
        assert_eq!(other, [true, false, false]);
    }

    #[test]
    fn a_deny_binds_the_owner_and_overrides_lists_but_never_locks_the_owner_out() {
        let mut denied = private(statement("Deny", "*", "s3:*"));
        denied.acl = Some(canned(CannedAcl::PublicReadWrite));
        for action in ["s3:ListBucket", "s3:DeleteBucket", "s3:PutBucketAcl", "s3:GetBucketPolicyStatus"] {
            assert_eq!(who_may(&denied, action, None, &Present::default()), [false; 3], "{action}");
        }
        assert_eq!(who_may(&denied, "s3:GetObject", Some("k"), &there(Some(CannedAcl::PublicRead))), [false; 3]);
        for action in ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"] {
            assert_eq!(who_may(&denied, action, None, &Present::default()), [true, false, false], "{action}");
        }
        let (owner, wants, facts) = (tenant("owner"), Wants::new("s3:PutBucketPolicy"), Facts::default());
        let asker = &Asker::User { tenant: owner.clone(), name: "ann".to_owned() };
        let asked = Asked { asker, owner: &owner, bucket: "data", wants: &wants, facts: &facts };
        assert!(!denied.allow(asked, &Present::default()), "a user of the owner's is bound");
    }

    #[test]
    fn lists_grant_what_they_say_unless_they_do_not_count() {
        let mut open = rules(None, CannedAcl::PublicReadWrite, PublicAccessBlock::default());
        let list = |rules: &Rules| who_may(rules, "s3:ListBucket", None, &Present::default());
        let put = |rules: &Rules| who_may(rules, "s3:PutObject", Some("k"), &there(None));
        let get = |rules: &Rules, acl| who_may(rules, "s3:GetObject", Some("k"), &there(acl));
        assert_eq!((list(&open), put(&open)), ([true; 3], [true; 3]));
        assert_eq!(get(&open, None), [true, false, false], "a bucket's list says nothing of reading its objects");
        assert_eq!(get(&open, Some(CannedAcl::PublicRead)), [true; 3]);
        assert_eq!(get(&open, Some(CannedAcl::AuthenticatedRead)), [true, true, false]);
        assert_eq!(who_may(&open, "s3:DeleteBucket", None, &Present::default()), [true, false, false]);
        open.ownership = ObjectOwnership::BucketOwnerEnforced;
        assert_eq!(
            (list(&open), get(&open, Some(CannedAcl::PublicRead))),
            ([true, false, false], [true, false, false])
        );
    }

    #[test]
    fn ignored_public_lists_grant_groups_nothing() {
        let block = PublicAccessBlock { ignore_public_acls: true, ..PublicAccessBlock::default() };
        let ignored = rules(None, CannedAcl::PublicReadWrite, block);
        let public = there(Some(CannedAcl::PublicRead));
        assert_eq!(who_may(&ignored, "s3:ListBucket", None, &Present::default()), [true, false, false]);
        assert_eq!(who_may(&ignored, "s3:GetObject", Some("k"), &public), [true, false, false]);
        assert!(!ignored.is_public());
    }

    #[test]
    fn a_restricted_bucket_is_closed_to_strangers_while_its_policy_is_public() {
        let block = PublicAccessBlock { restrict_public_buckets: true, ..PublicAccessBlock::default() };
        let get = |who, block| {
            let rules = rules(Some(statement("Allow", who, "s3:*")), CannedAcl::PublicRead, block);
            who_may(&rules, "s3:GetObject", Some("k"), &there(Some(CannedAcl::PublicRead)))
        };
        assert_eq!(get("*", block), [true, false, false]);
        assert_eq!(get("stranger", block), [true; 3], "a policy that is not public restricts nothing");
        assert_eq!(get("*", PublicAccessBlock::default()), [true; 3]);
    }

    #[test]
    fn who_may_list_is_told_that_a_key_is_not_there() {
        let mut listers = statement("Allow", "stranger", "s3:ListBucket");
        listers["Condition"] = json!({"StringLike": {"s3:prefix": "public/*"}});
        let rules = private(listers);
        let get = |key, present: &Present| who_may(&rules, "s3:GetObject", Some(key), present);
        assert_eq!(get("public/k", &Present::default()), [true, true, false]);
        assert_eq!(get("private/k", &Present::default()), [true, false, false]);
        assert_eq!(get("public/k", &there(None)), [true, false, false], "it is there, and nothing lets it be read");
        assert_eq!(who_may(&rules, "s3:PutObject", Some("public/k"), &Present::default()), [true, false, false]);
    }

    #[test]
    fn a_policy_may_ask_for_the_tags_of_the_object() {
        let mut tagged = statement("Allow", "*", "s3:GetObject");
        tagged["Condition"] = json!({"StringEquals": {"s3:ExistingObjectTag/security": "public"}});
        let rules = private(tagged);
        let (owner, key) = (tenant("owner"), ObjectKey::parse("k").unwrap());
        let wants = Wants::new("s3:GetObject").key(&key);
        for (tag, allowed) in [("public", true), ("secret", false)] {
            let mut facts = Facts::default();
            facts.existing_tags([("security", tag)]);
            let asked = Asked { asker: &Asker::Anonymous, owner: &owner, bucket: "data", wants: &wants, facts: &facts };
            assert_eq!(rules.allow(asked, &there(None)), allowed, "{tag}");
        }
    }
}
