//! Reports: decided, made, and sealed in the log before they are handed out.

use std::collections::{BTreeMap, BTreeSet};

use domicile_compliance::audit::{CommitmentDomain, Event};
use domicile_compliance::report::{Deletion, LogState, Material, NodeFacts, ReportKind, html, report};
use domicile_node_protocol::{ReceiptError, SignedReceipt};
use domicile_types::{
    BucketName, Classification, Commitment, NodeId, ObjectKey, OperationKind, PackId, Place, Salt, TenantId, UnixMillis,
};
use sha2::{Digest, Sha256};

use super::authorize::{Matter, log_unavailable};
use super::bucket::settle;
use super::error::Error;
use super::gateway::Gateway;
use super::intake::internal;
use super::request::{Caller, KeyHolder, ListObjects, Principal};
use crate::reports::{
    RenderError, Renderer, ReportFault, ReportFormat, ReportOrder, SealedReport, classes, gather, names,
};

/// Objects of a bucket that its map looks at: each is asked of the law, and logged.
const MAP_OBJECTS_MAX: usize = 1_000;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportRefusal {
    /// Not allowed, or the gateway's own fault.
    #[error(transparent)]
    Gateway(#[from] Error),
    /// What it is to be made from cannot be had.
    #[error(transparent)]
    Material(#[from] ReportFault),
    /// The PDF cannot be had.
    #[error(transparent)]
    Render(#[from] RenderError),
}

impl Gateway {
    /// Makes a report. Its hash is in the log when this returns; so is what was opened for it.
    pub(crate) async fn make_report(&self, caller: &Caller, order: ReportOrder) -> Result<SealedReport, ReportRefusal> {
        if order.period.0 >= order.period.1 {
            let message = "the period ends before it begins: from is the first moment of it, to the first after it";
            return Err(Error::InvalidArgument(message.to_owned()).into());
        }
        // Before anything is opened or counted, and before a long computation: whether a PDF can be had at all.
        let renderer = (order.format == ReportFormat::Pdf).then(Renderer::find).transpose()?;
        let region = self.config.region(&self.config.default_region);
        let packs: &[PackId] = region.map(|region| region.packs.as_slice()).unwrap_or_default();
        let classification = Classification::default();
        let subject = format!("report {}", order.kind);
        let matter = Matter {
            operation: OperationKind::Administer,
            packs,
            classification: &classification,
            bucket: None,
            key: Some(&subject),
            nodes: Vec::new(),
        };
        let intent = self.authorize(caller, &matter).await?;
        let made = self.made_and_sealed(caller, order, renderer).await;
        settle(intent, made.is_ok());
        made
    }

    async fn made_and_sealed(
        &self,
        caller: &Caller,
        order: ReportOrder,
        renderer: Option<Renderer>,
    ) -> Result<SealedReport, ReportRefusal> {
        let fresh = || Salt(self.clock.random());
        let actor = self.log.side().commit(CommitmentDomain::Actor, caller.actor().as_bytes(), fresh);
        let by = actor.map_err(log_unavailable)?;
        let material = self.material(caller, &order).await?;
        if !material.names.is_empty() || material.deletions.is_some() {
            let rows = u64::try_from(material.names.len()).unwrap_or(u64::MAX);
            let viewed = Event::Viewed { what: format!("report/{}", order.kind), rows, by };
            self.log.note(caller.request, viewed).await.map_err(log_unavailable)?;
        }
        let (kind, language, format) = (order.kind, order.language, order.format);
        let file = tokio::task::spawn_blocking(move || {
            let report = report(kind, language, &material);
            match format {
                ReportFormat::Html => Ok(html(&report).into_bytes()),
                ReportFormat::Json => serde_json::to_vec_pretty(&report),
                ReportFormat::Pdf => serde_json::to_vec(&report),
            }
        });
        let mut file = file
            .await
            .map_err(|error| internal("setting a report", error))?
            .map_err(|error| internal("setting a report", error))?;
        if let Some(renderer) = renderer {
            file = renderer.pdf(file).await?;
        }
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&file));
        let event = Event::Report {
            report: order.kind.name().to_owned(),
            hash: hash.clone(),
            format: order.format.name().to_owned(),
            period: order.period,
            by: Some(by),
        };
        let index = self.log.note(caller.request, event).await.map_err(log_unavailable)?.index;
        Ok(SealedReport { file, hash, index })
    }

    async fn material(&self, caller: &Caller, order: &ReportOrder) -> Result<Material, ReportRefusal> {
        let deletions = match (&order.object, order.kind) {
            (Some(object), ReportKind::DeletionCertificate) => Some(self.certified(caller, object).await?),
            _ => None,
        };
        let shards = match (&order.object, &order.bucket, order.kind) {
            (_, _, ReportKind::DeletionCertificate) | (None, None, _) => None,
            (Some((bucket, key)), _, _) => Some(self.shards_by_place(caller, bucket, std::slice::from_ref(key)).await?),
            (None, Some(bucket), _) => self.shards_of_bucket(caller, bucket).await?,
        };
        let gateway = self.clone();
        let (period, open, bucket) = (order.period, order.open, order.bucket.clone());
        let read = tokio::task::spawn_blocking(move || {
            let log = &gateway.log;
            // The state of the log that the report names holds every entry that it counts.
            let wanted = match &bucket {
                None => None,
                Some(bucket) => {
                    let found = log.side().find(CommitmentDomain::Bucket, bucket.as_str().as_bytes())?;
                    Some(found.into_iter().collect::<BTreeSet<Commitment>>())
                }
            };
            let gathered = gather(log, period, wanted.clone())?;
            let classes = classes(log, &gathered.flows)?;
            let mut opened = if open { names(log, &gathered)? } else { BTreeMap::new() };
            // The officer named it: it is no secret to them.
            if let (Some(wanted), Some(bucket)) = (wanted, &bucket) {
                opened.extend(wanted.into_iter().map(|commitment| (commitment, bucket.to_string())));
            }
            let checkpoint = log.checkpoint();
            let state = LogState {
                gateway: gateway.identity,
                place: gateway.config.place,
                key: log.verifier().to_string(),
                size: checkpoint.size(),
                root: checkpoint.root().to_string(),
            };
            Ok::<_, ReportFault>((gathered, classes, opened, state))
        });
        let (gathered, classes, names, log) = read.await.map_err(|error| internal("reading the log", error))??;
        let lawbook = self.judging.lawbook();
        let packs = lawbook.packs().map(|pack| (pack.version().clone(), pack.facts().title.clone())).collect();
        Ok(Material {
            period,
            made: self.clock.now(),
            log,
            gathered,
            names,
            classes,
            nodes: self.nodes_on_record(),
            shards,
            bucket: order.bucket.as_ref().map(ToString::to_string),
            deletions,
            packs,
        })
    }

    fn nodes_on_record(&self) -> Vec<NodeFacts> {
        let standings = self.directory.standings().into_iter();
        standings
            .map(|standing| NodeFacts {
                id: standing.enrolled.id,
                place: standing.enrolled.place,
                operator: standing.enrolled.operator.to_string(),
                controller: standing.enrolled.controller.to_string(),
                evidence: standing.evidence,
                fenced: standing.judged.fenced,
            })
            .collect()
    }

    /// Where a bucket's shards lie. `None`: it has more objects than one report looks at, or the law lets this caller be told of none
    /// (which is logged as an attempt); the report then shows where nodes are.
    async fn shards_of_bucket(
        &self,
        caller: &Caller,
        bucket: &BucketName,
    ) -> Result<Option<BTreeMap<Place, u64>>, Error> {
        let request = ListObjects {
            bucket: bucket.clone(),
            prefix: String::new(),
            delimiter: None,
            after: None,
            keys_max: MAP_OBJECTS_MAX,
        };
        let owner = self.bucket_owner(bucket).await?;
        let page = match self.list_objects(&on_behalf_of(caller, &owner), request).await {
            Err(Error::Denied(_)) => return Ok(None),
            page => page?,
        };
        if page.next_after.is_some() {
            return Ok(None);
        }
        let keys: Vec<ObjectKey> = page.objects.into_iter().map(|object| object.key).collect();
        match self.shards_by_place(caller, bucket, &keys).await {
            Err(Error::Denied(_)) => Ok(None),
            shards => shards.map(Some),
        }
    }

    async fn shards_by_place(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        keys: &[ObjectKey],
    ) -> Result<BTreeMap<Place, u64>, Error> {
        let owner = self.bucket_owner(bucket).await?;
        let caller = on_behalf_of(caller, &owner);
        let places: BTreeMap<NodeId, Place> =
            self.nodes_on_record().into_iter().map(|node| (node.id, node.place)).collect();
        let mut shards = BTreeMap::new();
        for key in keys {
            for shard in self.placement(&caller, bucket, key).await?.shards {
                *shards.entry(places.get(&shard.node).copied().unwrap_or(Place::Unknown)).or_default() += 1;
            }
        }
        Ok(shards)
    }

    async fn certified(
        &self,
        caller: &Caller,
        (bucket, key): &(BucketName, ObjectKey),
    ) -> Result<(String, Vec<Deletion>), Error> {
        let owner = self.deleted_owner(bucket, key).await?.ok_or(Error::NoSuchKey)?;
        let certificates = self.certificates(&on_behalf_of(caller, &owner), bucket, key).await?;
        let deletions = certificates.into_iter().map(|certificate| Deletion {
            data: certificate.data,
            shredded: certificate.record.shredded,
            residue: certificate.record.is_swept().then_some(certificate.record.residue),
            receipts_hash: certificate.receipts_hash,
            receipts: certificate.receipts.iter().map(|receipt| read_receipt(receipt)).collect(),
            stated: certificate.record.stated.clone(),
        });
        Ok((format!("s3://{bucket}/{}", key.as_str()), deletions.collect()))
    }
}

/// The same person, asking for `tenant`.
fn on_behalf_of(caller: &Caller, tenant: &TenantId) -> Caller {
    let access_key = match &caller.principal {
        Principal::Key(holder) => holder.access_key.clone(),
        Principal::Anonymous => String::new(),
    };
    Caller { principal: Principal::Key(KeyHolder::of_tenant(tenant.clone(), &access_key)), ..caller.clone() }
}

/// Node, shard and time of a receipt that its node signed.
fn read_receipt(text: &str) -> (String, String, UnixMillis) {
    let signed = SignedReceipt::from_wire(text);
    let read = match signed.verify(&NodeId::from_public_key([0; 32])) {
        Err(ReceiptError::OtherNode { actual, .. }) => signed.verify(&actual),
        read => read,
    };
    match read {
        Ok(receipt) => (receipt.node.to_string(), receipt.cid.to_string(), receipt.time),
        Err(_) => ("unreadable".to_owned(), String::new(), UnixMillis(0)),
    }
}
