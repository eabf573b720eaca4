//! One body, whole: from the client's bytes to durable shards and a pending extent, ready to be committed.
//!
//! PutObject, UploadPart and the writing half of a copy come through here. The order never changes: permit, intent, plan,
//! record of where shards will be, shards, and last (by the caller) the commit.

use domicile_chunker::{
    DataKey, EncoderConfig, Part, PartContext, SHARD_BYTES_MAX, SaltSeed, SealId, SegmentRecord, segment_bytes_max,
    segments_per_page,
};
use domicile_compliance::Permit;
use domicile_placement::{PlacementRequest, PlacementSeed, auto_profile};
use domicile_types::{Classification, CodeProfile, DataId, ObjectKey, OperationKind, OutcomeStatus, PackId, UploadId};

use super::authorize::{Matter, Scope, roster_facts};
use super::digest::Digested;
use super::error::Error;
use super::gateway::Gateway;
use super::intake::{BODY_BYTES_MAX, Intake, IntakeConfig, internal};
use super::request::{BodyStream, Caller, ExpectedDigests};
use super::sender::{SegmentSending, Whereabouts, too_few};
use crate::catalog::{Bucket, Extent, ExtentId, ExtentPage, JudgingEpoch, NewBody, Pending, Preconditions, Stamp};
use crate::fleet::Ticketed;

/// Segments that one intent covers. Longer bodies are judged and logged again, window by window.
const WINDOW_SEGMENTS: u64 = 64;

/// Where a body goes.
pub(super) struct Destination<'a> {
    /// Who sends it.
    pub(super) caller: &'a Caller,
    /// Into which bucket.
    pub(super) bucket: &'a Bucket,
    /// Under which key.
    pub(super) key: &'a ObjectKey,
    /// Whose rules it obeys: the bucket's, and for a copy its source's as well.
    pub(super) packs: &'a [PackId],
    /// What it is.
    pub(super) classification: &'a Classification,
    /// PutObject, UploadPart or CopyObject.
    pub(super) operation: OperationKind,
    /// What its shards are stored under.
    pub(super) data: DataId,
    /// Its upload.
    pub(super) upload: UploadId,
    /// Its part number; zero for a body put whole.
    pub(super) part: u16,
    /// Its key.
    pub(super) data_key: &'a DataKey,
    /// Conditions on the object that is there now; for a body put whole.
    pub(super) conditions: &'a Preconditions,
}

/// A body whose shards are durable.
pub(super) struct Written {
    /// Its pending row.
    pub(super) pending: Pending,
    /// Its shape.
    pub(super) extent: Extent,
    /// Its manifest, unsealed.
    pub(super) part: Part,
    /// Where its shards are, page by page.
    pub(super) pages: Vec<ExtentPage>,
    /// Its digests, all claims checked.
    pub(super) digested: Digested,
    /// By what its first segments were placed: what the commit must find in force, or all is judged again.
    pub(super) judged: JudgingEpoch,
    /// The last window's intent: finished by the caller once the commit is known.
    pub(super) ticketed: Ticketed,
}

/// How long a body is and what it must hash to.
pub(super) struct Incoming {
    /// The bytes.
    pub(super) body: BodyStream,
    /// Decoded length, where declared.
    pub(super) content_length: Option<u64>,
    /// Claims.
    pub(super) expected: ExpectedDigests,
}

impl Gateway {
    /// Stores a body. On error nothing is left but garbage that the sweeper knows of.
    pub(super) async fn write_body(&self, to: &Destination<'_>, incoming: Incoming) -> Result<Written, Error> {
        if let Some(length) = incoming.content_length.filter(|length| *length > BODY_BYTES_MAX) {
            tracing::debug!(length, "body over the limit");
            return Err(Error::EntityTooLarge { limit: BODY_BYTES_MAX });
        }
        let mut writer = Writer::open(self, to, incoming.content_length).await?;
        let encoder = EncoderConfig {
            context: PartContext {
                tenant: to.bucket.owner.clone(),
                data: to.data,
                upload: to.upload,
                part: u32::from(to.part),
            },
            suite: writer.permit.suite(),
            profile: writer.profile,
            bytes_expected: incoming.content_length,
            pool: self.pool.clone(),
        };
        let config = IntakeConfig {
            encoder,
            salts: SaltSeed::from_random(self.clock.random()),
            content_length: incoming.content_length,
            expected: incoming.expected,
            buffers: std::sync::Arc::clone(&self.buffers),
        };
        let mut intake = Intake::start(to.data_key, config, incoming.body);
        let written = async {
            while let Some(sealed) = intake.next().await {
                writer.store(&sealed.segment).await?;
                drop(sealed.room);
            }
            let digested = intake.finish().await?;
            writer.begin_if_not_begun().await?;
            Ok::<_, Error>(digested)
        };
        match written.await {
            Ok(digested) => writer.finish(digested),
            Err(error) => {
                writer.abandon().await;
                Err(error)
            }
        }
    }
}

