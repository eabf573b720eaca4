//! Evidence and the care of the log: bundles, replays, and the erasure of what commitments hide. Each is decided and logged
//! before it is done.

use std::path::Path;

use domicile_compliance::audit::{
    BundleRequest, CommitmentDomain, EraseError, Event, LoggedIntent, Manifest, Replay, SeenCheckpoint,
    entries_between, replay_log, write_bundle,
};
use domicile_types::{Classification, Commitment, OperationKind, PackId, Salt, UnixMillis};
use serde::{Deserialize, Serialize};

use super::authorize::{Matter, log_unavailable};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use super::request::Caller;
use crate::judging::kept_pack;

/// What a bundle is to be about.
#[derive(Debug, Clone, Default)]
pub(crate) struct BundleWanted {
    /// From when on.
    pub(crate) from: Option<UnixMillis>,
    /// Until when (exclusive).
    pub(crate) to: Option<UnixMillis>,
    /// About one bucket.
    pub(crate) bucket: Option<String>,
    /// With what commitments hide.
    pub(crate) open: bool,
    /// What others hold of the log.
    pub(crate) seen: Vec<SeenCheckpoint>,
}

/// A bundle that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BundleMade {
    /// What it is about.
    pub(crate) manifest: Manifest,
    /// SHA-256 of its manifest, in hexadecimal.
    pub(crate) seal: String,
    /// The entry that records the seal.
    pub(crate) log_index: u64,
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Erasure {
    /// How many commitments no longer open.
    pub commitments: u64,
    /// The entries that record it.
    pub log_indices: Vec<u64>,
}

impl Gateway {
    /// Decides and logs that `caller` does something with the log itself; `what` is no secret.
    async fn about_the_log(&self, caller: &Caller, what: &str) -> Result<LoggedIntent, Error> {
        let region = self.config.region(&self.config.default_region);
        let packs: &[PackId] = region.map(|region| region.packs.as_slice()).unwrap_or_default();
        let classification = Classification::default();
        let operation = OperationKind::Administer;
        let matter = Matter {
            operation,
            packs,
            classification: &classification,
            bucket: None,
            key: Some(what),
            nodes: Vec::new(),
        };
        self.authorize(caller, &matter).await
    }

    fn commit_actor(&self, caller: &Caller) -> Result<Commitment, Error> {
        let fresh = || Salt(self.clock.random());
        let by = self.log.side().commit(CommitmentDomain::Actor, caller.actor().as_bytes(), fresh);
        by.map_err(log_unavailable)
    }

    /// Writes evidence of a time into `to`, a folder that is not there or empty, and records its seal. Where commitments are
    /// opened, that is recorded before it is done.
    pub(crate) async fn make_bundle(
        &self,
        caller: &Caller,
        wanted: BundleWanted,
        to: &Path,
    ) -> Result<BundleMade, Error> {
        let what = if wanted.open { "audit bundle, opened" } else { "audit bundle" };
        let intent = self.about_the_log(caller, what).await?;
        let by = self.commit_actor(caller)?;
        let made = self.bundle(caller, by, wanted, to).await;
        settle(intent, made.is_ok());
        made
    }

