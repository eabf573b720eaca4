//! From a configuration to a running gateway: everything is opened, checked and recovered here, or the gateway does not start.

use std::sync::Arc;

use anyhow::Context;
use domicile_chunker::{BufferPool, SHARD_BYTES_MAX};
use domicile_compliance::Lawbook;
use domicile_compliance::audit::{AuditLog, LogConfig, LogLimits};
use domicile_swarm::{Swarm, SwarmConfig};
use domicile_types::{IdentityKey, NodeId, RequestId};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::access_log::{self, AccessLogs};
use crate::accounts::{Accounts, Seals};
use crate::approvals::Board;
use crate::catalog::{Catalog, CatalogConfig, Stamp};
use crate::challenge;
use crate::clock::Clock;
use crate::config::Config;
use crate::expire;
use crate::fleet::{self, Databases, Directory, Locating, NodeClient, Warden, enrolment, membership, notices};
use crate::judging::{self, Judging, follow_databases, open_packs};
use crate::keys::{self, Keyring};
use crate::log_care;
use crate::notify::{self, Hooks};
use crate::objects::{Gateway, Parts, follow_approvals, follow_identities, write_accounts};
use crate::reconcile::{self, Reconciliation};
use crate::registers::{self, Registers};
use crate::repair;
use crate::state::{Owner, RocksConfig, RocksStore};
use crate::sweep;

/// Buffers that are kept for reuse between segments.
const SPARE_BUFFERS: usize = 8;
/// Shards in a buffer of the commonest code, 4+2: wider codes take larger ones.
const BUFFER_SHARDS: usize = 6;
/// How long replaced and deleted bytes stay on nodes, so that reads in flight end well.
const SWEEP_GRACE_MILLIS: u64 = 60_000;

/// A gateway with what runs beside it.
pub struct Running {
    /// The gateway.
    pub gateway: Gateway,
    swarm: Swarm,
    tasks: Vec<JoinHandle<()>>,
}

/// The name of a gateway's log: follows from its identity, so that a node needs to know only who the gateway is.
#[must_use]
pub fn log_origin(gateway: &NodeId) -> String {
    format!("domicile.internal/log/{}", gateway.dns_label())
}

/// What a gateway stands on. Tests simulate it; everything above is the same.
pub(crate) struct Ground {
    /// Time and randomness.
    pub(crate) clock: Clock,
    /// Who the gateway is.
    pub(crate) identity: IdentityKey,
    /// Says where an address is.
    pub(crate) locator: Arc<Locating>,
    /// Over a store.
    pub(crate) catalog: Catalog,
    /// Bounds of the audit log.
    pub(crate) log: LogLimits,
}

/// A gateway that answers, and nothing running beside it.
pub(crate) struct Assembled {
    /// The gateway.
    pub(crate) gateway: Gateway,
    records_epoch: u64,
}

/// Opens everything. Fails with what is wrong and what to do about it.
pub async fn open(config: Config) -> anyhow::Result<Running> {
    let clock = Clock;
    let identity = IdentityKey::from_seed(&*keys::read_secret(&config.data_dir.join("identity.key"), clock)?);
    let catalog = open_catalog(&config, clock)?;
    let databases = Databases::open(&config, clock.now()).context("the location databases cannot be opened")?;
    for warning in databases.locator.stale(clock.now()) {
        tracing::warn!(%warning, "location databases");
    }
    let log = LogLimits { log_bytes_max: config.limits.log_bytes_max, ..LogLimits::default() };
    let ground = Ground { clock, identity, locator: Arc::new(Locating::new(databases)), catalog, log };
    let Assembled { gateway, records_epoch } = assemble(config, &ground, |nodes| nodes).await?;
    let directory = Arc::clone(&gateway.directory);
    let swarm = start_swarm(&gateway.config, &ground.identity, &directory)?;
    let tasks = vec![
        tokio::spawn(membership::follow(swarm.clone(), Arc::clone(&directory), clock)),
        tokio::spawn(membership::admit_enrolled(swarm.clone(), Arc::clone(&directory))),
        tokio::spawn(enrolment::follow(gateway.catalog.clone(), directory, records_epoch)),
        tokio::spawn(fleet::watch(Arc::clone(&gateway.warden))),
        tokio::spawn(judging::facts::run(gateway.clone())),
        tokio::spawn(judging::rescan::run(gateway.clone())),
        tokio::spawn(judging::proposals::run(gateway.clone())),
        tokio::spawn(reconcile::run(gateway.clone())),
        tokio::spawn(registers::run(Arc::clone(&gateway.registers))),
        tokio::spawn(log_care::run_witnesses(gateway.clone())),
        tokio::spawn(log_care::run_capacity(gateway.clone())),
        tokio::spawn(follow_databases(gateway.clone())),
        tokio::spawn(challenge::run(gateway.clone())),
        tokio::spawn(notices::tell(
            gateway.identity,
            Arc::clone(&gateway.directory),
            gateway.nodes.clone(),
            *gateway.warden.patience(),
            clock,
        )),
        tokio::spawn(sweep::run(gateway.clone())),
        tokio::spawn(expire::run(gateway.clone())),
        tokio::spawn(repair::run(gateway.clone())),
        tokio::spawn(repair::run_residue(gateway.clone())),
        tokio::spawn(repair::run_orphans(gateway.clone())),
        tokio::spawn(notify::run(gateway.clone())),
        tokio::spawn(notify::run_siems(gateway.clone())),
        tokio::spawn(access_log::run(gateway.clone())),
        tokio::spawn(follow_identities(gateway.clone())),
        tokio::spawn(follow_approvals(gateway.clone())),
        tokio::spawn(write_accounts(gateway.clone())),
    ];
    tracing::info!(
        gateway = %gateway.identity,
        place = %gateway.config.place,
        default_region = %gateway.config.default_region,
        regions = gateway.config.region_names(),
        "gateway open"
    );
    Ok(Running { gateway, swarm, tasks })
}

