//! Records of the fleet: entities, operators, enrolments, requests and invitations. Few rows, read whole.
//!
//! A change is decided on all records as they were read, and is written only if none has changed since: an epoch counts.

use std::collections::BTreeMap;

use domicile_types::{NodeId, OperatorId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::history::note_place;
use super::{Catalog, CatalogError, Stamp, keys};
use crate::fleet::entities::{Enrolment, Entity, Operator};
use crate::fleet::joining::{Application, Claims};
use crate::state::{KeyRange, Order, Read, StoredRow, decode};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "record")]
pub enum FleetRecord {
    /// A legal entity.
    Entity(Entity),
    /// Who runs nodes.
    Operator(Operator),
    /// A node on the roster.
    Enrolment(Enrolment),
    /// An invitation.
    Invitation(InvitationRow),
    /// A node that asks to join.
    Request(RequestRow),
}

/// An invitation that was made. Its secret follows from its claims and is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InvitationRow {
    /// What it says.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub claims: Claims,
    /// When it was made.
    #[schemars(with = "u64")]
    pub created: UnixMillis,
    /// The node that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub used_by: Option<NodeId>,
}

/// A node that asks to join, or was turned down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RequestRow {
    /// Which node.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// Whose: as the invitation says.
    #[schemars(with = "String")]
    pub operator: OperatorId,
    /// The invitation's id.
    pub invitation: String,
    /// When the request came.
    #[schemars(with = "u64")]
    pub received: UnixMillis,
    /// What it says.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub application: Application,
    /// Why it was turned down, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

/// The kinds of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetKind {
    /// [`FleetRecord::Entity`]
    Entity,
    /// [`FleetRecord::Operator`]
    Operator,
    /// [`FleetRecord::Enrolment`]
    Enrolment,
    /// [`FleetRecord::Invitation`]
    Invitation,
    /// [`FleetRecord::Request`]
    Request,
}

/// Names a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetName {
    /// Its kind.
    pub kind: FleetKind,
    /// Its id, as text.
    pub id: String,
}

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetEdit {
    /// Writes it, or writes over it.
    Put(FleetRecord),
    /// Takes it out; nothing happens if it is not there.
    Remove(FleetName),
}

/// All records, as of an epoch.
#[derive(Debug, Clone, Default)]
pub struct FleetRecords {
    /// Grows with every change.
    pub epoch: u64,
    /// Legal entities.
    pub entities: Vec<Entity>,
    /// Operators, by id.
    pub operators: BTreeMap<OperatorId, Operator>,
    /// Nodes on the roster, by id.
    pub enrolments: BTreeMap<NodeId, Enrolment>,
    /// Invitations, by id.
    pub invitations: BTreeMap<String, InvitationRow>,
    /// Nodes that ask to join or were turned down, by id.
    pub requests: BTreeMap<NodeId, RequestRow>,
}

/// As it is stored: JSON, because it is small, skips what is absent, and is what the log's hash is of.
#[derive(Serialize, Deserialize)]
struct Sheet(String);

impl StoredRow for Sheet {
    const NAME: &'static str = "record of the fleet";
    const VERSION: u8 = 1;
}

/// Rows read at once.
const PAGE: usize = 1_000;
/// Records changed at once: a transaction writes a thousand rows at the most, the epoch's among them, and for a node two.
const EDITS_MAX: usize = 450;

impl FleetRecord {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> FleetName {
        match self {
            Self::Entity(entity) => FleetName { kind: FleetKind::Entity, id: entity.id.to_string() },
            Self::Operator(operator) => FleetName { kind: FleetKind::Operator, id: operator.id.to_string() },
            Self::Enrolment(enrolment) => FleetName { kind: FleetKind::Enrolment, id: enrolment.node.to_string() },
            Self::Invitation(row) => FleetName { kind: FleetKind::Invitation, id: row.claims.id.clone() },
            Self::Request(row) => FleetName { kind: FleetKind::Request, id: row.node.to_string() },
        }
    }
}