    async fn bundle(
        &self,
        caller: &Caller,
        by: Commitment,
        wanted: BundleWanted,
        to: &Path,
    ) -> Result<BundleMade, Error> {
        let BundleWanted { from, to: until, bucket, open, seen } = wanted;
        let gateway = self.clone();
        let (bucket, entries) = blocking("looking for entries", move || {
            let find = |name: String| gateway.log.side().find(CommitmentDomain::Bucket, name.as_bytes());
            let bucket = bucket.map(find).transpose().map_err(log_unavailable)?;
            let entries = entries_between(&gateway.log, from, until, bucket.as_deref()).map_err(log_unavailable)?;
            Ok((bucket, entries))
        })
        .await?;
        if entries.is_empty() {
            return Err(Error::InvalidArgument("nothing was recorded in that time: ask for another".to_owned()));
        }
        if open {
            let rows = entries.end - entries.start;
            let viewed = Event::Viewed { what: "audit-bundle".to_owned(), rows, by };
            self.log.note(caller.request, viewed).await.map_err(log_unavailable)?;
        }
        let (gateway, made, folder) = (self.clone(), self.clock.now(), to.to_owned());
        let (manifest, seal) = blocking("making a bundle", move || {
            let request = BundleRequest {
                entries,
                from,
                to: until,
                bucket,
                open,
                made,
                seen,
                witnessed: gateway.witnesses.cosigned(),
                databases: gateway.locator.current().sources(),
                packs: &|hash| kept_pack(&gateway.config.data_dir, hash),
            };
            let manifest =
                write_bundle(&gateway.log, &folder, &request).map_err(|error| internal("making a bundle", error))?;
            let seal = Manifest::seal(&folder).map_err(|error| internal("sealing a bundle", error))?;
            Ok((manifest, seal))
        })
        .await?;
        let sealed = Event::Report {
            report: "evidence-bundle".to_owned(),
            hash: seal.clone(),
            format: "json".to_owned(),
            period: (from.unwrap_or(UnixMillis(0)), until.unwrap_or(made)),
            by: Some(by),
        };
        let logged = self.log.note(caller.request, sealed).await.map_err(log_unavailable)?;
        Ok(BundleMade { manifest, seal, log_index: logged.index })
    }

    /// Decides every decision of a time again.
    pub(crate) async fn replay(
        &self,
        caller: &Caller,
        from: Option<UnixMillis>,
        to: Option<UnixMillis>,
    ) -> Result<Replay, Error> {
        let intent = self.about_the_log(caller, "audit replay").await?;
        let gateway = self.clone();
        let replayed = blocking("replaying decisions", move || {
            let entries = entries_between(&gateway.log, from, to, None).map_err(log_unavailable)?;
            let shelf = |hash: &str| kept_pack(&gateway.config.data_dir, hash);
            replay_log(&gateway.log, entries, &shelf).map_err(|error| internal("replaying decisions", error))
        })
        .await;
        settle(intent, replayed.is_ok());
        replayed
    }

    /// Erases a value: every commitment to it stays in the log and opens no more. Each erasure is recorded before it is done.
    pub(crate) async fn erase(
        &self,
        caller: &Caller,
        domain: CommitmentDomain,
        value: String,
        reason: String,
    ) -> Result<Erasure, Error> {
        if value.is_empty() || reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
            let rule = format!("an erasure names a value, and a reason of at most {REASON_BYTES_MAX} bytes");
            return Err(Error::InvalidArgument(rule));
        }
        // The reason is not erasable: it must not say what is to be forgotten.
        if reason.contains(&value) {
            return Err(Error::InvalidArgument(
                "the reason names what is to be erased, and stays in the log for good: say it in other words"
                    .to_owned(),
            ));
        }
        let intent = self.about_the_log(caller, &format!("audit erase {}", domain.name())).await?;
        let (gateway, request) = (self.clone(), caller.request);
        let erased = blocking("erasing", move || {
            let found = gateway.log.side().find(domain, value.as_bytes()).map_err(log_unavailable)?;
            let mut log_indices = Vec::with_capacity(found.len());
            for commitment in found {
                match gateway.log.erase(request, commitment, &reason) {
                    Ok(erased) => log_indices.push(erased.index),
                    // Somebody else was faster, and recorded it.
                    Err(EraseError::Erased { .. }) => {}
                    Err(error) => return Err(log_unavailable(error)),
                }
            }
            Ok(Erasure { commitments: u64::try_from(log_indices.len()).unwrap_or(u64::MAX), log_indices })
        })
        .await;
        settle(intent, erased.is_ok());
        erased
    }
}

/// The longest reason of an erasure.
const REASON_BYTES_MAX: usize = 500;

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| internal(what, error))?
}
