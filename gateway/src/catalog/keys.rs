//! Where each row lies: the key layout.
//!
//! ```text
//! ai kind tenant 00 name                identity: tenant, user, access key or role
//! ae                                    how often identities have changed
//! b name                                bucket, by its global name
//! t tenant 00 name                      the buckets of a tenant
//! o bucket-id key                       current version of an object; none where a delete marker is newest
//! v bucket-id key 00 position           version that is not current, and delete markers, newest first
//! n bucket-id key                       where among `v` the null version of a key lies
//! c bucket-id kind                      setting of a bucket: policy, lifecycle and the like
//! u bucket-id key 00 upload-id          multipart upload in progress
//! p upload-id number                    part of an upload in progress
//! f upload-id                           completed upload, for clients that complete it again
//! q data-id page                        parts of a completed multipart object, in pages
//! r data-id page                        sealed root of a completed multipart object's manifest, in pages
//! e extent-id page                      extent page: where the shards of its segments lie, small sealed records
//! s extent-id page                      sealed records of an extent page that are too large for its row
//! w extent-id                           extent being written
//! h webhook 00 due id                   message to a webhook, by the time it is to be sent
//! d data-id upload-id                   claim on a body: of a version, or of an upload in progress
//! x extent-id                           what a repair must know of an extent, once it is part of something
//! m node extent-id page                 that a node holds, or may hold, shards of an extent page
//! H extent-id page number               who held, or may have held, shards of an extent page, and when
//! B data-id extent-id                   that an extent is, or was, part of a body
//! N node time                           where a node's record said that it was, from then on
//! D extent-id page                      shards of an extent page that are known to be damaged
//! z node data-id cid                    copy that a node is to delete
//! L node                                what was stated when a node was emptied
//! R data-id hash                        receipts of nodes for copies that they have deleted
//! J data-id                             what became of a body that was deleted
//! I hash time data-id                   the deletions of what had a name, by the name's hash
//! K data-id                             deletion that is to be stated in the log
//! g due kind id                         garbage, by the time it may be swept
//! i time name                           idempotency (see `state`)
//! je                                    how often that by which is judged has changed
//! jl                                    packs in force
//! jh time                               the packs that judged from then on
//! jq time id                            proposal of a version of a pack
//! ke                                    how often the fleet's records have changed
//! kr kind id                            record of the fleet: entity, operator, enrolment, request, invitation
//! ks node month                         sums of a node's month
//! kt node month                         the node's signed statement of a month that is over
//! l name                                lease (see `state`)
//! y name                                where a walk over all buckets stands
//! js node                               how a node stands
//! Aa approval                           approval
//! Ae                                    how often approvals have changed
//! Au approval                           what is used of an approval
//! Ac approval data-id                   individuals of a version that were counted against an approval
//! Al account                            account of a ledger: what it counts, until when, which marks were told
//! Ad account day                        what an account counted on a day
//! As account data-id                    object version that an account has counted, and when
//! jd node id                            document about a node's place
//! jp node id                            dispute about how a node stands
//! ```
//!
//! A bucket's rows lie under a random id, not under its name, so that nothing of a deleted bucket can reappear in a later
//! one of the same name, and rows stay short. Object keys stand as they are, in the order of their UTF-8 bytes: sorted
//! prefix listing needs that order, so names are plain in the gateway's own store (which belongs on an encrypted volume),
//! and nowhere else. A key holds no NUL, so one NUL ends it before what follows.
//!
//! `o` holds current versions alone: the cost of a listing page does not depend on how many old versions, parts, or
//! pages there are. Numbers are big-endian, so that they sort.

use domicile_types::{ApprovalId, BucketName, DataId, NodeId, ObjectKey, ShardCid, TenantId, UnixMillis, UploadId};

use super::bucket::BucketId;
use super::extent::{ExtentId, PageAt};
use super::identity::IdentityName;

/// A key that begins with `table`.
fn row(table: u8, pieces: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + pieces.iter().map(|piece| piece.len()).sum::<usize>());
    key.push(table);
    pieces.iter().for_each(|piece| key.extend_from_slice(piece));
    key
}

/// The prefix of all buckets' rows.
pub(super) const BUCKETS: &[u8] = b"b";

/// Where identities begin.
pub(super) const IDENTITIES: &[u8] = b"ai";

/// How often identities have changed.
pub(super) const IDENTITY_EPOCH: &[u8] = b"ae";

/// How often that by which is judged has changed.
pub(super) const JUDGING_EPOCH: &[u8] = b"je";

