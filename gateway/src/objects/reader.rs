//! Objects on their way out: a range becomes shard ranges, shard ranges become plaintext, window by window.
//!
//! A healthy read asks the nodes for exactly the chunks that the range touches and decodes nothing. When a node fails, the
//! same columns of any `k` other shards replace what it holds; when bytes do not authenticate, whole shards are fetched and
//! checked by name, so that the culprit is known and reported. Either way the wider read has an intent of its own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use domicile_chunker::{DataKey, Manifest, PageName, ReadStep, SegmentRead, open_manifest};
use domicile_compliance::Permit;
use domicile_types::{NodeId, ObjectKey, OperationKind, OutcomeStatus, PackId};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::authorize::{Matter, Scope};
use super::customer_key::CustomerClaims;
use super::error::Error;
use super::fetch::{Fetch, Placed};
use super::gateway::Gateway;
use super::grounds::{Reserved, Taking};
use super::intake::internal;
use super::request::{BodyError, BodyStream, Caller};
use super::rows::split_manifest_head;
use super::writer::seal_id;
use crate::catalog::{Body, Bucket, Extent, ExtentId, ExtentPage, ObjectHead, PageAt};
use crate::fleet::Ticketed;
use crate::keys::KeyOwner;

/// Plaintext that one intent covers. Longer reads are judged and logged again, window by window.
const WINDOW_BYTES: u64 = 256 << 20;
/// Segments that are fetched ahead of the client.
const SEGMENTS_AHEAD: usize = 2;

/// Whose object is read, by whom, and as part of what.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) caller: Caller,
    /// GetObject, or CopyObject for the reading half of a copy.
    pub(super) operation: OperationKind,
    pub(super) bucket: Bucket,
    pub(super) key: ObjectKey,
    /// The bucket's packs with those that the object brought along.
    pub(super) packs: Vec<PackId>,
    pub(super) head: ObjectHead,
}

impl Reading {
    /// What the request says of the key that this object is encrypted with.
    fn claims(&self) -> &CustomerClaims {
        match self.operation {
            OperationKind::CopyObject => &self.caller.encryption.source,
            _ => &self.caller.encryption.customer,
        }
    }
}

/// An object whose manifest is open.
struct OpenObject {
    gateway: Gateway,
    reading: Reading,
    data_key: Arc<DataKey>,
    /// None for an empty object, which has no segments.
    manifest: Option<Arc<Manifest>>,
    /// Of a multipart object: the head of its manifest, then the tables of its parts.
    root: Vec<Bytes>,
    /// The parts that the range touches, by number; 0 for a body put whole.
    extents: BTreeMap<u32, Extent>,
    pages: BTreeMap<(ExtentId, u32), Arc<ExtentPage>>,
}

/// One window, decided and logged, ready to be fetched.
struct Window {
    fetches: Vec<Placed>,
    permit: Permit,
    ticketed: Option<Ticketed>,
    range: Range<u64>,
    /// Room that was taken for it, where it is an export.
    reserved: Option<Reserved>,
}

impl Gateway {
    /// Begins to read `range` of an object. The first window is decided and logged when this returns, so that a refusal is an
    /// answer and not a broken body.
    pub(super) async fn read_object(&self, reading: Reading, range: Range<u64>) -> Result<BodyStream, Error> {
        let mut object = OpenObject::open(self.clone(), reading, &range).await?;
        let end = range.end;
        let first = object.window(window_at(range.start, end)).await?;
        let (to, body) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut window = first;
            loop {
                // The whole range, or as far as the window was let go.
                let Some(at) = object.deliver(window, &to).await.filter(|at| *at < end) else { return };
                window = match object.window(window_at(at, end)).await {
                    Ok(window) => window,
                    Err(error) => {
                        let _ = to.send(Err(BodyError::Unreadable(Box::new(error)))).await;
                        return;
                    }
                };
            }
        });
        Ok(Box::pin(ReceiverStream::new(body)))
    }
}

/// The window that begins at `from`. That of an empty range is empty: its read is decided and logged, too.
fn window_at(from: u64, end: u64) -> Range<u64> {
    from..from.saturating_add(WINDOW_BYTES).min(end)
}

impl OpenObject {
    async fn open(gateway: Gateway, reading: Reading, range: &Range<u64>) -> Result<Self, Error> {
        let wrapping = gateway.wrapping(&reading.head.object.protection.encryption, reading.claims())?;
        let version = version_of(&reading.head);
        let data_key = gateway.data_key(&owner(&reading, &version), &wrapping, &reading.head.object.wrapped_key)?;
        let spans = gateway.catalog.spans(&reading.head, range.clone()).await?;
        let extents = spans.into_iter().map(|span| (u32::from(span.part), span.extent)).collect();
        let root = gateway.catalog.manifest_root(&reading.head).await?;
        let data_key = Arc::new(data_key);
        let mut object = Self { gateway, reading, data_key, manifest: None, root, extents, pages: BTreeMap::new() };
        object.manifest = object.open_manifest().await?.map(Arc::new);
        Ok(object)
    }

