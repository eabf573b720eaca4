//! The targets.

use data_encoding::BASE64URL_NOPAD;
use domicile::policy::{Asker, Facts, Policy, Request, evaluate};
use domicile_chunker::{PartEntry, SealId, WrappedKey};
use domicile_compliance::audit::{
    Checkpoint, KeyName, LogProof, NoteSigner, SignedCheckpoint, Ticket, TicketError, TicketRules, TicketVerifier,
    TreeHash, VerifierKey, bundle_entries,
};
use domicile_node_protocol::{
    Announcement, ByteRange, CheckpointsSeen, ContentRange, NodeCondition, NodeStatus, ProtocolVersions, Receipt,
    Refusal, SignedAnnouncement, SignedReceipt, node_of_server_name,
};
use domicile_types::{
    BucketName, CodeProfile, IdentityKey, NodeId, ObjectKey, OperatorId, Party, PartyId, Place, RegionName, ShardCid,
    SuiteId, TenantId, UnixMillis,
};

use super::{Target, location};

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "request-head", seeds: none, check: request_head },
    Target { name: "form", seeds: none, check: form },
    Target { name: "continuation-token", seeds: tokens, check: continuation_token },
    Target { name: "policy", seeds: none, check: policy },
    Target { name: "names", seeds: names_seeds, check: names },
    Target { name: "ticket", seeds: none, check: ticket },
    Target { name: "entry", seeds: none, check: entry },
    Target { name: "checkpoint", seeds: keys, check: checkpoint },
    Target { name: "bundle", seeds: bundles, check: bundle },
    Target { name: "announcement", seeds: announcements, check: announcement },
    Target { name: "announcement-statement", seeds: statements, check: announcement_statement },
    Target { name: "receipt", seeds: receipts, check: receipt },
    Target { name: "node-messages", seeds: messages, check: node_messages },
    Target { name: "range", seeds: ranges, check: range },
    Target { name: "part-entry", seeds: entries, check: part_entry },
    Target { name: "location-database", seeds: location::seeds, check: location::check },
];

/// When the inputs of the corpus were made.
const NOW: UnixMillis = UnixMillis(1_795_372_444_320);
/// The gateway that the corpus' entries name.
const GATEWAY: &str = "12D3KooWHxq9ZWu3EkU5P7fhZ85S7ctNT3N881Zz31GV8KMGMQVx";