/// A body being written.
struct Writer<'a> {
    gateway: &'a Gateway,
    to: &'a Destination<'a>,
    permit: Permit,
    /// By what the first segments were placed.
    judged: JudgingEpoch,
    /// By what the next one is placed.
    window_judged: JudgingEpoch,
    ticketed: Ticketed,
    window_left: u64,
    profile: CodeProfile,
    extent: ExtentId,
    pending: Option<Pending>,
    records: Vec<SegmentRecord>,
    pages: Vec<ExtentPage>,
}

impl<'a> Writer<'a> {
    async fn open(gateway: &'a Gateway, to: &'a Destination<'a>, length: Option<u64>) -> Result<Self, Error> {
        // Read before the question is asked: at worst, what was judged by the new law is judged by it again.
        let judged = gateway.judging.law().epoch;
        let matter = matter(gateway, to);
        let permit = gateway.permit(to.caller, &matter).await?;
        let profile = profile(gateway, to, &permit)?;
        let segment_bytes = u64::try_from(segment_bytes_max(profile)).unwrap_or(u64::MAX);
        let segments =
            length.map_or(WINDOW_SEGMENTS, |length| length.div_ceil(segment_bytes)).clamp(1, WINDOW_SEGMENTS);
        let ticketed = window(gateway, to, &matter, &permit, segments).await?;
        Ok(Self {
            gateway,
            to,
            permit,
            judged,
            window_judged: judged,
            ticketed,
            window_left: segments,
            profile,
            extent: ExtentId::from_bytes(gateway.clock.random()),
            pending: None,
            records: Vec::new(),
            pages: Vec::new(),
        })
    }

    /// Stores one segment: all its shards are durable when this returns.
    async fn store(&mut self, sealed: &domicile_chunker::SealedSegment) -> Result<(), Error> {
        if self.window_left == 0 || self.ticket_ends_soon() || self.law_has_changed() {
            self.next_window().await?;
        }
        self.window_left -= 1;
        let address = (self.to.data, u32::from(self.to.part));
        let mut noted = (self.note_segment(), 0);
        let mut sending = SegmentSending::plan(self.gateway, &self.permit, self.profile, address, sealed)?;
        loop {
            noted.1 = note_whereabouts(&mut self.pages, noted, sending.whereabouts());
            record_page(self.gateway, self.to, self.extent, &mut self.pending, &self.pages).await?;
            if sending.send(&self.ticketed).await? {
                break;
            }
        }
        self.records.push(sealed.record.clone());
        Ok(())
    }

    /// Makes room for one more segment in the pages and returns its index on the last of them.
    fn note_segment(&mut self) -> usize {
        let per_page = usize::from(segments_per_page(self.profile));
        if self.pages.last().is_none_or(|page| page.segments.len() >= per_page) {
            self.pages.push(ExtentPage::default());
        }
        let page = self.pages.last_mut();
        page.map_or(0, |page| {
            page.segments.push(Vec::new());
            page.segments.len() - 1
        })
    }

    fn ticket_ends_soon(&self) -> bool {
        let margin_millis = self.gateway.config.limits.ticket_seconds.saturating_mul(1000) / 4;
        self.gateway.clock.now().plus_millis(margin_millis) >= self.ticketed.intent().intent().expires
    }

    /// Whether a shard could go where it may not go any more, by what is known since the window began.
    fn law_has_changed(&self) -> bool {
        self.gateway.judging.law().epoch != self.window_judged
    }

    /// Asks the law again and logs the next window: no segment is sent by rules or places that are out of force.
    async fn next_window(&mut self) -> Result<(), Error> {
        let judged = self.gateway.judging.law().epoch;
        let matter = matter(self.gateway, self.to);
        let permit = self.gateway.permit(self.to.caller, &matter).await?;
        let next = window(self.gateway, self.to, &matter, &permit, WINDOW_SEGMENTS).await?;
        let done = std::mem::replace(&mut self.ticketed, next);
        drop(done.finish(OutcomeStatus::Completed, self.plaintext_bytes(), 0));
        self.permit = permit;
        self.window_judged = judged;
        self.window_left = WINDOW_SEGMENTS;
        Ok(())
    }

    fn plaintext_bytes(&self) -> u64 {
        self.records.iter().map(|record| u64::try_from(record.plaintext_bytes()).unwrap_or(u64::MAX)).sum()
    }

    /// An empty body has no segment that began it.
    async fn begin_if_not_begun(&mut self) -> Result<(), Error> {
        if self.pending.is_none() {
            record_page(self.gateway, self.to, self.extent, &mut self.pending, &self.pages).await?;
        }
        Ok(())
    }

    fn finish(self, digested: Digested) -> Result<Written, Error> {
        let pending = self.pending.ok_or_else(|| Error::Unavailable("the upload was not begun".to_owned()))?;
        let part = Part::assemble(u32::from(self.to.part), self.records, seal_id(self.extent))
            .map_err(|source| internal("assembling the manifest", source))?;
        let entry = part.entry();
        let segment_bytes = entry.cut().segment_bytes();
        let extent = Extent {
            id: self.extent,
            bytes: entry.bytes(),
            segment_bytes: u32::try_from(segment_bytes).unwrap_or(u32::MAX),
            segments_per_page: segments_per_page(entry.profile()),
            profile: entry.profile(),
        };
        let (pages, judged, ticketed) = (self.pages, self.judged, self.ticketed);
        Ok(Written { pending, extent, part, pages, digested, judged, ticketed })
    }

