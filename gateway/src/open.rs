//! From a configuration to a running gateway: everything is opened, checked and recovered here, or the gateway does not start.

use std::sync::Arc;

use anyhow::Context;
use domicile_chunker::{BufferPool, SHARD_BYTES_MAX};
use domicile_compliance::audit::{AuditLog, LogConfig, LogLimits};
use domicile_compliance::{Lawbook, Locator};
use domicile_swarm::{Swarm, SwarmConfig};
use domicile_types::{IdentityKey, NodeId, RequestId};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::access_log::{self, AccessLogs};
use crate::accounts::{Accounts, Seals};
use crate::catalog::{Catalog, CatalogConfig, Stamp};
use crate::clock::Clock;
use crate::config::Config;
use crate::expire;
use crate::fleet::{Directory, NodeClient, enrolment, membership};
use crate::judging::{Judging, open_packs};
use crate::keys::{self, Keyring};
use crate::notify::{self, Hooks};
use crate::objects::{Gateway, Parts, follow_identities};
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

/// Opens everything. Fails with what is wrong and what to do about it.
pub async fn open(config: Config) -> anyhow::Result<Running> {
    let clock = Clock;
    let seed = keys::read_secret(&config.data_dir.join("identity.key"), clock)?;
    let identity = IdentityKey::from_seed(&seed);
    let catalog = open_catalog(&config, clock)?;
    let stamp = Stamp { now: clock.now(), request: RequestId::from_bytes(clock.random()) };
    let law = open_packs(&config, &catalog, stamp).await?;
    let locator = Locator::open(&config.location_databases, config.place_overrides.clone(), clock.now())
        .context("the location databases cannot be opened")?;
    for warning in locator.stale(clock.now()) {
        tracing::warn!(%warning, "location databases");
    }
    let locator = Arc::new(locator);
    let log = open_log(&config, &identity, &law.lawbook, clock)?;
    let records = enrolment::take_over(&catalog, &log, &config.nodes, clock).await?;
    let directory = Arc::new(Directory::new(records.enrolled(), Arc::clone(&locator), clock));
    let nodes = NodeClient::new(&identity, config.listen.outbound, Arc::clone(&directory))?;
    let swarm = start_swarm(&config, &identity, &directory)?;
    let root = keys::read_secret(&config.data_dir.join("root.key"), clock)?;
    let accounts = Accounts::new(config.credentials.clone(), Seals::derive(&root, clock));
    accounts.refresh(&catalog).await.context("the access keys cannot be read")?;
    let keys = Keyring::open(&config.data_dir.join("root.key"), config.place, clock)?;
    let hooks = Arc::new(Hooks::new(&config.webhooks)?);
    let buffers = Arc::new(Semaphore::new(config.limits.buffer_bytes_max / 1024));
    let gateway = Gateway::new(Parts {
        clock,
        identity: identity.id(),
        judging: Judging::new(law),
        locator,
        log: Arc::new(log),
        catalog,
        directory: Arc::clone(&directory),
        nodes,
        accounts,
        keys,
        hooks,
        access_logs: AccessLogs::new(),
        pool: BufferPool::new(BUFFER_SHARDS * SHARD_BYTES_MAX, SPARE_BUFFERS),
        buffers,
        config,
    });
    let tasks = vec![
        tokio::spawn(membership::follow(swarm.clone(), Arc::clone(&directory), clock)),
        tokio::spawn(membership::admit_enrolled(swarm.clone(), Arc::clone(&directory))),
        tokio::spawn(enrolment::follow(gateway.catalog.clone(), directory, records.epoch)),
        tokio::spawn(sweep::run(gateway.clone())),
        tokio::spawn(expire::run(gateway.clone())),
        tokio::spawn(notify::run(gateway.clone())),
        tokio::spawn(access_log::run(gateway.clone())),
        tokio::spawn(follow_identities(gateway.clone())),
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

impl Running {
    /// Stops what runs beside the gateway and closes the log.
    pub async fn stop(self) {
        // The listeners have stopped, so that nothing more will be noted.
        access_log::write_all(&self.gateway).await;
        for task in &self.tasks {
            task.abort();
        }
        self.swarm.shutdown().await;
        self.gateway.log.close();
    }
}

fn open_log(config: &Config, identity: &IdentityKey, lawbook: &Lawbook, clock: Clock) -> anyhow::Result<AuditLog> {
    let mut settings = LogConfig::new(&log_origin(&identity.id()), identity, Arc::new(move || clock.now()))?;
    settings.packs = lawbook.packs().map(|pack| pack.version().clone()).collect();
    settings.limits = LogLimits { log_bytes_max: config.limits.log_bytes_max, ..LogLimits::default() };
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
