//! The warden: steps every node's standing, and sees that each change is logged before it takes effect, kept, and told.
//!
//! One task steps all nodes, at once when something was heard and every second without. A change that cannot be logged does
//! not take effect; what speaks against the node keeps it from getting anything new all the same (see [`Directory`]).

use std::sync::Arc;
use std::time::Duration;

use domicile_compliance::audit::{AppendError, AuditLog, Event};
use domicile_placement::NodeState;
use domicile_types::{Commitment, FleetChange, NodeId, RequestId, UnixMillis};
use tokio::sync::Mutex;

use super::Directory;
use super::directory::OnFile;
use super::standing::{Failure, Patience, Reason, Standing};
use crate::catalog::{Catalog, CatalogError, NodeFile};
use crate::clock::Clock;

/// How long after the last step nodes are stepped even without news.
const STEP_INTERVAL: Duration = Duration::from_secs(1);
/// The least pause between two steps: a crowd of announcements is one piece of news.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// The longest time that one step counts as silence, in milliseconds: the machine may have slept.
const STEP_MILLIS_MAX: u64 = 5_000;
/// How often standings are kept that did not change, in milliseconds: scores fade, silence grows.
const KEEP_MILLIS: u64 = 60_000;

/// Why a change of the fleet did not take effect.
#[derive(Debug, thiserror::Error)]
pub enum WardenError {
    /// It cannot be logged.
    #[error("the change of the fleet cannot be logged, and was not made")]
    Log(#[from] AppendError),
    /// It cannot be kept.
    #[error("the change of the fleet cannot be kept")]
    Catalog(#[from] CatalogError),
}

/// Judges the fleet.
pub struct Warden {
    pub(super) log: Arc<AuditLog>,
    pub(super) catalog: Catalog,
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Clock,
    pub(super) patience: Patience,
    /// One change of the fleet at a time.
    pub(super) turn: Mutex<Turn>,
}

/// When what was done last.
#[derive(Debug, Default)]
pub(super) struct Turn {
    stepped: Option<UnixMillis>,
    kept: Option<UnixMillis>,
}

impl Warden {
    /// Reads what is kept of the fleet, and puts it in force.
    pub async fn open(
        log: Arc<AuditLog>,
        catalog: Catalog,
        directory: Arc<Directory>,
        patience: Patience,
        clock: Clock,
    ) -> Result<Self, WardenError> {
        let rows = catalog.standing_rows().await?;
        for file in rows.files {
            directory.file(&file.node, |on_file| {
                on_file.judged = Some(file.standing);
                on_file.delays = file.delays;
                on_file.network = file.network;
            });
        }
        for document in rows.documents {
            let node = document.node;
            directory.file(&node, |on_file| on_file.documents.push(document));
        }
        for dispute in rows.disputes {
            let node = dispute.node;
            directory.file(&node, |on_file| on_file.disputes.push(dispute));
        }
        Ok(Self { log, catalog, directory, clock, patience, turn: Mutex::default() })
    }

    /// How patient it is.
    #[must_use]
    pub const fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Steps every node once: judges, logs, keeps, publishes.
    pub async fn step(&self) -> Result<(), WardenError> {
        let mut turn = self.turn.lock().await;
        let now = self.clock.now();
        let elapsed = turn.stepped.map_or(0, |before| now.millis_since(before)).min(STEP_MILLIS_MAX);
        turn.stepped = Some(now);
        self.follow_networks().await?;
        let files = self.directory.files();
        self.lapse(&files, now).await?;
        let most_are_silent = most_are_silent(&files, &self.patience);
        let mut changed = Vec::new();
        for (node, on_file) in &files {
            let last = on_file.judged.clone().unwrap_or_else(|| Standing::new(now));
            let mut seen = self.directory.take_seen(node, now);
            seen.elapsed_millis = elapsed;
            seen.most_are_silent = most_are_silent;
            let next = last.clone().after(&seen, now, &self.patience);
            if next.state == last.state && next.reasons == last.reasons {
                self.directory.file(node, |on_file| on_file.judged = Some(next));
            } else {
                // Until it is logged, the state is what it was; what was counted meanwhile counts.
                let waiting =
                    Standing { state: last.state, since: last.since, reasons: last.reasons.clone(), ..next.clone() };
                self.directory.file(node, |on_file| on_file.judged = Some(waiting));
                changed.push((*node, last, next));
            }
        }
        self.settle(changed).await?;
        if turn.kept.is_none_or(|kept| now.millis_since(kept) >= KEEP_MILLIS) {
            let all: Vec<NodeFile> =
                self.directory.files().into_iter().filter_map(|(node, on_file)| file(node, on_file)).collect();
            self.catalog.put_standings(&all).await?;
            turn.kept = Some(now);
        }
        Ok(())
    }

    /// Changes how a node stands by somebody's order: logged as `what`, then in force at once.
    pub async fn order(
        &self,
        node: NodeId,
        what: FleetChange,
        by: Option<Commitment>,
        change: impl FnOnce(&mut Standing),
    ) -> Result<(), WardenError> {
        {
            let _turn = self.turn.lock().await;
            let now = self.clock.now();
            self.note(what, node, Vec::new(), None, by).await?;
            let kept = self.directory.file(&node, |on_file| {
                change(on_file.judged.get_or_insert_with(|| Standing::new(now)));
                file(node, on_file.clone())
            });
            self.catalog.put_standings(kept.as_slice()).await?;
        }
        self.step().await
    }

    /// Takes in how a challenge ended: `Err` is why it was not met, `Ok` how fast the answer came, in microseconds.
    pub fn challenged(&self, node: NodeId, outcome: Result<u32, Failure>) {
        let now = self.clock.now();
        self.directory.file(&node, |on_file| {
            let standing = on_file.judged.get_or_insert_with(|| Standing::new(now));
            match outcome {
                Ok(micros) => {
                    standing.challenged(None, now, &self.patience);
                    on_file.delays.add(micros, now);
                }
                Err(failure) => standing.challenged(Some(failure), now, &self.patience),
            }
        });
        self.directory.note_news();
    }

    /// Notes in which networks the nodes are. Where one has changed, what was measured before says nothing any more.
    async fn follow_networks(&self) -> Result<(), WardenError> {
        for (node, on_file) in self.directory.files() {
            let Some(number) = self.directory.network(&node) else { continue };
            if on_file.network == Some(number) {
                continue;
            }
            if on_file.network.is_some() {
                let reasons = vec![Reason::NetworkChanged.name().to_owned()];
                self.note(FleetChange::NodeChanged, node, reasons, None, None).await?;
                self.log.incident(self.request(), Reason::NetworkChanged.name(), Some(node), None).await?;
            }
            let kept = self.directory.file(&node, |on_file| {
                if on_file.network.is_some() {
                    on_file.delays.forget();
                }
                on_file.network = Some(number);
                file(node, on_file.clone())
            });
            self.catalog.put_standings(kept.as_slice()).await?;
            self.directory.publish();
        }
        Ok(())
    }

    /// Logs changed standings, keeps them, and puts them in force.
    async fn settle(&self, changed: Vec<(NodeId, Standing, Standing)>) -> Result<(), WardenError> {
        if changed.is_empty() {
            return Ok(());
        }
        let mut entries = Vec::new();
        for (node, last, next) in &changed {
            // Reasons come and go without a change of state; those that fence are always told.
            let fenced_anew = next.reasons.iter().any(|reason| reason.contradicts() && !last.reasons.contains(reason));
            if next.state != last.state || fenced_anew {
                let reasons = next.reasons.iter().map(|reason| reason.name().to_owned()).collect();
                entries.push(self.append(change_of(next.state), *node, reasons, None, None));
                tracing::info!(%node, from = ?last.state, to = ?next.state, reasons = ?next.reasons, "a node's standing changed");
            }
            if next.state != last.state
                && let Some(what) = incident_of(next.state)
            {
                entries.push(self.log.incident(self.request(), what, Some(*node), None));
            }
        }
        for entry in entries {
            entry.await?;
        }
        let mut kept = Vec::new();
        for (node, _, next) in changed {
            let on_file = self.directory.file(&node, |on_file| {
                // What came in while the log was written stays.
                let judged = on_file.judged.get_or_insert_with(|| next.clone());
                judged.state = next.state;
                judged.since = next.since;
                judged.reasons = next.reasons;
                on_file.clone()
            });
            kept.extend(file(node, on_file));
        }
        self.directory.publish();
        Ok(self.catalog.put_standings(&kept).await?)
    }

    /// Logs a change of the fleet, and waits until that is durable.
    pub(super) async fn note(
        &self,
        what: FleetChange,
        node: NodeId,
        reasons: Vec<String>,
        record: Option<String>,
        by: Option<Commitment>,
    ) -> Result<u64, WardenError> {
        Ok(self.append(what, node, reasons, record, by).await?.index)
    }

    fn append(
        &self,
        what: FleetChange,
        node: NodeId,
        reasons: Vec<String>,
        record: Option<String>,
        by: Option<Commitment>,
    ) -> domicile_compliance::audit::Appending {
        let operator = self.directory.enrolled().get(&node).map(|enrolled| enrolled.operator.clone());
        self.log.note(self.request(), Event::Fleet { what, operator, node: Some(node), reasons, record, by })
    }

    pub(super) fn request(&self) -> RequestId {
        RequestId::from_bytes(self.clock.random())
    }
}

/// Steps the warden until it is aborted.
pub async fn watch(warden: Arc<Warden>) {
    loop {
        if let Err(error) = warden.step().await {
            tracing::error!(error = crate::admin::with_causes(&error), "the fleet could not be judged");
            tokio::time::sleep(STEP_INTERVAL).await;
        }
        tokio::time::sleep(STEP_PAUSE).await;
        drop(tokio::time::timeout(STEP_INTERVAL, warden.directory.news()).await);
    }
}

/// Whether more than half of the nodes that were ever heard are silent: then it is rather this gateway that is cut off.
fn most_are_silent(files: &[(NodeId, OnFile)], patience: &Patience) -> bool {
    let heard = files.iter().filter_map(|(_, on_file)| on_file.judged.as_ref()).filter(|it| it.heard.is_some());
    let (mut all, mut silent) = (0usize, 0usize);
    for standing in heard {
        all += 1;
        silent += usize::from(standing.silent_millis >= patience.offline_millis);
    }
    all > 2 && silent * 2 > all
}

fn file(node: NodeId, on_file: OnFile) -> Option<NodeFile> {
    let OnFile { judged, delays, network, .. } = on_file;
    Some(NodeFile { node, standing: judged?, delays, network })
}

const fn change_of(state: NodeState) -> FleetChange {
    match state {
        NodeState::Online => FleetChange::Online,
        NodeState::Suspect => FleetChange::Suspect,
        NodeState::ReadOnly => FleetChange::NodeChanged,
        NodeState::Draining => FleetChange::Draining,
        NodeState::Offline => FleetChange::Offline,
        NodeState::Lost => FleetChange::Lost,
        NodeState::Corrupt => FleetChange::Corrupt,
        NodeState::Quarantined => FleetChange::Quarantined,
    }
}

/// The incident that a state is, if it is one.
const fn incident_of(state: NodeState) -> Option<&'static str> {
    match state {
        NodeState::Lost => Some("node-lost"),
        NodeState::Corrupt => Some("node-corrupt"),
        NodeState::Quarantined => Some("node-quarantined"),
        _ => None,
    }
}
