//! Copies that move no bytes: the copy names the shards that its source has, where everything allows it.
//!
//! A copy may share when both ends belong to one tenant, nothing about the bytes is to be different (checksum, cipher, code),
//! and *every* node that holds a shard of it could be given that shard now: the law is asked under the packs of both ends
//! with the question that storing anew would ask, and each segment is examined by [`check`], which knows nothing of how it came
//! to lie where it does. Otherwise the bytes are sealed anew. The copy's row has its own wrapping of the data key, so that
//! deleting either leaves the other readable, and deleting both shreds the data.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use domicile_compliance::Permit;
use domicile_placement::{HeldShard, NodeState, PlacementRequest, PlacementSeed, Plan, Roster, check};
use domicile_types::{CodeProfile, DataId, NodeId, OperationKind, UploadId};

use super::answer::Stored;
use super::authorize::{Matter, Scope, roster_facts};
use super::bucket::settle;
use super::copy::Source;
use super::error::Error;
use super::gateway::Gateway;
use super::notifications::Created;
use super::put::Identity;
use super::rejudge::{Lies, Placed};
use super::request::{Caller, ChecksumAlgorithm};
use super::rows::{content_headers, parts_count, row_tags, shown_algorithm, shown_checksum};
use super::writer::stamp;
use crate::catalog::{Encryption, Extent, JudgingEpoch, NewObject, ObjectHead, ShareSource, SharingCopy};
use crate::keys::KeyOwner;

/// Pages of an extent that are read at once.
const PAGES_AT_ONCE: u32 = 16;

/// Segments that lie at the same nodes, in the same order, under the same code.
pub(super) type Layout = (CodeProfile, Vec<NodeId>);

impl Gateway {
    /// Copies by sharing, if everything allows it. None: nothing was done, and the bytes are to be copied.
    pub(super) async fn share(
        &self,
        caller: &Caller,
        source: &Source,
        identity: &Identity<'_>,
        algorithm: Option<ChecksumAlgorithm>,
    ) -> Result<Option<Stored>, Error> {
        if !self.is_shareable(source, identity, algorithm) {
            return Ok(None);
        }
        let region = self.config.region(&identity.bucket.region).and_then(|region| region.profile);
        let Some(layouts) = self.layouts(&source.head, region).await? else { return Ok(None) };
        let judged = self.judging.law().epoch;
        let roster = self.directory.roster();
        let matter = Matter {
            operation: OperationKind::CopyObject,
            packs: &identity.packs,
            classification: &identity.classification,
            bucket: Some(&identity.bucket.name),
            key: Some(identity.key.as_str()),
            nodes: roster_facts(&roster),
        };
        let permit = self.permit(caller, &matter).await?;
        let fits = permit.suite() == source.head.object.suite
            && layouts.iter().all(|layout| may_stay(&roster, &permit, self.clock.random(), layout));
        if !fits {
            tracing::debug!(request_id = %caller.request, "a copy cannot share: its bytes are sealed anew");
            return Ok(None);
        }
        // The source is told of, too: its place in the log is that of a copy that reads it.
        let read = Matter {
            bucket: Some(&source.bucket.name),
            key: Some(source.key.as_str()),
            nodes: Vec::new(),
            ..matter.clone()
        };
        let read = self.authorize(caller, &read).await?;
        let scope = Scope { data: Some(source.head.data), ..Scope::default() };
        let intent = self.intend(caller, &matter, &permit, scope).await?;
        let placed = Placed { caller, matter: &matter, data: source.head.data, lies: Lies::At(&layouts) };
        let committed = self.commit_share(caller, source, identity, (judged, &placed)).await;
        let done = matches!(committed, Ok(Some(_)));
        settle(read, done);
        settle(intent, done);
        committed
    }

    /// Whether the copy is to have the very bytes that its source has, as far as rows tell.
    fn is_shareable(&self, source: &Source, identity: &Identity<'_>, algorithm: Option<ChecksumAlgorithm>) -> bool {
        let object = &source.head.object;
        let has = |wanted| object.checksums.iter().any(|checksum| shown_algorithm(checksum.algorithm) == wanted);
        source.bucket.owner == identity.bucket.owner
            && object.size > 0
            && algorithm.is_none_or(has)
            // A data key that only a client's key opens is never wrapped a second time.
            && object.protection.encryption != Encryption::Customer
            && object.protection.encryption == identity.protection.encryption
    }

    /// Every distinct way in which the object's segments lie. None where a row does not say it plainly, or where the region of
    /// the copy demands another code.
    async fn layouts(
        &self,
        head: &ObjectHead,
        demanded: Option<CodeProfile>,
    ) -> Result<Option<BTreeSet<Layout>>, Error> {
        let mut layouts = BTreeSet::new();
        for span in self.catalog.spans(head, 0..head.object.size).await? {
            let profile = span.extent.profile;
            if demanded.is_some_and(|demanded| ![demanded, demanded.whole_copies()].contains(&profile)) {
                return Ok(None);
            }
            if !self.extent_layouts(&span.extent, span.pages(), &mut layouts).await? {
                return Ok(None);
            }
        }
        Ok(Some(layouts))
    }