/// Which packs judged when.
pub(super) const PACKS_SINCE: &[u8] = b"jh";

/// Proposals of packs.
pub(super) const PROPOSALS: &[u8] = b"jq";

pub(super) fn packs_since(time: UnixMillis) -> Vec<u8> {
    row(b'j', &[b"h", &time.0.to_be_bytes()])
}

pub(super) fn proposal(proposed: UnixMillis, id: &str) -> Vec<u8> {
    row(b'j', &[b"q", &proposed.0.to_be_bytes(), id.as_bytes()])
}

/// The packs in force.
pub(super) const PACKS_IN_FORCE: &[u8] = b"jl";

pub(super) fn identity(name: &IdentityName) -> Vec<u8> {
    let of_tenant = |kind: &[u8], tenant: &TenantId, name: &str| {
        row(b'a', &[b"i", kind, tenant.as_str().as_bytes(), &[0], name.as_bytes()])
    };
    match name {
        IdentityName::Tenant(tenant) => row(b'a', &[b"it", tenant.as_str().as_bytes()]),
        IdentityName::User(tenant, name) => of_tenant(b"u", tenant, name),
        IdentityName::Key(id) => row(b'a', &[b"ik", id.as_bytes()]),
        IdentityName::Role(tenant, name) => of_tenant(b"r", tenant, name),
    }
}

/// Where records of the fleet begin.
pub(super) const FLEET: &[u8] = b"kr";

/// How often records of the fleet have changed.
pub(super) const FLEET_EPOCH: &[u8] = b"ke";

pub(super) fn fleet_record(kind: u8, id: &str) -> Vec<u8> {
    row(b'k', &[b"r", &[kind], id.as_bytes()])
}

/// The sums of a node's months, in their order.
pub(super) fn accounts(node: &NodeId) -> Vec<u8> {
    row(b'k', &[b"s", node.public_key()])
}

pub(super) fn account(node: &NodeId, month: &str) -> Vec<u8> {
    row(b'k', &[b"s", node.public_key(), month.as_bytes()])
}

pub(super) fn statement(node: &NodeId, month: &str) -> Vec<u8> {
    row(b'k', &[b"t", node.public_key(), month.as_bytes()])
}

pub(super) fn bucket(name: &BucketName) -> Vec<u8> {
    row(b'b', &[name.as_str().as_bytes()])
}

pub(super) fn tenant_buckets(tenant: &TenantId) -> Vec<u8> {
    row(b't', &[tenant.as_str().as_bytes(), &[0]])
}

pub(super) fn tenant_bucket(tenant: &TenantId, name: &BucketName) -> Vec<u8> {
    row(b't', &[tenant.as_str().as_bytes(), &[0], name.as_str().as_bytes()])
}

pub(super) fn objects(bucket: BucketId) -> Vec<u8> {
    row(b'o', &[bucket.as_bytes()])
}

pub(super) fn object(bucket: BucketId, key: &ObjectKey) -> Vec<u8> {
    row(b'o', &[bucket.as_bytes(), key.as_str().as_bytes()])
}

pub(super) fn versions(bucket: BucketId) -> Vec<u8> {
    row(b'v', &[bucket.as_bytes()])
}

pub(super) fn versions_of(bucket: BucketId, key: &ObjectKey) -> Vec<u8> {
    row(b'v', &[bucket.as_bytes(), key.as_str().as_bytes(), &[0]])
}

pub(super) fn version(bucket: BucketId, key: &ObjectKey, position: [u8; 16]) -> Vec<u8> {
    row(b'v', &[bucket.as_bytes(), key.as_str().as_bytes(), &[0], &position])
}

pub(super) fn null_version(bucket: BucketId, key: &ObjectKey) -> Vec<u8> {
    row(b'n', &[bucket.as_bytes(), key.as_str().as_bytes()])
}

pub(super) fn completed(upload: UploadId) -> Vec<u8> {
    row(b'f', &[upload.as_bytes()])
}

pub(super) fn settings(bucket: BucketId) -> Vec<u8> {
    row(b'c', &[bucket.as_bytes()])
}

pub(super) fn setting(bucket: BucketId, kind: u8) -> Vec<u8> {
    row(b'c', &[bucket.as_bytes(), &[kind]])
}

pub(super) fn uploads(bucket: BucketId) -> Vec<u8> {
    row(b'u', &[bucket.as_bytes()])
}

