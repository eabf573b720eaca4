//! GetObject and HeadObject.

use domicile_types::{OperationKind, PackId};

use super::access::Wants;
use super::answer::{ObjectHead, ObjectRead, ObjectView};
use super::authorize::Matter;
use super::bucket::settle;
use super::customer_key::CustomerClaims;
use super::error::Error;
use super::gateway::Gateway;
use super::parts::Piece;
use super::reader::Reading;
use super::request::{Caller, GetObject};
use super::rows::object_view;
use crate::catalog::{self, Bucket, CatalogError, Encryption};
use crate::keys::KeyOwner;

impl Gateway {
    /// Begins to read an object, or a range of it. What is decided: the requester's place may retrieve, and every holder relay.
    pub async fn get_object(&self, caller: &Caller, request: GetObject) -> Result<ObjectRead, Error> {
        let (bucket, head) = self.object_row(caller, &request, "s3:GetObject").await?;
        self.try_key(caller, &caller.encryption.customer, &bucket, &request, &head).await?;
        let Piece { range, partial, checksum } = match self.wanted(&request, &head).await {
            Ok(piece) => piece,
            // That it has not changed, or how long it is, tells of the object: whoever may not query is not told.
            Err(why) => {
                let operation = OperationKind::HeadObject;
                return Err(self.object_refusal(caller, operation, (&bucket, &head), &request.key, why).await);
            }
        };
        let object = self.seen(&bucket, &request, &head).await;
        let reading = Reading {
            caller: caller.clone(),
            operation: OperationKind::GetObject,
            packs: packs_of(&bucket, &head),
            bucket,
            key: request.key,
            head,
        };
        let body = self.read_object(reading, range.clone()).await?;
        Ok(ObjectRead { object, range, partial, part_checksum: checksum, body })
    }

    /// What GetObject would answer, without the bytes.
    pub async fn head_object(&self, caller: &Caller, request: GetObject) -> Result<ObjectHead, Error> {
        let (bucket, head) = self.object_row(caller, &request, "s3:GetObject").await?;
        let operation = OperationKind::HeadObject;
        settle(self.authorize_object(caller, operation, (&bucket, &head), &request.key).await?, true);
        self.try_key(caller, &caller.encryption.customer, &bucket, &request, &head).await?;
        let Piece { range, partial, checksum } = self.wanted(&request, &head).await?;
        let object = self.seen(&bucket, &request, &head).await;
        Ok(ObjectHead { object, range, partial, part_checksum: checksum })
    }

    /// What of the object is to be read, if the request's conditions hold.
    async fn wanted(&self, request: &GetObject, head: &catalog::ObjectHead) -> Result<Piece, Error> {
        request.conditions.check(&head.object.etag, head.last_modified)?;
        self.piece(request, head).await
    }

    /// What a reader is shown of a version.
    async fn seen(&self, bucket: &Bucket, request: &GetObject, head: &catalog::ObjectHead) -> ObjectView {
        let mut view = object_view(bucket, &request.key, head);
        if request.version.is_none() {
            let object = &head.object;
            view.expiring = self.expiring(bucket, &request.key, object.size, &object.tags, head.last_modified).await;
        }
        view
    }

    /// The bucket and row of the object that a request names.
    pub(super) async fn object_row(
        &self,
        caller: &Caller,
        request: &GetObject,
        action: &'static str,
    ) -> Result<(Bucket, catalog::ObjectHead), Error> {
        self.row_for(caller, request, &Wants::new(action).key(&request.key).version(request.version)).await
    }

    /// The same, for a caller that wants more than an action says.
    pub(super) async fn row_for(
        &self,
        caller: &Caller,
        request: &GetObject,
        wants: &Wants<'_>,
    ) -> Result<(Bucket, catalog::ObjectHead), Error> {
        let bucket = self.bucket_for(caller, &request.bucket, wants).await?;
        match self.catalog.object_version(&bucket, &request.key, request.version).await {
            Ok(head) => Ok((bucket, head)),
            Err(
                error @ (CatalogError::NoSuchKey | CatalogError::NoSuchVersion | CatalogError::DeleteMarker { .. }),
            ) => self.told_of_absence(caller, &bucket, request, error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Tries the key that the request brings, or does not bring, on the object.
    pub(super) async fn try_key(
        &self,
        caller: &Caller,
        claims: &CustomerClaims,
        bucket: &Bucket,
        request: &GetObject,
        head: &catalog::ObjectHead,
    ) -> Result<(), Error> {
        let encryption = &head.object.protection.encryption;
        // The common case: nothing is asked of the client, and it says nothing.
        if *encryption == Encryption::S3 && !claims.are_made() {
            return Ok(());
        }
        let version = head.upload.to_string();
        let owner = KeyOwner { tenant: &bucket.owner, bucket: &bucket.name, key: &request.key, version: &version };
        let opened = self
            .wrapping(encryption, claims)
            .and_then(|wrapping| self.data_key(&owner, &wrapping, &head.object.wrapped_key));
        let Err(error) = opened else { return Ok(()) };
        // That it takes another key tells of the object: whoever may not query is not told.
        Err(self.object_refusal(caller, OperationKind::HeadObject, (bucket, head), &request.key, error).await)
    }

    /// That a key does not exist tells of the bucket's contents, too: whoever may not query is not told.
    async fn told_of_absence(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        request: &GetObject,
        absence: CatalogError,
    ) -> Result<(Bucket, catalog::ObjectHead), Error> {
        let matter = Matter::of_bucket(OperationKind::HeadObject, bucket).key(request.key.as_str());
        settle(self.authorize(caller, &matter).await?, false);
        // Nor is whoever may not list the bucket's keys.
        self.may_list(caller, &bucket.name, &request.key).await?;
        Err(absence.into())
    }
}

/// The packs that an object obeys: its bucket's as they are now, and those it was stored under, which a copy may have brought
/// from another region.
pub(super) fn packs_of(bucket: &Bucket, head: &catalog::ObjectHead) -> Vec<PackId> {
    let mut packs = bucket.packs.clone();
    packs.extend(head.object.packs.iter().filter(|pack| !bucket.packs.contains(pack)).cloned());
    packs
}
