//! What happens in a run, one thing after the other: done to the world, and what came of it noted.

use std::collections::BTreeMap;

use bytes::Bytes;
use domicile_types::{FleetChange, NodeId, ObjectKey, RequestId, TenantId};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::oneshot;

use super::chance::{Step, Upset};
use super::dice::Dice;
use super::law::Law;
use super::world::{Acknowledged, Handles, World, caller};
use crate::catalog::{CatalogError, Protection};
use crate::judging::rescan;
use crate::objects::{
    BodyError, BodyStream, Caller, CopyObject, DeleteTarget, Error, ExpectedDigests, GetObject, ObjectHeaders,
    PutObject, ReadConditions, Tags, WriteConditions,
};
use crate::repair::{RepairError, residue_round};
use crate::sweep::{self, SweepError};

fn name(key: usize) -> String {
    format!("k{key}")
}

fn object_key(key: usize) -> ObjectKey {
    ObjectKey::parse(&name(key)).unwrap()
}

impl Handles {
    /// Does it to the cluster. The observer is told at the same moment.
    async fn upset(&self, upset: Upset, ids: &[NodeId]) {
        let fault = |index: usize, change: &dyn Fn(&mut super::node::Faults)| {
            self.net.with(|net| change(&mut net.nodes.get_mut(&ids[index]).unwrap().faults));
        };
        match upset {
            Upset::Down(node) => fault(node, &|faults| faults.down = true),
            Upset::Up(node) => {
                fault(node, &|faults| faults.down = false);
                self.announce(node, ids[node]);
            }
            Upset::Cut(node) => {
                self.net.with(|net| {
                    if !net.cut.remove(&ids[node]) {
                        net.cut.insert(ids[node]);
                    }
                });
                self.announce(node, ids[node]);
            }
            Upset::Joined(node) => {
                self.nodes.lock().get_mut(&ids[node]).unwrap().joined = true;
                self.announce(node, ids[node]);
            }
            Upset::Slow(node) => self.net.with(|net| {
                if !net.slow.remove(&ids[node]) {
                    net.slow.insert(ids[node]);
                }
            }),
            Upset::Full(node) => {
                fault(node, &|faults| faults.full = !faults.full);
                self.announce(node, ids[node]);
            }
            Upset::Forgets(node) => fault(node, &|faults| faults.forgets = !faults.forgets),
            Upset::Garbles(node) => fault(node, &|faults| faults.garbles = !faults.garbles),
            Upset::DiskLost(node) => self.net.with(|net| {
                let lost = std::mem::take(&mut net.nodes.get_mut(&ids[node]).unwrap().disk);
                net.destroyed.extend(lost.into_keys().map(|cid| (ids[node], cid)));
            }),
            Upset::Damaged(node) => self.net.with(|net| {
                let disk = &mut net.nodes.get_mut(&ids[node]).unwrap().disk;
                if let Some((cid, kept)) = disk.iter_mut().next() {
                    kept.bytes = kept.bytes.iter().map(|byte| byte.wrapping_add(1)).collect();
                    net.destroyed.insert((ids[node], *cid));
                }
            }),
            Upset::Moved(node) => {
                let mut nodes = self.nodes.lock();
                let known = nodes.get_mut(&ids[node]).unwrap();
                known.abroad = !known.abroad;
                drop(nodes);
                // Two announcements of one moment would be one.
                self.simulated.advance(1);
                self.announce(node, ids[node]);
            }
            Upset::Sold(node) => self.sell(ids[node], ids),
            Upset::Published(law) => self.publish(law).await,
            Upset::Passed(millis) => self.simulated.advance(millis),
        }
        self.judge_nodes().await;
    }
}

/// Bytes that no two PUTs share.
fn content(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&dice.roll(usize::MAX).to_le_bytes());
    hasher.finalize_xof().fill(&mut content);
    content
}

impl World {
    /// Does a step. An error is something that must not be.
    pub(super) async fn step(mut self, step: Step, dice: &mut Dice, trace: &mut Vec<String>) -> Result<Self, String> {
        match step {
            Step::Upset(upset) => {
                self.handles.upset(upset, &self.ids).await;
                self.pass(0).await;
            }
            Step::Put { key, bytes, upset } => {
                let content = content(dice, bytes);
                let outcome = self.put(key, content, upset).await?;
                trace.push(outcome);
            }
            Step::PutCutShort { key, bytes } => {
                let content = content(dice, bytes);
                self.put_cut_short(key, content).await;
                self = self.restart().await;
            }
            Step::Get { key } => trace.push(self.get(&name(key)).await?),
            Step::GetFromAbroad { key } => self.get_from_abroad(key).await?,
            Step::Copy { from, to } => trace.push(self.copy(from, to).await?),
            Step::Delete { key } => trace.push(self.delete(key).await?),
            Step::Sweep => self.sweep().await?,
            Step::Repair => self.repair().await?,
            Step::Restart => self = self.restart().await,
        }
        self.pass(10).await;
        Ok(self)
    }