pub(super) fn upload(bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Vec<u8> {
    row(b'u', &[bucket.as_bytes(), key.as_str().as_bytes(), &[0], upload.as_bytes()])
}

pub(super) fn parts(upload: UploadId) -> Vec<u8> {
    row(b'p', &[upload.as_bytes()])
}

pub(super) fn part(upload: UploadId, number: u16) -> Vec<u8> {
    row(b'p', &[upload.as_bytes(), &number.to_be_bytes()])
}

pub(super) fn part_list(data: DataId) -> Vec<u8> {
    row(b'q', &[data.as_bytes()])
}

pub(super) fn part_list_page(data: DataId, page: u32) -> Vec<u8> {
    row(b'q', &[data.as_bytes(), &page.to_be_bytes()])
}

pub(super) fn roots(data: DataId) -> Vec<u8> {
    row(b'r', &[data.as_bytes()])
}

pub(super) fn root_page(data: DataId, page: u32) -> Vec<u8> {
    row(b'r', &[data.as_bytes(), &page.to_be_bytes()])
}

pub(super) fn claims(data: DataId) -> Vec<u8> {
    row(b'd', &[data.as_bytes()])
}

pub(super) fn claim(data: DataId, upload: UploadId) -> Vec<u8> {
    row(b'd', &[data.as_bytes(), upload.as_bytes()])
}

pub(super) fn extent_known(extent: ExtentId) -> Vec<u8> {
    row(b'x', &[extent.as_bytes()])
}

pub(super) fn held_by(node: &NodeId) -> Vec<u8> {
    row(b'm', &[node.public_key()])
}

pub(super) fn held_page(node: &[u8; 32], at: PageAt) -> Vec<u8> {
    row(b'm', &[node, at.extent.as_bytes(), &at.page.to_be_bytes()])
}

pub(super) fn damaged(at: PageAt) -> Vec<u8> {
    row(b'D', &[at.extent.as_bytes(), &at.page.to_be_bytes()])
}

/// The prefix of all rows of damaged shards.
pub(super) const DAMAGED: &[u8] = b"D";

/// The prefix of all extent pages.
pub(super) const EXTENT_PAGES: &[u8] = b"e";

/// The prefix of all copies that are to be deleted.
pub(super) const RESIDUE: &[u8] = b"z";

pub(super) fn receipts(data: DataId) -> Vec<u8> {
    row(b'R', &[data.as_bytes()])
}

pub(super) fn receipt(data: DataId, name: &[u8; 16]) -> Vec<u8> {
    row(b'R', &[data.as_bytes(), name])
}

pub(super) fn deletion(data: DataId) -> Vec<u8> {
    row(b'J', &[data.as_bytes()])
}

pub(super) fn deletions_of(name: &[u8; 32]) -> Vec<u8> {
    row(b'I', &[name])
}

pub(super) fn deletion_of(name: &[u8; 32], shredded: UnixMillis, data: DataId) -> Vec<u8> {
    row(b'I', &[name, &shredded.0.to_be_bytes(), data.as_bytes()])
}

/// The prefix of deletions that are to be stated.
pub(super) const TO_STATE: &[u8] = b"K";

pub(super) fn to_state(data: DataId) -> Vec<u8> {
    row(b'K', &[data.as_bytes()])
}

pub(super) fn leaving(node: &NodeId) -> Vec<u8> {
    row(b'L', &[node.public_key()])
}

pub(super) fn residue_at(node: &NodeId) -> Vec<u8> {
    row(b'z', &[node.public_key()])
}

pub(super) fn residue(node: &NodeId, data: DataId, cid: &ShardCid) -> Vec<u8> {
    row(b'z', &[node.public_key(), data.as_bytes(), cid.digest()])
}

pub(super) fn extent(extent: ExtentId) -> Vec<u8> {
    row(b'e', &[extent.as_bytes()])
}

pub(super) fn extent_page(extent: ExtentId, page: u32) -> Vec<u8> {
    row(b'e', &[extent.as_bytes(), &page.to_be_bytes()])
}

pub(super) fn sealed_page(extent: ExtentId, page: u32) -> Vec<u8> {
    row(b's', &[extent.as_bytes(), &page.to_be_bytes()])
}

/// The row of the sealed records that belong to an extent page's row.
pub(super) fn sealed_beside(extent_page: &[u8]) -> Vec<u8> {
    row(b's', &[extent_page.get(1..).unwrap_or_default()])
}

/// The prefix of all pending rows.
pub(super) const PENDING: &[u8] = b"w";

pub(super) fn pending(extent: ExtentId) -> Vec<u8> {
    row(b'w', &[extent.as_bytes()])
}

/// Where garbage begins; see [`garbage`] for where that due at a time ends.
pub(super) const GARBAGE: &[u8] = b"g";

pub(super) fn garbage_due(due: UnixMillis) -> Vec<u8> {
    row(b'g', &[&due.0.to_be_bytes()])
}

pub(super) fn garbage(due: UnixMillis, kind: u8, id: &[u8; 16]) -> Vec<u8> {
    row(b'g', &[&due.0.to_be_bytes(), &[kind], id])
}

pub(super) fn messages(webhook: &str) -> Vec<u8> {
    row(b'h', &[webhook.as_bytes(), &[0]])
}

/// Where the messages to a webhook end that are due at `now`.
pub(super) fn messages_after(webhook: &str, now: UnixMillis) -> Vec<u8> {
    row(b'h', &[webhook.as_bytes(), &[0], &now.0.saturating_add(1).to_be_bytes()])
}

pub(super) fn message(webhook: &str, due: UnixMillis, id: &[u8; 16]) -> Vec<u8> {
    row(b'h', &[webhook.as_bytes(), &[0], &due.0.to_be_bytes(), id])
}

/// Where a walk over all buckets stands that goes on in the next round.
pub(super) fn walk(name: &str) -> Vec<u8> {
    row(b'y', &[name.as_bytes()])
}

/// How nodes stand.
pub(super) const STANDINGS: &[u8] = b"js";
/// Documents about nodes' places.
pub(super) const DOCUMENTS: &[u8] = b"jd";
/// Disputes.
pub(super) const DISPUTES: &[u8] = b"jp";

pub(super) fn standing(node: &NodeId) -> Vec<u8> {
    row(b'j', &[b"s", node.public_key()])
}

pub(super) fn document(node: &NodeId, id: &str) -> Vec<u8> {
    row(b'j', &[b"d", node.public_key(), id.as_bytes()])
}

pub(super) fn dispute(node: &NodeId, id: &str) -> Vec<u8> {
    row(b'j', &[b"p", node.public_key(), id.as_bytes()])
}

/// The histories of all pages of an extent.
pub(super) fn extent_history(extent: ExtentId) -> Vec<u8> {
    row(b'H', &[extent.as_bytes()])
}

pub(super) fn page_history(at: PageAt) -> Vec<u8> {
    row(b'H', &[at.extent.as_bytes(), &at.page.to_be_bytes()])
}

pub(super) fn page_history_row(at: PageAt, number: u32) -> Vec<u8> {
    row(b'H', &[at.extent.as_bytes(), &at.page.to_be_bytes(), &number.to_be_bytes()])
}

/// Every extent that a body has, or had.
pub(super) fn body_extents(data: DataId) -> Vec<u8> {
    row(b'B', &[data.as_bytes()])
}

pub(super) fn body_extent(data: DataId, extent: ExtentId) -> Vec<u8> {
    row(b'B', &[data.as_bytes(), extent.as_bytes()])
}

/// Where a node was, in the order of time.
pub(super) fn places_of(node: &NodeId) -> Vec<u8> {
    row(b'N', &[node.public_key()])
}

pub(super) fn place_since(node: &NodeId, since: UnixMillis) -> Vec<u8> {
    row(b'N', &[node.public_key(), &since.0.to_be_bytes()])
}

/// Approvals.
pub(super) const APPROVALS: &[u8] = b"Aa";
/// How often approvals have changed.
pub(super) const APPROVAL_EPOCH: &[u8] = b"Ae";
/// Accounts of ledgers.
pub(super) const ACCOUNTS: &[u8] = b"Al";

pub(super) fn approval(id: &ApprovalId) -> Vec<u8> {
    row(b'A', &[b"a", id.as_bytes()])
}

pub(super) fn approval_used(id: &ApprovalId) -> Vec<u8> {
    row(b'A', &[b"u", id.as_bytes()])
}

pub(super) fn approval_counted(id: &ApprovalId, data: &DataId) -> Vec<u8> {
    row(b'A', &[b"c", id.as_bytes(), data.as_bytes()])
}

pub(super) fn ledger_account(account: &[u8; 16]) -> Vec<u8> {
    row(b'A', &[b"l", account])
}

pub(super) fn account_day(account: &[u8; 16], day: u32) -> Vec<u8> {
    row(b'A', &[b"d", account, &day.to_be_bytes()])
}

pub(super) fn account_seen(account: &[u8; 16], data: &DataId) -> Vec<u8> {
    row(b'A', &[b"s", account, data.as_bytes()])
}
