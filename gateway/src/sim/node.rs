//! A node of the simulated cluster: a disk that is a map, and the admission of the real daemon before it.
//!
//! It answers what `NodeClient` asks, in the words of the protocol, and does wrong what the simulation tells it to.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use domicile_node_protocol::{
    ByteRange, DATA_HEADER, RECEIPT_HEADER, Receipt, ReceiptVerb, Refusal, RefusalCode, SHARDS_PATH, SignedReceipt,
    TICKET_HEADER,
};
use domicile_storage_node::admission::{Gateways, Verb, Wish, cover, leaf_of};
use domicile_types::{DataId, IdentityKey, NodeId, OperationKind, Place, ShardCid, UnixMillis};
use http::{Request, Response, StatusCode};

/// What a node does wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Its process is down, or its machine cut off.
    pub(super) down: bool,
    /// Its disk takes no more.
    pub(super) full: bool,
    /// It signs for shards that it does not keep.
    pub(super) forgets: bool,
    /// It hands out other bytes than it was given.
    pub(super) garbles: bool,
}

/// A shard on a disk.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) bytes: Bytes,
    /// Under which data ids.
    pub(super) claims: BTreeSet<DataId>,
}

/// Something that a node did, for those who check.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) node: NodeId,
    pub(super) verb: Verb,
    pub(super) cid: ShardCid,
    pub(super) data: DataId,
    pub(super) operation: OperationKind,
    pub(super) at: UnixMillis,
}

/// One node.
pub(super) struct SimNode {
    pub(super) key: IdentityKey,
    /// Where it was enrolled, and says it is.
    pub(super) place: Place,
    pub(super) faults: Faults,
    pub(super) disk: BTreeMap<ShardCid, Kept>,
    gateways: Gateways,
}

impl SimNode {
    pub(super) fn new(key: IdentityKey, place: Place, gateways: Gateways) -> Self {
        Self { key, place, faults: Faults::default(), disk: BTreeMap::new(), gateways }
    }

    /// What the daemon answers; none: nothing, as if it were not there.
    pub(super) fn answer(
        &mut self,
        peer: &NodeId,
        request: &Request<Bytes>,
        now: UnixMillis,
        deeds: &mut Vec<Deed>,
    ) -> Option<Response<Bytes>> {
        if self.faults.down {
            return None;
        }
        Some(self.serve(peer, request, now, deeds).unwrap_or_else(|refusal| {
            let status = StatusCode::from_u16(refusal.code.http_status()).unwrap();
            let body = Bytes::from(refusal.to_body());
            Response::builder().status(status).body(body).unwrap()
        }))
    }

    fn serve(
        &mut self,
        peer: &NodeId,
        request: &Request<Bytes>,
        now: UnixMillis,
        deeds: &mut Vec<Deed>,
    ) -> Result<Response<Bytes>, Refusal> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let verb = match request.method().as_str() {
            "PUT" => Verb::Put,
            "GET" => Verb::Get,
            _ => Verb::Delete,
        };
        let unknown = || Refusal::new(RefusalCode::NotFound, "the simulated node serves shards alone");
        let cid = request.uri().path().strip_prefix(SHARDS_PATH).ok_or_else(unknown)?;
        let cid = ShardCid::parse(cid).map_err(|_| unknown())?;
        let data = header(DATA_HEADER).and_then(|text| DataId::parse(text).ok());
        let (_, ticket) = self.gateways.check(header(TICKET_HEADER), peer, now)?;
        let wish = Wish { verb, cid: &cid, data: data.as_ref(), place: &self.place };
        let data = cover(ticket.intent(), &wish)?.data;
        let deed = Deed { node: self.key.id(), verb, cid, data, operation: ticket.intent().operation, at: now };
        let (status, verb, bytes, body) = match verb {
            Verb::Put => (StatusCode::CREATED, ReceiptVerb::Stored, self.put(cid, data, request.body())?, Bytes::new()),
            Verb::Delete => (StatusCode::OK, ReceiptVerb::Deleted, self.delete(cid, data)?, Bytes::new()),
            _ => {
                let range = header("range").map(|text| ByteRange::parse(text).unwrap());
                let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
                let body = self.get(cid, data, range)?;
                (status, ReceiptVerb::Served, body.len(), body)
            }
        };
        deeds.push(deed);
        let receipt = Receipt {
            v: Receipt::VERSION,
            verb,
            cid,
            data,
            bytes: u64::try_from(bytes).unwrap(),
            node: self.key.id(),
            ticket: leaf_of(&ticket),
            time: now,
        };
        let receipt = SignedReceipt::sign(&receipt, &self.key);
        Ok(Response::builder().status(status).header(RECEIPT_HEADER, receipt.as_str()).body(body).unwrap())
    }

    fn put(&mut self, cid: ShardCid, data: DataId, bytes: &Bytes) -> Result<usize, Refusal> {
        if ShardCid::of(bytes) != cid {
            return Err(Refusal::new(RefusalCode::BadRequest, "these are other bytes than the name says"));
        }
        if self.faults.full {
            return Err(Refusal::new(RefusalCode::Full, "the disk is full: store elsewhere"));
        }
        if !self.faults.forgets {
            let kept = self.disk.entry(cid).or_insert_with(|| Kept { bytes: bytes.clone(), claims: BTreeSet::new() });
            kept.bytes = bytes.clone();
            kept.claims.insert(data);
        }
        Ok(bytes.len())
    }

    fn get(&self, cid: ShardCid, data: DataId, range: Option<ByteRange>) -> Result<Bytes, Refusal> {
        let kept = self.disk.get(&cid).filter(|kept| kept.claims.contains(&data));
        let kept = kept.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "no such shard"))?;
        let length = u64::try_from(kept.bytes.len()).unwrap();
        let (start, end) = match range {
            None => (0, length),
            Some(range) => {
                let range =
                    range.resolve(length).map_err(|error| Refusal::new(RefusalCode::BadRange, error.to_string()))?;
                (range.start, range.end)
            }
        };
        let bytes = kept.bytes.slice(usize::try_from(start).unwrap()..usize::try_from(end).unwrap());
        if self.faults.garbles { Ok(bytes.iter().map(|byte| byte ^ 0x5a).collect()) } else { Ok(bytes) }
    }

    fn delete(&mut self, cid: ShardCid, data: DataId) -> Result<usize, Refusal> {
        let kept = self.disk.get_mut(&cid).filter(|kept| kept.claims.contains(&data));
        let kept = kept.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "no such shard"))?;
        kept.claims.remove(&data);
        let bytes = kept.bytes.len();
        if kept.claims.is_empty() {
            self.disk.remove(&cid);
        }
        Ok(bytes)
    }

    /// Whether the shard is here, under the data id, as it was given.
    pub(super) fn holds(&self, cid: &ShardCid, data: &DataId) -> bool {
        let kept = self.disk.get(cid).filter(|kept| kept.claims.contains(data));
        !self.faults.garbles && kept.is_some_and(|kept| blake3::hash(&kept.bytes).as_bytes() == cid.digest())
    }
}
