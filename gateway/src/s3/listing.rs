//! ListObjects v1 and v2: one use case, two documents; and how listings write keys.

use data_encoding::BASE64URL_NOPAD;
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    ObjectStorageClass, Owner,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::checksum;
use super::headers::{etag, length, timestamp};
use super::{Front, names};
use crate::objects::{ListObjects, ObjectPage, ObjectView};

/// Keys in one page, at the most; a client that asks for more gets these and a token.
const KEYS_MAX: i32 = 1000;

impl Front {
    pub(super) async fn list_v1(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let keys_max = keys_max(input.max_keys)?;
        let list = list(&input.bucket, input.prefix.clone(), input.delimiter.clone(), input.marker.clone(), keys_max)?;
        let page = self.page(&caller, list).await?;
        let text = Text::of(input.encoding_type.as_ref(), &page)?;
        let (contents, prefixes) = (&page.objects, &page.common_prefixes);
        // S3 gives NextMarker with a delimiter only; without one, clients go on from the last key.
        let grouped = input.delimiter.as_deref().is_some_and(|delimiter| !delimiter.is_empty());
        let owner = self.owner_of(&input.bucket).await?;
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(text.write(input.prefix.as_deref().unwrap_or_default())),
            marker: Some(text.write(input.marker.as_deref().unwrap_or_default())),
            max_keys: Some(keys_max),
            is_truncated: Some(page.next_after.is_some()),
            contents: some(contents.iter().map(|view| text.object(view, Some(owner.clone()))).collect()),
            common_prefixes: some(text.prefixes(prefixes)),
            delimiter: non_empty(input.delimiter).map(|delimiter| text.write(&delimiter)),
            next_marker: page.next_after.as_deref().filter(|_| grouped).map(|key| text.write(key)),
            encoding_type: text.encoding(),
            request_charged: None,
        }))
    }

    pub(super) async fn list_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let caller = names::caller(&request)?;
        let input = request.input;
        let keys_max = keys_max(input.max_keys)?;
        // An empty token begins at the beginning, and is told back.
        let after = match input.continuation_token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => Some(decode_token(token)?),
            None => input.start_after.clone(),
        };
        let list = list(&input.bucket, input.prefix.clone(), input.delimiter.clone(), after, keys_max)?;
        let page = self.page(&caller, list).await?;
        let text = Text::of(input.encoding_type.as_ref(), &page)?;
        let owner = match input.fetch_owner {
            Some(true) => Some(self.owner_of(&input.bucket).await?),
            _ => None,
        };
        let count = page.objects.len().saturating_add(page.common_prefixes.len());
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(text.write(input.prefix.as_deref().unwrap_or_default())),
            max_keys: Some(keys_max),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next_after.is_some()),
            next_continuation_token: page.next_after.as_deref().map(encode_token),
            contents: some(page.objects.iter().map(|view| text.object(view, owner.clone())).collect()),
            common_prefixes: some(text.prefixes(&page.common_prefixes)),
            delimiter: non_empty(input.delimiter).map(|delimiter| text.write(&delimiter)),
            encoding_type: text.encoding(),
            start_after: input.start_after.map(|key| text.write(&key)),
            request_charged: None,
        }))
    }

    async fn page(&self, caller: &crate::objects::Caller, list: ListObjects) -> S3Result<ObjectPage> {
        Ok(self.gateway.list_objects(caller, list).await?)
    }
}

fn list(
    bucket: &str,
    prefix: Option<String>,
    delimiter: Option<String>,
    after: Option<String>,
    keys_max: i32,
) -> S3Result<ListObjects> {
    Ok(ListObjects {
        bucket: names::bucket(bucket)?,
        prefix: prefix.unwrap_or_default(),
        delimiter: non_empty(delimiter),
        after: non_empty(after),
        keys_max: usize::try_from(keys_max).unwrap_or_default(),
    })
}

/// `max-keys`: up to 1,000; 0 is a page of nothing.
pub(super) fn keys_max(asked: Option<i32>) -> S3Result<i32> {
    match asked {
        Some(asked) if asked < 0 => {
            Err(S3Error::with_message(S3ErrorCode::InvalidArgument, "the size of a page must not be negative"))
        }
        asked => Ok(asked.unwrap_or(KEYS_MAX).min(KEYS_MAX)),
    }
}

pub(super) fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

