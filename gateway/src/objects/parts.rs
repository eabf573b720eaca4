//! Parts of a completed object: read by number, and listed by GetObjectAttributes.

use std::ops::Range;

use domicile_types::OperationKind;

use super::answer::{Attributes, PartView, StoredChecksum};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, GetObject};
use super::rows::{object_view, parts_count, shown_checksum};
use crate::catalog::{Body, ObjectHead, Part};

/// What a read brings of an object.
pub(super) struct Piece {
    /// The bytes.
    pub(super) range: Range<u64>,
    /// Whether that makes the answer partial.
    pub(super) partial: bool,
    /// Of a part that was asked for by its number.
    pub(super) checksum: Option<StoredChecksum>,
}

impl Gateway {
    /// The bytes that a read wants.
    pub(super) async fn piece(&self, request: &GetObject, head: &ObjectHead) -> Result<Piece, Error> {
        let size = head.object.size;
        match (request.part_number, request.range) {
            (Some(_), Some(_)) => {
                Err(Error::InvalidRequest("a range and a part number cannot be asked for together".to_owned()))
            }
            (Some(number), None) => self.part(head, number).await,
            (None, Some(range)) if request.conditions.range_is_meant(&head.object.etag, head.last_modified) => {
                Ok(Piece { range: range.resolve(size)?, partial: true, checksum: None })
            }
            (None, _) => Ok(Piece { range: 0..size, partial: false, checksum: None }),
        }
    }

    /// Part `number`. An object put whole is its own part 1.
    async fn part(&self, head: &ObjectHead, number: u32) -> Result<Piece, Error> {
        let whole = head.object.checksums.first().map(|checksum| shown_checksum(checksum, parts_count(head)));
        let absent = || Error::InvalidPart { part_number: number };
        if matches!(head.body, Body::Whole(_)) {
            let piece = Piece { range: 0..head.object.size, partial: true, checksum: whole };
            return if number == 1 { Ok(piece) } else { Err(absent()) };
        }
        let number = u16::try_from(number).map_err(|_| absent())?;
        let (start, part) = self.catalog.object_part(head, number).await?.ok_or_else(absent)?;
        let of_part = part.checksums.first().map(|checksum| shown_checksum(checksum, None).checksum);
        let checksum = whole
            .zip(of_part)
            .filter(|(whole, of_part)| whole.checksum.algorithm == of_part.algorithm)
            .map(|(whole, checksum)| StoredChecksum { checksum, composite_parts: whole.composite_parts });
        Ok(Piece { range: start..start + part.extent.bytes, partial: true, checksum })
    }

    /// What GetObjectAttributes tells, with at most `parts_max` of the parts after number `after`.
    pub async fn object_attributes(
        &self,
        caller: &Caller,
        request: &GetObject,
        after: u32,
        parts_max: usize,
    ) -> Result<Attributes, Error> {
        let (bucket, head) = self.object_row(caller, request, "s3:GetObjectAttributes").await?;
        let operation = OperationKind::HeadObject;
        settle(self.authorize_object(caller, operation, (&bucket, &head), &request.key).await?, true);
        self.try_key(caller, &caller.encryption.customer, &bucket, request, &head).await?;
        let after = u16::try_from(after).unwrap_or(u16::MAX);
        let (parts, truncated) = self.catalog.object_parts(&head, after, parts_max).await?;
        let object = object_view(&bucket, &request.key, &head);
        Ok(Attributes { object, parts: parts.into_iter().map(part_view).collect(), truncated })
    }
}

/// A part as clients are shown it.
pub(super) fn part_view(part: Part) -> PartView {
    PartView {
        part_number: u32::from(part.number),
        size: part.extent.bytes,
        checksum: part.checksums.first().map(|checksum| shown_checksum(checksum, None).checksum),
        etag: part.etag,
        modified: part.last_modified,
    }
}