    async fn open_manifest(&mut self) -> Result<Option<Manifest>, Error> {
        let head = match &self.reading.head.body {
            _ if self.reading.head.object.size == 0 => return Ok(None),
            Body::Parts(_) => self.root.first().cloned(),
            Body::Whole(extent) => {
                let extent = extent.clone();
                split_manifest_head(&self.page(&extent, 0).await?.sealed).map(|(head, _)| head)
            }
        };
        let head = head.ok_or_else(|| missing("the head of the manifest"))?;
        let version = version_of(&self.reading.head);
        let owner = owner(&self.reading, &version);
        // A copy that shares its body shares the manifest, which bears the name of the first.
        let manifest = match &self.reading.head.sealed_as {
            None => open_manifest(&self.data_key, &owner.name(), &head),
            Some(first) => {
                let key =
                    ObjectKey::parse(&first.key).map_err(|source| internal("reading a manifest's name", source))?;
                let version = first.upload.to_string();
                let first = KeyOwner { bucket: &first.bucket, key: &key, version: &version, ..owner };
                open_manifest(&self.data_key, &first.name(), &head)
            }
        };
        manifest.map(Some).map_err(|source| internal("opening the manifest", source))
    }

    /// Plans a window down to the bytes of every shard, asks the law about those who hold them, and logs the intent. An export
    /// for which quotas leave less than all of it ends where they end.
    async fn window(&mut self, mut range: Range<u64>) -> Result<Window, Error> {
        let (gateway, reading) = (self.gateway.clone(), self.reading.clone());
        let mut fetches = self.plan(&range).await?;
        let roster = self.gateway.directory.roster();
        let holders = fetches.iter().flat_map(|placed| placed.holders.iter().copied());
        let holders: std::collections::BTreeSet<NodeId> = holders.collect();
        let matter = Matter {
            operation: reading.operation,
            packs: &reading.packs,
            classification: &reading.head.object.classification,
            bucket: Some(&reading.bucket.name),
            key: Some(reading.key.as_str()),
            nodes: holders.iter().filter_map(|node| roster.get(node)).map(|record| record.facts()).collect(),
        };
        let taking = Taking { data: reading.head.data, bytes: range.end - range.start };
        let (permit, reserved) = match reading.operation {
            OperationKind::GetObject => gateway.permit_taking(&reading.caller, &matter, taking).await?,
            // Bytes of a copy stay in the gateway: nobody is handed any.
            _ => (gateway.permit(&reading.caller, &matter).await?, None),
        };
        let granted = reserved.as_ref().map_or(taking.bytes, Reserved::bytes);
        if granted < taking.bytes {
            range.end = range.start + granted;
            fetches = self.plan(&range).await?;
        }
        let mut budget: BTreeMap<NodeId, u64> = BTreeMap::new();
        for placed in &fetches {
            placed.add_to_budget(&mut budget);
        }
        let scope = Scope {
            data: Some(reading.head.data),
            range: Some((range.start, range.end)),
            node_bytes_max: budget.values().copied().max().unwrap_or(0),
            ..Scope::default()
        };
        let charge = match &reserved {
            Some(reserved) => Some(reserved.charge.clone()),
            None => gateway.charge_of_query(reading.operation, permit.decision()),
        };
        let intent = gateway.intend_charged(&reading.caller, &matter, &permit, scope, charge).await?;
        Ok(Window { fetches, permit, ticketed: Ticketed::new(intent), range, reserved })
    }

    /// Which bytes of which shards, and who holds them.
    async fn plan(&mut self, range: &Range<u64>) -> Result<Vec<Placed>, Error> {
        let unreadable = |source| internal("planning the read", source);
        let Some(manifest) = &self.manifest else { return Ok(Vec::new()) };
        let mut plan = manifest.plan_read(range.clone()).map_err(unreadable)?;
        let mut fetches = Vec::new();
        loop {
            match plan.step().map_err(unreadable)? {
                ReadStep::Done => return Ok(fetches),
                ReadStep::Page(name) => {
                    let sealed = self.manifest_page(&name).await?;
                    plan.supply(&self.data_key, name, &sealed).map_err(unreadable)?;
                }
                ReadStep::Segment(read) => {
                    let (at, holders) = self.holders(&read).await?;
                    fetches.push(Placed { read, at, holders });
                }
            }
        }
    }

    /// A page of the manifest: of an extent's records, or of a multipart object's table of parts.
    async fn manifest_page(&mut self, name: &PageName) -> Result<Bytes, Error> {
        let extent = self.extents.values().find(|extent| seal_id(extent.id) == name.seal).cloned();
        match extent {
            Some(extent) => {
                let sealed = self.page(&extent, name.page).await?.sealed.clone();
                if name.page > 0 || !matches!(self.reading.head.body, Body::Whole(_)) {
                    return Ok(sealed);
                }
                split_manifest_head(&sealed).map(|(_, page)| page).ok_or_else(|| missing("the head of the manifest"))
            }
            None => {
                let piece = usize::try_from(name.page).unwrap_or(usize::MAX).saturating_add(1);
                self.root.get(piece).cloned().ok_or_else(|| missing("a page of the manifest"))
            }
        }
    }

