//! Admission: whether a ticket lets its bearer do this, here, now. Pure; what was spent before is the ledger's.
//!
//! The order of the checks is from the ticket itself (is it true?) over its fit (is it for this?) to the shard (is it
//! here?), so that nobody learns what a node holds without a true and fitting ticket.

use std::collections::BTreeMap;

use domicile_compliance::audit::{
    KeyName, Ticket, TicketError, TicketRules, TicketVerifier, VerifiedTicket, VerifierKey,
};
use domicile_node_protocol::{LeafHash, Refusal, RefusalCode};
use domicile_types::{DataId, Intent, NodeId, OperationKind, Place, ShardCid, UnixMillis};

use crate::store::Found;

/// What a request wants done with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Keep it.
    Put,
    /// Hand it out, whole or in part.
    Get,
    /// Drop it.
    Delete,
    /// Prove that it is held: a range of it with the hashes that lead to its name.
    Challenge,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 4] = [Self::Put, Self::Get, Self::Delete, Self::Challenge];

    /// The HTTP method; a challenge, which is a GET of another path, by its own name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::Delete => "DELETE",
            Self::Challenge => "challenge",
        }
    }

    /// Whether an operation includes this verb. Written out in full: a new operation must be thought about.
    #[must_use]
    pub const fn belongs_to(self, operation: OperationKind) -> bool {
        use OperationKind as Op;
        match operation {
            Op::PutObject | Op::UploadPart => matches!(self, Self::Put),
            Op::GetObject => matches!(self, Self::Get),
            Op::CopyObject => matches!(self, Self::Put | Self::Get),
            // New copies exist before old ones are dropped, under one decision.
            Op::Repair => !matches!(self, Self::Challenge),
            Op::Challenge => matches!(self, Self::Challenge),
            // Completing an upload drops the parts that it leaves out.
            Op::DeleteObject | Op::AbortMultipartUpload | Op::CompleteMultipartUpload | Op::Sweep => {
                matches!(self, Self::Delete)
            }
            Op::CreateMultipartUpload
            | Op::ListUploads
            | Op::HeadObject
            | Op::TagObject
            | Op::ListBuckets
            | Op::ListObjects
            | Op::HeadBucket
            | Op::CreateBucket
            | Op::DeleteBucket
            | Op::ConfigureBucket
            | Op::Administer => false,
        }
    }
}

/// One gateway that a node is enrolled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledGateway {
    /// Its identity: the TLS peer and the key of its log.
    pub id: NodeId,
    /// The origin line of its log.
    pub origin: KeyName,
}

/// The enrolled gateways with what verifies their tickets.
#[derive(Debug)]
pub struct Gateways {
    by_origin: BTreeMap<String, (NodeId, TicketVerifier)>,
}

/// Why the enrolled gateways cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GatewaysError {
    /// Two gateways with one log name: their tickets could not be told apart.
    #[error("two gateways have the log origin {0}: give each log a name of its own")]
    SameOrigin(KeyName),
    /// The identity is no key that signs.
    #[error("the identity of the gateway with log origin {origin} is not a usable key")]
    Key {
        /// Its log.
        origin: KeyName,
        /// What is wrong with it.
        source: domicile_compliance::audit::NoteError,
    },
}

impl Gateways {
    /// `not_before`: tickets from before are refused, because what they were used for is forgotten.
    pub fn new(
        enrolled: impl IntoIterator<Item = EnrolledGateway>,
        not_before: UnixMillis,
    ) -> Result<Self, GatewaysError> {
        let mut by_origin = BTreeMap::new();
        for EnrolledGateway { id, origin } in enrolled {
            let key = VerifierKey::of_identity(origin.clone(), &id)
                .map_err(|source| GatewaysError::Key { origin: origin.clone(), source })?;
            let verifier = TicketVerifier::new(key, id, TicketRules::starting_at(not_before));
            if by_origin.insert(origin.as_str().to_owned(), (id, verifier)).is_some() {
                return Err(GatewaysError::SameOrigin(origin));
            }
        }
        Ok(Self { by_origin })
    }

