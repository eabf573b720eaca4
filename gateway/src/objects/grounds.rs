//! What an export stands on: the approvals that match who asks, and what the packs' ledgers come to with it; and the charge.
//!
//! An export is tallied, judged by the tally, and charged only if the tally is still what it was judged by. Nothing is charged
//! that is denied, or that turns out to be no export. The charge is durable before the intent is logged, the intent before
//! the first byte.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_compliance::pack::Pack;
use domicile_compliance::place::{Standing as GroupStanding, Window};
use domicile_compliance::{AskedActions, Grounds};
use domicile_types::{
    Action, ApprovalId, Charge, Classification, Counts, DataId, Decision, Located, OperationKind, PackId, Party, Place,
    UnixMillis,
};

use super::authorize::Matter;
use super::error::Error;
use super::gateway::Gateway;
use super::request::{Caller, Principal};
use crate::approvals::ledger::{Account, totals};
use crate::approvals::table::choose;
use crate::approvals::{Approval, Asker, State, Use};
use crate::catalog::{Bill, Charged, Receipt, Tally};

/// Approvals that are named in a refusal.
const TOLD_MAX: usize = 3;

/// Bytes that a reader is to be handed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taking {
    /// Of what.
    pub(super) data: DataId,
    /// How many.
    pub(super) bytes: u64,
}

/// What speaks for a request.
#[derive(Default)]
pub(super) struct Footing {
    pub(super) grounds: Grounds,
    /// Who receives, as approvals say.
    pub(super) party: Option<Party>,
    /// What the decision's reader must know: approvals that do not help, and why.
    pub(super) warnings: Vec<String>,
    bill: Option<(Bill, Tally)>,
}

/// Room that was taken for an export. Dropped before it is begun, all of it is given back.
pub(super) struct Reserved {
    gateway: Gateway,
    /// What the intent says of it.
    pub(super) charge: Charge,
    receipt: Option<Receipt>,
}

impl Footing {
    /// The bill of what is exported by `decision`, without the accounts of packs that it is no export to.
    fn bill_for(&self, decision: &Decision) -> Option<(Bill, Tally)> {
        let (mut bill, tally) = self.bill.clone().filter(|_| decision.export)?;
        let exports: BTreeSet<&PackId> =
            decision.rules.iter().filter(|rule| rule.limb.is_some()).map(|rule| &rule.pack).collect();
        let (accounts, standings) = bill
            .accounts
            .drain(..)
            .zip(tally.accounts)
            .filter(|(account, _)| exports.contains(&account.name.pack))
            .unzip();
        bill.accounts = accounts;
        Some((bill, Tally { accounts: standings, ..tally }))
    }
}

impl Gateway {
    /// The packs by which a requester in any of `places` is not at home.
    pub(super) fn abroad(&self, packs: &[PackId], places: &[Place]) -> Vec<Arc<Pack>> {
        let (lawbook, now) = (self.judging.lawbook(), self.clock.now());
        let at_home = |pack: &Pack, place: Place| {
            let facts = pack.facts();
            let place = facts.territory.read(place);
            let home = facts.groups.get(&facts.home);
            home.is_some_and(|home| {
                home.standing(place, None, now, &mut Window::ALWAYS.clone()) == GroupStanding::Within
            })
        };
        let loaded = packs.iter().filter_map(|id| lawbook.pack(id));
        loaded.filter(|pack| !places.iter().all(|place| at_home(pack, *place))).cloned().collect()
    }

