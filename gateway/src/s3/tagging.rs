//! Tags of buckets and objects, and the `x-amz-tagging` header.

use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeleteObjectTaggingInput, DeleteObjectTaggingOutput,
    GetBucketTaggingInput, GetBucketTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutBucketTaggingInput, PutBucketTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag, TagSet,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::Front;
use super::names;
use crate::objects::{GetObject, ReadConditions, Tags};

/// Tags of an object (Amazon S3's user guide, "Categorizing your objects using tags").
pub(super) const OBJECT_TAGS_MAX: usize = 10;
/// Tags of a bucket.
pub(super) const BUCKET_TAGS_MAX: usize = 50;
/// Characters of a tag's key.
const KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
const VALUE_CHARS_MAX: usize = 256;

impl Front {
    pub(super) async fn tags_of_bucket(
        &self,
        request: S3Request<GetBucketTaggingInput>,
    ) -> S3Result<S3Response<GetBucketTaggingOutput>> {
        let caller = names::caller(&request)?;
        let tags = self.gateway.bucket_tags(&caller, &names::bucket(&request.input.bucket)?).await?;
        Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tag_set(tags) }))
    }

    pub(super) async fn tag_bucket(
        &self,
        request: S3Request<PutBucketTaggingInput>,
    ) -> S3Result<S3Response<PutBucketTaggingOutput>> {
        let caller = names::caller(&request)?;
        let tags = from_set(request.input.tagging.tag_set, BUCKET_TAGS_MAX)?;
        self.gateway.set_bucket_tags(&caller, &names::bucket(&request.input.bucket)?, tags).await?;
        let mut response = S3Response::new(PutBucketTaggingOutput::default());
        response.status = Some(http::StatusCode::NO_CONTENT);
        Ok(response)
    }

    pub(super) async fn untag_bucket(
        &self,
        request: S3Request<DeleteBucketTaggingInput>,
    ) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
        let caller = names::caller(&request)?;
        self.gateway.set_bucket_tags(&caller, &names::bucket(&request.input.bucket)?, Tags::new()).await?;
        Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
    }

    pub(super) async fn tags_of_object(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        let (tags, version) = self.gateway.object_tags(&caller, &object).await?;
        let version_id = version.map(|version| version.to_string());
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set: tag_set(tags), version_id }))
    }

    pub(super) async fn tag_object(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let tags = from_set(input.tagging.tag_set, OBJECT_TAGS_MAX)?;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        let version = self.gateway.set_object_tags(&caller, &object, tags).await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id: version.map(|version| version.to_string()) }))
    }

    pub(super) async fn untag_object(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let object = object(&input.bucket, &input.key, input.version_id)?;
        let version = self.gateway.remove_object_tags(&caller, &object).await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: version.map(|version| version.to_string()) }))
    }
}

/// The version that a question about no bytes names.
pub(super) fn object(bucket: &str, key: &str, version: Option<String>) -> S3Result<GetObject> {
    Ok(GetObject {
        bucket: names::bucket(bucket)?,
        key: names::key(key)?,
        version: names::version(version.as_deref())?,
        range: None,
        part_number: None,
        conditions: ReadConditions::default(),
    })
}

fn tag_set(tags: Tags) -> TagSet {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

/// The tags of a document.
pub(super) fn from_set(set: TagSet, tags_max: usize) -> S3Result<Tags> {
    let pairs = set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
    collect(pairs, tags_max)
}

/// The tags of an `x-amz-tagging` header: `key=value` joined by `&`, URL-encoded.
pub(super) fn from_header(header: Option<&str>) -> S3Result<Tags> {
    let pairs = url::form_urlencoded::parse(header.unwrap_or_default().as_bytes());
    collect(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())), OBJECT_TAGS_MAX)
}

fn collect(pairs: impl Iterator<Item = (String, String)>, tags_max: usize) -> S3Result<Tags> {
    let invalid = |message: String| S3Error::with_message(S3ErrorCode::InvalidTag, message);
    let mut tags = Tags::new();
    for (key, value) in pairs {
        if !(1..=KEY_CHARS_MAX).contains(&key.chars().count()) || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(format!(
                "a tag's key has 1 to {KEY_CHARS_MAX} characters and does not begin with aws:"
            )));
        }
        if value.chars().count() > VALUE_CHARS_MAX {
            return Err(invalid(format!("a tag's value has at most {VALUE_CHARS_MAX} characters")));
        }
        if tags.insert(key, value).is_some() {
            return Err(invalid("a tag's key is given twice".to_owned()));
        }
        if tags.len() > tags_max {
            return Err(invalid(format!("there may be at most {tags_max} tags")));
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tagging_header_is_url_decoded() {
        let tags = from_header(Some("domicile%3Aclass=personal+data&a=b%2Bc&empty=")).unwrap();
        let expected = [("a", "b+c"), ("domicile:class", "personal data"), ("empty", "")];
        assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert!(from_header(None).unwrap().is_empty());
    }

    #[test]
    fn tags_have_limits_in_number_and_length() {
        let pairs = |n: usize| (0..n).map(|i| (format!("k{i}"), String::new()));
        assert!(collect(pairs(10), OBJECT_TAGS_MAX).is_ok());
        assert_eq!(collect(pairs(11), OBJECT_TAGS_MAX).unwrap_err().code(), &S3ErrorCode::InvalidTag);
        let one = |key: &str, value: &str| collect([(key.to_owned(), value.to_owned())].into_iter(), OBJECT_TAGS_MAX);
        assert!(one(&"k".repeat(128), &"v".repeat(256)).is_ok());
        for (key, value) in
            [("k".repeat(129), String::new()), ("k".to_owned(), "v".repeat(257)), (String::new(), String::new())]
        {
            assert_eq!(one(&key, &value).unwrap_err().code(), &S3ErrorCode::InvalidTag);
        }
        assert_eq!(one("AWS:x", "").unwrap_err().code(), &S3ErrorCode::InvalidTag);
    }

    #[test]
    fn a_key_given_twice_is_an_invalid_tag() {
        assert_eq!(from_header(Some("a=1&a=2")).unwrap_err().code(), &S3ErrorCode::InvalidTag);
    }
}