    /// Every gateway and the key of its log.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &VerifierKey)> {
        self.by_origin.values().map(|(id, verifier)| (*id, verifier.log()))
    }

    /// Whether `text` is a ticket, in force at `now`, of the gateway at the other end of the connection, or of one that
    /// names the peer there as its worker; and which gateway's it is.
    pub fn check(
        &self,
        text: Option<&str>,
        peer: &NodeId,
        now: UnixMillis,
    ) -> Result<(NodeId, VerifiedTicket), Refusal> {
        let text = text.ok_or_else(|| {
            refuse(RefusalCode::NoTicket, "no ticket: send the header domicile-ticket with the logged intent")
        })?;
        let ticket = Ticket::parse(text).map_err(|error| of_ticket_error(&error))?;
        let origin = &ticket.proof().checkpoint.checkpoint().origin;
        let Some((gateway, verifier)) = self.by_origin.get(origin.as_str()) else {
            let message = format!("the ticket is of the log {origin}: enrol its gateway with this node first");
            return Err(refuse(RefusalCode::UnknownLog, message));
        };
        let verified = verifier.verify(&ticket, now).map_err(|error| of_ticket_error(&error))?;
        if gateway != peer && verified.intent().worker.as_ref() != Some(peer) {
            let message =
                format!("the ticket is of gateway {gateway} and names no worker {peer}, whose connection it came on");
            return Err(refuse(RefusalCode::NotTheGateway, message));
        }
        Ok((*gateway, verified))
    }
}

/// What a request wants, and where it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// What to do.
    pub verb: Verb,
    /// With which shard.
    pub cid: &'a ShardCid,
    /// Under which data id a put wants to store; other verbs do not say.
    pub data: Option<&'a DataId>,
    /// Where this node is, by its configuration.
    pub place: &'a Place,
}

/// A wish that its ticket covers. What remains is whether the shard is here and the budget lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// What the shard is stored under.
    pub data: DataId,
    /// What this node may serve or accept under the ticket, in bytes.
    pub node_bytes_max: u64,
}

/// Whether `intent` covers the wish: operation, place, data id, shard.
pub fn cover(intent: &Intent, wish: &Wish<'_>) -> Result<Covered, Refusal> {
    let Wish { verb, cid, data, place } = *wish;
    if !verb.belongs_to(intent.operation) {
        let (operation, verb) = (operation_name(intent.operation), verb.name());
        let message =
            format!("the ticket is for {operation}, which includes no {verb}: log an intent for what is meant");
        return Err(refuse(RefusalCode::WrongOperation, message));
    }
    // Exactly this place: a node in CN-GD does not take a ticket for CN, because the rule that let a node of unstated
    // province in may keep Guangdong out.
    if !intent.node_places.contains(place) {
        let message =
            format!("the ticket does not name {place}, where this node is: choose nodes that the permit allows");
        return Err(refuse(RefusalCode::WrongPlace, message));
    }
    let Some(intended) = intent.data else {
        return Err(refuse(RefusalCode::WrongShard, "the ticket names no data id, so it is for no shard"));
    };
    if verb == Verb::Put && data != Some(&intended) {
        let message = "the header domicile-data does not name the ticket's data id: send the one that was logged";
        return Err(refuse(RefusalCode::WrongShard, message));
    }
    if !intent.shards.is_empty() && !intent.shards.contains(cid) {
        let message = "the ticket lists its shards and this is none of them: log an intent that names it";
        return Err(refuse(RefusalCode::WrongShard, message));
    }
    Ok(Covered { data: intended, node_bytes_max: intent.budget.node_bytes_max })
}

/// The length of a shard that is to be read or deleted, if it is here under the ticket's data id.
pub fn present(found: Found, verb: Verb) -> Result<u64, Refusal> {
    match found {
        Found::Here { bytes } => Ok(bytes),
        // Deleting a damaged shard is fine; its length no longer matters.
        Found::Corrupt if verb == Verb::Delete => Ok(0),
        Found::Corrupt => Err(refuse(
            RefusalCode::Corrupt,
            "the shard is damaged on this node's disk: read other shards and store this one again",
        )),
        Found::UnderOtherData => Err(refuse(
            RefusalCode::WrongShard,
            "the shard is not stored under the ticket's data id: log an intent for the data it belongs to",
        )),
        Found::Nowhere => Err(refuse(RefusalCode::NotFound, "no such shard on this node: ask another one")),
    }
}

