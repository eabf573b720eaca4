//! How a node joins: an invitation, a request that only its holder and the node's own key can make, and an answer that
//! only the inviting gateway can give. Pure: `now`, keys and bytes are arguments.
//!
//! ```text
//! invitation  domicile-invitation-1.<claims>.<secret>     base64url of JSON, and of 32 bytes
//! secret      BLAKE3, keyed with the gateway's sealing key, over the claims' text: no claim can be altered
//! request     payload, node's signature over it, BLAKE3 keyed with the secret over both
//! answer      payload, BLAKE3 keyed with the secret over it
//! ```
//!
//! The secret never travels with a request, so whoever overhears one can neither use nor alter it.

use std::net::SocketAddr;

use data_encoding::BASE64URL_NOPAD;
use domicile_storage_node::accounting::Terms;
use domicile_types::{IdentityKey, NodeId, OperatorId, Party, PartyId, Place, SignatureBytes, UnixMillis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::entities::{Confidence, Control, Day, Entity, Owner, Source};

const PREFIX: &str = "domicile-invitation-1";
const SIGNED: &[u8] = b"domicile/join/1\n";
const SEALED: &[u8] = b"domicile/join/sealed/1\n";
const ANSWERED: &[u8] = b"domicile/join/answer/1\n";

/// The longest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 96 * 1024;
/// The longest application within it, in bytes of JSON: it is kept in one row.
pub const APPLICATION_BYTES_MAX: usize = 40 * 1024;
/// How many parties an application may bring.
pub const PARTIES_MAX: usize = 64;
/// How far a joining node's clock may be off, in milliseconds. Tickets live for two minutes, so a node whose clock is off by
/// more would refuse everything.
pub const SKEW_MILLIS_MAX: u64 = 60_000;

/// What an invitation says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Names the invitation: sixteen random bytes, in hexadecimal.
    pub id: String,
    /// Who invites.
    pub gateway: NodeId,
    /// The name of its log.
    pub origin: String,
    /// Where to send the request: a URL without a path.
    pub join: String,
    /// Where the gateway's control plane listens.
    pub swarm: SocketAddr,
    /// Whose nodes are invited: this one alone.
    pub operator: OperatorId,
    /// When it ends.
    pub expires: UnixMillis,
}

/// An invitation as its holder has it.
#[derive(Clone)]
pub struct Invitation {
    /// What it says.
    pub claims: Claims,
    claims_text: String,
    secret: [u8; 32],
}

/// What an operator says of a node and of whom it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The operator's legal entity: one of `parties`, or one that is on record.
    pub party: PartyId,
    /// As of which day this is so.
    pub as_of: Day,
    /// The legal entity and everybody above it, as far as they are known. Owners are direct ones.
    #[serde(default)]
    pub parties: Vec<Party>,
    /// Whom to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Where the node is.
    pub place: Place,
    /// The building or data centre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Where its control plane listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<SocketAddr>,
    /// Bytes it offers.
    pub capacity_bytes: u64,
}

/// A request, opened: signed by `node`, and made by the holder of the invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The claims, as the invitation's text has them.
    pub claims: String,
    /// Who wants to join.
    pub node: NodeId,
    /// When, by the node's clock.
    pub time: UnixMillis,
    /// What it says of itself.
    pub application: Application,
}

/// What travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    payload: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureBytes>,
    mac: String,
}

/// What the gateway answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Whom it answers.
    pub node: NodeId,
    /// `waiting`, `enrolled` or `rejected`.
    pub state: String,
    /// What is paid.
    #[serde(default)]
    pub terms: Terms,
    /// Why, where it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a request is not taken, or an answer not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Not an invitation.
    #[error("this is not an invitation: copy it whole, it begins with {PREFIX}")]
    NotAnInvitation,
    /// Not a request.
    #[error("this is not a request to join: {0}")]
    NotARequest(String),
    /// Larger than anything that is needed.
    #[error("the {what} has more than {bytes_max} bytes: leave out what is not asked for")]
    TooLong {
        /// What.
        what: &'static str,
        /// The limit.
        bytes_max: usize,
    },
    /// Of another gateway.
    #[error("the invitation is not of this gateway: send the request where the invitation says")]
    OtherGateway,
    /// Nobody here wrote it, or it was altered.
    #[error("the invitation was not made by this gateway, or was altered: ask for a new one")]
    Forged,
    /// Too late.
    #[error("the invitation ended at {expires}: ask for a new one")]
    Expired {
        /// When it ended.
        expires: UnixMillis,
    },
    /// Not by the key that it names.
    #[error("the request is not signed by {node}, the node that it names")]
    NotSigned {
        /// Which node.
        node: NodeId,
    },
    /// Its clock is wrong, or the request is old.
    #[error(
        "the node's clock is {millis} ms off the gateway's, allowed are {SKEW_MILLIS_MAX}: set it, then join again"
    )]
    Clock {
        /// How far.
        millis: u64,
    },
    /// The answer is not the gateway's.
    #[error("the answer is not of the gateway that wrote the invitation: somebody stands between")]
    FalseAnswer,
}