impl FleetName {
    fn row(&self) -> Vec<u8> {
        let kind = match self.kind {
            FleetKind::Entity => b'e',
            FleetKind::Operator => b'o',
            FleetKind::Enrolment => b'n',
            FleetKind::Invitation => b'i',
            FleetKind::Request => b'j',
        };
        keys::fleet_record(kind, &self.id)
    }
}

impl FleetRecords {
    fn add(&mut self, record: FleetRecord) {
        match record {
            FleetRecord::Entity(entity) => self.entities.push(entity),
            FleetRecord::Operator(operator) => drop(self.operators.insert(operator.id.clone(), operator)),
            FleetRecord::Enrolment(enrolment) => drop(self.enrolments.insert(enrolment.node, enrolment)),
            FleetRecord::Invitation(row) => drop(self.invitations.insert(row.claims.id.clone(), row)),
            FleetRecord::Request(row) => drop(self.requests.insert(row.node, row)),
        }
    }
}

impl Catalog {
    /// All records of the fleet.
    pub async fn fleet(&self) -> Result<FleetRecords, CatalogError> {
        // No epoch is the largest number: every change adds one.
        Ok(self.fleet_since(u64::MAX).await?.unwrap_or_default())
    }

    /// All records of the fleet, if there has been a change since `epoch`.
    pub async fn fleet_since(&self, epoch: u64) -> Result<Option<FleetRecords>, CatalogError> {
        self.read(move |view| {
            let current = epoch_of(view)?;
            if current == epoch {
                return Ok(None);
            }
            let mut found = FleetRecords { epoch: current, ..FleetRecords::default() };
            let mut range = KeyRange::prefix(keys::FLEET);
            loop {
                let rows = view.scan(&range, PAGE, Order::Ascending)?;
                for row in &rows {
                    let Sheet(json) = decode(&row.row.value)?;
                    let record = serde_json::from_str(&json);
                    found.add(record.map_err(|_| CatalogError::Inconsistent { what: "a record of the fleet" })?);
                }
                match rows.last() {
                    Some(last) if rows.len() == PAGE => range = range.after(&last.key),
                    _ => return Ok(Some(found)),
                }
            }
        })
        .await
    }

    /// Makes `edits`, all or none, if no record has changed since `epoch`. At most 450.
    ///
    /// # Errors
    /// [`CatalogError::FleetChanged`].
    pub async fn change_fleet(&self, stamp: Stamp, epoch: u64, edits: Vec<FleetEdit>) -> Result<(), CatalogError> {
        if edits.len() > EDITS_MAX {
            return Err(CatalogError::Inconsistent {
                what: "more changes of the fleet at once than a transaction takes",
            });
        }
        self.write(stamp.once("change-fleet", &[&epoch.to_be_bytes()]), move |tx| {
            if epoch_of(tx)? != epoch {
                return Err(CatalogError::FleetChanged);
            }
            for edit in &edits {
                match edit {
                    FleetEdit::Put(record) => {
                        let json = serde_json::to_string(record);
                        let json = json.map_err(|_| CatalogError::Inconsistent { what: "a record of the fleet" })?;
                        tx.put_row(record.name().row(), &Sheet(json))?;
                        if let FleetRecord::Enrolment(enrolment) = record {
                            note_place(tx, &enrolment.node, enrolment.place)?;
                        }
                    }
                    FleetEdit::Remove(name) => tx.delete(name.row())?,
                }
            }
            Ok(tx.put(keys::FLEET_EPOCH.to_vec(), epoch.saturating_add(1).to_be_bytes().to_vec())?)
        })
        .await
    }
}

fn epoch_of(read: &mut impl Read) -> Result<u64, CatalogError> {
    let row = read.get(keys::FLEET_EPOCH)?;
    let bytes = row.and_then(|row| row.value.as_slice().try_into().ok());
    Ok(bytes.map_or(0, u64::from_be_bytes))
}