/// The leaf hash in the words of the node protocol.
#[must_use]
pub fn leaf_of(ticket: &VerifiedTicket) -> LeafHash {
    LeafHash::from_digest(*ticket.leaf_hash.digest())
}

fn of_ticket_error(error: &TicketError) -> Refusal {
    let (code, advice) = match error {
        TicketError::TooLong { .. } | TicketError::Malformed { .. } | TicketError::Forged(_) => {
            (RefusalCode::ForgedTicket, "send the ticket as the gateway's log gave it")
        }
        TicketError::UnknownLog { .. } => (RefusalCode::UnknownLog, "enrol its gateway with this node first"),
        TicketError::NotAnIntent { .. } => (RefusalCode::WrongOperation, "only an allowed intent is a ticket"),
        TicketError::OtherGateway => (RefusalCode::NotTheGateway, "each gateway logs for itself"),
        TicketError::Expired { .. } | TicketError::BeforeStart { .. } => (RefusalCode::StaleTicket, "log a new intent"),
        TicketError::NotYet { .. } => (RefusalCode::StaleTicket, "set the clocks"),
        TicketError::TooLongLived { .. } => (RefusalCode::StaleTicket, "log intents that end sooner"),
    };
    refuse(code, format!("{error}; {advice}"))
}

fn operation_name(operation: OperationKind) -> String {
    serde_json::to_string(&operation).unwrap_or_default().trim_matches('"').to_owned()
}

fn refuse(code: RefusalCode, message: impl Into<String>) -> Refusal {
    Refusal::new(code, message)
}

#[cfg(test)]
mod tests {
    use domicile_types::{Budget, Commitment, Decision, Verdict};

    use super::*;