pub(super) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// A continuation token: a version, then the key to go on after. Opaque to clients, and safe in a URL as it stands.
fn encode_token(after: &str) -> String {
    format!("1{}", BASE64URL_NOPAD.encode(after.as_bytes()))
}

fn decode_token(token: &str) -> S3Result<String> {
    let key = token.strip_prefix('1').and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
    key.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|key| !key.is_empty()).ok_or_else(|| {
        S3Error::with_message(S3ErrorCode::InvalidArgument, "the continuation token was not given out by this gateway")
    })
}

/// How a document writes keys: as they are, or URL-encoded.
pub(super) struct Text {
    url: bool,
}

impl Text {
    /// As the client asks. A page with a key that XML 1.0 cannot carry is URL-encoded unasked, and says so: one strange key
    /// must not make a bucket unlistable.
    fn of(asked: Option<&EncodingType>, page: &ObjectPage) -> S3Result<Self> {
        let keys = page.objects.iter().map(|view| view.key.as_str());
        let texts = keys.chain(page.common_prefixes.iter().map(String::as_str)).chain(page.next_after.as_deref());
        Self::asked(asked, texts)
    }

    /// The same, for any texts.
    pub(super) fn asked<'a>(asked: Option<&EncodingType>, mut texts: impl Iterator<Item = &'a str>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self { url: texts.any(names::needs_encoding) }),
            Some(EncodingType::URL) => Ok(Self { url: true }),
            Some(_) => Err(S3Error::with_message(S3ErrorCode::InvalidArgument, "the only encoding-type is url")),
        }
    }

    pub(super) fn write(&self, text: &str) -> String {
        if self.url { url_encode(text) } else { text.to_owned() }
    }

    pub(super) fn encoding(&self) -> Option<EncodingType> {
        self.url.then(|| EncodingType::from_static(EncodingType::URL))
    }

    pub(super) fn prefixes(&self, prefixes: &[String]) -> Vec<CommonPrefix> {
        prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(self.write(prefix)) }).collect()
    }

    fn object(&self, view: &ObjectView, owner: Option<Owner>) -> Object {
        Object {
            checksum_algorithm: view.checksum.as_ref().map(|c| vec![checksum::algorithm_dto(c.checksum.algorithm)]),
            checksum_type: view.checksum.as_ref().map(|c| checksum::type_dto(c.composite_parts.is_none())),
            e_tag: Some(etag(view.etag.clone())),
            key: Some(self.write(view.key.as_str())),
            last_modified: Some(timestamp(view.modified)),
            owner,
            restore_status: None,
            size: Some(length(view.size)),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        }
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986 and `/`. Space is `%20` and plus is `%2B`, which clients
/// that decode plus as space and clients that do not both read aright.
fn url_encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            // Writing into a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_url_encoded_so_that_a_plus_stays_a_plus() {
        assert_eq!(url_encode("a+b c/é%~"), "a%2Bb%20c/%C3%A9%25~");
    }

    #[test]
    fn a_key_that_xml_cannot_carry_is_encoded_unasked_and_said_so() {
        let page = |key: &str| ObjectPage { common_prefixes: vec![key.to_owned()], ..ObjectPage::default() };
        let plain = Text::of(None, &page("a\nb")).unwrap();
        assert!(plain.encoding().is_none());
        let strange = Text::of(None, &page("a\u{1}b")).unwrap();
        assert_eq!(strange.encoding().unwrap().as_str(), "url");
        assert_eq!(strange.write("a\u{1}b"), "a%01b");
        assert!(Text::of(Some(&EncodingType::from("gzip".to_owned())), &page("a")).is_err());
    }

    #[test]
    fn tokens_are_opaque_and_foreign_ones_are_refused() {
        let token = encode_token("a/b c");
        assert!(!token.contains("a/b"), "{token}");
        assert_eq!(decode_token(&token).unwrap(), "a/b c");
        for bad in ["", "1", "x", "1*", "2YQ"] {
            assert!(decode_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_hold_up_to_a_thousand_keys_and_zero_is_a_page_of_nothing() {
        assert_eq!(keys_max(None).unwrap(), 1000);
        assert_eq!(keys_max(Some(5000)).unwrap(), 1000);
        assert_eq!(keys_max(Some(0)).unwrap(), 0);
        assert!(keys_max(Some(-1)).is_err());
    }
}