    /// What speaks for a request from abroad. `taking`: what it is to be handed, where it is handed bytes.
    pub(super) async fn footing(
        &self,
        caller: &Caller,
        matter: &Matter<'_>,
        abroad: &[Arc<Pack>],
        located: &Located,
        taking: Option<Taking>,
    ) -> Result<Footing, Error> {
        let (Some(wants), Some(name)) = (wanted(matter.operation), matter.bucket) else {
            return Ok(Footing::default());
        };
        let Principal::Key(holder) = &caller.principal else { return Ok(Footing::default()) };
        if abroad.is_empty() {
            return Ok(Footing::default());
        }
        let bucket = self.catalog.bucket(name).await?;
        let now = self.clock.now();
        let asker = Asker {
            owner: &bucket.owner,
            bucket: name,
            key: if matter.operation == OperationKind::HeadBucket {
                matter.key
            } else {
                Some(matter.key.unwrap_or(""))
            },
            places: &located.candidates,
            tenant: &holder.tenant,
            access_key: &holder.access_key,
            user: holder.user.as_deref(),
            session: holder.session.as_deref(),
            wants,
        };
        let ids = abroad.iter().map(|pack| pack.id()).collect();
        let found = self.approvals.table().matching(&asker, &ids, now);
        let mut warnings: Vec<String> = found.out_of_force.iter().map(|approval| out_of_force(approval, now)).collect();
        let counts = counts_of(matter.classification);
        let in_force = match taking {
            Some(_) => self.with_room(found.in_force, matter, taking, now, &mut warnings).await?,
            None => found.in_force,
        };
        let chosen = choose(in_force);
        warnings.truncate(TOLD_MAX);
        let ultimate = chosen.first().map(|approval| approval.ultimate.clone());
        let accounts =
            abroad.iter().flat_map(|pack| Account::of(pack, &bucket.owner, ultimate.as_ref(), matter.classification));
        let mut bill = Bill {
            now,
            data: taking.map_or(DataId::from_bytes([0; 16]), |taking| taking.data),
            counts: Counts::default(),
            approvals: chosen.iter().map(|approval| (approval.id, approval.terms.quota)).collect(),
            accounts: accounts.collect(),
        };
        if let Some(taking) = taking {
            let used = self.catalog.approvals_used(chosen.iter().map(|approval| approval.id).collect()).await?;
            let left = chosen
                .iter()
                .zip(&used)
                .map(|(approval, used)| approval.terms.quota.bytes.saturating_sub(used.counts.bytes));
            let bytes = left.min().map_or(taking.bytes, |left| left.min(taking.bytes));
            bill.counts = Counts { bytes, ..counts };
        }
        let tally = self.catalog.tally(bill.clone()).await?;
        let standings = bill.accounts.iter().cloned().zip(&tally.accounts);
        let totals = totals(&standings.map(|(account, at)| (account, at.before, at.after)).collect::<Vec<_>>(), now);
        Ok(Footing {
            grounds: Grounds { approvals: chosen.iter().map(|approval| approval.reference()).collect(), totals },
            party: chosen.first().map(|approval| approval.terms.recipient.party.clone()),
            warnings,
            bill: taking.map(|_| (bill, tally)),
        })
    }

    /// Those approvals whose quotas have room for the object's individuals and at least a byte.
    async fn with_room(
        &self,
        found: Vec<Arc<Approval>>,
        matter: &Matter<'_>,
        taking: Option<Taking>,
        now: UnixMillis,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Arc<Approval>>, Error> {
        let Some(taking) = taking else { return Ok(found) };
        let bill = Bill {
            now,
            data: taking.data,
            counts: Counts { bytes: 0, ..counts_of(matter.classification) },
            approvals: found.iter().map(|approval| (approval.id, approval.terms.quota)).collect(),
            accounts: Vec::new(),
        };
        let tally = self.catalog.tally(bill).await?;
        let mut left = Vec::with_capacity(found.len());
        for (approval, standing) in found.into_iter().zip(tally.approvals) {
            let quota = approval.terms.quota;
            let lacks = if standing.before.bytes >= quota.bytes {
                Some("its quota of bytes is used up")
            } else if quota.subjects.is_some() && matter.classification.subjects.is_none() {
                Some("it counts individuals, and the object does not state how many it holds")
            } else if quota.subjects.is_some_and(|subjects| standing.after.subjects > subjects) {
                Some("its quota of individuals has no room for this object")
            } else {
                None
            };
            match lacks {
                Some(lacks) => warnings.push(format!("approval {}: {lacks}", approval.id)),
                None => left.push(approval),
            }
        }
        Ok(left)
    }

    /// Takes room for what `decision` exports. `None`: others took some in between; judge again.
    pub(super) async fn reserve(
        &self,
        caller: &Caller,
        footing: &Footing,
        decision: &Decision,
    ) -> Result<Option<Option<Reserved>>, Error> {
        let Some((bill, tally)) = footing.bill_for(decision) else { return Ok(Some(None)) };
        let standings = bill.accounts.iter().cloned().zip(&tally.accounts);
        let charge = Charge {
            recipient: footing.party.as_ref().map(|party| party.id.clone()),
            approvals: bill.approvals.iter().map(|(id, _)| *id).collect(),
            counts: bill.counts,
            totals: totals(
                &standings.map(|(account, at)| (account, at.before, at.after)).collect::<Vec<_>>(),
                bill.now,
            ),
        };
        let gateway = self.clone();
        // In a task of its own: a client that leaves meanwhile drops what the task returns, and that gives all of it back.
        let charging = tokio::spawn(async move {
            match gateway.catalog.charge(bill, tally).await? {
                Charged::Done(receipt) => Ok(Some(Reserved { gateway, charge, receipt: Some(receipt) })),
                Charged::Changed | Charged::Over(_) => Ok::<_, Error>(None),
            }
        });
        let reserved = charging.await.map_err(|_| Error::Unavailable("the gateway is shutting down".to_owned()))??;
        let Some(reserved) = reserved else { return Ok(None) };
        self.tell_marks(caller, &reserved);
        Ok(Some(Some(reserved)))
    }

    /// What an intent says is charged that hands out no bytes: the approvals that it stands on.
    pub(super) fn charge_of_query(&self, operation: OperationKind, decision: &Decision) -> Option<Charge> {
        let first = decision.approvals.first().filter(|_| decision.export && wanted(operation) == Some(Use::Query))?;
        let recipient = self.approvals.table().get(first).map(|approval| approval.terms.recipient.party.id.clone());
        Some(Charge { recipient, approvals: decision.approvals.clone(), ..Charge::default() })
    }
}

impl Reserved {
    /// Bytes that may leave.
    pub(super) fn bytes(&self) -> u64 {
        self.charge.counts.bytes
    }