    /// What the sweeper does in its rounds, as long as there is something to do.
    async fn sweep(&mut self) -> Result<(), String> {
        for _ in 0..8 {
            let gateway = self.handles.gateway.clone();
            let reaped = if self.reaped { Ok(()) } else { sweep::reap(&gateway).await };
            self.reaped = reaped.is_ok();
            let swept = match reaped {
                Ok(()) => sweep::sweep_some(&gateway).await,
                Err(error) => Err(error),
            };
            match swept {
                Ok(true) => {}
                // The process before may have held the lease: it runs out.
                Ok(false) | Err(SweepError::Catalog(CatalogError::Lease(_))) => return Ok(()),
                Err(error) => return Err(format!("the sweeper: {error:?}")),
            }
        }
        Ok(())
    }

    /// What repair does in its rounds.
    pub(super) async fn repair(&mut self) -> Result<(), String> {
        let gateway = self.handles.gateway.clone();
        rescan::scan(&gateway).await.map_err(|error| format!("the scan: {error:?}"))?;
        // The process before may hold leases: they run out.
        let forgiven = |error: RepairError| match error {
            RepairError::Catalog(CatalogError::Lease(_)) | RepairError::Logged(_) => Ok(false),
            error => Err(format!("repair: {error:?}")),
        };
        for _ in 0..3 {
            if !self.queue.round(&gateway).await.or_else(forgiven)? {
                break;
            }
        }
        residue_round(&gateway, &mut self.retry).await.or_else(forgiven)?;
        Ok(())
    }

    fn request(&self, key: usize, length: usize, body: BodyStream) -> PutObject {
        PutObject {
            bucket: self.bucket.name.clone(),
            key: object_key(key),
            body,
            content_length: u64::try_from(length).ok(),
            headers: ObjectHeaders::default(),
            tags: Tags::new(),
            expected: ExpectedDigests::default(),
            conditions: WriteConditions::default(),
            protection: Protection::default(),
        }
    }

    /// A PUT; between its halves, `upset` happens.
    async fn put(&mut self, key: usize, content: Vec<u8>, upset: Option<Upset>) -> Result<String, String> {
        let (first, second) = content.split_at(content.len() / 2);
        let (first, second) = (Bytes::copy_from_slice(first), Bytes::copy_from_slice(second));
        let (handles, ids) = (self.handles.clone(), self.ids.clone());
        let rest = futures::stream::once(async move {
            if let Some(upset) = upset {
                handles.upset(upset, &ids).await;
            }
            Ok(second)
        });
        let body: BodyStream = Box::pin(futures::stream::iter([Ok(first)]).chain(rest));
        let request = self.request(key, content.len(), body);
        match self.handles.gateway.put_object(&self.caller(), request).await {
            Ok(_) => {
                self.books.insert(name(key), Acknowledged { bytes: content });
                self.check_acknowledged(&name(key)).await?;
                Ok("stored".to_owned())
            }
            Err(error) => self.refused(error, "put"),
        }
    }

    /// A PUT of which the first half alone arrives before the gateway's process ends.
    async fn put_cut_short(&mut self, key: usize, content: Vec<u8>) {
        let first = Bytes::copy_from_slice(content.split_at(content.len() / 2).0);
        let (reached, half_way) = oneshot::channel();
        let (leave, left) = oneshot::channel::<()>();
        let rest = futures::stream::once(async move {
            let _ = reached.send(());
            // The connection breaks when the process has ended.
            let _ = left.await;
            Err(BodyError::Incomplete(None))
        });
        let body: BodyStream = Box::pin(futures::stream::iter([Ok(first)]).chain(rest));
        let request = self.request(key, content.len(), body);
        let caller = self.caller();
        tokio::select! {
            biased;
            _ = half_way => {}
            _ = self.handles.gateway.put_object(&caller, request) => {}
        }
        drop(leave);
    }

    /// Refusals that a client may see, as the world is.
    fn refused(&self, error: Error, what: &str) -> Result<String, String> {
        match error {
            Error::Denied(_) | Error::TooFewNodes { .. } | Error::Unavailable(_) => {
                Ok(format!("{what} refused: {error}"))
            }
            error => Err(format!("{what} failed with what no client should see: {error:?}")),
        }
    }

    fn read_request(&self, key: &str) -> GetObject {
        GetObject {
            bucket: self.bucket.name.clone(),
            key: ObjectKey::parse(key).unwrap(),
            version: None,
            range: None,
            part_number: None,
            conditions: ReadConditions::default(),
        }
    }

