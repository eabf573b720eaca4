//! Segments: seal, code, hash, manifest; any range back from any k shards.
//!
//! *In scope*: C2SP chunked-encryption of segments, the erasure code, names of shards, data keys and how they are wrapped, the sealed
//! manifest, and plans that say which bytes of which shards a read needs. The bytes are specified in [`format`](mod@format).
//!
//! *Out of scope*: clocks, random numbers, disks, sockets (all are arguments or return values), nodes, permits, law.
//!
//! | to | take |
//! |---|---|
//! | store a part | [`Encoder`] -> [`CipherSegment::code`] -> [`SealedSegment`]; then [`Part::assemble`], [`seal_object`] or [`seal_part`] and [`seal_multipart`] |
//! | read a range | [`open_manifest`] -> [`Manifest::plan_read`] -> [`SegmentRead::shard_ranges`] -> [`open_chunks`] |
//! | read when shards are gone | [`SegmentRead::column`] of any k others -> [`reconstruct`] -> [`open_chunks`] |
//! | read when a chunk is forged | whole shards -> [`open_segment`], which finds the corrupt ones by name |
//! | repair | whole shards -> [`rebuild_shards`], without a key |
//! | keep a data key | [`RootKey::tenant_key`] -> [`TenantKey::bucket_key`] -> [`wrap_data_key`], [`unwrap_data_key`] |

mod buffer;
mod derive;
mod encoder;
mod erasure;
mod keys;
mod layout;
mod manifest;
mod message;
mod open;
mod plan;
mod read;
mod seal;
mod segment;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

pub use crate::buffer::{BufferPool, PooledBuffer};
pub use crate::encoder::{EncodeError, Encoder, EncoderConfig, SaltSeed};
pub use crate::erasure::{ReconstructError, reconstruct};
pub use crate::keys::{
    DataKey, KEY_BYTES, Kek, ObjectName, RootKey, SecondKey, TenantKey, UnwrapError, WRAPPED_KEY_BYTES, WrapContext,
    WrappedKey, XNONCE_BYTES, unwrap_data_key, wrap_data_key,
};
pub use crate::layout::{
    CHUNK_BYTES, CHUNKS_PER_SHARD, CODED_CHUNK_BYTES, LayoutError, SHARD_ALIGN_BYTES, SHARD_BYTES_MAX,
    SHARD_PLAINTEXT_BYTES, SegmentLayout, ShardRange, TAG_BYTES, WHOLE_COPY_BYTES_MAX, segment_bytes_max,
};
pub use crate::manifest::{
    Manifest, ManifestError, NewManifest, OBJECT_BYTES_MAX, PACKS_MAX, PARTS_MAX, PageName, Part, PartEntry, PartError,
    SEALED_VALUE_BYTES_MAX, SealId, SealedManifest, SealedPage, open_manifest, seal_multipart, seal_object, seal_part,
    segments_per_page,
};
pub use crate::open::{
    OpenError, SegmentOpener, ShardPiece, discard_corrupt, open_chunks, open_segment, rebuild_shards,
};
pub use crate::plan::{ReadError, ReadPlan, ReadStep};
pub use crate::read::SegmentRead;
pub use crate::seal::{CipherSegment, SealedSegment, seal_segment, sealed_bytes_max};
pub use crate::segment::{Cut, PART_WHOLE, PartContext, SegmentContext, SegmentRecord};
