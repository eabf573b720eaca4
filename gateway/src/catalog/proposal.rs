//! Versions of packs that somebody proposed, and which packs judged when.
//!
//! Maker and checker are compared in the transaction that decides, by person: two tokens of one person are one pair of eyes.

use domicile_types::{PackVersion, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Catalog, CatalogError, Stamp, keys};
use crate::state::{KeyRange, Order, Read, StoredRow, Tx, decode};

/// Proposals that wait for a decision or for their day, at the most.
const OPEN_MAX: usize = 100;
/// Proposals that are listed, newest first.
const LISTED_MAX: usize = 1_000;

/// How a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProposalState {
    /// Waits for a checker.
    Proposed,
    /// Takes force on its day.
    Agreed,
    /// A checker turned it down.
    Rejected,
    /// Its maker took it back.
    Withdrawn,
    /// Has taken force.
    InForce,
    /// Was agreed to, and could not take force on its day.
    Failed,
}

impl ProposalState {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Agreed => "agreed",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::InForce => "in-force",
            Self::Failed => "failed",
        }
    }

    const fn is_open(self) -> bool {
        matches!(self, Self::Proposed | Self::Agreed)
    }
}

/// A version of a pack that somebody proposed. Its files lie with those of all versions, by their hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Proposal {
    /// Names it.
    pub id: String,
    /// The version.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub version: PackVersion,
    /// From when on it judges, if it is agreed to.
    #[schemars(with = "u64")]
    pub effective: UnixMillis,
    /// Why it is proposed, in words.
    pub reason: Option<String>,
    /// The person who proposed it.
    pub maker: String,
    /// When.
    #[schemars(with = "u64")]
    pub proposed: UnixMillis,
    /// The person who decided.
    pub checker: Option<String>,
    /// When.
    #[schemars(with = "Option<u64>")]
    pub decided: Option<UnixMillis>,
    /// What was said to it, or why it could not take force.
    pub answer: Option<String>,
    /// How it stands.
    pub state: ProposalState,
}

impl StoredRow for Proposal {
    const NAME: &'static str = "proposal of a pack";
    const VERSION: u8 = 1;
}

/// Who decides what about a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalVerdict {
    /// The person.
    pub person: String,
    /// What it becomes: agreed, rejected or withdrawn.
    pub becomes: ProposalState,
    /// What is said to it.
    pub answer: Option<String>,
}

/// Why a proposal stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposalFault {
    /// There is none of that name.
    #[error("there is no such proposal: domicile policy proposals lists them")]
    NoSuch,
    /// It is decided already.
    #[error("the proposal is {0} already: propose again if it should be otherwise")]
    Decided(&'static str),
    /// The maker decides.
    #[error("who proposes a version does not agree to it or turn it down: another person must (a maker can withdraw)")]
    SamePerson,
    /// Somebody else's is taken back.
    #[error("only its maker takes a proposal back: an approver can reject it")]
    NotTheMaker,
    /// The same version waits already.
    #[error("that version is proposed already, as {id}")]
    Twice {
        /// That proposal.
        id: String,
    },
    /// Too many wait.
    #[error("{OPEN_MAX} proposals are open: decide on some first")]
    TooMany,
}

/// The packs that judged from some moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacksSince {
    /// From when on.
    pub since: UnixMillis,
    /// Every pack.
    pub packs: Vec<PackVersion>,
}

impl StoredRow for PacksSince {
    const NAME: &'static str = "packs since";
    const VERSION: u8 = 1;
}

/// Remembers which packs judge from now on.
pub(super) fn remember_since(tx: &mut Tx<'_>, now: UnixMillis, packs: &[PackVersion]) -> Result<(), CatalogError> {
    let since = PacksSince { since: now, packs: packs.to_vec() };
    Ok(tx.put_row(keys::packs_since(now), &since)?)
}

impl Catalog {
    /// Proposals, newest first.
    pub async fn proposals(&self) -> Result<Vec<Proposal>, CatalogError> {
        self.read(|view| all(view)).await
    }

    /// Keeps a new proposal.
    pub async fn add_proposal(&self, stamp: Stamp, new: Proposal) -> Result<(), CatalogError> {
        self.write(stamp.once("add-proposal", &[new.id.as_bytes()]), move |tx| {
            has_room(tx, &new.version)?;
            Ok(tx.put_row(keys::proposal(new.proposed, &new.id), &new)?)
        })
        .await
    }