/// Puts a gateway together on `ground`; `connect` is given what it speaks to nodes with.
pub(crate) async fn assemble(
    config: Config,
    ground: &Ground,
    connect: impl FnOnce(NodeClient) -> NodeClient,
) -> anyhow::Result<Assembled> {
    let Ground { clock, identity, locator, catalog, log } = ground;
    let clock = *clock;
    let stamp = Stamp { now: clock.now(), request: RequestId::from_bytes(clock.random()) };
    let law = open_packs(&config, catalog, stamp).await?;
    let log = Arc::new(open_log(&config, identity, &law.lawbook, *log, clock)?);
    let registers = Registers::open(config.data_dir.join("registers"), Arc::clone(&log), clock);
    let registers = Arc::new(registers.context("the registers cannot be opened")?);
    let records = enrolment::take_over(catalog, &log, &config.nodes, clock).await?;
    let directory = Arc::new(Directory::new(records.enrolled(), Arc::clone(locator), config.place, clock));
    let patience = config.standing.patience();
    let warden = Warden::open(Arc::clone(&log), catalog.clone(), Arc::clone(&directory), patience, clock).await;
    let warden = Arc::new(warden.context("how nodes stand cannot be read")?);
    let nodes = connect(NodeClient::new(identity, config.listen.outbound, Arc::clone(&directory))?);
    let root = keys::read_secret(&config.data_dir.join("root.key"), clock)?;
    let accounts = Accounts::new(config.credentials.clone(), Seals::derive(&root, clock));
    accounts.refresh(catalog).await.context("the access keys cannot be read")?;
    let keys = Keyring::open(&config.data_dir.join("root.key"), config.place, clock)?;
    let approvals = Board::default();
    approvals.refresh(catalog).await.context("the approvals cannot be read")?;
    let hooks = Arc::new(Hooks::new(&config.webhooks)?);
    let buffers = Arc::new(Semaphore::new(config.limits.buffer_bytes_max / 1024));
    let gateway = Gateway::new(Parts {
        clock,
        identity: identity.id(),
        judging: Judging::new(law),
        locator: Arc::clone(locator),
        log,
        registers,
        catalog: catalog.clone(),
        directory,
        warden,
        reconciliation: Reconciliation::default(),
        nodes,
        accounts,
        keys,
        hooks,
        access_logs: AccessLogs::new(),
        witnesses: Default::default(),
        repairs: Arc::default(),
        approvals,
        pool: BufferPool::new(BUFFER_SHARDS * SHARD_BYTES_MAX, SPARE_BUFFERS),
        buffers,
        config,
    });
    Ok(Assembled { gateway, records_epoch: records.epoch })
}

impl Running {
    /// Stops what runs beside the gateway and closes the log.
    pub async fn stop(self) {
        // The listeners have stopped, so that nothing more will be noted.
        access_log::write_all(&self.gateway).await;
        if let Err(error) = self.gateway.write_tallies().await {
            tracing::warn!(%error, "the accounts of nodes could not be written down");
        }
        for task in &self.tasks {
            task.abort();
        }
        // What they hold, the metadata store among it, is free when this returns.
        for task in self.tasks {
            drop(task.await);
        }
        self.swarm.shutdown().await;
        self.gateway.log.close();
    }
}

fn open_log(
    config: &Config,
    identity: &IdentityKey,
    lawbook: &Lawbook,
    limits: LogLimits,
    clock: Clock,
) -> anyhow::Result<AuditLog> {
    let mut settings = LogConfig::new(&log_origin(&identity.id()), identity, Arc::new(move || clock.now()))?;
    settings.packs = lawbook.packs().map(|pack| pack.version().clone()).collect();
    settings.limits = limits;
    let (log, recovery) =
        AuditLog::open(&config.data_dir.join("log"), settings).context("the audit log cannot be opened")?;
    for (index, record) in &recovery.closed_intents {
        tracing::warn!(index, request_id = %record.request, "an intent of the run before had no outcome: assumed whole");
    }
    if recovery.dropped_bytes > 0 {
        tracing::warn!(bytes = recovery.dropped_bytes, "the log's torn tail was dropped; it was never acknowledged");
    }
    Ok(log)
}

fn open_catalog(config: &Config, clock: Clock) -> anyhow::Result<Catalog> {
    let settings = RocksConfig::new(config.data_dir.join("state"));
    let store =
        RocksStore::open(&settings, Arc::new(move || clock.now())).context("the metadata store cannot be opened")?;
    let token_key = keys::read_secret(&config.data_dir.join("token.key"), clock)?;
    let settings =
        CatalogConfig { token_key: *token_key, process: Owner(clock.random()), sweep_grace_millis: SWEEP_GRACE_MILLIS };
    Ok(Catalog::new(Arc::new(store), settings))
}

fn start_swarm(config: &Config, identity: &IdentityKey, directory: &Directory) -> anyhow::Result<Swarm> {
    let enrolled = directory.enrolled();
    let settings = SwarmConfig {
        listen: vec![config.listen.swarm],
        bootstrap: enrolled.values().filter_map(|node| Some((node.id, node.swarm?))).collect(),
        allow: enrolled.keys().copied().collect(),
    };
    domicile_swarm::start(identity, settings).context("the control plane cannot start")
}