    /// Adds every way in which segments of those pages lie. Whether rows say it plainly.
    pub(super) async fn extent_layouts(
        &self,
        extent: &Extent,
        mut pages: Range<u32>,
        layouts: &mut BTreeSet<Layout>,
    ) -> Result<bool, Error> {
        while !pages.is_empty() {
            let end = pages.end.min(pages.start.saturating_add(PAGES_AT_ONCE));
            for page in self.catalog.extent_pages(extent, pages.start..end).await? {
                for segment in page.segments {
                    let Some(profile) = profile_of(extent.profile, segment.len()) else { return Ok(false) };
                    layouts.insert((profile, segment.into_iter().map(|shard| shard.node).collect()));
                }
            }
            pages.start = end;
        }
        Ok(true)
    }

    async fn commit_share(
        &self,
        caller: &Caller,
        source: &Source,
        identity: &Identity<'_>,
        (judged, placed): (JudgingEpoch, &Placed<'_>),
    ) -> Result<Option<Stored>, Error> {
        let held = &source.head.object;
        let version = source.head.upload.to_string();
        let from =
            KeyOwner { tenant: &source.bucket.owner, bucket: &source.bucket.name, key: &source.key, version: &version };
        let wrapping = self.wrapping(&held.protection.encryption, &caller.encryption.source)?;
        let data_key = self.data_key(&from, &wrapping, &held.wrapped_key)?;
        let upload = UploadId::from_bytes(self.clock.random());
        let version = upload.to_string();
        let owner = KeyOwner {
            tenant: &identity.bucket.owner,
            bucket: &identity.bucket.name,
            key: identity.key,
            version: &version,
        };
        let wrapping = self.wrapping(&identity.protection.encryption, &caller.encryption.customer)?;
        let wrapped_key = self.keys.wrap(&owner, &wrapping.second(), &data_key);
        let (headers, metadata) = content_headers(identity.headers.clone());
        let object = NewObject {
            size: held.size,
            etag: held.etag.clone(),
            headers,
            metadata,
            checksums: held.checksums.clone(),
            tags: row_tags(identity.tags.clone()),
            classification: identity.classification.clone(),
            wrapped_key: Bytes::copy_from_slice(wrapped_key.as_bytes()),
            suite: held.suite,
            packs: identity.packs.clone(),
            protection: identity.protection.clone(),
        };
        let shared = ShareSource { bucket: source.bucket.clone(), key: source.key.clone(), head: source.head.clone() };
        let commit = |judged| {
            let copy = SharingCopy { object: object.clone(), upload, conditions: identity.conditions.clone(), judged };
            let stamp = stamp(self, caller);
            self.catalog.commit_sharing_copy(stamp, identity.bucket, identity.key, shared.clone(), copy)
        };
        let outcome = self.commit_judged(judged, placed, commit).await?;
        let Some(outcome) = outcome else { return Ok(None) };
        let (modified, tags) = (outcome.last_modified, row_tags(identity.tags.clone()));
        let stored = Stored {
            version: outcome.version,
            etag: held.etag.clone(),
            checksum: held.checksums.first().map(|checksum| shown_checksum(checksum, parts_count(&source.head))),
            encryption: identity.protection.encryption.clone(),
            modified,
            size: held.size,
            expiring: self.expiring(identity.bucket, identity.key, held.size, &tags, modified).await,
        };
        let data = (identity.packs.as_slice(), &identity.classification);
        self.announce_created(caller, identity.bucket, identity.key, data, Created::Copy, &stored).await;
        Ok(Some(stored))
    }
}

/// The code of a segment of so many shards in an extent of that code: a segment too short to be coded is stored in whole copies.
pub(super) fn profile_of(extent: CodeProfile, shards: usize) -> Option<CodeProfile> {
    [extent, extent.whole_copies()].into_iter().find(|profile| profile.n() == shards)
}

/// Whether each shard of the segments may lie where it lies: nothing is left to place, and the examination has no objection.
fn may_stay(roster: &Roster, permit: &Permit, random: [u8; 16], (profile, nodes): &Layout) -> bool {
    // The examination lets a held shard wait for a node that is away; a copy is acknowledged only when all can serve.
    let serves = |node| roster.get(node).is_some_and(|record| record.state == NodeState::Online);
    nodes.iter().all(serves) && lies_lawfully(roster, permit, random, &(*profile, nodes.clone()))
}

/// Whether each shard of the segments lies where the law and the examination of placements let it lie, served or not.
pub(super) fn lies_lawfully(roster: &Roster, permit: &Permit, random: [u8; 16], (profile, nodes): &Layout) -> bool {
    let seed = PlacementSeed::of_segment(&DataId::from_bytes(random), 0, 0);
    let held: Vec<HeldShard> = (0u8..).zip(nodes).map(|(shard, node)| HeldShard { shard, node: *node }).collect();
    let request = PlacementRequest::new(Some(*profile), seed, 0).holding(&held);
    let nothing_to_send = Plan { profile: *profile, shards: Vec::new() };
    check(roster, permit, &request, nothing_to_send).is_ok()
}