fn none() -> Vec<Vec<u8>> {
    Vec::new()
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn identity() -> IdentityKey {
    IdentityKey::from_seed(&[7; 32])
}

// ---- the gateway's own front ------------------------------------------------------------------------------------------

fn request_head(bytes: &[u8]) {
    // Nobody's key is known: what is not refused here must have named no key, or must be of a request that needs none.
    let decided = domicile::s3::fuzzing::request_head(bytes);
    // A line may end in a line feed alone (RFC 9112, section 2.2).
    let whole = bytes.windows(2).any(|window| window == b"\n\n") || bytes.windows(3).any(|window| window == b"\n\r\n");
    assert!(decided.is_err() || whole, "decided without a whole head");
}

fn form(bytes: &[u8]) {
    if let Ok(fields) = futures::executor::block_on(domicile::s3::fuzzing::upload_form(bytes)) {
        assert!(fields <= 100, "a form of {fields} fields was taken");
    }
}

fn tokens() -> Vec<Vec<u8>> {
    vec![domicile::catalog::fuzzing::sealed_token("a/key").into_bytes()]
}

fn continuation_token(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Some(key) = domicile::catalog::fuzzing::open_token(text) {
        assert_eq!(text, domicile::catalog::fuzzing::sealed_token(&key), "a token that was not sealed here opened");
    }
}

fn policy(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(bucket) = BucketName::parse("bucket") else { return };
    let policies = [Policy::of_bucket(text, &bucket), Policy::of_identity(text)];
    let facts = Facts::default();
    for policy in policies.iter().flatten() {
        for (action, key) in [("s3:GetObject", Some("a/b")), ("s3:ListBucket", None), ("s3:PutObject", Some("数据"))]
        {
            let request = Request { asker: &Asker::Anonymous, action, bucket: "bucket", key, facts: &facts };
            let once = evaluate([policy], &request);
            assert_eq!(once, evaluate([policy, policy], &request), "the same policy twice says something else");
        }
    }
}

fn names_seeds() -> Vec<Vec<u8>> {
    ["bucket-1", "a/b c+d", "CN-GD", "bafkr4ib2xy", GATEWAY].map(|text| text.as_bytes().to_vec()).to_vec()
}

/// What is parsed is written as it was read, but for places, shards and node ids, which have several forms.
fn names(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    for parsed in [
        BucketName::parse(text).map(|name| name.as_str().to_owned()),
        ObjectKey::parse(text).map(|key| key.as_str().to_owned()),
        RegionName::parse(text).map(|name| name.as_str().to_owned()),
        TenantId::parse(text).map(|tenant| tenant.as_str().to_owned()),
    ] {
        assert!(parsed.is_err() || parsed.as_deref() == Ok(text));
    }
    if let Ok(place) = Place::parse(text) {
        assert_eq!(Place::parse(&place.to_string()), Ok(place));
    }
    if let Ok(cid) = ShardCid::parse(text) {
        assert_eq!(ShardCid::parse(&cid.to_string()), Ok(cid));
    }
    if let Ok(node) = NodeId::parse(text) {
        assert_eq!(NodeId::parse(&node.to_string()), Ok(node));
    }
    let _ = node_of_server_name(text);
}

// ---- proofs -------------------------------------------------------------------------------------------------------------

fn signer(key: &IdentityKey) -> Option<NoteSigner> {
    Some(NoteSigner::from_identity(KeyName::parse("domicile.internal/log/fuzz").ok()?, key))
}

fn ticket(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(ticket) = Ticket::parse(text) else { return };
    assert_eq!(Ticket::parse(&ticket.to_string()).as_ref(), Ok(&ticket));
    let key = identity();
    let Some(signer) = signer(&key) else { return };
    let verifier = TicketVerifier::new(signer.verifier().clone(), key.id(), TicketRules::starting_at(UnixMillis(0)));
    assert!(verifier.verify(&ticket, NOW).is_err(), "a ticket of another log was believed");
}

/// An entry that *is* in the log: what a gateway that lies can put there.
fn entry(bytes: &[u8]) {
    let key = identity();
    let Some(signer) = signer(&key) else { return };
    // The corpus' entries name their own gateway.
    let entry = String::from_utf8_lossy(bytes).replace(GATEWAY, &key.id().to_string()).into_bytes();
    let root = TreeHash::of_leaf(&entry);
    let checkpoint = Checkpoint { origin: signer.verifier().name().clone(), size: 1, root }.sign(&signer);
    let Ok(proof) = LogProof::parse(&format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{checkpoint}")) else {
        unreachable!("the proof of a log of one entry parses")
    };
    let verifier = TicketVerifier::new(signer.verifier().clone(), key.id(), TicketRules::starting_at(UnixMillis(0)));
    match verifier.verify(&Ticket::new(&entry, proof), NOW) {
        Ok(verified) => assert!(verified.intent().expires > NOW, "a ticket that is over was believed"),
        Err(error) => {
            assert!(!matches!(error, TicketError::Forged(_)), "an entry that is in the log was not found: {error}")
        }
    }
}

fn keys() -> Vec<Vec<u8>> {
    signer(&identity()).map(|signer| signer.verifier().to_string().into_bytes()).into_iter().collect()
}

fn checkpoint(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(checkpoint) = SignedCheckpoint::parse(text) {
        assert_eq!(SignedCheckpoint::parse(&checkpoint.to_string()).as_ref(), Ok(&checkpoint));
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text.trim_end());
    }
}

fn bundles() -> Vec<Vec<u8>> {
    vec![b"\0\x05first\0\x06second\0\0".to_vec()]
}

fn bundle(bytes: &[u8]) {
    let mut taken = 0;
    for entry in bundle_entries(bytes) {
        taken += entry.map_or(0, |entry| entry.len() + 2);
        assert!(taken <= bytes.len());
    }
}

// ---- between gateways and nodes -----------------------------------------------------------------------------------------

fn party() -> Option<Party> {
    let place = Place::parse("CN").ok()?;
    Some(Party {
        id: PartyId::parse("party-1").ok()?,
        name: "Party".to_owned(),
        incorporated: place,
        headquartered: place,
        owners: Vec::new(),
        controlled_by: None,
        certifications: Vec::new(),
    })
}

fn made_announcement(key: &IdentityKey) -> Option<Announcement> {
    Some(Announcement {
        v: Announcement::VERSION,
        node: key.id(),
        operator: OperatorId::parse("operator-1").ok()?,
        party: party()?,
        place: Place::parse("CN").ok()?,
        data_plane: "127.10.0.1:7400".parse().ok()?,
        capacity_bytes: 1 << 40,
        free_bytes: 1 << 39,
        condition: NodeCondition::Serving,
        speaks: ProtocolVersions::SPOKEN,
        software: "domicile 0.1.0".to_owned(),
        issued: NOW,
        expires: NOW.plus_millis(Announcement::LIFETIME_MILLIS),
    })
}

fn announcements() -> Vec<Vec<u8>> {
    let key = identity();
    made_announcement(&key).map(|made| SignedAnnouncement::sign(&made, &key).as_bytes().to_vec()).into_iter().collect()
}

fn announcement(bytes: &[u8]) {
    if let Ok(announcement) = SignedAnnouncement::verify(bytes, NOW) {
        assert_eq!(Some(announcement), made_announcement(&identity()), "one that nobody signed was believed");
    }
}

