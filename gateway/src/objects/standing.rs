//! What people do about how a node stands: documents of place, disputes, fences and releases. Each is decided and logged
//! like any other operation, and entered as a change of the fleet before it counts.

use domicile_compliance::audit::CommitmentDomain;
use domicile_types::{Classification, Commitment, FleetChange, NodeId, OperationKind, PackId, Place, Salt, UnixMillis};

use super::authorize::{Matter, log_unavailable};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use crate::fleet::standing::document::TEXT_CHARS_MAX;
use crate::fleet::standing::{Dispute, Document, DocumentKind, Settlement};
use crate::fleet::{NodeStanding, Verdict, WardenError};

/// The longest that a document may count, in milliseconds: evidence expires.
const DOCUMENT_MILLIS_MAX: u64 = 730 * 86_400_000;
/// Documents and open disputes of one node.
const PAPERS_MAX: usize = 64;

/// A document to be filed.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDocument {
    /// What it is.
    pub kind: DocumentKind,
    /// The place that it gives.
    #[schemars(with = "String")]
    pub place: Place,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// Who vouches for it.
    pub vouched_by: String,
    /// From when on it counts no more.
    #[schemars(with = "u64")]
    pub expires: UnixMillis,
}

/// A dispute to be opened.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDispute {
    /// What the operator says.
    pub statement: String,
    /// SHA-256 of what the operator shows for it, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How a dispute is to be settled.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVerdict {
    /// Whether the operator is right.
    pub upheld: bool,
    /// Why.
    pub answer: String,
    /// What the evidence is kept as; needed to set a contradiction of place aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<NewDocument>,
}

impl Gateway {
    /// Puts a document about a node's place on file.
    pub async fn file_document(&self, caller: &Caller, node: &NodeId, new: NewDocument) -> Result<Document, Error> {
        let standing = self.node_standing(node)?;
        if standing.documents.iter().filter(|document| document.ended.is_none()).count() >= PAPERS_MAX {
            return Err(Error::InvalidArgument(format!("{PAPERS_MAX} documents are on file: withdraw one first")));
        }
        let document = self.document(node, new)?;
        let filed = document.clone();
        self.about_node(caller, node, async |by| self.warden.file_document(filed, Some(by)).await).await?;
        Ok(document)
    }

    /// Takes a document off file.
    pub async fn withdraw_document(&self, caller: &Caller, node: &NodeId, id: &str) -> Result<(), Error> {
        self.node_standing(node)?;
        let found =
            self.about_node(caller, node, async |by| self.warden.withdraw_document(node, id, Some(by)).await).await?;
        if found { Ok(()) } else { Err(no_such("document", id)) }
    }

    /// Contests how a node stands.
    pub async fn open_dispute(&self, caller: &Caller, node: &NodeId, new: NewDispute) -> Result<Dispute, Error> {
        let standing = self.node_standing(node)?;
        if standing.disputes.iter().any(|dispute| dispute.settlement == Settlement::Open) {
            return Err(Error::InvalidArgument(
                "a dispute about this node is open: wait until it is settled".to_owned(),
            ));
        }
        let dispute = Dispute {
            id: self.paper_id(),
            node: *node,
            statement: text("statement", new.statement)?,
            sha256: new.sha256.map(sha256).transpose()?,
            opened: self.clock.now(),
            contests: standing.contradictions.iter().cloned().collect(),
            settlement: Settlement::Open,
            settled: None,
            answer: None,
            salt: self.paper_id(),
        };
        let opened = dispute.clone();
        self.about_node(caller, node, async |by| self.warden.open_dispute(opened, Some(by)).await).await?;
        Ok(dispute)
    }

    /// Settles a dispute.
    pub async fn settle_dispute(&self, caller: &Caller, node: &NodeId, id: &str, new: NewVerdict) -> Result<(), Error> {
        let standing = self.node_standing(node)?;
        let dispute =
            standing.disputes.iter().find(|dispute| dispute.id == id).ok_or_else(|| no_such("dispute", id))?;
        if new.upheld && !dispute.contests.is_empty() && new.document.is_none() {
            return Err(Error::InvalidArgument(
                "what contradicts a place is set aside by a document on file alone: state it".to_owned(),
            ));
        }
        if !new.upheld && new.document.is_some() {
            return Err(Error::InvalidArgument("a dispute that is dismissed files no document".to_owned()));
        }
        let verdict = Verdict {
            settlement: if new.upheld { Settlement::Upheld } else { Settlement::Dismissed },
            answer: text("answer", new.answer)?,
            document: new.document.map(|new| self.document(node, new)).transpose()?,
        };
        let settle = async |by| self.warden.settle_dispute(node, id, verdict, Some(by)).await;
        if self.about_node(caller, node, settle).await? {
            Ok(())
        } else {
            Err(Error::InvalidArgument("that dispute is settled".to_owned()))
        }
    }

