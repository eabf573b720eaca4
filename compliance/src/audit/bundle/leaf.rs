//! What a check needs of an entry: read without building the whole record, for there may be millions.

use std::borrow::Cow;

use domicile_types::{Commitment, UnixMillis};
use serde::Deserialize;

/// An entry, as far as bundles and replays look at it.
#[derive(Deserialize)]
pub(in crate::audit) struct Leaf<'a> {
    pub(in crate::audit) time: UnixMillis,
    #[serde(borrow)]
    pub(in crate::audit) kind: Cow<'a, str>,
    #[serde(default)]
    pub(in crate::audit) bucket: Option<Commitment>,
    #[serde(borrow, default)]
    pub(in crate::audit) decision: Option<LeafDecision<'a>>,
}

/// What a decision stands on.
#[derive(Deserialize)]
pub(in crate::audit) struct LeafDecision<'a> {
    #[serde(borrow)]
    pub(in crate::audit) inputs: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::audit) packs: Vec<LeafPack<'a>>,
}

/// One pack of a decision.
#[derive(Deserialize)]
pub(in crate::audit) struct LeafPack<'a> {
    #[serde(borrow)]
    pub(in crate::audit) pack: Cow<'a, str>,
    #[serde(borrow)]
    pub(in crate::audit) hash: Cow<'a, str>,
}

impl<'a> Leaf<'a> {
    pub(in crate::audit) fn parse(leaf: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(leaf)
    }

    /// Whether a bundle about `bucket` is about this entry; one about no bucket in particular is about every entry.
    pub(in crate::audit) fn is_about(&self, bucket: Option<&[Commitment]>) -> bool {
        bucket.is_none_or(|bucket| self.bucket.is_some_and(|commitment| bucket.contains(&commitment)))
    }
}