fn statements() -> Vec<Vec<u8>> {
    made_announcement(&identity()).and_then(|made| serde_json::to_vec(&made).ok()).into_iter().collect()
}

/// A statement that its node did sign: what a node that lies can say.
fn announcement_statement(bytes: &[u8]) {
    let message = [b"domicile/announcement/1\n", bytes].concat();
    let signature = BASE64URL_NOPAD.encode(&identity().sign(&message).0);
    let text = format!("{}.{signature}", BASE64URL_NOPAD.encode(bytes));
    if let Ok(said) = SignedAnnouncement::verify(text.as_bytes(), NOW) {
        assert_eq!(said.node, identity().id());
        assert!(said.expires > NOW && said.issued <= NOW.plus_millis(Announcement::SKEW_MILLIS_MAX));
        assert_eq!(serde_json::to_vec(&said).ok().as_deref(), Some(bytes), "one valid encoding");
    }
}

fn receipts() -> Vec<Vec<u8>> {
    let key = identity();
    let receipt = format!(
        "{{\"v\":1,\"verb\":\"served\",\"cid\":\"{}\",\"data\":\"{}\",\"bytes\":1024,\"node\":\"{}\",\"ticket\":\"{}\",\"time\":{}}}",
        ShardCid::of(b"shard"),
        "07".repeat(16),
        key.id(),
        "07".repeat(32),
        NOW.0
    );
    let signed = serde_json::from_str::<Receipt>(&receipt).map(|receipt| SignedReceipt::sign(&receipt, &key));
    signed.map(|signed| vec![signed.as_str().as_bytes().to_vec(), receipt.into_bytes()]).unwrap_or_default()
}

fn receipt(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let key = identity();
    if let Ok(receipt) = SignedReceipt::from_wire(text).verify(&key.id()) {
        assert_eq!(SignedReceipt::sign(&receipt, &key).as_str(), text, "one that nobody signed was believed");
    }
    if let Ok(receipt) = serde_json::from_slice::<Receipt>(bytes) {
        assert!(SignedReceipt::sign(&receipt, &key).as_str().len() <= SignedReceipt::BYTES_MAX);
    }
}

fn messages() -> Vec<Vec<u8>> {
    let status = format!(
        "{{\"v\":1,\"node\":\"{GATEWAY}\",\"operator\":\"o\",\"place\":\"CN\",\"software\":\"s\",\"started\":1,\"capacity_bytes\":1,\
         \"used_bytes\":1,\"free_bytes\":0,\"shards\":1,\"corrupt_shards\":0,\"stored\":{{\"count\":1,\"bytes\":1}},\
         \"served\":{{\"count\":1,\"bytes\":1}},\"deleted\":{{\"count\":1,\"bytes\":1}},\"refused\":{{\"no-ticket\":1}},\
         \"refused_handshakes\":0}}"
    );
    let refusal = "{\"code\":\"no-ticket\",\"message\":\"no ticket\"}".to_owned();
    let seen = format!("{{\"v\":1,\"node\":\"{GATEWAY}\",\"checkpoints\":[]}}");
    [status, refusal, seen].map(String::into_bytes).to_vec()
}

fn node_messages(bytes: &[u8]) {
    fn round<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        if let Ok(value) = serde_json::from_slice::<T>(bytes) {
            let again = serde_json::to_vec(&value).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            assert_eq!(again, Some(value));
        }
    }
    round::<NodeStatus>(bytes);
    round::<Refusal>(bytes);
    round::<CheckpointsSeen>(bytes);
}

fn ranges() -> Vec<Vec<u8>> {
    ["bytes=0-9", "bytes=5-", "bytes=-5", "bytes 0-9/10", "bytes=0-18446744073709551615"]
        .map(|text| text.into())
        .to_vec()
}

fn range(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(range) = ByteRange::parse(text) {
        for length in [0, 1, 10, u64::MAX] {
            if let Ok(resolved) = range.resolve(length) {
                assert!(resolved.start < resolved.end && resolved.end <= length);
            }
        }
    }
    if let Some(range) = ContentRange::parse(text) {
        assert!(range.range.start < range.range.end && range.range.end <= range.length);
    }
}

// ---- bytes --------------------------------------------------------------------------------------------------------------

fn entries() -> Vec<Vec<u8>> {
    let seal = SealId::from_random([7; SealId::BYTES]);
    let entry = |number, bytes| PartEntry::new(number, bytes, SuiteId::default(), CodeProfile::RS_4_2, seal).encode();
    vec![entry(1, 1 << 30), entry(0, 0), vec![1; 104]]
}

fn part_entry(bytes: &[u8]) {
    if let Ok(entry) = PartEntry::decode(bytes) {
        assert_eq!(entry.encode(), bytes, "one valid encoding");
    }
    if let Ok(key) = WrappedKey::parse(bytes) {
        assert_eq!(&key.as_bytes()[..], bytes);
    }
}
