//! What a law, or a node elsewhere, would make of what is stored: told before anything moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domicile_compliance::pack::{Pack, PackFiles};
use domicile_placement::{NodeRecord, Roster};
use domicile_types::{DataId, EvidenceGrade, NodeId, OperatorId, PackId, PackVersion, Place};
use serde::{Deserialize, Serialize};

use super::survey::Survey;
use super::{PackUpload, PublishError, packs};
use crate::catalog::{CatalogError, PageAt};
use crate::objects::Gateway;

/// Pages that are read from the index at once.
const PAGES_AT_ONCE: usize = 500;

/// What is supposed.
#[derive(Debug, Default)]
pub struct Supposition {
    /// That these packs are in force in the place of those of their names.
    pub packs: Vec<(PackId, PackFiles)>,
    /// That these nodes are elsewhere.
    pub moved: Vec<(NodeId, Place)>,
}

/// What is supposed, as it is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuppositionSent {
    /// Packs by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PackUpload>")]
    pub packs: BTreeMap<PackId, PackUpload>,
    /// Nodes, and where they would be.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub moved: BTreeMap<NodeId, Place>,
}

impl From<SuppositionSent> for Supposition {
    fn from(sent: SuppositionSent) -> Self {
        let files = |(id, upload): (PackId, PackUpload)| {
            let files = upload.into_files(&id);
            (id, files)
        };
        Self { packs: sent.packs.into_iter().map(files).collect(), moved: sent.moved.into_iter().collect() }
    }
}

/// What would follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Impact {
    /// The packs that were judged by.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub packs: Vec<PackVersion>,
    /// Pages of bodies that were looked at: some hundred segments each at the most.
    pub pages: u64,
    /// Bodies of objects and uploads with shards that would have to move.
    pub objects: u64,
    /// Those among them of which some shard could go nowhere.
    pub stuck_objects: u64,
    /// What would have to move.
    pub shards: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What of it could go nowhere.
    pub stuck_shards: u64,
    /// Its bytes.
    pub stuck_bytes: u64,
    /// By node that would have to give shards away.
    pub nodes: Vec<NodeImpact>,
    /// By bucket.
    pub buckets: Vec<BucketImpact>,
}

/// What a node would have to give away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeImpact {
    /// Which.
    #[schemars(with = "String")]
    pub node: NodeId,
    /// Its operator, where it is enrolled.
    #[schemars(with = "Option<String>")]
    pub operator: Option<OperatorId>,
    /// Where it is, or is supposed to be.
    #[schemars(with = "Option<String>")]
    pub place: Option<Place>,
    /// How many shards.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The rules that deny them, as `pack/rule`.
    pub rules: BTreeSet<String>,
}

/// What of a bucket would have to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BucketImpact {
    /// Whose.
    pub tenant: String,
    /// Which.
    pub bucket: String,
    /// How many bodies.
    pub objects: u64,
    /// How many shards.
    pub shards: u64,
    /// How many of those could go nowhere.
    pub stuck_shards: u64,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum ImpactError {
    /// What is supposed would not come into force.
    #[error(transparent)]
    Refused(#[from] PublishError),
    /// The rows cannot be read.
    #[error("where things lie cannot be read")]
    Catalog(#[from] CatalogError),
}

impl Gateway {
    /// Tells what would have to move, and what could not, if `supposed` were so. Moves nothing, logs nothing.
    pub async fn impact(&self, supposed: Supposition) -> Result<Impact, ImpactError> {
        let mut lawbook = self.judging.lawbook();
        for (id, files) in supposed.packs {
            lawbook = Arc::new(lawbook.with(Pack::parse(id, &files).map_err(PublishError::from)?));
        }
        let roster = suppose(&self.directory.roster(), &supposed.moved);
        let mut counts = Counts::default();
        let mut survey = Survey::new(self, &lawbook, &roster);
        let mut after: Option<PageAt> = None;
        loop {
            let pages = self.catalog.all_pages(after, PAGES_AT_ONCE).await?;
            after = pages.last().copied();
            for at in &pages {
                let Some(page) = self.catalog.mendable(*at).await? else { continue };
                counts.pages += 1;
                for misplacement in survey.misplacements(&page) {
                    counts.add(&page, &misplacement);
                }
            }
            if pages.len() < PAGES_AT_ONCE {
                return Ok(counts.told(packs::versions(&lawbook), &roster));
            }
        }
    }
}

/// The roster as it would be with nodes elsewhere.
fn suppose(roster: &Roster, moved: &[(NodeId, Place)]) -> Roster {
    let supposed = roster.iter().cloned().map(|record| match moved.iter().find(|(node, _)| *node == record.node) {
        Some((_, place)) => NodeRecord {
            place: *place,
            located: None,
            evidence: record.evidence.max(EvidenceGrade::Observed),
            ..record
        },
        None => record,
    });
    Roster::new(supposed).unwrap_or_default()
}

#[derive(Default)]
struct Counts {
    pages: u64,
    objects: BTreeSet<DataId>,
    stuck: BTreeSet<DataId>,
    total: Amount,
    stuck_total: Amount,
    nodes: BTreeMap<NodeId, (Amount, BTreeSet<String>)>,
    buckets: BTreeMap<(String, String), (BTreeSet<DataId>, Amount, Amount)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    shards: u64,
    bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.shards = self.shards.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Counts {
    fn add(&mut self, page: &crate::catalog::Mendable, misplacement: &super::survey::Misplacement) {
        self.objects.insert(page.data);
        if !misplacement.has_room {
            self.stuck.insert(page.data);
        }
        for misplaced in &misplacement.shards {
            self.total.add(misplaced.bytes);
            let (amount, rules) = self.nodes.entry(misplaced.shard.node).or_default();
            amount.add(misplaced.bytes);
            rules.extend(misplaced.rules.iter().map(|rule| format!("{}/{}", rule.pack, rule.rule)));
            if !misplacement.has_room {
                self.stuck_total.add(misplaced.bytes);
            }
            for claim in &page.claims {
                let name = (claim.origin.tenant.to_string(), claim.origin.bucket.to_string());
                let (objects, amount, stuck) = self.buckets.entry(name).or_default();
                objects.insert(page.data);
                amount.add(misplaced.bytes);
                if !misplacement.has_room {
                    stuck.add(misplaced.bytes);
                }
            }
        }
    }

    fn told(self, packs: Vec<PackVersion>, roster: &Roster) -> Impact {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let node = |(node, (amount, rules)): (NodeId, (Amount, BTreeSet<String>))| {
            let record = roster.get(&node);
            NodeImpact {
                node,
                operator: record.map(|record| record.operator.clone()),
                place: record.map(|record| record.place),
                shards: amount.shards,
                bytes: amount.bytes,
                rules,
            }
        };
        let bucket =
            |((tenant, bucket), (objects, amount, stuck)): ((String, String), (BTreeSet<DataId>, Amount, Amount))| {
                BucketImpact {
                    tenant,
                    bucket,
                    objects: count(objects.len()),
                    shards: amount.shards,
                    stuck_shards: stuck.shards,
                }
            };
        Impact {
            packs,
            pages: self.pages,
            objects: count(self.objects.len()),
            stuck_objects: count(self.stuck.len()),
            shards: self.total.shards,
            bytes: self.total.bytes,
            stuck_shards: self.stuck_total.shards,
            stuck_bytes: self.stuck_total.bytes,
            nodes: self.nodes.into_iter().map(node).collect(),
            buckets: self.buckets.into_iter().map(bucket).collect(),
        }
    }
}