impl Invitation {
    /// Makes an invitation that `sealing` alone can make.
    #[must_use]
    pub fn new(claims: Claims, sealing: &[u8; 32]) -> Self {
        let claims_text = encode(&claims);
        let secret = secret_of(sealing, &claims_text);
        Self { claims, claims_text, secret }
    }

    /// Reads the text that an operator was given.
    pub fn parse(text: &str) -> Result<Self, JoinError> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [PREFIX, claims_text, secret] = parts.as_slice() else { return Err(JoinError::NotAnInvitation) };
        let secret = BASE64URL_NOPAD.decode(secret.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        match (decode(claims_text), secret) {
            (Some(claims), Some(secret)) => Ok(Self { claims, claims_text: (*claims_text).to_owned(), secret }),
            _ => Err(JoinError::NotAnInvitation),
        }
    }

    /// The text to give to the operator. Whoever has it can ask to join in the operator's name.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{PREFIX}.{}.{}", self.claims_text, BASE64URL_NOPAD.encode(&self.secret))
    }

    /// A request of the node whose identity is `key`.
    #[must_use]
    pub fn request(&self, key: &IdentityKey, application: Application, time: UnixMillis) -> Sealed {
        let claims = self.claims_text.clone();
        let payload = encode(&Join { claims, node: key.id(), time, application });
        let signature = key.sign(&[SIGNED, payload.as_bytes()].concat());
        let mac = mac(&self.secret, SEALED, &payload, Some(&signature)).to_hex().to_string();
        Sealed { payload, signature: Some(signature), mac }
    }

    /// Opens the gateway's answer to `node`.
    pub fn open_answer(&self, answer: &Sealed, node: &NodeId) -> Result<Joined, JoinError> {
        let expected = mac(&self.secret, ANSWERED, &answer.payload, None);
        let joined: Option<Joined> = decode(&answer.payload);
        match joined {
            // The comparison of BLAKE3 hashes takes the same time wherever they differ.
            Some(joined) if same(&expected, &answer.mac) && joined.node == *node => Ok(joined),
            _ => Err(JoinError::FalseAnswer),
        }
    }
}

impl Sealed {
    /// Opens a request: size, invitation, seal, signature, time, in this order. `gateway` and `sealing` are the reader's own.
    /// Says nothing of whether the invitation was used.
    pub fn open(
        body: &[u8],
        gateway: &NodeId,
        sealing: &[u8; 32],
        now: UnixMillis,
    ) -> Result<(Claims, Join), JoinError> {
        if body.len() > REQUEST_BYTES_MAX {
            return Err(JoinError::TooLong { what: "request", bytes_max: REQUEST_BYTES_MAX });
        }
        let sealed: Self = serde_json::from_slice(body).map_err(|error| JoinError::NotARequest(error.to_string()))?;
        let form = |what: &str| JoinError::NotARequest(what.to_owned());
        let join: Join = decode(&sealed.payload).ok_or_else(|| form("its payload does not parse"))?;
        let claims: Claims = decode(&join.claims).ok_or_else(|| form("its invitation does not parse"))?;
        if claims.gateway != *gateway {
            return Err(JoinError::OtherGateway);
        }
        let signature = sealed.signature.ok_or_else(|| form("it has no signature"))?;
        let secret = secret_of(sealing, &join.claims);
        if !same(&mac(&secret, SEALED, &sealed.payload, Some(&signature)), &sealed.mac) {
            return Err(JoinError::Forged);
        }
        if claims.expires <= now {
            return Err(JoinError::Expired { expires: claims.expires });
        }
        if !join.node.verifies(&[SIGNED, sealed.payload.as_bytes()].concat(), &signature) {
            return Err(JoinError::NotSigned { node: join.node });
        }
        let millis = join.time.millis_since(now).max(now.millis_since(join.time));
        if millis > SKEW_MILLIS_MAX {
            return Err(JoinError::Clock { millis });
        }
        if serde_json::to_vec(&join.application).map_or(true, |json| json.len() > APPLICATION_BYTES_MAX)
            || join.application.parties.len() > PARTIES_MAX
        {
            return Err(JoinError::TooLong { what: "application", bytes_max: APPLICATION_BYTES_MAX });
        }
        Ok((claims, join))
    }