    /// Whether a version can be proposed, without proposing it.
    pub async fn check_proposal(&self, version: &PackVersion) -> Result<(), CatalogError> {
        let version = version.clone();
        self.read(move |view| has_room(view, &version)).await
    }

    /// Whether a verdict would be taken, without taking it.
    pub async fn check_verdict(&self, id: &str, verdict: ProposalVerdict) -> Result<Proposal, CatalogError> {
        let id = id.to_owned();
        self.read(move |view| judged(find(view, &id)?, &verdict, UnixMillis(0))).await
    }

    /// Decides on a proposal. Refuses makers who would be their own checkers.
    pub async fn decide_proposal(
        &self,
        stamp: Stamp,
        id: &str,
        verdict: ProposalVerdict,
    ) -> Result<Proposal, CatalogError> {
        let id = id.to_owned();
        self.write(stamp.once("decide-proposal", &[id.as_bytes()]), move |tx| {
            let decided = judged(find(tx, &id)?, &verdict, stamp.now)?;
            tx.put_row(keys::proposal(decided.proposed, &decided.id), &decided)?;
            Ok(decided)
        })
        .await
    }

    /// Notes that what was agreed to has taken force, or why it could not.
    pub async fn settle_proposal(
        &self,
        stamp: Stamp,
        id: &str,
        failed: Option<String>,
    ) -> Result<Proposal, CatalogError> {
        let id = id.to_owned();
        self.write(stamp.once("settle-proposal", &[id.as_bytes()]), move |tx| {
            let mut proposal = find(tx, &id)?;
            if proposal.state != ProposalState::Agreed {
                return Err(ProposalFault::Decided(proposal.state.name()).into());
            }
            proposal.state = if failed.is_some() { ProposalState::Failed } else { ProposalState::InForce };
            proposal.answer = failed.clone().or(proposal.answer);
            tx.put_row(keys::proposal(proposal.proposed, &proposal.id), &proposal)?;
            Ok(proposal)
        })
        .await
    }

    /// The packs that judged at `time`; none: no gateway had run by then.
    pub async fn packs_at(&self, time: UnixMillis) -> Result<Option<PacksSince>, CatalogError> {
        self.read(move |view| {
            let range = KeyRange::prefix(keys::PACKS_SINCE).through(&keys::packs_since(time));
            let rows = view.scan(&range, 1, Order::Descending)?;
            Ok(rows.first().map(|row| decode(&row.row.value)).transpose()?)
        })
        .await
    }
}

/// Refuses a version that waits already, and more than can be looked through.
fn has_room(read: &mut impl Read, version: &PackVersion) -> Result<(), CatalogError> {
    let open: Vec<Proposal> = all(read)?.into_iter().filter(|known| known.state.is_open()).collect();
    if let Some(same) = open.iter().find(|known| known.version == *version) {
        return Err(ProposalFault::Twice { id: same.id.clone() }.into());
    }
    if open.len() >= OPEN_MAX { Err(ProposalFault::TooMany.into()) } else { Ok(()) }
}

fn judged(mut proposal: Proposal, verdict: &ProposalVerdict, now: UnixMillis) -> Result<Proposal, CatalogError> {
    if proposal.state != ProposalState::Proposed {
        return Err(ProposalFault::Decided(proposal.state.name()).into());
    }
    let own = proposal.maker == verdict.person;
    match verdict.becomes {
        ProposalState::Withdrawn if !own => return Err(ProposalFault::NotTheMaker.into()),
        ProposalState::Withdrawn => {}
        _ if own => return Err(ProposalFault::SamePerson.into()),
        _ => {}
    }
    proposal.state = verdict.becomes;
    proposal.checker = (!own).then(|| verdict.person.clone());
    proposal.decided = Some(now);
    proposal.answer = verdict.answer.clone();
    Ok(proposal)
}

fn find(read: &mut impl Read, id: &str) -> Result<Proposal, CatalogError> {
    all(read)?.into_iter().find(|known| known.id == id).ok_or_else(|| ProposalFault::NoSuch.into())
}

fn all(read: &mut impl Read) -> Result<Vec<Proposal>, CatalogError> {
    let rows = read.scan(&KeyRange::prefix(keys::PROPOSALS), LISTED_MAX, Order::Descending)?;
    rows.iter().map(|row| decode(&row.row.value).map_err(CatalogError::from)).collect()
}

impl From<ProposalFault> for CatalogError {
    fn from(fault: ProposalFault) -> Self {
        Self::Proposal(fault)
    }
}
