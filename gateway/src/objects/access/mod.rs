//! Who may do what to a bucket, before the law is asked.
//!
//! A bucket's owner may do everything that the bucket's policy does not deny; everybody else what the policy or an access
//! control list allows. The owner can always replace or remove the policy, so that nobody locks themselves out. Whoever is let
//! through here has yet to be let through by the law.

mod acl;
mod configure;
mod decide;
mod object_acl;
mod rules;
mod stated;

use domicile_types::{BucketName, ObjectKey};

pub use acl::AclView;
pub(super) use configure::NewRules;
pub use rules::PublicAccessBlock;
pub use stated::{AclRequest, CannedAcl, Stated};

use self::acl::object_permission;
use self::decide::{Asked, Present, is_read};
pub(super) use self::rules::Rules;
use super::error::Error;
use super::gateway::Gateway;
use super::limits;
use super::request::{Caller, Principal, Tags};
use crate::catalog::{Bucket, CatalogError, VersionId};
use crate::policy::{Asker, Facts, Policy, Request, Verdict, evaluate, version_action};

/// What a request is about to do to a bucket, in the words of bucket policies.
#[derive(Debug, Clone)]
pub(crate) struct Wants<'a> {
    /// The action, such as `s3:GetObject` (Amazon S3's service authorization reference).
    pub(crate) action: &'static str,
    /// The object; none where the action is about the bucket itself.
    pub(crate) key: Option<&'a str>,
    /// Condition keys that the request's head does not state, such as `s3:prefix`, and their values.
    pub(crate) conditions: Vec<(&'static str, String)>,
    /// The tags that the request would set, where its body states them.
    tags: Option<&'a Tags>,
    /// The version that it names.
    version: Option<VersionId>,
    /// Whether the bucket is the source of a copy.
    of_source: bool,
}

impl<'a> Wants<'a> {
    /// To do `action` to a bucket.
    pub(crate) const fn new(action: &'static str) -> Self {
        Self { action, key: None, conditions: Vec::new(), tags: None, version: None, of_source: false }
    }

    /// To one object in it.
    pub(crate) fn key(self, key: &'a ObjectKey) -> Self {
        Self { key: Some(key.as_str()), ..self }
    }

    /// To a version of the object, where the request names one: that is an action of its own.
    pub(crate) fn version(self, version: Option<VersionId>) -> Self {
        match version {
            Some(_) => Self { action: version_action(self.action), version, ..self },
            None => self,
        }
    }

    /// To the keys that begin with `prefix`.
    pub(crate) fn prefix(self, prefix: &str) -> Self {
        self.condition("s3:prefix", prefix)
    }

    /// With these tags.
    pub(crate) const fn tags(mut self, tags: &'a Tags) -> Self {
        self.tags = Some(tags);
        self
    }

    /// As the source of a copy.
    pub(crate) const fn of_source(mut self) -> Self {
        self.of_source = true;
        self
    }

    /// With a condition key's value.
    pub(crate) fn condition(mut self, key: &'static str, value: &str) -> Self {
        self.conditions.push((key, value.to_owned()));
        self
    }
}

/// A bucket that a caller was let to, with what else the caller may ask about it.
pub(super) struct Admitted<'a> {
    pub(super) bucket: Bucket,
    pub(super) rules: Rules,
    caller: &'a Caller,
}

impl Gateway {
    /// The bucket, if the caller may do to it what it wants.
    pub(crate) async fn bucket_for(
        &self,
        caller: &Caller,
        name: &BucketName,
        wants: &Wants<'_>,
    ) -> Result<Bucket, Error> {
        Ok(self.admit(caller, name, wants).await?.bucket)
    }