    /// The answer to the request with these claims.
    #[must_use]
    pub fn answer(join: &Join, joined: &Joined, sealing: &[u8; 32]) -> Self {
        let payload = encode(joined);
        let mac = mac(&secret_of(sealing, &join.claims), ANSWERED, &payload, None).to_hex().to_string();
        Self { payload, signature: None, mac }
    }
}

impl Application {
    /// The parties as records: the operator says so, and nobody else.
    #[must_use]
    pub fn entities(&self) -> Vec<Entity> {
        let from = self.source();
        self.parties.iter().map(|party| entity(party, &from)).collect()
    }

    /// How its statements are marked.
    #[must_use]
    pub fn source(&self) -> Source {
        Source { source: "operator".to_owned(), as_of: self.as_of.clone(), confidence: Confidence::Stated }
    }
}

/// A party with its direct owners, as a record.
#[must_use]
pub(super) fn entity(party: &Party, from: &Source) -> Entity {
    let owner = |owner: &domicile_types::Ownership| Owner {
        id: owner.owner.clone(),
        place: owner.place,
        share_basis_points: owner.share_basis_points,
        from: from.clone(),
    };
    Entity {
        id: party.id.clone(),
        name: party.name.clone(),
        incorporated: party.incorporated,
        headquartered: party.headquartered,
        certifications: party.certifications.clone(),
        owners: party.owners.iter().map(owner).collect(),
        controlled_by: party.controlled_by.clone().map(|id| Control { id, from: from.clone() }),
        from: from.clone(),
    }
}

fn secret_of(sealing: &[u8; 32], claims_text: &str) -> [u8; 32] {
    *blake3::keyed_hash(sealing, claims_text.as_bytes()).as_bytes()
}

fn mac(secret: &[u8; 32], domain: &[u8], payload: &str, signature: Option<&SignatureBytes>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(domain).update(payload.as_bytes());
    if let Some(signature) = signature {
        hasher.update(b"\n").update(&signature.0);
    }
    hasher.finalize()
}

fn same(expected: &blake3::Hash, hex: &str) -> bool {
    blake3::Hash::from_hex(hex).is_ok_and(|given| given == *expected)
}

fn encode<T: Serialize>(value: &T) -> String {
    BASE64URL_NOPAD.encode(&serde_json::to_vec(value).unwrap_or_default())
}

