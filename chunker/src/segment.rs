//! A segment as the manifest knows it, and the context that binds its ciphertext to its place in an object.

use domicile_types::{CodeProfile, DataId, ShardCid, SuiteId, TenantId, UploadId};

use crate::derive::Fields;
use crate::layout::{LayoutError, SegmentLayout, TAG_BYTES, segment_bytes_max};
use crate::message::{COMMITMENT_BYTES, SALT_BYTES};

/// The part number of an object that was put whole. Parts of a multipart upload are 1 to 10,000.
pub const PART_WHOLE: u32 = 0;

/// The part that segments belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartContext {
    /// Whose data.
    pub tenant: TenantId,
    /// The bytes of one object version.
    pub data: DataId,
    /// The upload that wrote them.
    pub upload: UploadId,
    /// [`PART_WHOLE`], or the S3 part number.
    pub part: u32,
}

impl PartContext {
    /// The context of segment `segment` of this part, counted from zero.
    #[must_use]
    pub fn segment(&self, segment: u32) -> SegmentContext {
        SegmentContext { tenant: self.tenant.clone(), data: self.data, upload: self.upload, part: self.part, segment }
    }
}

/// The place of one segment: it opens nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentContext {
    /// Whose data.
    pub tenant: TenantId,
    /// The bytes of one object version.
    pub data: DataId,
    /// The upload that wrote them.
    pub upload: UploadId,
    /// [`PART_WHOLE`], or the S3 part number.
    pub part: u32,
    /// Position in the part, from zero.
    pub segment: u32,
}

impl SegmentContext {
    /// The C2SP context: fields "domicile/segment/1", tenant, data id, upload id, part, segment, suite.
    pub(crate) fn fields(&self, suite: SuiteId) -> Fields {
        Fields::new("domicile/segment/1")
            .with(self.tenant.as_str().as_bytes())
            .with(self.data.as_bytes())
            .with(self.upload.as_bytes())
            .with(&self.part.to_be_bytes())
            .with(&self.segment.to_be_bytes())
            .with(&[u8::from(suite)])
    }
}

/// What the manifest keeps of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Position in the part, from zero.
    pub index: u32,
    /// Plaintext length and code, hence where everything lies.
    pub layout: SegmentLayout,
    /// The cipher.
    pub suite: SuiteId,
    /// Random; the message's key derives from it.
    pub salt: [u8; SALT_BYTES],
    /// Proof of key and context, checked before any chunk is opened.
    pub commitment: [u8; COMMITMENT_BYTES],
    /// Tag of the empty final chunk of a full segment; zeros in others, whose final chunk lies in the shards.
    pub final_tag: [u8; TAG_BYTES],
    /// Names of the n shards by position; for whole copies (k = 1) the one name that all copies share.
    pub cids: Vec<ShardCid>,
}

impl SegmentRecord {
    /// The code of the segment.
    #[must_use]
    pub const fn profile(&self) -> CodeProfile {
        self.layout.profile()
    }

    /// Plaintext length.
    #[must_use]
    pub const fn plaintext_bytes(&self) -> usize {
        self.layout.plaintext_bytes()
    }

    /// Length of every shard.
    #[must_use]
    pub const fn shard_bytes(&self) -> usize {
        self.layout.shard_bytes()
    }

    /// The name of the shard at position `shard`, 0 to n-1.
    #[must_use]
    pub fn cid(&self, shard: usize) -> Option<ShardCid> {
        if shard >= self.profile().n() {
            return None;
        }
        let at = if self.profile().k() == 1 { 0 } else { shard };
        self.cids.get(at).copied()
    }

    /// How many names a record of `profile` keeps.
    pub(crate) const fn cids_kept(profile: CodeProfile) -> usize {
        if profile.k() == 1 { 1 } else { profile.n() }
    }
}

/// How a part of `bytes` is cut: every segment full but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    profile: CodeProfile,
    bytes: u64,
}

impl Cut {
    /// The cut of a part of `bytes` under `profile`.
    #[must_use]
    pub const fn new(profile: CodeProfile, bytes: u64) -> Self {
        Self { profile, bytes }
    }

    /// Plaintext of a full segment.
    #[must_use]
    pub const fn segment_bytes(&self) -> u64 {
        crate::layout::widen(segment_bytes_max(self.profile))
    }

    /// Number of segments; none when the part is empty.
    #[must_use]
    pub const fn segments(&self) -> u64 {
        self.bytes.div_ceil(self.segment_bytes())
    }

    /// The layout of segment `index`.
    pub fn layout(&self, index: u64) -> Result<SegmentLayout, LayoutError> {
        let start = index.saturating_mul(self.segment_bytes());
        let bytes = self.bytes.saturating_sub(start).min(self.segment_bytes());
        SegmentLayout::new(self.profile, usize::try_from(bytes).unwrap_or(0))
    }
}