    fn place(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    fn intent(operation: OperationKind) -> Intent {
        Intent {
            operation,
            actor: Commitment::from_digest([1; 32]),
            address: Commitment::from_digest([2; 32]),
            bucket: None,
            key: None,
            requester_places: vec![place("CN")],
            gateway_place: place("CN"),
            decision: Decision {
                verdict: Verdict::Allow,
                export: false,
                rules: Vec::new(),
                obligations: Vec::new(),
                approvals: Vec::new(),
                packs: Vec::new(),
                inputs: String::new(),
                warnings: Vec::new(),
            },
            data: Some(DataId::from_bytes([3; 16])),
            range: None,
            node_places: vec![place("CN"), place("DE")],
            shards: Vec::new(),
            budget: Budget { node_bytes_max: 100 },
            expires: UnixMillis(1),
            epoch: 0,
            worker: None,
            charge: None,
        }
    }

    fn code(intent: &Intent, verb: Verb, data: Option<&DataId>, at: &str) -> Option<RefusalCode> {
        let (cid, place) = (ShardCid::of(b"shard"), place(at));
        cover(intent, &Wish { verb, cid: &cid, data, place: &place }).err().map(|refusal| refusal.code)
    }

    #[test]
    fn every_operation_covers_exactly_its_verbs() {
        use OperationKind as Op;
        use Verb::{Challenge, Delete, Get, Put};
        let table: [(Op, &[Verb]); 21] = [
            (Op::PutObject, &[Put]),
            (Op::UploadPart, &[Put]),
            (Op::CreateMultipartUpload, &[]),
            (Op::CompleteMultipartUpload, &[Delete]),
            (Op::AbortMultipartUpload, &[Delete]),
            (Op::ListUploads, &[]),
            (Op::GetObject, &[Get]),
            (Op::HeadObject, &[]),
            (Op::CopyObject, &[Put, Get]),
            (Op::DeleteObject, &[Delete]),
            (Op::TagObject, &[]),
            (Op::ListBuckets, &[]),
            (Op::ListObjects, &[]),
            (Op::HeadBucket, &[]),
            (Op::CreateBucket, &[]),
            (Op::DeleteBucket, &[]),
            (Op::ConfigureBucket, &[]),
            (Op::Sweep, &[Delete]),
            (Op::Repair, &[Put, Get, Delete]),
            (Op::Challenge, &[Challenge]),
            (Op::Administer, &[]),
        ];
        for (operation, verbs) in table {
            let intent = intent(operation);
            for verb in Verb::ALL {
                let refused = code(&intent, verb, intent.data.as_ref(), "CN");
                let expected = (!verbs.contains(&verb)).then_some(RefusalCode::WrongOperation);
                assert_eq!(refused, expected, "{operation:?} {verb:?}");
            }
        }
    }

    #[test]
    fn a_node_takes_only_tickets_that_name_exactly_its_place() {
        let intent = intent(OperationKind::GetObject);
        for at in ["CN", "DE"] {
            assert_eq!(code(&intent, Verb::Get, None, at), None, "{at}");
        }
        for at in ["HK", "CN-GD", "FR", "unknown"] {
            assert_eq!(code(&intent, Verb::Get, None, at), Some(RefusalCode::WrongPlace), "{at}");
        }
        let nowhere = Intent { node_places: Vec::new(), ..intent };
        assert_eq!(code(&nowhere, Verb::Get, None, "CN"), Some(RefusalCode::WrongPlace));
    }

    #[test]
    fn a_put_names_the_data_id_that_was_logged() {
        let intent = intent(OperationKind::PutObject);
        assert_eq!(code(&intent, Verb::Put, intent.data.as_ref(), "CN"), None);
        let other = DataId::from_bytes([4; 16]);
        assert_eq!(code(&intent, Verb::Put, Some(&other), "CN"), Some(RefusalCode::WrongShard));
        assert_eq!(code(&intent, Verb::Put, None, "CN"), Some(RefusalCode::WrongShard));
    }

    #[test]
    fn a_ticket_without_data_id_is_for_no_shard() {
        let intent = Intent { data: None, ..intent(OperationKind::GetObject) };
        assert_eq!(code(&intent, Verb::Get, None, "CN"), Some(RefusalCode::WrongShard));
    }

    #[test]
    fn a_ticket_that_lists_shards_is_for_those_alone() {
        let listed = Intent { shards: vec![ShardCid::of(b"shard")], ..intent(OperationKind::Repair) };
        assert_eq!(code(&listed, Verb::Get, None, "CN"), None);
        let others = Intent { shards: vec![ShardCid::of(b"another")], ..listed };
        for verb in Verb::ALL {
            let others = if verb == Verb::Challenge {
                Intent { operation: OperationKind::Challenge, ..others.clone() }
            } else {
                others.clone()
            };
            assert_eq!(code(&others, verb, others.data.as_ref(), "CN"), Some(RefusalCode::WrongShard), "{verb:?}");
        }
    }

    #[test]
    fn what_is_not_here_or_not_sound_is_refused_by_its_own_code() {
        let refused = |found, verb| present(found, verb).map_err(|refusal| refusal.code);
        assert_eq!(refused(Found::Here { bytes: 5 }, Verb::Get), Ok(5));
        assert_eq!(refused(Found::Nowhere, Verb::Get), Err(RefusalCode::NotFound));
        assert_eq!(refused(Found::UnderOtherData, Verb::Get), Err(RefusalCode::WrongShard));
        assert_eq!(refused(Found::UnderOtherData, Verb::Delete), Err(RefusalCode::WrongShard));
        assert_eq!(refused(Found::Corrupt, Verb::Get), Err(RefusalCode::Corrupt));
        assert_eq!(refused(Found::Corrupt, Verb::Delete), Ok(0));
    }

    #[test]
    fn two_logs_of_one_name_are_refused_at_the_start() {
        let gateway = |seed| EnrolledGateway {
            id: domicile_types::IdentityKey::from_seed(&[seed; 32]).id(),
            origin: KeyName::parse("domicile.example/cn").unwrap(),
        };
        let both = Gateways::new([gateway(1), gateway(2)], UnixMillis(0));
        assert!(matches!(both, Err(GatewaysError::SameOrigin(_))));
    }

    #[test]
    fn no_ticket_and_no_ticket_at_all_are_told_apart() {
        let gateways = Gateways::new([], UnixMillis(0)).unwrap();
        let peer = domicile_types::IdentityKey::from_seed(&[1; 32]).id();
        let code = |text| gateways.check(text, &peer, UnixMillis(0)).err().map(|refusal| refusal.code);
        assert_eq!(code(None), Some(RefusalCode::NoTicket));
        assert_eq!(code(Some("")), Some(RefusalCode::ForgedTicket));
        assert_eq!(code(Some(&"A".repeat(100_000))), Some(RefusalCode::ForgedTicket));
    }
}