    /// The same, with the rules that let the caller in.
    pub(super) async fn admit<'a>(
        &self,
        caller: &'a Caller,
        name: &BucketName,
        wants: &Wants<'_>,
    ) -> Result<Admitted<'a>, Error> {
        let found = self.at_the_gate(caller, name, wants.of_source).await?;
        self.demand(&found, wants).await?;
        Ok(found)
    }

    /// The bucket and its rules, for a caller about whom nothing has been decided yet.
    pub(super) async fn at_the_gate<'a>(
        &self,
        caller: &'a Caller,
        name: &BucketName,
        of_source: bool,
    ) -> Result<Admitted<'a>, Error> {
        let (bucket, rules) = self.rules(name).await?;
        let expected = if of_source { &caller.stated.expected_source_owners } else { &caller.stated.expected_owners };
        if expected.iter().any(|owner| owner != bucket.owner.as_str()) {
            return Err(Error::UnexpectedOwner);
        }
        Ok(Admitted { bucket, rules, caller })
    }

    /// Demands that a caller may do something more to a bucket that it was let to.
    pub(super) async fn demand(&self, admitted: &Admitted<'_>, wants: &Wants<'_>) -> Result<(), Error> {
        if self.allows(admitted, wants).await? {
            return Ok(());
        }
        tracing::debug!(request_id = %admitted.caller.request, action = wants.action, "access denied");
        Err(Error::AccessDenied)
    }

    /// Whether the caller may do it.
    pub(super) async fn allows(&self, admitted: &Admitted<'_>, wants: &Wants<'_>) -> Result<bool, Error> {
        let Admitted { bucket, rules, caller } = admitted;
        let is_owner = caller.tenant() == Some(&bucket.owner);
        let limits = caller.limits().filter(|limits| !limits.is_none());
        if is_owner && rules.policy.is_none() && limits.is_none() {
            return Ok(true);
        }
        let present = self.present(admitted, wants, is_owner).await?;
        let facts = self.facts_of(admitted, wants, &present);
        let asker = asker(caller);
        if limits.is_some_and(|limits| !limits.allow(&within(&asker, bucket.name.as_str(), wants, &facts))) {
            return Ok(false);
        }
        let asked = Asked { asker: &asker, owner: &bucket.owner, bucket: bucket.name.as_str(), wants, facts: &facts };
        Ok(rules.allow(asked, &present))
    }

    /// Refuses what the key's own limits do not allow, where no bucket's rules are asked: `bucket` is empty, or not there yet.
    pub(super) fn keep_within_limits(&self, caller: &Caller, bucket: &str, wants: &Wants<'_>) -> Result<(), Error> {
        let asker = asker(caller);
        let mut facts = caller.stated.facts.clone();
        self.state_request(&mut facts, caller);
        match caller.limits() {
            Some(limits) if !limits.allow(&within(&asker, bucket, wants, &facts)) => {
                Err(Error::BeyondLimits(format!("this access key may not do {}", wants.action)))
            }
            _ => Ok(()),
        }
    }

    /// Demands that the caller may be told which keys there are, `key` among them. Whom the request expects to own the bucket
    /// has been seen to.
    pub(super) async fn may_list(&self, caller: &Caller, name: &BucketName, key: &ObjectKey) -> Result<(), Error> {
        let (bucket, rules) = self.rules(name).await?;
        let admitted = Admitted { bucket, rules, caller };
        self.demand(&admitted, &Wants::new("s3:ListBucket").prefix(key.as_str())).await
    }

    /// Whether the caller is denied something that nothing need allow.
    pub(super) fn denies(&self, admitted: &Admitted<'_>, wants: &Wants<'_>) -> bool {
        let Admitted { bucket, rules, caller } = admitted;
        let facts = self.facts_of(admitted, wants, &Present::default());
        let asked =
            Asked { asker: &asker(caller), owner: &bucket.owner, bucket: bucket.name.as_str(), wants, facts: &facts };
        rules.policy_says(asked) == Verdict::Deny
    }

    /// Looks the object up where what is to be decided depends on it.
    async fn present(&self, admitted: &Admitted<'_>, wants: &Wants<'_>, is_owner: bool) -> Result<Present, Error> {
        let Some(key) = wants.key.and_then(|key| ObjectKey::parse(key).ok()) else { return Ok(Present::default()) };
        let rules = &admitted.rules;
        let of_key =
            admitted.caller.limits().into_iter().flat_map(|limits| limits.policies.iter().map(|policy| &**policy));
        let by_tag = rules.policy.iter().chain(of_key).any(Policy::mentions_existing_tags);
        let by_acl = !is_owner && (object_permission(wants.action).is_some() || is_read(wants.action));
        if !by_tag && !by_acl {
            return Ok(Present::default());
        }
        match self.catalog.object_version(&admitted.bucket, &key, wants.version).await {
            Ok(head) => Ok(Present { exists: true, tags: head.object.tags, acl: head.object.protection.acl }),
            Err(CatalogError::NoSuchKey | CatalogError::NoSuchVersion | CatalogError::DeleteMarker { .. }) => {
                Ok(Present::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the bucket's policy lets a service of the gateway put objects under `prefix`, for `source`.
    pub(super) async fn lets_service_put(
        &self,
        service: &'static str,
        target: &BucketName,
        prefix: &str,
        source: &Bucket,
    ) -> Result<bool, Error> {
        let (bucket, rules) = self.rules(target).await?;
        let asker = Asker::Service(service);
        let mut facts = Facts::default();
        facts.set("aws:SourceArn", format!("arn:aws:s3:::{}", source.name));
        facts.set("aws:SourceAccount", source.owner.as_str());
        facts.set("aws:ResourceAccount", bucket.owner.as_str());
        facts.set("aws:SecureTransport", "true");
        state_asker(&mut facts, &asker);
        let (action, bucket) = ("s3:PutObject", bucket.name.as_str());
        let request = Request { asker: &asker, action, bucket, key: Some(prefix), facts: &facts };
        Ok(evaluate(&rules.policy, &request) == Verdict::Allow)
    }

    /// All that policies may ask about a request.
    fn facts_of(&self, admitted: &Admitted<'_>, wants: &Wants<'_>, present: &Present) -> Facts {
        let Admitted { bucket, caller, .. } = admitted;
        let mut facts = caller.stated.facts.clone();
        for (key, value) in &wants.conditions {
            // A prefix that is not stated is none, which is another thing than an empty one.
            if !value.is_empty() {
                facts.set(key, value.clone());
            }
        }
        if let Some(version) = wants.version {
            facts.set("s3:VersionId", version.to_string());
        }
        if let Some(tags) = wants.tags {
            facts.requested_tags(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        }
        facts.existing_tags(present.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        facts.set("aws:ResourceAccount", bucket.owner.as_str());
        facts.set("s3:ResourceAccount", bucket.owner.as_str());
        self.state_request(&mut facts, caller);
        facts
    }

    /// What policies may ask about any request: when, from where, by whom.
    fn state_request(&self, facts: &mut Facts, caller: &Caller) {
        let now = time::OffsetDateTime::from(self.clock.now());
        facts.set("aws:EpochTime", now.unix_timestamp().to_string());
        if let Ok(now) = now.format(&time::format_description::well_known::Rfc3339) {
            facts.set("aws:CurrentTime", now);
        }
        facts.set("aws:SecureTransport", caller.secure.to_string());
        if let Some(address) = caller.address {
            facts.set("aws:SourceIp", address.to_string());
        }
        state_asker(facts, &asker(caller));
    }
}

/// Who asks, in the words of policies.
fn asker(caller: &Caller) -> Asker {
    match &caller.principal {
        Principal::Anonymous => Asker::Anonymous,
        Principal::Key(holder) => match &holder.user {
            Some(name) => Asker::User { tenant: holder.tenant.clone(), name: name.clone() },
            None => Asker::Account(holder.tenant.clone()),
        },
    }
}

/// What a key's own limits are asked.
fn within<'a>(asker: &'a Asker, bucket: &'a str, wants: &'a Wants<'_>, facts: &'a Facts) -> limits::Asked<'a> {
    let prefix = wants.conditions.iter().find(|(key, _)| *key == "s3:prefix").map(|(_, value)| value.as_str());
    limits::Asked { asker, action: wants.action, bucket, key: wants.key, prefix, facts }
}

fn state_asker(facts: &mut Facts, asker: &Asker) {
    let (kind, id) = match asker {
        Asker::Anonymous => ("Anonymous", "anonymous"),
        Asker::Account(tenant) => ("Account", tenant.as_str()),
        Asker::User { name, .. } => ("User", name.as_str()),
        Asker::Service(service) => ("Service", *service),
    };
    facts.set("aws:PrincipalType", kind);
    facts.set("aws:userid", id);
    if let Asker::User { name, .. } = asker {
        facts.set("aws:username", name.as_str());
    }
    if let Some(tenant) = asker.tenant() {
        facts.set("aws:PrincipalAccount", tenant.as_str());
    }
    if let Some(arn) = asker.arn() {
        facts.set("aws:PrincipalArn", arn);
    }
}