    /// Leaves what was sent to the sweeper. Whatever fails here, the pending row is found after the next start.
    async fn abandon(self) {
        let bytes = self.plaintext_bytes();
        if let Some(pending) = &self.pending {
            let stamp = stamp(self.gateway, self.to.caller);
            if let Err(error) = self.gateway.catalog.abandon(stamp, pending).await {
                tracing::warn!(request_id = %self.to.caller.request, %error, "an upload could not be abandoned");
            }
        }
        drop(self.ticketed.finish(OutcomeStatus::Aborted, bytes, 0));
    }
}

/// The name of the sealing of an extent's pages: the extent's own random bytes. Extents are drawn anew for every attempt, so
/// no name is used for two sealings.
pub(super) fn seal_id(extent: ExtentId) -> SealId {
    let mut bytes = [0; SealId::BYTES];
    for (to, from) in bytes.iter_mut().zip(extent.as_bytes()) {
        *to = *from;
    }
    SealId::from_random(bytes)
}

/// The time and request that a change of the catalog is made under.
pub(super) fn stamp(gateway: &Gateway, caller: &Caller) -> Stamp {
    Stamp { now: gateway.clock.now(), request: caller.request }
}

pub(super) fn matter<'a>(gateway: &Gateway, to: &'a Destination<'_>) -> Matter<'a> {
    Matter {
        operation: to.operation,
        packs: to.packs,
        classification: to.classification,
        bucket: Some(&to.bucket.name),
        key: Some(to.key.as_str()),
        nodes: roster_facts(&gateway.directory.roster()),
    }
}

/// The region's code, or the widest that the permitted controllers allow. Settled once per body.
fn profile(gateway: &Gateway, to: &Destination<'_>, permit: &Permit) -> Result<CodeProfile, Error> {
    if let Some(profile) = gateway.config.region(&to.bucket.region).and_then(|region| region.profile) {
        return Ok(profile);
    }
    let seed = PlacementSeed::of_segment(&to.data, u32::from(to.part), 0);
    let request = PlacementRequest::new(None, seed, u64::try_from(SHARD_BYTES_MAX).unwrap_or(u64::MAX));
    auto_profile(&gateway.directory.roster(), permit, &request).map_err(|refusal| too_few(&refusal, permit))
}

async fn window(
    gateway: &Gateway,
    to: &Destination<'_>,
    matter: &Matter<'_>,
    permit: &Permit,
    segments: u64,
) -> Result<Ticketed, Error> {
    // One shard of a segment lies at a node, and a put that failed there is tried elsewhere.
    let shard_bytes = u64::try_from(SHARD_BYTES_MAX).unwrap_or(u64::MAX);
    let node_bytes_max = segments.saturating_mul(shard_bytes);
    let scope = Scope { data: Some(to.data), node_bytes_max, ..Scope::default() };
    let intent = gateway.intend(to.caller, matter, permit, scope).await?;
    Ticketed::new(intent).ok_or_else(|| Error::Unavailable("the ticket does not fit a header".to_owned()))
}

/// Writes what is known of a segment's whereabouts into the last page. `noted` is the segment's index on it, and how many of
/// its strays the page has already; returns the new count.
fn note_whereabouts(pages: &mut [ExtentPage], noted: (usize, usize), whereabouts: &Whereabouts) -> usize {
    let (segment, strays) = noted;
    if let Some(page) = pages.last_mut() {
        if let Some(shards) = page.segments.get_mut(segment) {
            shards.clone_from(&whereabouts.shards);
        }
        page.strays.extend(whereabouts.strays.iter().skip(strays));
    }
    whereabouts.strays.len()
}

/// Records the last page, and begins the body with it where it has not begun.
async fn record_page(
    gateway: &Gateway,
    to: &Destination<'_>,
    extent: ExtentId,
    pending: &mut Option<Pending>,
    pages: &[ExtentPage],
) -> Result<(), Error> {
    let last = pages.last().map(|page| (u32::try_from(pages.len() - 1).unwrap_or(u32::MAX), page.clone()));
    let pages: Vec<_> = last.into_iter().collect();
    if let Some(pending) = pending {
        return Ok(gateway.catalog.record_pages(pending, pages).await?);
    }
    let body = NewBody { extent, data: to.data, upload: to.upload, pages };
    let stamp = stamp(gateway, to.caller);
    let begun = match to.part {
        0 => gateway.catalog.begin_put(stamp, to.bucket, to.key, body, to.conditions).await?,
        part => gateway.catalog.begin_part(stamp, to.bucket, to.key, part, body).await?,
    };
    *pending = Some(begun);
    Ok(())
}
