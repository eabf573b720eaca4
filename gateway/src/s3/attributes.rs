//! GetObjectAttributes.

use s3s::dto::{
    Checksum as ChecksumDto, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
    ObjectAttributes, ObjectPart, StorageClass,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::checksum::{self, set_checksum};
use super::headers::{etag, length, timestamp};
use super::listing::{keys_max, some};
use super::object::version_id;
use super::{Front, names};
use crate::objects::{Attributes, GetObject, PartView, ReadConditions};

/// Every attribute that can be asked for.
const ATTRIBUTES: [&str; 5] = [
    ObjectAttributes::CHECKSUM,
    ObjectAttributes::ETAG,
    ObjectAttributes::OBJECT_PARTS,
    ObjectAttributes::OBJECT_SIZE,
    ObjectAttributes::STORAGE_CLASS,
];

impl Front {
    pub(super) async fn attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        // SDKs send one header with a list, or one header for each.
        let lists = input.object_attributes.iter().flat_map(|list| list.as_str().split(','));
        let asked: Vec<&str> = lists.map(str::trim).collect();
        if asked.iter().any(|attribute| !ATTRIBUTES.contains(attribute)) {
            return Err(invalid("Invalid attribute name specified."));
        }
        let wants = |name: &str| asked.contains(&name);
        let get = GetObject {
            bucket: names::bucket(&input.bucket)?,
            key: names::key(&input.key)?,
            version: names::version(input.version_id.as_deref())?,
            range: None,
            part_number: None,
            conditions: ReadConditions::default(),
        };
        let parts_max = keys_max(input.max_parts)?;
        let marker = input.part_number_marker.unwrap_or_default();
        let after = u32::try_from(marker).map_err(|_| invalid("part-number-marker must not be negative"))?;
        let limit = usize::try_from(parts_max).unwrap_or_default();
        let found = self.gateway.object_attributes(&caller, &get, after, limit).await?;
        let object = &found.object;
        let mut output = GetObjectAttributesOutput {
            last_modified: Some(timestamp(object.modified)),
            version_id: version_id(object),
            ..GetObjectAttributesOutput::default()
        };
        output.e_tag = wants(ObjectAttributes::ETAG).then(|| etag(object.etag.clone()));
        output.object_size = wants(ObjectAttributes::OBJECT_SIZE).then(|| length(object.size));
        output.storage_class =
            wants(ObjectAttributes::STORAGE_CLASS).then(|| StorageClass::from_static(StorageClass::STANDARD));
        if let Some(stored) = object.checksum.as_ref().filter(|_| wants(ObjectAttributes::CHECKSUM)) {
            let mut dto = ChecksumDto::default();
            set_checksum!(dto, stored.checksum.algorithm, checksum::stored_text(stored));
            dto.checksum_type = Some(checksum::type_dto(stored.composite_parts.is_none()));
            output.checksum = Some(dto);
        }
        if let Some(total) = object.parts_count.filter(|_| wants(ObjectAttributes::OBJECT_PARTS)) {
            output.object_parts = Some(parts(&found, total, marker, parts_max));
        }
        Ok(S3Response::new(output))
    }
}

fn parts(found: &Attributes, total: u32, marker: i32, parts_max: i32) -> GetObjectAttributesParts {
    let last = found.parts.last().and_then(|part| i32::try_from(part.part_number).ok());
    GetObjectAttributesParts {
        is_truncated: Some(found.truncated),
        max_parts: Some(parts_max),
        next_part_number_marker: last.filter(|_| found.truncated),
        part_number_marker: Some(marker),
        parts: some(found.parts.iter().map(part).collect()),
        total_parts_count: i32::try_from(total).ok(),
    }
}

fn part(view: &PartView) -> ObjectPart {
    let mut dto = ObjectPart {
        part_number: i32::try_from(view.part_number).ok(),
        size: Some(length(view.size)),
        ..ObjectPart::default()
    };
    if let Some(checksum) = &view.checksum {
        set_checksum!(dto, checksum.algorithm, checksum::text(checksum));
    }
    dto
}

fn invalid(message: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message.to_owned())
}