fn decode<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALING: [u8; 32] = [9; 32];
    const NOW: UnixMillis = UnixMillis(1_795_305_600_000);

    fn gateway() -> NodeId {
        IdentityKey::from_seed(&[1; 32]).id()
    }

    fn claims() -> Claims {
        Claims {
            id: "00".repeat(16),
            gateway: gateway(),
            origin: "domicile.internal/log/x".to_owned(),
            join: "http://127.0.0.1:9001".to_owned(),
            swarm: "127.0.0.1:9002".parse().unwrap(),
            operator: OperatorId::parse("storage-sz").unwrap(),
            expires: NOW.plus_millis(1000),
        }
    }

    fn application() -> Application {
        Application {
            party: PartyId::parse("storage-sz").unwrap(),
            as_of: Day::parse("2026-11-01").unwrap(),
            parties: Vec::new(),
            contact: None,
            place: Place::parse("CN").unwrap(),
            site: Some("Hall 3".to_owned()),
            swarm: None,
            capacity_bytes: 1 << 40,
        }
    }

    fn body(invitation: &Invitation, time: UnixMillis) -> Vec<u8> {
        let key = IdentityKey::from_seed(&[2; 32]);
        serde_json::to_vec(&invitation.request(&key, application(), time)).unwrap()
    }

    fn open(body: &[u8]) -> Result<(Claims, Join), JoinError> {
        Sealed::open(body, &gateway(), &SEALING, NOW)
    }

    #[test]
    fn an_invitation_travels_as_text_and_its_request_opens_at_the_gateway_that_wrote_it() {
        let made = Invitation::new(claims(), &SEALING);
        let invitation = Invitation::parse(&format!(" {}\n", made.text())).unwrap();
        let (opened, join) = open(&body(&invitation, NOW)).unwrap();
        assert_eq!((opened, join.application.clone()), (claims(), application()));
        let joined = Joined { node: join.node, state: "waiting".to_owned(), terms: Terms::default(), reason: None };
        let answer = Sealed::answer(&join, &joined, &SEALING);
        assert_eq!(invitation.open_answer(&answer, &join.node), Ok(joined.clone()));
        let false_answer = Sealed::answer(&join, &joined, &[8; 32]);
        assert_eq!(invitation.open_answer(&false_answer, &join.node), Err(JoinError::FalseAnswer));
        assert_eq!(invitation.open_answer(&answer, &gateway()), Err(JoinError::FalseAnswer));
        assert!(!String::from_utf8(body(&invitation, NOW)).unwrap().contains(&BASE64URL_NOPAD.encode(&made.secret)));
    }

    #[test]
    fn forged_and_altered_invitations_are_refused() {
        assert_eq!(open(&body(&Invitation::new(claims(), &[8; 32]), NOW)), Err(JoinError::Forged));
        let mut altered = Invitation::new(claims(), &SEALING);
        altered.claims_text = encode(&Claims { expires: UnixMillis(u64::MAX), ..claims() });
        assert_eq!(open(&body(&altered, NOW)), Err(JoinError::Forged));
        let elsewhere =
            Invitation::new(Claims { gateway: IdentityKey::from_seed(&[5; 32]).id(), ..claims() }, &SEALING);
        assert_eq!(open(&body(&elsewhere, NOW)), Err(JoinError::OtherGateway));
        for bad in ["", "domicile-invitation-1", "domicile-invitation-1.e30.AA", "domicile-invitation-2.a.b"] {
            assert!(matches!(Invitation::parse(bad), Err(JoinError::NotAnInvitation)), "{bad}");
        }
    }

    #[test]
    fn an_invitation_ends_when_it_says() {
        let ends = Claims { expires: NOW, ..claims() };
        let ended = Invitation::new(ends, &SEALING);
        assert_eq!(open(&body(&ended, NOW)), Err(JoinError::Expired { expires: NOW }));
    }

    #[test]
    fn a_node_with_a_wrong_clock_is_told_so() {
        let invitation = Invitation::new(claims(), &SEALING);
        for off in [NOW.plus_millis(3_600_000), UnixMillis(NOW.0 - 3_600_000)] {
            assert_eq!(open(&body(&invitation, off)), Err(JoinError::Clock { millis: 3_600_000 }));
        }
    }

    #[test]
    fn nobody_joins_with_the_identity_of_another() {
        let invitation = Invitation::new(claims(), &SEALING);
        let (key, other) = (IdentityKey::from_seed(&[2; 32]), IdentityKey::from_seed(&[3; 32]));
        let claims = invitation.claims_text.clone();
        let payload = encode(&Join { claims, node: other.id(), time: NOW, application: application() });
        let signature = key.sign(&[SIGNED, payload.as_bytes()].concat());
        let mac = mac(&invitation.secret, SEALED, &payload, Some(&signature)).to_hex().to_string();
        let body = serde_json::to_vec(&Sealed { payload, signature: Some(signature), mac }).unwrap();
        assert_eq!(open(&body), Err(JoinError::NotSigned { node: other.id() }));
    }

    #[test]
    fn a_changed_character_anywhere_is_refused() {
        let whole = body(&Invitation::new(claims(), &SEALING), NOW);
        for at in (0..whole.len()).step_by(7) {
            let mut changed = whole.clone();
            changed[at] = if changed[at] == b'z' { b'y' } else { b'z' };
            assert!(open(&changed).is_err(), "byte {at}");
        }
        assert!(matches!(open(&vec![b' '; REQUEST_BYTES_MAX + 1]), Err(JoinError::TooLong { .. })));
    }
}
