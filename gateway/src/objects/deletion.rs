//! Deletion certificates: what became of the bytes of an object that is no more.
//!
//! A certificate lists what nodes signed, and what may still lie with nodes that cannot be reached. The log has its hash: an
//! entry when every node was asked, and another when the last residue went.

use domicile_compliance::audit::{CommitmentDomain, Event};
use domicile_types::{BucketName, Classification, DataId, ObjectKey, OperationKind, RequestId, Salt, UnixMillis};

use super::authorize::{Matter, log_unavailable};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::catalog::DeletionRecord;

/// What is told of one deletion.
pub(crate) struct Certificate {
    /// What the shards were stored under.
    pub(crate) data: DataId,
    /// Its record.
    pub(crate) record: DeletionRecord,
    /// What nodes signed.
    pub(crate) receipts: Vec<String>,
    /// BLAKE3 over them, each with a line feed, in hexadecimal: what the log has.
    pub(crate) receipts_hash: String,
}

impl Gateway {
    /// Whose what was deleted under that name was; none where nothing was.
    pub(crate) async fn deleted_owner(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Option<domicile_types::TenantId>, Error> {
        Ok(self.catalog.deletions(bucket, key).await?.pop().map(|(_, record)| record.origin.tenant))
    }

    /// The certificates of what was once at `key`, newest first. They tell of the object, so the law is asked as for HeadObject.
    pub(crate) async fn certificates(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Vec<Certificate>, Error> {
        let records = self.catalog.deletions(bucket, key).await?;
        let Some((_, newest)) = records.first() else { return Err(Error::NoSuchKey) };
        let matter = Matter {
            operation: OperationKind::HeadObject,
            packs: &newest.origin.packs,
            classification: &Classification::default(),
            bucket: Some(bucket),
            key: Some(key.as_str()),
            nodes: Vec::new(),
        };
        settle(self.authorize(caller, &matter).await?, true);
        let mut certificates = Vec::with_capacity(records.len());
        for (data, record) in records {
            let mut receipts = Vec::new();
            let (_, receipts_hash) = self.receipts(data, |receipt| receipts.push(receipt)).await?;
            certificates.push(Certificate { data, record, receipts, receipts_hash });
        }
        Ok(certificates)
    }

    /// Enters in the log what was deleted of a body. Returns the entry's index.
    pub(crate) async fn state_deletion(&self, data: DataId, record: &DeletionRecord) -> Result<u64, Error> {
        let (receipts, receipts_hash) = self.receipts(data, drop).await?;
        let fresh = || Salt(self.clock.random());
        let bucket = record.origin.bucket.as_str().as_bytes();
        let bucket = self.log.side().commit(CommitmentDomain::Bucket, bucket, fresh).map_err(log_unavailable)?;
        let (shredded, residue): (UnixMillis, u64) = (record.shredded, record.residue);
        let event = Event::Deleted { data, bucket, shredded, receipts, receipts_hash, residue };
        let request = RequestId::from_bytes(self.clock.random());
        Ok(self.log.note(request, event).await.map_err(log_unavailable)?.index)
    }

    /// Every receipt for deleted shards of a body, in order; their number and hash.
    async fn receipts(&self, data: DataId, mut each: impl FnMut(String)) -> Result<(u64, String), Error> {
        let (mut count, mut hasher, mut after) = (0_u64, blake3::Hasher::new(), None);
        loop {
            let (receipts, next) = self.catalog.deletion_receipts(data, after).await?;
            for receipt in receipts {
                hasher.update(receipt.as_bytes()).update(b"\n");
                count = count.saturating_add(1);
                each(receipt);
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok((count, hasher.finalize().to_hex().to_string())),
            }
        }
    }
}