    /// The approvals that are charged.
    pub(super) fn approvals(&self) -> &[ApprovalId] {
        &self.charge.approvals
    }

    /// Marks that the charge passed: of an approval, or (none) of a ledger.
    pub(super) fn marks(&self) -> &[(Option<ApprovalId>, String)] {
        self.receipt.as_ref().map_or(&[], |receipt| &receipt.marks)
    }

    /// From here on bytes may leave: what is not settled stays charged.
    pub(super) fn begin(mut self) -> Begun {
        Begun { gateway: self.gateway.clone(), receipt: self.receipt.take().unwrap_or_default() }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let (Some(receipt), Ok(runtime)) = (self.receipt.take(), tokio::runtime::Handle::try_current()) {
            let begun = Begun { gateway: self.gateway.clone(), receipt };
            runtime.spawn(begun.settle(0));
        }
    }
}

/// An export under way.
pub(super) struct Begun {
    gateway: Gateway,
    receipt: Receipt,
}

impl Begun {
    /// Gives back what was not sent. What was handed to the connection counts as sent, whether or not it arrived.
    pub(super) async fn settle(self, sent: u64) {
        let Self { gateway, receipt } = self;
        let back = receipt.bytes.saturating_sub(sent);
        match gateway.catalog.refund(receipt, back).await {
            Ok(used) => {
                for (id, used) in used {
                    gateway.consume_approval(&id, used.counts.bytes).await;
                }
            }
            // It stays charged: too much rather than too little.
            Err(error) => tracing::error!(%error, "what an export did not use could not be given back"),
        }
    }
}

/// What the law asks of the requester, as approvals name it.
fn wanted(operation: OperationKind) -> Option<Use> {
    let asked = AskedActions::of(operation).requester;
    if asked.contains(&Action::Retrieve) {
        Some(Use::Retrieve)
    } else {
        asked.contains(&Action::Query).then_some(Use::Query)
    }
}

fn counts_of(classification: &Classification) -> Counts {
    Counts {
        subjects: classification.subjects.unwrap_or(0),
        sensitive: classification.sensitive_subjects.unwrap_or(0),
        bytes: 0,
    }
}

fn out_of_force(approval: &Approval, now: UnixMillis) -> String {
    let why = match approval.state {
        State::Requested => "is asked for and not approved",
        State::Suspended => "is suspended",
        State::Consumed => "is used up",
        State::Revoked => "is revoked",
        _ if approval.terms.expires <= now => "is over",
        _ => "is not in force yet",
    };
    format!("approval {} {why}", approval.id)
}

/// What would have to be stated of the data for the law's thresholds to be held against it.
pub(super) fn unstated(classification: &Classification) -> Option<String> {
    let lacks: Vec<&str> = [
        (classification.classes.is_empty(), "domicile:class"),
        (classification.subjects.is_none(), "domicile:subjects"),
        (classification.sensitive_subjects.is_none(), "domicile:sensitive"),
    ]
    .into_iter()
    .filter_map(|(lacks, tag)| lacks.then_some(tag))
    .collect();
    (!lacks.is_empty()).then(|| {
        format!(
            "Not stated of the data: {}. Thresholds that count individuals need these tags on the object or its bucket",
            lacks.join(", ")
        )
    })
}