    /// Fences a node: it gets nothing new, and is emptied.
    pub async fn fence_node(&self, caller: &Caller, node: &NodeId) -> Result<(), Error> {
        self.node_standing(node)?;
        let fence = |standing: &mut crate::fleet::standing::Standing| standing.orders.fence = true;
        let order = async |by| self.warden.order(*node, FleetChange::Quarantined, Some(by), fence).await;
        self.about_node(caller, node, order).await
    }

    /// Releases a node from a fence, or from what made it corrupt. Refused while its place or party is contradicted.
    pub async fn release_node(&self, caller: &Caller, node: &NodeId) -> Result<(), Error> {
        let standing = self.node_standing(node)?;
        if let Some(mark) = standing.contradictions.first() {
            return Err(Error::InvalidArgument(format!(
                "it is contradicted still ({}: {}): a dispute that is upheld sets that aside",
                mark.reason, mark.how
            )));
        }
        let release = |standing: &mut crate::fleet::standing::Standing| standing.release();
        let order = async |by| self.warden.order(*node, FleetChange::Released, Some(by), release).await;
        self.about_node(caller, node, order).await
    }

    /// What is known of a node.
    pub fn node_standing(&self, node: &NodeId) -> Result<NodeStanding, Error> {
        self.directory.standing(node).ok_or_else(|| no_such("node", &node.to_string()))
    }

    fn document(&self, node: &NodeId, new: NewDocument) -> Result<Document, Error> {
        let now = self.clock.now();
        if new.expires <= now || new.expires.millis_since(now) > DOCUMENT_MILLIS_MAX {
            return Err(Error::InvalidArgument(
                "a document counts for a while, and for two years at the most".to_owned(),
            ));
        }
        if new.place == Place::Unknown {
            return Err(Error::InvalidArgument("a document of place gives a place".to_owned()));
        }
        Ok(Document {
            id: self.paper_id(),
            kind: new.kind,
            node: *node,
            place: new.place,
            sha256: sha256(new.sha256)?,
            vouched_by: text("name of who vouches", new.vouched_by)?,
            filed: now,
            expires: new.expires,
            ended: None,
            settles: Vec::new(),
            salt: self.paper_id(),
        })
    }

    fn paper_id(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.clock.random::<16>())
    }

    /// Decides and logs what a person does about a node, then does it.
    async fn about_node<T>(
        &self,
        caller: &Caller,
        node: &NodeId,
        act: impl AsyncFnOnce(Commitment) -> Result<T, WardenError>,
    ) -> Result<T, Error> {
        let region = self.config.region(&self.config.default_region);
        let packs: &[PackId] = region.map(|region| region.packs.as_slice()).unwrap_or_default();
        let subject = format!("node {node}");
        let matter = Matter {
            operation: OperationKind::Administer,
            packs,
            classification: &Classification::default(),
            bucket: None,
            key: Some(&subject),
            nodes: Vec::new(),
        };
        let intent = self.authorize(caller, &matter).await?;
        let fresh = || Salt(self.clock.random());
        let by = self.log.side().commit(CommitmentDomain::Actor, caller.actor().as_bytes(), fresh);
        let done = match by.map_err(log_unavailable) {
            Ok(by) => act(by).await.map_err(|error| match error {
                WardenError::Log(error) => log_unavailable(error),
                WardenError::Catalog(error) => error.into(),
            }),
            Err(error) => Err(error),
        };
        settle(intent, done.is_ok());
        done
    }
}

fn no_such(what: &str, name: &str) -> Error {
    Error::InvalidArgument(format!("there is no {what} {name}"))
}

fn text(what: &str, text: String) -> Result<String, Error> {
    if (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(Error::InvalidArgument(format!("the {what} is one line of 1 to {TEXT_CHARS_MAX} characters")))
    }
}

fn sha256(text: String) -> Result<String, Error> {
    let lower = text.to_ascii_lowercase();
    if lower.len() == 64 && lower.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(lower)
    } else {
        Err(Error::InvalidArgument("a SHA-256 is 64 hexadecimal digits".to_owned()))
    }
}