    /// Reads an object; what comes must be what was acknowledged, and it must come where enough of it is left.
    pub(super) async fn get(&self, key: &str) -> Result<String, String> {
        let readable = self.is_readable(key).await;
        let read = async {
            let read = self.handles.gateway.get_object(&self.caller(), self.read_request(key)).await?;
            let pieces: Result<Vec<Bytes>, _> = read.body.try_collect().await;
            Ok::<_, Error>(pieces.map(|pieces| pieces.concat()))
        };
        match (read.await, self.books.get(key)) {
            (Ok(Ok(bytes)), Some(acknowledged)) if bytes == acknowledged.bytes => Ok("read".to_owned()),
            (Ok(Ok(bytes)), known) => {
                let known = known.map(|acknowledged| acknowledged.bytes.len());
                Err(format!("I3: {key} came as {} other bytes than the {known:?} acknowledged", bytes.len()))
            }
            (Err(Error::NoSuchKey), None) => Ok("absent".to_owned()),
            (Err(Error::NoSuchKey), Some(_)) => Err(format!("I3: {key} was acknowledged and is gone")),
            (outcome, _) if readable => Err(format!("I3: {key} could be read, and was not: {outcome:?}")),
            (Err(error), _) => self.refused(error, "get"),
            (Ok(Err(error)), _) => Ok(format!("get broke off: {error}")),
        }
    }

    /// Somebody abroad asks: denied, whatever there is.
    async fn get_from_abroad(&self, key: usize) -> Result<(), String> {
        let request = RequestId::from_bytes(self.handles.gateway.clock.random());
        let caller = Caller {
            is_gateway: false,
            address: Some([127, 1, 0, 9].into()),
            ..Caller::worker(&TenantId::parse("tenant-a").unwrap(), "AKID", request)
        };
        match self.handles.gateway.get_object(&caller, self.read_request(&name(key))).await {
            Err(Error::Denied(_)) => Ok(()),
            Ok(_) => Err("I1: a read from abroad was answered".to_owned()),
            Err(error) => Err(format!("I1: a read from abroad was told {error:?}")),
        }
    }

    async fn copy(&mut self, from: usize, to: usize) -> Result<String, String> {
        let request = CopyObject {
            source: self.read_request(&name(from)),
            bucket: self.bucket.name.clone(),
            key: object_key(to),
            replace_headers: (from == to).then(ObjectHeaders::default),
            replace_tags: None,
            checksum_algorithm: None,
            protection: Protection::default(),
            conditions: WriteConditions::default(),
        };
        match (self.handles.gateway.copy_object(&self.caller(), request).await, self.books.get(&name(from))) {
            (Ok(_), Some(source)) => {
                let copied = source.clone();
                self.books.insert(name(to), copied);
                self.check_acknowledged(&name(to)).await?;
                Ok("copied".to_owned())
            }
            (Ok(_), None) => Err(format!("a copy of {} was acknowledged, which is not there", name(from))),
            (Err(Error::NoSuchKey), None) => Ok("nothing to copy".to_owned()),
            // The source's bytes may be beyond reading, and the copy's client hears that its body broke off.
            (Err(Error::IncompleteBody { .. }), Some(_)) => Ok("copy broke off".to_owned()),
            (Err(error), _) => self.refused(error, "copy"),
        }
    }

    async fn delete(&mut self, key: usize) -> Result<String, String> {
        let target =
            DeleteTarget { key: object_key(key), version: None, if_match: None, if_modified_at: None, if_size: None };
        let caller = caller(&self.handles.gateway);
        let deleted = self.handles.gateway.delete_objects(&caller, &self.bucket.name, vec![target], false).await;
        let deleted = deleted.and_then(|mut outcomes| outcomes.swap_remove(0).1);
        match deleted {
            Ok(_) => {
                self.books.remove(&name(key));
                Ok("deleted".to_owned())
            }
            Err(error) => self.refused(error, "delete"),
        }
    }

    /// Everything is put right again, except what is destroyed.
    pub(super) async fn heal(&mut self) {
        self.handles.net.with(|net| {
            net.cut.clear();
            net.slow.clear();
            net.nodes.values_mut().for_each(|node| node.faults = Default::default());
        });
        self.handles.nodes.lock().values_mut().for_each(|known| {
            known.abroad = false;
            known.joined = true;
        });
        self.handles.publish(Law::Open).await;
        for node in self.ids.clone() {
            // An officer looked into what spoke against it.
            self.handles.gateway.warden.order(node, FleetChange::Released, None, |it| it.release()).await.unwrap();
        }
        // Long enough for scores to be forgiven.
        for _ in 0..60 {
            self.pass(10_000).await;
        }
    }

    /// After healing: a PUT is taken, and everything that is left is read.
    pub(super) async fn settle(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.heal().await;
        let content = content(dice, 150_000);
        let outcome = self.put(0, content, None).await?;
        if outcome != "stored" {
            return Err(format!("all nodes are well, and a PUT is not taken: {outcome}"));
        }
        // What was put was put under the law that healing put in force.
        self.check(Law::Open).await?;
        // Companies of SG may keep nothing any more. What they hold moves, as long as there are others to take it.
        self.handles.publish(Law::NoStraits).await;
        for _ in 0..20 {
            self.pass(6_000).await;
            self.repair().await?;
            if self.check_evacuated().await.is_ok() {
                break;
            }
        }
        self.check_evacuated().await?;
        self.check(Law::Open).await?;
        let keys: BTreeMap<String, ()> = self.books.keys().map(|key| (key.clone(), ())).collect();
        for key in keys.keys() {
            self.get(key).await?;
        }
        Ok(())
    }
}
