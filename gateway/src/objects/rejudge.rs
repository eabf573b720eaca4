//! What was placed under one law and would be committed under another is judged again before it commits.
//!
//! The bytes lie where they lie: what is asked is whether they could be given to these nodes now. If so, the decision that says
//! it is logged and the commit goes on under it. If the law denies the data altogether, that is the answer; if it allows it
//! and not where it lies, the client is told to send it again, and it is placed anew. Either way what was sent is garbage.

use std::collections::BTreeSet;
use std::future::Future;

use domicile_compliance::audit::LoggedIntent;
use domicile_types::{CodeProfile, DataId, OperationKind};

use super::authorize::{Matter, Scope, roster_facts};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::request::Caller;
use super::share::{Layout, lies_lawfully, profile_of};
use super::writer::stamp;
use crate::catalog::{Bucket, CatalogError, CompletionPlan, ExtentPage, JudgingEpoch, NewCompletion, Part, PutOutcome};

/// How often what is to be committed is judged again before it is given up.
const ROUNDS_MAX: usize = 4;

/// A body on nodes that is not committed yet.
pub(super) struct Placed<'a> {
    /// Who sends it.
    pub(super) caller: &'a Caller,
    /// What was asked when it was placed. Its nodes may be old: they are looked up anew.
    pub(super) matter: &'a Matter<'a>,
    /// What its shards are stored under.
    pub(super) data: DataId,
    /// Where it lies.
    pub(super) lies: Lies<'a>,
}

/// Where a body lies.
pub(super) enum Lies<'a> {
    /// On the nodes that these pages name, under this code.
    On(CodeProfile, &'a [ExtentPage]),
    /// In these ways.
    At(&'a BTreeSet<Layout>),
}

impl Lies<'_> {
    /// Every distinct way in which segments lie; none where pages do not say it plainly.
    fn layouts(&self) -> Option<BTreeSet<Layout>> {
        match self {
            Self::At(layouts) => Some((*layouts).clone()),
            Self::On(profile, pages) => {
                let segments = pages.iter().flat_map(|page| &page.segments);
                let layout = |shards: &Vec<crate::catalog::ShardAt>| {
                    Some((profile_of(*profile, shards.len())?, shards.iter().map(|shard| shard.node).collect()))
                };
                segments.map(layout).collect()
            }
        }
    }
}

impl Gateway {
    /// Commits what was `judged` under that epoch, and judges it again as often as the law changes meanwhile.
    pub(super) async fn commit_judged<T, F: Future<Output = Result<T, CatalogError>>>(
        &self,
        mut judged: JudgingEpoch,
        placed: &Placed<'_>,
        commit: impl Fn(JudgingEpoch) -> F,
    ) -> Result<T, Error> {
        let mut again: Option<LoggedIntent> = None;
        for _ in 0..ROUNDS_MAX {
            let committed = commit(judged).await;
            if let Some(intent) = again.take() {
                settle(intent, committed.is_ok());
            }
            let Err(CatalogError::JudgedBefore { now }) = committed else { return Ok(committed?) };
            let (epoch, intent) = self.judge_again(placed, now).await?;
            judged = epoch;
            again = Some(intent);
        }
        if let Some(intent) = again {
            settle(intent, false);
        }
        Err(keeps_changing())
    }

    /// Judges by what is in force at `epoch` or later whether it may lie where it lies, and logs that it may.
    async fn judge_again(
        &self,
        placed: &Placed<'_>,
        epoch: JudgingEpoch,
    ) -> Result<(JudgingEpoch, LoggedIntent), Error> {
        let law = self.judging.at_least(epoch).await;
        let roster = self.directory.roster();
        let matter = Matter { nodes: roster_facts(&roster), ..placed.matter.clone() };
        let permit = self.permit(placed.caller, &matter).await?;
        let layouts = placed.lies.layouts();
        let lawful = |layout: &Layout| lies_lawfully(&roster, &permit, self.clock.random(), layout);
        if !layouts.is_some_and(|layouts| layouts.iter().all(lawful)) {
            tracing::info!(request_id = %placed.caller.request, epoch = law.epoch.0,
                "what was stored may not stay where it was stored any more");
            return Err(Error::Unavailable(
                "the rules changed while the object was being stored, and it may not lie where it was sent: send it again"
                    .to_owned(),
            ));
        }
        let scope = Scope { data: Some(placed.data), ..Scope::default() };
        let intent = self.intend(placed.caller, &matter, &permit, scope).await?;
        Ok((law.epoch, intent))
    }

    /// Completes an upload. Parts that were placed before the law changed are judged again, before and as often as it changes.
    pub(super) async fn complete_judged(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        plan: CompletionPlan,
        mut completion: NewCompletion,
    ) -> Result<PutOutcome, Error> {
        for _ in 0..ROUNDS_MAX {
            let judged = completion.judged;
            let parts: Vec<&Part> = plan.parts.iter().filter(|part| part.judged != judged).collect();
            if !parts.is_empty() {
                completion.judged = self.judge_parts_again(caller, bucket, &plan, &parts, judged).await?;
            }
            let stamp = stamp(self, caller);
            match self.catalog.complete_upload(stamp, bucket, plan.clone(), completion.clone()).await {
                Err(CatalogError::JudgedBefore { now }) => completion.judged = now,
                completed => return Ok(completed?.1),
            }
        }
        Err(keeps_changing())
    }

    async fn judge_parts_again(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        plan: &CompletionPlan,
        parts: &[&Part],
        epoch: JudgingEpoch,
    ) -> Result<JudgingEpoch, Error> {
        let mut layouts = BTreeSet::new();
        for part in parts {
            if !self.extent_layouts(&part.extent, 0..part.extent.pages(), &mut layouts).await? {
                return Err(Error::Unavailable(format!("part {} must be sent again", part.number)));
            }
        }
        let new = &plan.upload.new;
        // The completion's own question asks of no node: the parts are judged as if they were sent now.
        let matter = Matter {
            operation: OperationKind::UploadPart,
            packs: &new.packs,
            classification: &new.classification,
            bucket: Some(&bucket.name),
            key: Some(plan.key.as_str()),
            nodes: Vec::new(),
        };
        let placed = Placed { caller, matter: &matter, data: new.data, lies: Lies::At(&layouts) };
        let (epoch, intent) = self.judge_again(&placed, epoch).await?;
        settle(intent, true);
        Ok(epoch)
    }
}

fn keeps_changing() -> Error {
    Error::Unavailable("the rules keep changing while the object is being stored: send it again later".to_owned())
}
