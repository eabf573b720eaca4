//! Where every shard of an object is: rows only, no bytes, no keys.

use domicile_types::{
    BucketName, CodeProfile, NodeId, ObjectKey, OperationKind, PackId, RegionName, ShardCid, TenantId,
};

use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::get::packs_of;
use super::request::{Caller, GetObject, ReadConditions};

/// Pages of an extent that are read at once.
const PAGES_AT_ONCE: u32 = 16;

/// An object's shards.
pub struct Placement {
    /// The bucket's region.
    pub region: RegionName,
    /// The packs that the object obeys.
    pub packs: Vec<PackId>,
    /// Plaintext bytes.
    pub bytes: u64,
    /// The code of every part, in order.
    pub profiles: Vec<CodeProfile>,
    /// Every shard.
    pub shards: Vec<PlacedShard>,
}

/// One shard.
pub struct PlacedShard {
    /// Part number; 0 for an object put whole.
    pub part: u16,
    /// Segment of the part.
    pub segment: u32,
    /// Index in the segment.
    pub shard: usize,
    /// Its name.
    pub cid: ShardCid,
    /// Who holds it.
    pub node: NodeId,
}

impl Gateway {
    /// Whose bucket it is.
    pub async fn bucket_owner(&self, bucket: &BucketName) -> Result<TenantId, Error> {
        Ok(self.catalog.bucket(bucket).await?.owner)
    }

    /// Where the object's shards are. It tells of the object, so the law is asked as for HeadObject.
    pub async fn placement(&self, caller: &Caller, bucket: &BucketName, key: &ObjectKey) -> Result<Placement, Error> {
        let request = GetObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version: None,
            range: None,
            part_number: None,
            conditions: ReadConditions::default(),
        };
        let (bucket, head) = self.object_row(caller, &request, "s3:GetObject").await?;
        let packs = packs_of(&bucket, &head);
        settle(self.authorize_object(caller, OperationKind::HeadObject, (&bucket, &head), key).await?, true);
        let mut placement = Placement {
            region: bucket.region.clone(),
            packs: packs.clone(),
            bytes: head.object.size,
            profiles: Vec::new(),
            shards: Vec::new(),
        };
        for span in self.catalog.spans(&head, 0..head.object.size).await? {
            placement.profiles.push(span.extent.profile);
            let mut segment = 0u32;
            let mut pages = span.pages();
            while !pages.is_empty() {
                let end = pages.end.min(pages.start.saturating_add(PAGES_AT_ONCE));
                for page in self.catalog.extent_pages(&span.extent, pages.start..end).await? {
                    for shards in page.segments {
                        let placed = shards.into_iter().enumerate().map(|(shard, at)| PlacedShard {
                            part: span.part,
                            segment,
                            shard,
                            cid: at.cid,
                            node: at.node,
                        });
                        placement.shards.extend(placed);
                        segment = segment.saturating_add(1);
                    }
                }
                pages.start = end;
            }
        }
        Ok(placement)
    }
}