    /// On which page the segment stands, and who holds each of its shards, by index.
    async fn holders(&mut self, read: &SegmentRead) -> Result<(PageAt, Vec<NodeId>), Error> {
        let extent = self.extents.get(&read.context().part).cloned();
        let extent = extent.ok_or_else(|| missing("an extent of the object"))?;
        let per_page = u32::from(extent.segments_per_page.max(1));
        let segment = read.context().segment;
        let page = self.page(&extent, segment / per_page).await?;
        let at = usize::try_from(segment % per_page).unwrap_or(usize::MAX);
        let shards = page.segments.get(at).ok_or_else(|| missing("a segment of the extent"))?;
        let at = PageAt { extent: extent.id, page: segment / per_page };
        Ok((at, shards.iter().map(|shard| shard.node).collect()))
    }

    async fn page(&mut self, extent: &Extent, page: u32) -> Result<Arc<ExtentPage>, Error> {
        if let Some(page) = self.pages.get(&(extent.id, page)) {
            return Ok(Arc::clone(page));
        }
        let loaded = self.gateway.catalog.extent_pages(extent, page..page.saturating_add(1)).await?;
        let loaded = Arc::new(loaded.into_iter().next().ok_or_else(|| missing("a page of the extent"))?);
        // Reads go forward: the pages of other extents, and all but the latest of this one, are not asked for again.
        self.pages.retain(|(kept, number), _| *kept == extent.id && number.saturating_add(2) > page);
        self.pages.insert((extent.id, page), Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Fetches a window's segments, a few ahead, and hands them to the client in order. Returns where the read goes on, if it is
    /// judged again; `None`: the client left, or the read failed. A window whose approval is ended ends before its next
    /// segment.
    async fn deliver(&self, window: Window, to: &mpsc::Sender<Result<Bytes, BodyError>>) -> Option<u64> {
        let Window { fetches, permit, ticketed, range, reserved } = window;
        let Some(ticketed) = ticketed else { return Some(range.end) };
        let approvals = reserved.as_ref().map_or_else(Vec::new, |reserved| reserved.approvals().to_vec());
        let begun = reserved.map(Reserved::begin);
        let mut is_stopped = false;
        let fetch = Fetch {
            gateway: &self.gateway,
            reading: &self.reading,
            data_key: &self.data_key,
            permit: &permit,
            ticketed: &ticketed,
        };
        let mut sent = 0;
        let mut outcome = OutcomeStatus::Completed;
        {
            // Boxed: the compiler cannot name a stream of borrowing futures within a spawned task.
            let segments: Vec<_> = fetches.iter().map(|placed| fetch.segment(placed).boxed()).collect();
            let mut segments = futures::stream::iter(segments).buffered(SEGMENTS_AHEAD);
            while let Some(segment) = segments.next().await {
                let before = sent;
                let item = match segment {
                    Ok(plaintext) => {
                        sent += u64::try_from(plaintext.len()).unwrap_or(u64::MAX);
                        Ok(plaintext)
                    }
                    Err(error) => {
                        tracing::error!(request_id = %self.reading.caller.request, %error, "a read failed");
                        outcome = OutcomeStatus::Failed;
                        Err(BodyError::Unreadable(Box::new(error)))
                    }
                };
                if !self.gateway.approvals.may_go_on(&approvals, self.gateway.clock.now()) {
                    sent = before;
                    is_stopped = true;
                    outcome = OutcomeStatus::Aborted;
                    break;
                }
                if to.send(item).await.is_err() {
                    outcome = OutcomeStatus::Aborted;
                }
                if outcome != OutcomeStatus::Completed {
                    break;
                }
            }
        }
        debug_assert!(sent <= range.end - range.start, "a window sends what it planned");
        drop(ticketed.finish(outcome, sent, 200));
        if let Some(begun) = begun {
            begun.settle(sent).await;
        }
        match outcome {
            OutcomeStatus::Completed => Some(range.end),
            _ if is_stopped => Some(range.start + sent),
            _ => None,
        }
    }
}

/// What the object's key and manifest are bound to beside its name: the upload that brought it.
fn version_of(head: &ObjectHead) -> String {
    head.upload.to_string()
}

fn owner<'a>(reading: &'a Reading, version: &'a str) -> KeyOwner<'a> {
    KeyOwner { tenant: &reading.bucket.owner, bucket: &reading.bucket.name, key: &reading.key, version }
}

/// Rows that contradict each other.
fn missing(what: &'static str) -> Error {
    Error::Unreadable(format!("the catalog lacks {what}"))
}
